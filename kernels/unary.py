"""ABS, NEG, EXP, LOG, SQRT, RSQRT, SQUARE, SIN, COS, FLOOR, CEIL, ROUND, SIGN, ZEROS_LIKE: functions of one number.

A function of one quantized number is a table of all its codes, made at plan time. No two tables are made alike:

* EXP and LOG of 8 bits, and EXP, LOG and RSQRT of 16 bits, sample the real function (see ``qcore.numerics.lookup_table``). LOG of
  what is not positive gives the least code; RSQRT gives the greatest real value.
* SQRT computes in float32 and cuts the fraction off, where every other function rounds.
* RSQRT of 8 bits and ABS with two scales compute in fixed point.
* NEG knows nothing of scales: it negates codes, and wraps.

ROUND takes ties to the even number.

SQRT and RSQRT refuse a negative number when it comes.

Source (TensorFlow Lite 2.21): tflite/kernels/elementwise.cc, exp.cc, neg.cc, floor.cc, ceil.cc, round.cc, sign.cc, zeros_like.cc.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcore.errors import InputError
from qcore.kernels.common import require_same_type
from qcore.kernels.delegate import delegated, flushing
from qcore.kernels.elementwise import prepare_function, prepares, require_scales
from qcore.kernels.opdef import FLOAT_FUNCTION, Array, Node, OpDef, Step
from qcore.numerics.casting import float_to_int32
from qcore.numerics.fixed_point import DoubleRounding, quantize_multiplier
from qcore.numerics.fixed_point_functions import inverse_sqrt_multiplier
from qcore.numerics.lookup_table import Transform, all_codes, in_float64, look_up, lookup_table

RSQRT_LEFT_SHIFT = 20
"""Fractional bits of the fixed-point inverse square root."""


@dataclass(frozen=True)
class DomainParams:
    """A table that holds from some code on.

    table: int8[256] or int16[65536], for ``look_up``.
    least: the code of real zero.
    where: names the operator when a code is less.
    """

    table: Array
    least: int
    where: str


def prepare_table(node: Node, table: Array) -> Step:
    """A function of a quantized number."""
    return Step(look_up, table, (node.input(0).shape,))


def prepare_domain(node: Node, table: Array) -> Step:
    """A function of a quantized number that is not negative."""
    return Step(look_up_in_domain, DomainParams(table, node.input(0).zero_point, node.where), (node.input(0).shape,))


def require_quantized(node: Node) -> None:
    """Refuse the model unless input and output are quantized and of one type, symmetric where that is int16."""
    input, output = node.input(0), node.output
    require_same_type(node, input, output)
    require_scales(node, input, output)
    if input.dtype == "int16":
        for operand in (input, output):
            node.require(operand.zero_point == 0, f"'{operand.name}' has zero point {operand.zero_point}, expected 0 for int16")


def function_table(node: Node, function: Transform) -> Array:
    """The table of a real function."""
    input, output = node.input(0), node.output
    return lookup_table(input.dtype, function, input.scale, input.zero_point, output.scale, output.zero_point)


def clamped(node: Node, codes: NDArray[np.int32]) -> Array:
    """Codes cut to the range of the output's type, in that type."""
    type_ = node.output.type
    return np.clip(codes, type_.quantized_min, type_.quantized_max).astype(node.output.storage)


def prepare_abs(node: Node) -> Step:
    """ABS."""
    input, output = node.input(0), node.output
    if input.dtype in ("float32", "int32") or (input.dtype == "int16" and not input.is_quantized):
        return prepare_function(node, np.abs)
    require_quantized(node)
    magnitude = np.abs(all_codes(input.dtype) - np.int32(input.zero_point))
    if input.scale != output.scale:
        factor = np.float32(input.scale) / np.float32(output.scale)
        magnitude = DoubleRounding(*quantize_multiplier(float(factor)))(magnitude)
    return prepare_table(node, clamped(node, magnitude + output.zero_point))


def prepare_exp(node: Node) -> Step:
    """EXP."""
    if node.output.dtype == "float32":
        return prepare_function(node, flushing(np.exp) if delegated(node, node.input(0), node.output) else np.exp)
    require_quantized(node)
    return prepare_table(node, function_table(node, in_float64(np.exp)))


def prepare_log(node: Node) -> Step:
    """LOG."""
    if node.output.dtype == "float32":
        return prepare_function(node, np.log)
    require_quantized(node)
    output = node.output
    least = np.float32(output.type.quantized_min - output.zero_point) * np.float32(output.scale)
    log = in_float64(np.log)
    return prepare_table(node, function_table(node, lambda x: np.where(x > 0, log(x), least)))


def prepare_sqrt(node: Node) -> Step:
    """SQRT."""
    if node.output.dtype == "float32":
        return prepare_function(node, np.sqrt)
    require_quantized(node)
    input, output = node.input(0), node.output
    real = np.float32(input.scale) * (all_codes(input.dtype) - np.int32(input.zero_point)).astype(np.float32)
    steps = float_to_int32(np.sqrt(real) / np.float32(output.scale))
    return prepare_domain(node, clamped(node, steps + output.zero_point))


def prepare_rsqrt(node: Node) -> Step:
    """RSQRT."""
    output = node.output
    if output.dtype == "float32":
        return prepare_function(node, inverse_sqrt)
    require_quantized(node)
    if output.dtype == "int8":
        return prepare_domain(node, inverse_sqrt_table(node))
    greatest = np.float32(output.type.quantized_max) * np.float32(output.scale)
    return prepare_domain(node, function_table(node, lambda x: np.where(x > 0, inverse_sqrt(x), greatest)))


def inverse_sqrt_table(node: Node) -> Array:
    """RSQRT of every int8 code: a fixed-point inverse root of the code, times the scales' factor; the greatest code for zero."""
    input, output = node.input(0), node.output
    factor = np.float64(1) / np.float64(np.sqrt(np.float32(input.scale)) * np.float32(output.scale))
    multiplier, shift = quantize_multiplier(float(factor))
    values = all_codes("int8") - np.int32(input.zero_point)
    inverse, inverse_shift = inverse_sqrt_multiplier(values)
    root = DoubleRounding(inverse, inverse_shift + RSQRT_LEFT_SHIFT)(np.ones(values.shape, np.int32))
    codes = DoubleRounding(multiplier, shift - RSQRT_LEFT_SHIFT)(root) + output.zero_point
    return clamped(node, np.where(values == 0, output.type.quantized_max, codes))


def inverse_sqrt(x: Array) -> Array:
    """``1 / sqrt(x)``, root and quotient each rounded to the type of x."""
    inverse: Array = np.divide(x.dtype.type(1), np.sqrt(x))
    return inverse


def sign(x: Array) -> Array:
    """1, -1 or 0 in the type of x; 0 for NaN."""
    result: Array = (x > 0).astype(x.dtype) - (x < 0).astype(x.dtype)
    return result


def look_up_in_domain(p: DomainParams, x: Array) -> Array:
    """The table's value for each code.

    Raises:
        InputError: a code stands for a negative number.
    """
    if (x < p.least).any():
        raise InputError(f"{p.where}: code {x.min()} is negative (real zero is {p.least}), which the function is not defined for")
    return look_up(p.table, x)


ROUNDED_TYPES = ("float32", "float16", "bfloat16")
PLAIN_CODES = "codes are negated as they are, whatever their zero point"
BY_C_LIBRARY = {"float32": FLOAT_FUNCTION}

ABS = OpDef("ABS", prepare_abs, ("float32", "int8", "int16", "int32"), (1, 1))
NEG = OpDef("NEG", prepares(np.negative), ("float32", "float16", "bfloat16", "int8", "int16", "int32", "int64"), (1, 1), notes=PLAIN_CODES)
EXP = OpDef("EXP", prepare_exp, ("float32", "int8", "int16"), (1, 1), tolerances=BY_C_LIBRARY)
LOG = OpDef("LOG", prepare_log, ("float32", "int8", "int16"), (1, 1), tolerances=BY_C_LIBRARY)
SQRT = OpDef("SQRT", prepare_sqrt, ("float32", "int8", "int16"), (1, 1))
RSQRT = OpDef("RSQRT", prepare_rsqrt, ("float32", "int8", "int16"), (1, 1))
SQUARE = OpDef("SQUARE", prepares(np.square), ("float32",), (1, 1))
SIN = OpDef("SIN", prepares(np.sin), ("float32",), (1, 1), tolerances=BY_C_LIBRARY)
COS = OpDef("COS", prepares(np.cos), ("float32",), (1, 1), tolerances=BY_C_LIBRARY)
FLOOR = OpDef("FLOOR", prepares(np.floor), ROUNDED_TYPES, (1, 1))
CEIL = OpDef("CEIL", prepares(np.ceil), ("float32",), (1, 1))
ROUND = OpDef("ROUND", prepares(np.rint), ROUNDED_TYPES, (1, 1))
SIGN = OpDef("SIGN", prepares(sign), ("float32", "float64", "int32"), (1, 1))
ZEROS_LIKE = OpDef("ZEROS_LIKE", prepares(np.zeros_like), ("float32", "int32", "int64"), (1, 1))
