"""From an accumulator to a code, step by step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from qcore.analysis.explaining.case import Tensor, scale_text
from qcore.errors import InternalError
from qcore.kernels.opdef import Shape
from qcore.numerics.derivation import Line, decimal
from qcore.numerics.fixed_point import Float32Rounding, Float64Rounding, Requantizer, quantize_multiplier
from qcore.numerics.vector_loop import VectorLoop, along_memory


@dataclass(frozen=True)
class Factor:
    """A real factor of scales, and in which precision it was taken: "float64", "float32", or "mixed", its product alone in float32."""

    above: tuple[np.float32, ...]
    below: np.float32
    precision: str

    @property
    def value(self) -> Any:
        """The factor."""
        of_product = np.float64 if self.precision == "float64" else np.float32
        of_quotient = np.float32 if self.precision == "float32" else np.float64
        with np.errstate(all="ignore"):
            return of_quotient(math.prod(of_product(scale) for scale in self.above)) / of_quotient(self.below)

    @property
    def line(self) -> Line:
        """How it comes about."""
        names, numbers = " ".join(f"S{place + 1}" for place in range(len(self.above))), scale_text(*self.above)
        if self.precision == "mixed":
            return Line("M", f"f32({names}) / S3 = f32({numbers}) / {decimal(self.below)} in float64", self.value, 11)
        return Line("M", f"{names} / S3 = {numbers} / {decimal(self.below)} in {self.precision}", self.value, 11)


def at(function: Callable[..., Any], element: tuple[int, ...], shape: Shape) -> tuple[Callable[..., Any], int]:
    """What computes one element of a vector loop, and its place along the last axis of what that is called with."""
    if isinstance(function, partial) and function.func is along_memory:
        loop: VectorLoop = function.args[0]
        return loop.part(int(np.ravel_multi_index(element, shape)), math.prod(shape))
    if isinstance(function, VectorLoop):
        return function.part(element[-1], shape[-1])
    return function, element[-1] if element else 0


def derived(requantize: Callable[..., Any], accumulator: int, factor: Factor, channel: int) -> list[Line]:
    """The lines of a requantization by a factor, from the factor on.

    Raises:
        InternalError: the kernel has another factor.
    """
    if not isinstance(requantize, Requantizer):
        raise InternalError(f"explain: {requantize} is no requantization that it knows")
    lines = requantize.derive(accumulator, channel)
    kept = held_factor(requantize, channel)
    multiplier = quantize_multiplier(float(factor.value)) if len(kept) == 2 else (factor.value,)
    if kept != multiplier:
        raise InternalError(f"explain: the factor {factor.value!r} gives {multiplier}, but the kernel has {kept}")
    return [factor.line, *lines]


def held_factor(requantize: Requantizer, channel: int) -> tuple[Any, ...]:
    """What a requantization holds for a channel: its scale, or multiplier and shift."""
    held: Any = requantize
    if isinstance(requantize, Float32Rounding | Float64Rounding):
        scales = np.atleast_1d(held.scale)
        return (scales[channel if scales.size > 1 else 0],)
    factors = np.atleast_1d(held.multiplier), np.atleast_1d(held.shift)
    return tuple(int(each[channel if each.size > 1 else 0]) for each in factors)


def product_factor(tensors: tuple[Tensor, ...], output: Tensor, precision: str) -> Factor:
    """The factor of products of two tensors."""
    scales = [tensor.scale for tensor in (*tensors[:2], output)]
    first, second, below = (np.float32(0) if scale is None else scale for scale in scales)
    return Factor((first, second), below, precision)
