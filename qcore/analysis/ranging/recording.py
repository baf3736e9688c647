"""Watching accumulators while a kernel runs: a recorder takes the place of its last steps, and does them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.kernels import mean, pool
from qcore.kernels.hybrid import DynamicRange
from qcore.kernels.opdef import Array, Step
from qcore.kernels.weighted import QuantizedOutput


@dataclass
class Recorder:
    """What is seen of an operator's accumulators and outputs as it runs: it stands in for the operator's last steps, and does them.

    finish: these steps; None where the kernel does them itself.
    least, greatest: int64[channels] of the accumulators. codes_least, codes_greatest: of the codes.
    below, above: outputs beyond the bounds that the last step cuts them to.
    """

    finish: QuantizedOutput | None
    least: NDArray[np.int64] | None = None
    greatest: NDArray[np.int64] | None = None
    codes_least: Array | None = None
    codes_greatest: Array | None = None
    below: int = 0
    above: int = 0

    @property
    def accumulator(self) -> np.dtype[Any]:
        """The type that sums wrap to."""
        assert self.finish is not None
        return self.finish.accumulator

    def __call__(self, sums: Array, bias: Array | None) -> Array:
        """The operator's own results."""
        assert self.finish is not None
        codes = self.finish(sums, bias)
        accumulators = sums.astype(np.int64) + (0 if bias is None else bias.reshape(-1).astype(np.int64))
        self.take(accumulators)
        self.codes_least, self.codes_greatest = spread(self.codes_least, self.codes_greatest, codes)
        steps = self.finish.requantize(accumulators.astype(self.finish.accumulator)).astype(np.int64) + self.finish.zero_point
        self.below += int(np.count_nonzero(steps < self.finish.activation_min))
        self.above += int(np.count_nonzero(steps > self.finish.activation_max))
        return codes

    def take(self, accumulators: Array) -> None:
        """Take up sums, channels last."""
        self.least, self.greatest = spread(self.least, self.greatest, accumulators.astype(np.int64))


def spread(least: Array | None, greatest: Array | None, values: Array) -> tuple[Array | None, Array | None]:
    """Least and greatest by channel, the last axis, with those of further values."""
    rows = values.reshape(-1, values.shape[-1])
    if not rows.size:
        return least, greatest
    low, high = rows.min(axis=0), rows.max(axis=0)
    return low if least is None else np.minimum(least, low), high if greatest is None else np.maximum(greatest, high)


def recorded(step: Step, recorder: Recorder) -> Step:
    """The step with a recorder in it; it gives the same bits."""
    params = step.params
    if recorder.finish is not None:
        return with_output(step, recorder)
    if isinstance(params, pool.Params):

        def pooled(p: pool.Params, x: Array) -> Array | tuple[Array, ...]:
            recorder.take(pool.dividends(x.astype(np.int64), p).reshape(-1, 1))
            return step.kernel(p, x)

        return replace(step, kernel=pooled)
    if isinstance(getattr(params, "by", None), DynamicRange):

        def real_values(sums: Array, scale: Array, filter_scale: Array) -> Array:
            recorder.take(sums)
            values: Array = params.by.real_values(sums, scale, filter_scale)
            return values

        return replace(step, params=replace(params, by=replace(params.by, real_values=real_values)))
    if isinstance(params, mean.QuantizedParams):

        def reduced(p: mean.QuantizedParams, x: Array, axis: Array) -> Array | tuple[Array, ...]:
            recorder.take(mean.sums_of_codes(p, x).reshape(-1, 1))
            return step.kernel(p, x, axis)

        return replace(step, kernel=reduced)
    return step


def with_output(step: Step, output: Callable[[Array, Array | None], Array]) -> Step:
    """The step of a weighted operator with other last steps."""
    name = "finish" if hasattr(step.params, "finish") else "output"
    return replace(step, params=replace(step.params, **{name: output}))
