"""Fixed-point multipliers, and the ways in which an accumulator is brought to the output's scale.

Equations (11) to (20) of docs/quantization.md. A real factor is held as an integer ``multiplier`` and a ``shift``::

    real = multiplier * 2**(shift - 31)        multiplier in [2**30, 2**31), shift > 0 is to the left

TensorFlow Lite multiplies by it in several ways, which part by one step now and then. Each way is a small frozen class here; all
are ``Requantizer``, so that a kernel's ``prepare`` picks one and the kernel only calls it.

>>> import numpy as np
>>> requantize = DoubleRounding(*quantize_multiplier(0.0123))
>>> requantize(np.array([1000, -1000, 285, 286], np.int32))
array([ 12, -12,   4,   4], dtype=int32)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcore.errors import QuantizationError
from qcore.numerics.derivation import Line, Ties, exactly, rounded, with_wrap, wrapped
from qcore.numerics.real import as_real
from qcore.numerics.rounding import round_half_away

Accumulator = NDArray[np.int32] | NDArray[np.int64]

_MIN_SHIFT = -31

_BLOCK = 1 << 14
"""Elements worked on at once: their 64-bit temporaries stay in the processor's cache."""


@overload
def quantize_multiplier(real: float) -> tuple[int, int]: ...
@overload
def quantize_multiplier(real: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.int32]]: ...
def quantize_multiplier(real: float | NDArray[Any]) -> tuple[int, int] | tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The ``multiplier * 2**(shift - 31)`` nearest to a real factor; equation (12).

    The significand is rounded half away from zero to 31 bits; one that rounds up to 2**31 is halved. Factors under 2**-32, whose
    shift would be below -31, become 0.

    Args:
        real: float, or float64[...]; finite and not negative. An array, even of no dimensions, gives arrays.

    Returns:
        multiplier: int or int32[...], 0 or in [2**30, 2**31).
        shift: int or int32[...], 0 where multiplier is 0, else -31 or more. Requantizers refuse shifts that they cannot do.

    Raises:
        QuantizationError: a factor is negative, NaN or infinite.

    Source: tflite/kernels/internal/quantization_util.cc#QuantizeMultiplier.
    """
    factors = as_real(real, np.float64)
    bad = ~(np.isfinite(factors) & (factors >= 0))
    if bad.any():
        raise QuantizationError(f"quantize_multiplier: got {factors[bad].flat[0]}, expected finite factors that are not negative")
    significand, shift = np.frexp(factors)
    multiplier = round_half_away(np.asarray(significand * 2.0**31)).astype(np.int64)
    carried = multiplier == 1 << 31
    shift = shift + carried
    vanishes = shift < _MIN_SHIFT
    multiplier = np.where(vanishes, 0, np.where(carried, 1 << 30, multiplier))
    shift = np.where(vanishes, 0, shift)
    if isinstance(real, np.ndarray):
        return multiplier.astype(np.int32), shift.astype(np.int32)
    return int(multiplier), int(shift)


def saturating_rounding_doubling_high_mul(a: ArrayLike, b: ArrayLike) -> NDArray[np.int32]:
    """``a * b / 2**31`` to the nearest integer, ties towards +infinity; equation (13).

    Args:
        a: int32[...].
        b: int32[...], broadcast with a.

    Returns:
        int32[...]; the one product that does not fit, of the two least integers, saturates to 2**31 - 1.

    Source: gemmlowp fixedpoint/fixedpoint.h#SaturatingRoundingDoublingHighMul, which adds a nudge of the product's sign and
    truncates: the same as this floor for every pair.
    """
    product = np.multiply(a, b, dtype=np.int64)
    high = np.minimum((product + (1 << 30)) >> 31, (1 << 31) - 1)
    return np.asarray(high, np.int32)


def rounding_divide_by_pot(x: ArrayLike, exponent: ArrayLike) -> NDArray[np.int32]:
    """``x / 2**exponent`` to the nearest integer, ties away from zero; equation (14).

    Args:
        x: int32[...], or int64[...] within 2**62 whose quotients int32 holds.
        exponent: integers[...] in [0, 62], broadcast with x; from 33 on, int32 numbers all become 0.

    Returns:
        int32[...].

    Source: gemmlowp fixedpoint/fixedpoint.h#RoundingDivideByPOT, which takes int32 and exponents up to 31.
    """
    wide, right = np.asarray(x, np.int64), np.asarray(exponent, np.int64)
    half = (np.int64(1) << right) >> 1
    return np.asarray((wide + half - ((wide < 0) & (right > 0))) >> right, np.int32)


def divide_by_pot_in_place(x: NDArray[Any], exponent: int, ties: Literal["away", "up"]) -> None:
    """``x / 2**exponent`` to the nearest integer, in the type of x.

    Args:
        x: int32 or int64[...], which has room for ``2**(exponent - 1)`` more; its place takes the result.
        exponent: at least 1.
        ties: away from zero, as ``rounding_divide_by_pot``, or towards +infinity.
    """
    half = 1 << (exponent - 1)
    x += half
    if ties == "away":
        x -= x < half
    x >>= exponent


class Requantizer(ABC):
    """Brings accumulators to the output's scale, before the zero point is added and the range clamped.

    Factors are per tensor (one) or per channel (one for each place of the last axis).

    equation: its number in docs/quantization.md.
    """

    equation: ClassVar[int]

    @property
    @abstractmethod
    def _constants(self) -> tuple[NDArray[Any], ...]:
        """Arrays of one length, 1 or the channels; blocks are widened to the type of the first."""

    @staticmethod
    @abstractmethod
    def _step(x: NDArray[Any], scratch: NDArray[Any], *constants: Any) -> None:
        """Requantize a block in place; scratch is room for another like it."""

    @abstractmethod
    def derive(self, accumulator: int, channel: int = 0) -> list[Line]:
        """How one accumulator is requantized, step by step in Python's integers; the last line's value is what a call gives for it."""

    def _narrowed(self, accumulator: Accumulator) -> Accumulator:
        """What the arithmetic does to accumulators before it multiplies."""
        return accumulator

    @cached_property
    def _tiled(self) -> tuple[Any, ...]:
        """The constants repeated to the length of a block, so that its loops are long and flat."""
        return tuple(c[0] if c.size == 1 else np.tile(c, max(1, _BLOCK // c.size)) for c in self._constants)

    def __call__(self, accumulator: Accumulator) -> NDArray[np.int32]:
        """Requantize.

        Args:
            accumulator: int32 or int64[..., channels], or of any shape where there is one factor.

        Returns:
            int32, same shape.

        Raises:
            QuantizationError: the last axis is not the channels that the factors are for.
        """
        channels = self._constants[0].size
        if channels > 1 and accumulator.shape[-1:] != (channels,):
            raise QuantizationError(f"requantization: got accumulators of shape {accumulator.shape}, expected {channels} channels last")
        flat = np.ascontiguousarray(self._narrowed(accumulator)).reshape(-1)
        result = np.empty(flat.size, np.int32)
        block = max(1, _BLOCK // channels) * channels
        wide, scratch = np.empty((2, min(block, flat.size)), self._constants[0].dtype)
        for start in range(0, flat.size, block):
            part = flat[start : start + block]
            x = wide[: part.size]
            np.copyto(x, part)
            self._step(x, scratch[: part.size], *(c if channels == 1 else c[: part.size] for c in self._tiled))
            np.copyto(result[start : start + block], x, casting="unsafe")
        return result.reshape(accumulator.shape)


@dataclass(frozen=True, eq=False)
class _FixedPoint(Requantizer):
    """A requantization by multiplier and shift.

    multiplier: int or int32[1 or channels], magnitude below 2**31.
    shift: int or int32[1 or channels]; positive is to the left.
    """

    multiplier: int | NDArray[np.int32]
    shift: int | NDArray[np.int32]

    _max_shift: ClassVar[int] = 31

    def __post_init__(self) -> None:
        multiplier, shift = self._factors
        if multiplier.ndim != 1 or multiplier.size == 0 or multiplier.shape != shift.shape:
            raise QuantizationError(
                f"requantization: got multiplier{list(multiplier.shape)}, shift{list(shift.shape)}, expected one length"
            )
        if (np.abs(multiplier) >= 1 << 31).any():
            raise QuantizationError(f"requantization: got multipliers {multiplier}, expected magnitudes below 2**31")
        if ((shift < _MIN_SHIFT) | (shift > self._max_shift)).any():
            raise QuantizationError(f"requantization: got shifts {shift}, expected {_MIN_SHIFT} to {self._max_shift}")

    @property
    def _factors(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return np.atleast_1d(self.multiplier).astype(np.int64), np.atleast_1d(self.shift).astype(np.int64)

    def _factor(self, channel: int) -> tuple[int, int, list[Line]]:
        """A channel's multiplier and shift, and the lines that give them."""
        multiplier, shift = (int(factors[channel if factors.size > 1 else 0]) for factors in self._factors)
        lines = [Line("m", f"M = m * 2^({shift} - 31), m of 31 bits", multiplier, 12), Line("s", "> 0 is to the left", shift, 12)]
        return multiplier, shift, lines

    def _single(self, accumulator: int, factor: tuple[str, int], right: int, equation: int) -> list[Line]:
        """One product with a named factor, and one shift to the right that rounds it, ties up; beyond int32 it wraps."""
        name, multiplier = factor
        lines = [rounded("R", f"{accumulator} * {name} / 2^{right}", Fraction(accumulator * multiplier, 1 << right), "up", equation)]
        return with_wrap(lines)

    @staticmethod
    def _step(x: NDArray[Any], scratch: NDArray[Any], *constants: Any) -> None:
        multiplier, half, total_shift = constants
        x *= multiplier
        x += half
        x >>= total_shift


@dataclass(frozen=True, eq=False)
class _FixedPoint32(_FixedPoint):
    """One whose left shift comes first and wraps in 32 bits; an int64 accumulator wraps to 32 bits before it.

    The product is rounded with ties up, equation (13), and then shifted to the right, with ties of its own.
    """

    _ties: ClassVar[Ties]

    def derive(self, accumulator: int, channel: int = 0) -> list[Line]:
        """As ``Requantizer.derive`` says."""
        multiplier, shift, lines = self._factor(channel)
        x = wrapped(accumulator << max(shift, 0), 32)
        if x != accumulator:
            lines.append(Line("x'", f"{accumulator} * 2^{max(shift, 0)} in 32 bits", x))
        lines.append(rounded("H", f"{x} * m / 2^31", Fraction(x * multiplier, 1 << 31), "up", 13))
        if shift < 0:
            high = int(lines[-1].value)
            lines.append(rounded("R", f"{high} / 2^{-shift}", Fraction(high, 1 << -shift), self._ties, self.equation))
        return lines

    def _narrowed(self, accumulator: Accumulator) -> Accumulator:
        narrow = accumulator.astype(np.int32, copy=False)
        left = np.maximum(self.shift, 0)
        return np.left_shift(narrow, left, dtype=np.int32) if left.any() else narrow


class DoubleRounding(_FixedPoint32):
    """Two roundings: the product to an integer, ties up, then its right shift, ties away from zero; equation (15).

    A left shift comes first and wraps in 32 bits; an int64 accumulator wraps to 32 bits before it.

    Source: tflite/kernels/internal/common.cc#MultiplyByQuantizedMultiplier(int32_t, ...), the default build.
    """

    equation = 15
    _ties = "away from zero"

    @cached_property
    def _constants(self) -> tuple[NDArray[Any], ...]:
        multiplier, shift = self._factors
        right = np.maximum(-shift, 0)
        # In units of the product, 2**-31: the second half, and one unit of the first result to take off negative ones.
        second_half = np.where(right > 0, np.int64(1) << (30 + right), 0)
        off_negative = np.where(right > 0, np.int64(-1) << 31, 0)
        return multiplier, second_half, off_negative, 31 + right

    @staticmethod
    def _step(x: NDArray[Any], scratch: NDArray[Any], *constants: Any) -> None:
        multiplier, second_half, off_negative, total_shift = constants
        x *= multiplier
        x += 1 << 30
        np.right_shift(x, 63, out=scratch)
        scratch &= off_negative
        x += scratch
        x += second_half
        x >>= total_shift


class HalfUpRounding(_FixedPoint32):
    """Two roundings as in ``DoubleRounding``, but the ties of the second go up as well; equation (16).

    A left shift comes first and wraps in 32 bits; an int64 accumulator wraps to 32 bits before it.

    Source: ruy/kernel_avx512.cc#Kernel8bitAvx512 (and its AVX2 and AVX kernels), TensorFlow Lite's way without delegates on x86-64.
    """

    equation = 16
    _ties = "up"

    @cached_property
    def _constants(self) -> tuple[NDArray[Any], ...]:
        multiplier, shift = self._factors
        right = np.maximum(-shift, 0)
        halves = (np.int64(1) << 30) + np.where(right > 0, np.int64(1) << (30 + right), 0)
        return multiplier, halves, 31 + right


class SingleRounding(_FixedPoint):
    """One rounding, ties up: ``(x * multiplier + 2**(30 - shift)) >> (31 - shift)``; equation (17).

    Accumulators keep within int32. Shifts end at 30. A result beyond int32 wraps.

    Source: tflite/kernels/internal/common.cc#MultiplyByQuantizedMultiplier(int32_t, ...) under TFLITE_SINGLE_ROUNDING.
    """

    equation = 17
    _max_shift = 30

    def derive(self, accumulator: int, channel: int = 0) -> list[Line]:
        """As ``Requantizer.derive`` says."""
        multiplier, shift, lines = self._factor(channel)
        return lines + self._single(accumulator, ("m", multiplier), 31 - shift, 17)

    @cached_property
    def _constants(self) -> tuple[NDArray[Any], ...]:
        multiplier, shift = self._factors
        return multiplier, np.int64(1) << (30 - shift), 31 - shift


class ReducedMultiplier(_FixedPoint):
    """One rounding, ties up, of a 64-bit accumulator times the multiplier reduced to 15 bits; equation (18).

    Accumulators keep within [-2**47, 2**47). Shifts end at 14. A result beyond int32 wraps.

    Source: tflite/kernels/internal/common.cc#MultiplyByQuantizedMultiplier(int64_t, ...).
    """

    equation = 18
    _max_shift = 14

    @property
    def reduced(self) -> NDArray[np.int64]:
        """int64[1 or channels]: the multiplier to the nearest multiple of 2**16, over that."""
        multiplier, _ = self._factors
        return np.where(multiplier < 0x7FFF0000, (multiplier + (1 << 15)) >> 16, 0x7FFF)

    def derive(self, accumulator: int, channel: int = 0) -> list[Line]:
        """As ``Requantizer.derive`` says."""
        _, shift, lines = self._factor(channel)
        reduced = int(self.reduced[channel if self.reduced.size > 1 else 0])
        lines.append(Line("m'", "m / 2^16, 15 bits", reduced, 18))
        return lines + self._single(accumulator, ("m'", reduced), 15 - shift, 18)

    @cached_property
    def _constants(self) -> tuple[NDArray[Any], ...]:
        _, shift = self._factors
        return self.reduced, np.int64(1) << (14 - shift), 15 - shift


@dataclass(frozen=True, eq=False)
class Float32Rounding(Requantizer):
    """``rint(float32(accumulator) * scale)``, product in float32, ties to even; equation (19).

    scale: float32 or float32[1 or channels], ``float32(float32(input_scale * filter_scale) / output_scale)``.

    Results saturate to int32 (the upper end to 2**31 - 128, the last float32 below it).

    Source: XNNPACK src/xnnpack/requantization.h#xnn_qs8_requantize_fp32, for scales in [2**-32, 256).
    """

    scale: float | NDArray[np.float32]

    equation = 19

    def __post_init__(self) -> None:
        _check_scale(self._constants[0])

    @cached_property
    def _constants(self) -> tuple[NDArray[Any], ...]:
        return (np.atleast_1d(as_real(self.scale, np.float32)),)

    def derive(self, accumulator: int, channel: int = 0) -> list[Line]:
        """As ``Requantizer.derive`` says."""
        lines = _float_product(accumulator, self._constants[0], channel, 19)
        return lines + _saturated(lines[-1].value, "to even", 19, -(2**31), 2**31 - 128)

    @staticmethod
    def _step(x: NDArray[Any], scratch: NDArray[Any], *constants: Any) -> None:
        x *= constants[0]
        np.rint(x, out=x)
        np.clip(x, np.float32(-(2.0**31)), np.float32(2.0**31 - 128), out=x)


@dataclass(frozen=True, eq=False)
class Float64Rounding(Requantizer):
    """``round_half_away(float64(accumulator) * scale)``, product in float64; equation (20).

    scale: float64 or float64[1 or channels], ``float64(input_scale) * float64(filter_scale) / float64(output_scale)``.

    A result beyond int32 becomes -2**31, which is what x86-64 converts it to.

    Source: tflite/kernels/internal/reference/integer_ops/fully_connected.h#FullyConnected with scales.
    """

    scale: float | NDArray[np.float64]

    equation = 20

    def __post_init__(self) -> None:
        _check_scale(self._constants[0])

    @cached_property
    def _constants(self) -> tuple[NDArray[Any], ...]:
        return (np.atleast_1d(as_real(self.scale, np.float64)),)

    def derive(self, accumulator: int, channel: int = 0) -> list[Line]:
        """As ``Requantizer.derive`` says."""
        lines = _float_product(accumulator, self._constants[0], channel, 20)
        return lines + _saturated(lines[-1].value, "away from zero", 20, -(2**31), -(2**31))

    @staticmethod
    def _step(x: NDArray[Any], scratch: NDArray[Any], *constants: Any) -> None:
        x *= constants[0]
        round_half_away(x, out=x)
        x[np.abs(x, out=scratch) >= 2.0**31] = -(2.0**31)


def _float_product(accumulator: int, scale: NDArray[Any], channel: int, equation: int) -> list[Line]:
    """The lines of a product in the float type of the scale."""
    factor = scale[channel if scale.size > 1 else 0]
    product = factor.dtype.type(accumulator) * factor
    kind = factor.dtype.name
    return [Line("p", f"{accumulator} * M in {kind}", product, equation, accumulator * exactly(factor), "to even")]


def _saturated(product: Any, ties: Ties, equation: int, below: int, above: int) -> list[Line]:
    """The lines of a float rounded to int32, which becomes other numbers below and above that."""
    lines = [rounded("R", "p to the nearest integer", exactly(product), ties, equation)] if np.isfinite(product) else []
    if lines and -(2**31) <= int(lines[-1].value) < 2**31:
        return lines
    return [*lines, Line("R'", "int32 does not hold it", below if product < 0 else above)]


def _check_scale(scale: NDArray[Any]) -> None:
    if scale.ndim != 1 or scale.size == 0 or not (np.isfinite(scale) & (scale >= 0)).all():
        raise QuantizationError(f"requantization: got scale {scale}, expected finite numbers that are not negative")
