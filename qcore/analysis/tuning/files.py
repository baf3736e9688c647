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
from qcore.schema import load


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
        content = self.model.to_bytes()
        for future in [self.executor.submit(quantized_content, content, *task) for task in tasks]:
            file, warned = future.result()
            made.append((load(file), warned))
            advance(1)
        return made


def quantized(model: Model, statistics: Statistics, samples: list[Any], accuracy: Accuracy, rules: Rules) -> tuple[Model, list[str]]:
    """What ``quantize_model`` makes, and what it warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        given = samples if read_methods(accuracy) else None
        found = quantize_model(model, "int8", statistics, rules=rules, accuracy=accuracy, samples=given, runnable=True)
    return found, [str(one.message) for one in caught]


def quantized_content(content: bytes, *task: Any) -> tuple[bytes, list[str]]:
    """The same of files."""
    found, warned = quantized(load(content), *task)
    return found.to_bytes(), warned
