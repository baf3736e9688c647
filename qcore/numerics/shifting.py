"""Rounding shifts by numbers of bits that no 32-bit shift has, as x86-64 does them.

Some kernels of TensorFlow Lite hand gemmlowp's RoundingDivideByPOT an exponent below 0 or above 31: DIV of small quotients, SUB and
comparisons with factors above 1. C++ leaves the answer undefined, x86-64 gives a definite one, and models have been shipped with
it. It is no rounding of anything; a zero quotient, for one, becomes 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcore.numerics.derivation import Line
from qcore.numerics.fixed_point import DoubleRounding, rounding_divide_by_pot, saturating_rounding_doubling_high_mul


def rounding_divide_by_any_pot(x: ArrayLike, exponent: ArrayLike) -> NDArray[np.int32]:
    """``rounding_divide_by_pot(x, exponent mod 64)`` where that is below 32, else ``(x >> (exponent mod 32)) + (x >= 0)``.

    The processor keeps the low bits of a shift: six for the mask that picks out the remainder, which is computed in 64 bits and
    becomes all ones from 32 on, and five for the shift proper.

    Args:
        x: int32[...].
        exponent: int32[...], any number, broadcast with x.

    Returns:
        int32[...].

    Source: gemmlowp fixedpoint/fixedpoint.h#RoundingDivideByPOT, compiled for x86-64.
    """
    x, exponent = np.asarray(x, np.int32), np.asarray(exponent, np.int32)
    low_bits = exponent & 31
    beyond = np.right_shift(x, low_bits) + (x >= 0)
    return np.where(exponent & 32, beyond, rounding_divide_by_pot(x, low_bits)).astype(np.int32)


@dataclass(frozen=True, eq=False)
class RightRounding:
    """``DoubleRounding`` by a factor below 1, whose shift is to the right; a factor above 1 leaves the sign: 1, or -1 below 0.

    That is what the processor's vector shifts make of a shift to the right by fewer bits than none. (Where TensorFlow Lite takes
    elements singly, for operands that broadcast and for what is left over of four, a few top bits may show as well.)

    multiplier: below 2**31.
    shift: -31 or more; meant to be at most 0.

    Source: tflite/kernels/internal/common.h#MultiplyByQuantizedMultiplierSmallerThanOneExp.
    """

    multiplier: int
    shift: int

    def __call__(self, accumulator: NDArray[np.int32]) -> NDArray[np.int32]:
        """Requantize int32[...]."""
        if self.shift <= 0:
            return DoubleRounding(self.multiplier, self.shift)(accumulator)
        return np.where(saturating_rounding_doubling_high_mul(accumulator, self.multiplier) < 0, -1, 1).astype(np.int32)

    def derive(self, accumulator: int) -> list[Line]:
        """How one accumulator is requantized; see ``Requantizer.derive``."""
        if self.shift <= 0:
            return DoubleRounding(self.multiplier, self.shift).derive(accumulator)
        return [Line("R", "M is above 1: the sign alone is left", int(self(np.array([accumulator], np.int32))[0]))]
