"""What choices cost: each is made into a file, and run on samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from qcore.analysis.tuning.composing import Bank, compose
from qcore.calibration import Statistics
from qcore.kernels.opdef import Array
from qcore.model import Model
from qcore.numerics.dtypes import element_type
from qcore.numerics.metrics import ErrorSums
from qcore.quantizer import Rules
from qcore.quantizer.recovery.running import feeds, outputs, without_softmax

SHARES = 8
"""Parts that work is spread in: enough for a few workers, and few enough that the model is not sent too often."""


@dataclass(frozen=True, eq=False)
class Job:
    """What measuring takes.

    model: the float one. statistics: of its activations. bank: constants. samples: to run.
    """

    model: Model
    statistics: Statistics
    bank: Bank
    samples: list[Any]


@dataclass(frozen=True, eq=False)
class Measured:
    """A choice at work.

    bytes: of its file. memory: bytes of the file and of all activations that it computes.
    outputs: real values of each output for all samples, before a SOFTMAX.
    """

    bytes: int
    memory: int
    outputs: list[Array]


class Bench:
    """Measures choices of one model, in parts that an executor runs if there is one.

    expected: what the float model gives, as ``Measured.outputs``.
    """

    def __init__(self, job: Job, executor: Executor | None = None):
        self.job, self.executor = job, executor
        self.expected = run(job.model, job.samples)

    def measure(self, rules: Sequence[Rules], advance: Callable[[int], None] = lambda count: None) -> list[Measured]:
        """What each of some rules costs; advance: told of those that are done.

        Raises:
            QCoreError: the model cannot run on a sample.
        """
        if self.executor is None:
            found = []
            for one in rules:
                found.append(measured(self.job, one))
                advance(1)
            return found
        length = max(1, -(-len(rules) // SHARES))
        parts = [list(rules[start : start + length]) for start in range(0, len(rules), length)]
        pending = [self.executor.submit(measure_all, self.job, part) for part in parts]
        found = []
        for future in pending:
            found += future.result()
            advance(length)
        return found

    def noise(self, one: Measured) -> float:
        """The power of the error of a model's outputs, relative to that of the outputs; the sum over outputs."""
        return self.power(self.expected, one.outputs)

    def power(self, first: Sequence[Array], second: Sequence[Array]) -> float:
        """That of the difference of two models' outputs."""
        total = 0.0
        for signal, a, b in zip(self.expected, first, second, strict=True):
            sums, scale = ErrorSums(), ErrorSums()
            sums.add(a, b)
            scale.add(signal, signal)
            total += sums.squared_error / max(scale.squared_reference, float(np.finfo(np.float64).tiny))
        return total if math.isfinite(total) else math.inf


def measure_all(job: Job, rules: Sequence[Rules]) -> list[Measured]:
    """What each of some rules costs."""
    return [measured(job, one) for one in rules]


def measured(job: Job, rules: Rules) -> Measured:
    """What rules cost."""
    composed = compose(job.model, job.statistics, job.bank, rules)
    size = len(composed.to_bytes())
    return Measured(size, size + activation_bytes(composed), run(composed, job.samples))


def run(model: Model, samples: Sequence[Any]) -> list[Array]:
    """Real values of each output for all samples, before a SOFTMAX.

    Raises:
        QCoreError: the model cannot run on one.
    """
    found = outputs(without_softmax(model), feeds(model, samples))
    return [np.concatenate([value.reshape(-1) for value in values]) for values in zip(*found, strict=True)]


def activation_bytes(model: Model) -> int:
    """Bytes of all tensors that a model computes or is given, of the sizes that the file has."""
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors if not tensor.is_constant]
    return sum(math.prod(tensor.shape) * (element_type(tensor.dtype).bits + 7) // 8 for tensor in tensors)
