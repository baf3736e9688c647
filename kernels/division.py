"""DIV, FLOOR_DIV, FLOOR_MOD: quotients and remainders.

A quantized quotient is the dividend times the fixed-point reciprocal of the divisor. The dividend is first shifted left until it
fills 32 bits; that shift, the reciprocal's and the one of the scales' factor are undone together at the end::

    quotient = round(round(round(dividend * 2**headroom * reciprocal) * multiplier) * 2**(shift + reciprocal_shift - headroom))

A dividend of 0 or -1 has the most headroom. Where the last shift passes 31 bits the answer is wild, 1 for 0 among others: see
``qcore.numerics.shifting``.

A divisor of zero is refused when it comes: by FLOOR_DIV, and by DIV and FLOOR_MOD of integers that are not quantized. Floats go on
to the greatest number in DIV and to NaN in FLOOR_MOD. A quantized divisor that stands for zero gives what the iteration for the
reciprocal makes of it. (TensorFlow Lite 2.21 refuses the code 0 there, whatever it stands for; that is not copied.)

Source (TensorFlow Lite 2.21): tflite/kernels/div.cc, floor_div.cc, floor_mod.cc; kernels/internal/reference/div.h, floor_div.h,
floor_mod.h.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qcore.errors import InputError
from qcore.kernels.common import quantized_activation_range, require_same_type
from qcore.kernels.elementwise import Function, operands, prepare_function, prepare_plain, require_scales, store
from qcore.kernels.opdef import Array, Node, OpDef, Step
from qcore.numerics.casting import float_to_int32
from qcore.numerics.fixed_point import quantize_multiplier, saturating_rounding_doubling_high_mul
from qcore.numerics.fixed_point_functions import reciprocal
from qcore.numerics.lookup_table import all_codes, look_up
from qcore.numerics.shifting import rounding_divide_by_any_pot

RECIPROCAL_OF_ZERO = -1515870788
"""What Newton's iteration makes of a divisor of zero, its sums wrapping in 32 bits."""

SCRATCH_PER_ELEMENT = 96
"""Bytes of the quantized quotient's temporaries."""


@dataclass(frozen=True)
class Params:
    """A quantized quotient.

    inverse: int32[256 or 65536], reciprocal of every divisor's magnitude, a table for ``look_up``.
    right_shift: int32[256 or 65536], its shift and that of the scales' factor, ``input1_scale / (input2_scale * output_scale)``.
    multiplier: of the scales' factor.
    """

    input1_zero_point: int
    input2_zero_point: int
    inverse: NDArray[np.int32]
    right_shift: NDArray[np.int32]
    multiplier: int
    output_zero_point: int
    activation_min: int
    activation_max: int


def prepare_div(node: Node) -> Step:
    """DIV."""
    input1, input2, shape = operands(node)
    output = node.output
    if output.dtype == "float32":
        return prepare_plain(node, np.divide)
    if output.dtype == "int32":
        return prepare_plain(node, partial(divide_checked, node.where, truncated_quotient))
    require_same_type(node, input1, output)
    require_scales(node, input1, input2, output)
    factor = np.float32(input1.scale) / (np.float32(input2.scale) * np.float32(output.scale))
    multiplier, shift = quantize_multiplier(float(factor))
    divisors = all_codes(output.dtype) - np.int32(input2.zero_point)
    inverse, right_shift = reciprocal(np.abs(divisors), 31)
    inverse[divisors == 0] = RECIPROCAL_OF_ZERO
    activation = quantized_activation_range(node, node.options["fused_activation_function"], output)
    params = Params(input1.zero_point, input2.zero_point, inverse, right_shift - shift, multiplier, output.zero_point, *activation)
    return Step(divide_quantized, params, (shape,), scratch=SCRATCH_PER_ELEMENT * math.prod(shape))


def prepare_floor_div(node: Node) -> Step:
    """FLOOR_DIV; scales and zero points play no part."""
    return prepare_function(node, partial(divide_checked, node.where, floor_quotient))


def prepare_floor_mod(node: Node) -> Step:
    """FLOOR_MOD; scales and zero points play no part."""
    if node.output.dtype == "float32":
        return prepare_function(node, floor_remainder)
    return prepare_function(node, partial(divide_checked, node.where, floor_remainder))


def divide_checked(where: str, divide: Function, x: Array, y: Array) -> Array:
    """A quotient or remainder.

    Raises:
        InputError: a divisor is zero.
    """
    if (y == 0).any():
        raise InputError(f"{where}: division by zero")
    return divide(x, y)


def truncated_quotient(x: Array, y: Array) -> Array:
    """``x / y`` of int32, the fraction cut off; float64 holds it exactly enough. The one quotient beyond int32 wraps."""
    return float_to_int32(np.divide(x, y, dtype=np.float64))


def floor_quotient(x: Array, y: Array) -> Array:
    """The greatest whole number up to ``x / y``, a quotient in float64; integers beyond the type wrap."""
    floor = np.floor(np.divide(x, y, dtype=np.float64))
    return floor.astype(x.dtype) if x.dtype.kind == "f" else float_to_int32(floor).astype(x.dtype)


def floor_remainder(x: Array, y: Array) -> Array:
    """What ``floor(x / y) * y`` leaves of x; it has the sign of y, or is zero."""
    remainder = np.fmod(x, y)
    return np.where((remainder != 0) & ((y < 0) != (remainder < 0)), remainder + y, remainder)


def divide_quantized(p: Params, x: Array, y: Array) -> Array:
    """Quotient of quantized operands.

    Args:
        p: zero points, the scales' factor and bounds.
        x: int8 | uint8 | int16[...].
        y: like x, broadcast with it.
    """
    dividend = x.astype(np.int32) - p.input1_zero_point
    dividend = np.where(y < p.input2_zero_point, -dividend, dividend)
    headroom = leading_sign_bits(dividend)
    quotient = saturating_rounding_doubling_high_mul(dividend << headroom, look_up(p.inverse, y))
    scaled = saturating_rounding_doubling_high_mul(quotient, p.multiplier)
    result = rounding_divide_by_any_pot(scaled, look_up(p.right_shift, y) + headroom)
    return store(result, p.output_zero_point, p.activation_min, p.activation_max, x.dtype)


def leading_sign_bits(x: NDArray[np.int32]) -> NDArray[np.int32]:
    """How far each int32 can be shifted left with its sign kept; 31 for 0 and -1."""
    return 31 - np.frexp((x ^ (x >> 31)).astype(np.float64))[1]


DIV = OpDef(
    "DIV",
    prepare_div,
    ("float32", "int32", "int8", "uint8", "int16"),
    (2, 2),
    notes="quantized dividends next to zero may give TensorFlow Lite's own wild quotients",
)
FLOOR_DIV = OpDef("FLOOR_DIV", prepare_floor_div, ("float32", "int8", "int16", "int32"), (2, 2))
FLOOR_MOD = OpDef("FLOOR_MOD", prepare_floor_mod, ("float32", "int8", "int16", "int32", "int64"), (2, 2))
