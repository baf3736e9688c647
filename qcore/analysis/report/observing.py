"""What becomes of activations over all samples: one pass, and memory that does not grow with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.analysis.comparing import Measured, SideBySide
from qcore.calibration.samples import Feed, NanPolicy
from qcore.calibration.tensor_statistics import TensorStatistics
from qcore.kernels.opdef import Array
from qcore.model import Model
from qcore.numerics.params import QuantParams
from qcore.runtime.plan import Settings
from qcore.runtime.real_values import parameters

INPUT = -1
"""In place of an operator's position: an input of the model."""


@dataclass(eq=False)
class ChannelSums:
    """Sums over the elements of each channel, the last axis. All float64[channels]."""

    count: int
    squared_reference: NDArray[np.float64]
    squared_error: NDArray[np.float64]
    error: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def of(cls, reference: NDArray[Any], approximation: NDArray[Any]) -> ChannelSums:
        """The sums of one pair of arrays, float32[..., channels] in real units."""
        real = reference.reshape(-1, reference.shape[-1])
        with np.errstate(over="ignore", invalid="ignore"):
            error = (approximation.reshape(real.shape) - real).astype(np.float64)
            return cls(
                len(real),
                np.square(real, dtype=np.float64).sum(axis=0),
                np.square(error).sum(axis=0),
                error.sum(axis=0),
                real.min(axis=0).astype(np.float64),
                real.max(axis=0).astype(np.float64),
            )

    def add(self, other: ChannelSums) -> None:
        """Take up the sums of more elements."""
        self.count += other.count
        self.squared_reference += other.squared_reference
        self.squared_error += other.squared_error
        self.error += other.error
        self.low, self.high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)


@dataclass(eq=False)
class Observed(Measured):
    """An output, and besides its errors the values that the float model gives it.

    params: of the tensor. statistics: of the float model's values. taken: samples in them.
    below, above: how many of these values lie beyond the codes by more than half a step.
    least, greatest: real values seen in the quantized model. channels: sums of the errors; None where there are no channels.
    """

    params: QuantParams | None = None
    statistics: TensorStatistics = field(default_factory=lambda: TensorStatistics(""))
    taken: int = 0
    below: int = 0
    above: int = 0
    least: float = np.inf
    greatest: float = -np.inf
    channels: ChannelSums | None = None

    def take(self, expected: Array, actual: Array, alone: Array | None) -> None:
        """Take up the real values of a sample: the float model's, the quantized model's, and the operator's alone."""
        super().take(expected, actual, alone)
        if expected.shape != actual.shape or not expected.size or expected.dtype.kind != "f":
            return
        real = expected.astype(np.float32, copy=False)
        self.statistics.observe(self.taken, real)
        self.taken += 1
        self.least, self.greatest = min(self.least, float(actual.min())), max(self.greatest, float(actual.max()))
        if self.params is not None and self.params.per_tensor:
            scale, zero_point = self.params.single()
            self.below += int(np.count_nonzero(real < scale * (self.params.quantized_min - zero_point - 0.5)))
            self.above += int(np.count_nonzero(real > scale * (self.params.quantized_max - zero_point + 0.5)))
        if real.ndim > 1 and real.shape[-1] > 1:
            sums = ChannelSums.of(real, actual if alone is None or alone.shape != real.shape else alone)
            if self.channels is None:
                self.channels = sums
            elif len(self.channels.error) == len(sums.error):
                self.channels.add(sums)


class Observing(SideBySide):
    """Both models at work on samples, and what is seen of every operator's outputs and of the inputs."""

    def __init__(self, float_model: Model, quantized_model: Model, signature: str | None, nan: NanPolicy, settings: Settings):
        super().__init__(float_model, quantized_model, signature, nan, settings)
        self.seen = [
            self.observed(INPUT, slot, self.quantized_form(j), i)
            for slot, (i, j) in enumerate(self.inputs)
            if self.float.has_real_values(i) and self.quantized.has_real_values(j)
        ]

    def quantized_form(self, tensor: int) -> int:
        """The codes of a tensor, where a QUANTIZE makes such of it; else the tensor itself."""
        tensors = self.quantized.graph.tensors
        return next((form for form in self.quantized.flow.forms[tensor] if parameters(tensors[form]) is not None), tensor)

    def measured(self, position: int, output: int, tensor: int, reference: int) -> Measured:
        """What an output of an operator is measured with."""
        return self.observed(position, output, tensor, reference)

    def observed(self, position: int, output: int, tensor: int, reference: int) -> Observed:
        """The same, as what it is."""
        return Observed(position, output, tensor, reference, params=parameters(self.quantized.graph.tensors[tensor]))

    def measure(self, feed: Feed) -> None:
        """Take up what one sample shows."""
        super().measure(feed)
        for seen in self.seen:
            seen.take(self.float.real(seen.reference), self.quantized.real(seen.tensor), None)

    def outputs_of(self, position: int) -> list[Observed]:
        """What was seen of an operator's outputs."""
        return [measured for measured in self.operators.get(position, ()) if isinstance(measured, Observed)]
