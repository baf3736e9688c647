"""SOFTMAX and LOG_SOFTMAX along the last axis.

    softmax(x)_i     = exp(beta (x_i - max)) / sum_j exp(beta (x_j - max))
    log_softmax(x)_i = x_i - max - log(sum_j exp(x_j - max))

Quantized with 8 bits (docs/quantization.md, softmax and log-softmax), an element's share of the work follows from how far its code
lies below the row's greatest, 0 to 255: the difference in Q5 and its exponential in Q0 are tables made at plan time, and only sum,
reciprocal and logarithm are left to do for each row. With 16 bits, exponential and reciprocal are straight lines between samples
(ibid., interpolated-table).

The other arithmetics compute both in float32 for inputs of 8 bits, with a table of the exponentials by difference (ibid.,
float32-softmax), and are unlike the reference in 8 bits now and then, in 16 bits often.

Output ranges are fixed: codes of SOFTMAX run over [0, 1), from the least code up (int16 inputs: from 0), those of LOG_SOFTMAX over
(-16, 0], up to the greatest code.

Source (TensorFlow Lite 2.21): tflite/kernels/activations.cc; kernels/internal/reference/softmax.h, log_softmax.h;
kernels/internal/reference/integer_ops/log_softmax.h; kernels/internal/optimized/optimized_ops.h#Softmax, #LogSoftmax.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from qcore.kernels.common import INT32_MAX, require_same_type
from qcore.kernels.opdef import FLOAT_FUNCTION, Array, Node, OpDef, Operand, Step
from qcore.numerics.casting import float_to_int32
from qcore.numerics.fixed_point import (
    DoubleRounding,
    Requantizer,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from qcore.numerics.fixed_point_functions import exp_on_negative_values, log_of_positive, reciprocal
from qcore.numerics.lookup_table import in_float64, interpolated, look_up, sampled_table
from qcore.numerics.rounding import round_half_away

OUTPUTS = {"float32": ("float32",), "int8": ("int8", "int16"), "uint8": ("uint8", "int16"), "int16": ("int16",)}
DIFFERENCE_BITS = 5
"""Integer bits of a scaled difference: exponentials below exp(-32) count as 0."""
SUM_BITS = 12
"""Integer bits of a sum of exponentials."""
LOG_OUTPUT_BITS = 4
"""Integer bits of LOG_SOFTMAX's 8-bit output."""
EXP_RANGE = 10.0
"""With 16 bits, exponentials below exp(-10) count as that."""


@dataclass(frozen=True)
class FloatParams:
    """The factor of the exponent."""

    beta: np.float32


@dataclass(frozen=True)
class Differences:
    """What follows from how far an 8-bit code lies below its row's greatest.

    scaled: int32[256], the difference in Q5, not positive.
    exponential: int32[256] in Q0; 0 where the difference is beyond Q5.
    least: the most negative difference in codes that Q5 holds.
    """

    scaled: Array
    exponential: Array
    least: int


@dataclass(frozen=True)
class TableParams:
    """SOFTMAX of 8-bit codes: exponentials by difference, and the output's type."""

    differences: Differences
    storage: np.dtype[Any]


@dataclass(frozen=True)
class LogParams:
    """LOG_SOFTMAX of 8-bit codes: tables by difference, and the factor that brings Q5 back to differences in codes."""

    differences: Differences
    reverse_multiplier: int
    reverse_shift: int


@dataclass(frozen=True)
class Float32Params:
    """SOFTMAX of 8-bit codes in float32.

    exponential: float32[256], by difference.
    scale, zero_point: of the output; storage: its type.
    """

    exponential: Array
    scale: np.float32
    zero_point: int
    storage: np.dtype[Any]


@dataclass(frozen=True)
class Float32LogParams:
    """LOG_SOFTMAX of 8-bit codes in float32.

    exponential: float32[256], by difference.
    """

    exponential: Array
    input_scale: np.float32
    scale: np.float32
    zero_point: int


@dataclass(frozen=True)
class LinesParams:
    """SOFTMAX of 16-bit codes: the rescaling of differences to steps of 10/65535."""

    requantize: Requantizer


def prepare_softmax(node: Node) -> Step:
    """SOFTMAX."""
    input, output = node.input(0), node.output
    node.require(input.rank >= 1, "input is a scalar, expected at least one dimension")
    if output.dtype not in OUTPUTS[input.dtype]:
        raise node.unsupported(f"output is {output.dtype}, qcore has {', '.join(OUTPUTS[input.dtype])} for {input.dtype} input")
    shapes = (input.shape,)
    beta = np.float32(node.options["beta"])
    if input.dtype == "float32":
        return Step(softmax_float, FloatParams(beta), shapes)
    if input.dtype == output.dtype:
        require_output_range(node)
    if input.dtype == "int16":
        node.require(input.zero_point == 0, f"input is int16 with zero point {input.zero_point}, expected 0")
        real = float(np.float32(input.scale) * beta) / (EXP_RANGE / 65535)
        return Step(softmax_by_lines, LinesParams(DoubleRounding(*quantize_multiplier(real))), shapes)
    if node.arithmetic != "reference":
        node.require(output.scale > 0, f"output has scale {output.scale}, expected one above 0")
        params = Float32Params(exponentials(input, beta), np.float32(output.scale), output.zero_point, output.storage)
        return Step(softmax_in_float32, params, shapes)
    return Step(softmax_by_table, TableParams(prepare_differences(node, float(beta)), output.storage), shapes)


def prepare_log_softmax(node: Node) -> Step:
    """LOG_SOFTMAX: quantized, the output's scale is 1/16 and its zero point the greatest code."""
    input, output = node.input(0), node.output
    require_same_type(node, input, output)
    node.require(input.rank >= 1, "input is a scalar, expected at least one dimension")
    shapes = (input.shape,)
    if input.dtype == "float32":
        return Step(log_softmax_float, None, shapes)
    greatest = output.type.quantized_max
    node.require(
        output.scale == 1 / 16 and output.zero_point == greatest,
        f"output has scale {output.scale} and zero point {output.zero_point}, expected 1/16 and {greatest}",
    )
    if node.arithmetic != "reference":
        scales = np.float32(input.scale), np.float32(output.scale)
        return Step(log_softmax_in_float32, Float32LogParams(exponentials(input, np.float32(1)), *scales, output.zero_point), shapes)
    multiplier, shift = difference_multiplier(node, 1.0)
    reverse = quantize_multiplier((1 << (31 - shift)) / multiplier)
    return Step(log_softmax_by_table, LogParams(prepare_differences(node, 1.0), *reverse), shapes)


def require_output_range(node: Node) -> None:
    """Refuse output parameters other than SOFTMAX's, but for uint8, where they are not looked at."""
    output = node.output
    steps, zero_point = {"int8": (256, -128), "int16": (32768, 0)}.get(output.dtype, (0, 0))
    if steps:
        close = abs(np.float32(output.scale) - np.float32(1 / steps)) <= np.float32(0.001 / steps)
        node.require(
            bool(close) and output.zero_point == zero_point,
            f"output has scale {output.scale} and zero point {output.zero_point}, expected 1/{steps} and {zero_point}",
        )


def difference_multiplier(node: Node, beta: float) -> tuple[int, int]:
    """Multiplier and left shift from differences in codes to Q5; beyond what int32 holds, only the row's greatest counts anyway."""
    real = min(beta * node.input(0).scale * (1 << (31 - DIFFERENCE_BITS)), INT32_MAX)
    node.require(real > 1, f"input scale {node.input(0).scale} times beta {beta} is too small, expected above 2**-26")
    return quantize_multiplier(float(real))


def prepare_differences(node: Node, beta: float) -> Differences:
    """Tables by difference."""
    multiplier, shift = difference_multiplier(node, beta)
    least = -(((1 << DIFFERENCE_BITS) - 1) << (31 - DIFFERENCE_BITS) >> shift)
    difference = -np.arange(256, dtype=np.int64)
    counts = difference >= least
    scaled = saturating_rounding_doubling_high_mul(np.where(counts, difference, 0) << shift, multiplier)
    exponential = np.where(counts, exp_on_negative_values(scaled, DIFFERENCE_BITS), 0).astype(np.int32)
    return Differences(scaled, exponential, least)


def exponentials(input: Operand, beta: np.float32) -> Array:
    """float32[256]: ``exp(-beta * scale * difference)``, by how far a code lies below its row's greatest."""
    return in_float64(np.exp)(-np.float32(input.scale) * beta * np.arange(256, dtype=np.float32))


def softmax_float(p: FloatParams, x: Array) -> Array:
    """SOFTMAX of float32[..., depth]."""
    greatest = x.max(axis=-1, keepdims=True, initial=-np.inf)
    exponentials: Array = np.exp((x - greatest) * p.beta)
    sums: Array = exponentials.sum(axis=-1, keepdims=True)
    return exponentials / sums


def log_softmax_float(_: None, x: Array) -> Array:
    """LOG_SOFTMAX of float32[..., depth]."""
    centred: Array = x - x.max(axis=-1, keepdims=True, initial=-np.inf)
    sums: Array = np.exp(centred).sum(axis=-1, keepdims=True)
    return centred - np.log(sums)


def below_greatest(x: Array) -> Array:
    """uint8[..., depth]: how far each 8-bit code lies below its row's greatest."""
    greatest: Array = x.max(axis=-1, keepdims=True, initial=np.iinfo(x.dtype).min)
    return np.subtract(greatest, x, dtype=np.int16).astype(np.uint8)


def sum_of_exponentials(exponential: Array, below: Array) -> Array:
    """int64[..., 1] in Q12: the sum of each row's exponentials, each first rounded to Q12."""
    sums: Array = rounding_divide_by_pot(exponential, SUM_BITS)[below].sum(axis=-1, keepdims=True, dtype=np.int64)
    return sums


def softmax_by_table(p: TableParams, x: Array) -> Array:
    """SOFTMAX of int8 | uint8[..., depth].

    Exponentials are multiplied by the reciprocal of the row's sum and rounded, ties away from zero, to the output's steps. Sums in
    Q12 hold rows of 8192 equal codes; greater ones count as that.
    """
    below = below_greatest(x)
    exponential = p.differences.exponential
    sums = np.clip(sum_of_exponentials(exponential, below), 1, 2**32 - 1)
    mantissa, exponent = reciprocal(sums, SUM_BITS)
    limits = np.iinfo(p.storage)
    shares: Array = saturating_rounding_doubling_high_mul(mantissa, exponential[below])
    steps: Array = rounding_divide_by_pot(shares, exponent + (31 - limits.bits))
    return np.minimum(steps + np.int32(limits.min), limits.max).astype(p.storage)


def log_softmax_by_table(p: LogParams, x: Array) -> Array:
    """LOG_SOFTMAX of int8 | uint8[..., depth].

    Differences less the logarithm of the row's sum, both in Q5, are rounded to the output's steps, ties away from zero. Those that
    Q5 does not hold give the least code. Sums in Q12 hold rows of 4096 equal codes; greater ones count as that.
    """
    below = below_greatest(x)
    sums = np.clip(sum_of_exponentials(p.differences.exponential, below), 1, INT32_MAX)
    log_sum = log_of_positive(sums, SUM_BITS, DIFFERENCE_BITS)
    room = saturating_rounding_doubling_high_mul(log_sum - np.int64(2**31), p.reverse_multiplier)
    least = np.maximum(p.differences.least - 1, rounding_divide_by_pot(room, -p.reverse_shift))
    limits = np.iinfo(x.dtype)
    fraction_bits = 31 - DIFFERENCE_BITS - LOG_OUTPUT_BITS
    codes = rounding_divide_by_pot(p.differences.scaled[below] - log_sum, fraction_bits) + np.int32(limits.max)
    return np.where(-below.astype(np.int32) > least, np.clip(codes, limits.min, limits.max), limits.min).astype(x.dtype)


def sum_in_order(x: Array) -> Array:
    """Sum of each row of float32[..., depth], one value after the other: float32[..., 1]."""
    return np.add.accumulate(x, axis=-1)[..., -1:]


def softmax_in_float32(p: Float32Params, x: Array) -> Array:
    """SOFTMAX of int8 | uint8[..., depth]: shares are multiplied by one over the sum in output steps.

    Codes of uint8 are the steps plus 1/2, cut off, and know no zero point; others are rounded half away.
    """
    exponential = p.exponential[below_greatest(x)]
    steps = exponential * (np.float32(1) / (sum_in_order(exponential) * p.scale))
    if p.storage == np.uint8:
        codes = float_to_int32(steps + np.float32(0.5))
    else:
        codes = float_to_int32(round_half_away(steps)) + np.int32(p.zero_point)
    limits = np.iinfo(p.storage)
    return np.clip(codes, limits.min, limits.max).astype(p.storage)


def log_softmax_in_float32(p: Float32LogParams, x: Array) -> Array:
    """LOG_SOFTMAX of int8 | uint8[..., depth]: codes in output steps less what is common to the row, rounded half to even."""
    greatest = x.max(axis=-1, keepdims=True, initial=np.iinfo(x.dtype).min).astype(np.float32)
    log_sum = in_float64(np.log)(sum_in_order(p.exponential[below_greatest(x)]))
    common = (p.input_scale * greatest + log_sum) / p.scale
    codes: Array = float_to_int32(np.rint(p.input_scale / p.scale * x.astype(np.float32) - common)) + np.int32(p.zero_point)
    limits = np.iinfo(x.dtype)
    return np.clip(codes, limits.min, limits.max).astype(x.dtype)


@cache
def exponential_table() -> Array:
    """int16[65536]: ``32767 exp(x)`` for codes that run from -10 to 0."""
    return interpolated(sampled_table(np.exp, EXP_RANGE / 65535, 32767, 2 / 65535, 0, np.float64))


@cache
def reciprocal_table() -> Array:
    """int16[65536]: ``32767 / (1 + x)`` for codes that run from 0 to 1."""
    return interpolated(sampled_table(lambda x: 1 / (1 + x), 1 / 65535, -32768, 2 / 65535, 0, np.float64))


def softmax_by_lines(p: LinesParams, x: Array) -> Array:
    """SOFTMAX of int16[..., depth].

    The sum of each row, in 2**-15, is brought to [1, 2) by a power of two; its reciprocal comes from a table. Products are rounded
    to nearest, ties up. Sums hold rows of 65536 equal codes; greater ones count as that.
    """
    differences = np.subtract(x, x.max(axis=-1, keepdims=True, initial=np.iinfo(np.int16).min), dtype=np.int32)
    codes = np.clip(p.requantize(differences) + np.int32(32767), -32768, 32767).astype(np.int16)
    exponentials = look_up(exponential_table(), codes)
    sums = np.clip(exponentials.sum(axis=-1, keepdims=True, dtype=np.int64), 1, INT32_MAX)
    bits = np.frexp(sums.astype(np.float64))[1].astype(np.int64)
    mantissa = ((sums << (31 - bits)) + (1 << 13)) >> 14
    reciprocals = look_up(reciprocal_table(), np.clip(mantissa - 3 * (1 << 15), -32768, 32767).astype(np.int16))
    shift = bits - 1
    products: Array = (exponentials.astype(np.int64) * reciprocals + ((1 << shift) >> 1)) >> shift
    return np.clip(products, 0, 32767).astype(np.int16)


SOFTMAX = OpDef(
    "SOFTMAX",
    prepare_softmax,
    tuple(OUTPUTS),
    (1, 1),
    tolerances={"float32": FLOAT_FUNCTION},
    notes="TensorFlow Lite's reference kernel aborts on 8-bit rows whose exponentials sum to 512 or more; qcore gives the answer.",
)
LOG_SOFTMAX = OpDef("LOG_SOFTMAX", prepare_log_softmax, ("float32", "int8", "uint8"), (1, 1), tolerances={"float32": FLOAT_FUNCTION})
