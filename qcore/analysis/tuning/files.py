"""Files as ``quantize_model`` makes them, several at a time where an executor can."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

from qcore.calibration import Statistics
from qcore.model import Model
from qcore.quantizer import Rules, quantize_model
from qcore.quantizer.recovery.recover import Accuracy, read_methods


class Files:
    """Makes files of one model.

    Args:
        model: the float model.
        statistics: of its activations.
        samples: for accuracy.
        executor: runs the work; None does it here.
    """

    def __init__(self, model: Model, statistics: Statistics, samples: list[Any], executor: Executor | None):
        self.model, self.statistics, self.samples, self.executor = model, statistics, samples, executor

    def make(self, rules: Sequence[Rules], accuracy: Accuracy, advance: Callable[[int], None]) -> list[tuple[Model, list[str]]]:
        """A model for each of some rules, with what it warned of."""
        tasks = [(self.statistics, self.samples, accuracy, one) for one in rules]
        made = []
        if self.executor is None:
            for task in tasks:
                made.append(quantized(self.model, *task))
                advance(1)
            return made
        for future in [self.executor.submit(quantized, self.model, *task) for task in tasks]:
            made.append(future.result())
            advance(1)
        return made


def quantized(model: Model, statistics: Statistics, samples: list[Any], accuracy: Accuracy, rules: Rules) -> tuple[Model, list[str]]:
    """What ``quantize_model`` makes, and what it warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        given = samples if read_methods(accuracy) else None
        found = quantize_model(model, "int8", statistics, rules=rules, accuracy=accuracy, samples=given, runnable=True)
    return found, [str(one.message) for one in caught]
