"""ELU, GELU, HARD_SWISH, LOGISTIC, TANH: smooth curves, each element by itself.

Real values: each curve in float32, its elementary functions evaluated in float64 and rounded, as the C library's are but for very
few last bits; LOGISTIC and TANH of the builtin kernels are polynomials (see ``float_functions``). Quantized, three ways:

* 8 bits, and GELU of 16: the curve as a table (docs/quantization.md, table and interpolated-table). XNNPACK's tables of ELU, LOGISTIC
  and TANH round the sum with the zero point (ibid., affine-codes).
* LOGISTIC and TANH of 16 bits: straight lines between 256 samples of the logistic function, up to 10.67, after the input is rescaled
  to 1/12288; ``tanh(x) = 2 logistic(2 x) - 1``. Inputs whose scale is 1/4096, or 1/2048 for TANH, go through 16-bit fixed-point
  arithmetic in the builtin kernels.
* HARD_SWISH, ``x * clamp(x + 3, 0, 6) / 6``: 16-bit fixed-point arithmetic on values of 8 bits.

Source (TensorFlow Lite 2.21): tflite/kernels/activations.cc; kernels/internal/reference/gelu.h, hard_swish.h, logistic.h, tanh.h;
kernels/internal/reference/integer_ops/logistic.h, tanh.h; kernels/internal/optimized/optimized_ops.h#Logistic, #Tanh;
XNNPACK src/reference/unary-elementwise.cc.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from qcore.kernels import float_functions
from qcore.kernels.common import INT32_MAX, require_same_type
from qcore.kernels.delegate import delegated, flushing
from qcore.kernels.opdef import FLOAT_FUNCTION, Array, Node, OpDef, Operand, Step
from qcore.kernels.tabulate import unary_step
from qcore.numerics.fixed_point import quantize_multiplier
from qcore.numerics.fixed_point_functions import Width, logistic_samples
from qcore.numerics.fixed_point_functions import logistic as logistic_in_fixed_point
from qcore.numerics.fixed_point_functions import tanh as tanh_in_fixed_point
from qcore.numerics.lookup_table import look_up, lookup_table, real_values
from qcore.numerics.powers import power_of_two
from qcore.numerics.vector_loop import VectorLoop, along_memory
from qcore.numerics.xnnpack import affine_codes

Curve = Callable[[Array], Array]
Kernel = Callable[[Any, Array], Array]
FixedPointFunction = Callable[[Array, int, Literal[16]], Array]

HALF_FLOATS = ("float16", "bfloat16")

ERFC_EXPONENT = (
    *(-1.2655121238, 1.00000014556, 0.374988806661, 0.083672770228, -0.0913157182775),
    *(-0.0926624024128, -0.405998922078, 1.33647962174, -3.61901391356, 7.54980763363),
    *(-9.89989900714, 8.0206877719, -3.95934980659, 1.10117376919, -0.133058624917),
)
"""Chebyshev fit of ``log(erfc(z) / t) + z**2`` in powers of ``t = 2 / (2 + z)``; relative error of erfc below 3e-10."""


@dataclass(frozen=True)
class LinesParams:
    """The rescaling of 16-bit codes to steps of 1/12288: ``(x * multiplier + half) >> shift``; samples of the logistic function.

    samples: int64[256], at steps of 1/24.
    """

    multiplier: int
    shift: int
    samples: Array


@dataclass(frozen=True)
class FixedPointParams:
    """A function of 16-bit numbers in Q3, and the left shift that makes codes such."""

    function: FixedPointFunction
    left_shift: int


@dataclass(frozen=True)
class HardSwishParams:
    """16-bit multipliers and their shifts, positive to the left: input to output scale, input to 32768ths of 3."""

    output_multiplier: int
    output_shift: int
    reluish_multiplier: int
    reluish_shift: int
    input_zero_point: int
    output_zero_point: int


def prepare_elu(node: Node) -> Step:
    """ELU."""
    return delegated_curve_step(node, elu, elu)


def prepare_gelu(node: Node) -> Step:
    """GELU."""
    return curve_step(node, gelu_by_tanh if node.options["approximate"] else gelu)


def prepare_logistic(node: Node) -> Step:
    """LOGISTIC: quantized, the output's steps must be exactly 1/256 or 1/32768."""
    input, output = node.input(0), node.output
    if input.dtype in ("int8", "uint8"):
        require_scale(node, output, 1 / 256)
    if input.dtype == "float32" and node.arithmetic == "builtin":
        return curve_step(node, float_functions.logistic)
    if input.dtype != "int16":
        return delegated_curve_step(node, logistic, logistic_rounded_once)
    require_scale(node, output, 1 / 32768)
    return sixteen_bit_step(node, (-12,), logistic_by_lines, logistic_in_fixed_point)


def prepare_tanh(node: Node) -> Step:
    """TANH: with 16 bits the output's steps must be 1/32768, or a scale within 0.07 % of it."""
    input, output = node.input(0), node.output
    if input.dtype == "float32" and node.arithmetic == "builtin":
        return curve_step(node, float_functions.tanh)
    if input.dtype != "int16":
        return delegated_curve_step(node, tanh, tanh)
    node.require(power_of_two(output.scale) == -15, f"output has scale {output.scale}, expected 1/32768")
    return sixteen_bit_step(node, (-12, -11), tanh_by_lines, tanh_in_fixed_point)


def prepare_hard_swish(node: Node) -> Step:
    """HARD_SWISH."""
    input, output = node.input(0), node.output
    require_same_type(node, input, output)
    if input.dtype == "float32":
        return curve_step(node, hard_swish_in_sixths if node.arithmetic == "builtin" else hard_swish)
    fine_scale = np.float32(input.scale) / np.float32(128)
    output_multiplier, output_shift = quantize_multiplier(float(fine_scale / np.float32(output.scale)))
    node.require(output_shift <= 0, f"input has scale {input.scale}, expected below 128 times the output's {output.scale}")
    reluish_multiplier, reluish_shift = quantize_multiplier(float(fine_scale / (np.float32(3) / np.float32(32768))))
    params = HardSwishParams(
        upper_half(output_multiplier),
        output_shift,
        upper_half(reluish_multiplier),
        reluish_shift,
        input.zero_point,
        output.zero_point,
    )
    return unary_step(hard_swish_quantized, params, input)


def delegated_curve_step(node: Node, curve: Curve, delegates_curve: Curve) -> Step:
    """The step of a curve that XNNPACK has; delegates_curve is what its tables of codes are made with."""
    input, output = node.input(0), node.output
    if not delegated(node, input, output):
        return curve_step(node, curve)
    if input.dtype == "float32":
        return curve_step(node, flushing(curve))
    require_same_type(node, input, output)
    values = delegates_curve(real_values(input.dtype, input.scale, input.zero_point))
    table = affine_codes(values, np.float32(1) / np.float32(output.scale), np.float32(output.zero_point), output.dtype)
    return Step(look_up, table, (input.shape,))


def curve_step(node: Node, curve: Curve) -> Step:
    """The step of a curve: a table where the input is quantized, else the curve itself."""
    input, output = node.input(0), node.output
    require_same_type(node, input, output)
    if not input.type.quantized:
        return Step(real_curve, curve, (input.shape,))
    table = lookup_table(input.dtype, curve, input.scale, input.zero_point, output.scale, output.zero_point)
    return Step(look_up, table, (input.shape,))


def require_scale(node: Node, output: Operand, scale: float) -> None:
    """Refuse any other scale of the output."""
    node.require(output.scale == scale, f"output has scale {output.scale}, expected 1/{round(1 / scale)}")


def sixteen_bit_step(node: Node, powers: tuple[int, ...], by_lines: Kernel, in_fixed_point: FixedPointFunction) -> Step:
    """The step of LOGISTIC or TANH of 16 bits; an input whose scale is one of these powers of two, or nearly, needs no rescaling."""
    input, output = node.input(0), node.output
    require_same_type(node, input, output)
    for operand in (input, output):
        node.require(operand.zero_point == 0, f"'{operand.name}' is int16 with zero point {operand.zero_point}, expected 0")
    node.require(0 < input.scale * 12288 <= INT32_MAX, f"input has scale {input.scale}, expected one from 0 to {INT32_MAX / 12288}")
    power = power_of_two(input.scale)
    left_shift = power + 12 if power is not None and power in powers else None
    if left_shift is not None and node.arithmetic != "reference":
        return unary_step(in_sixteen_bits, FixedPointParams(in_fixed_point, left_shift), input)
    return unary_step(by_lines, lines_params(node, left_shift), input)


def lines_params(node: Node, left_shift: int | None) -> LinesParams:
    """Rescaling of the input, whose scale is ``2**(left_shift - 12)`` where that is known."""
    samples, scale = logistic_samples().astype(np.int64), node.input(0).scale
    if left_shift is not None:
        return LinesParams(3 << left_shift, 0, samples)
    multiplier, shift = scale * 12288, 0
    while multiplier <= 32767 / 2 and shift <= 30:
        multiplier, shift = multiplier * 2, shift + 1
    node.require(multiplier >= 1, f"input has scale {scale}, which is too small")
    return LinesParams(int(multiplier), shift, samples)


def upper_half(multiplier: int) -> int:
    """A multiplier of 31 bits rounded to 15, ties up, saturating."""
    return min((multiplier + (1 << 15)) >> 16, (1 << 15) - 1)


def in_float64(function: Callable[[Any], Any], x: Array) -> Array:
    """A function of float32[...] evaluated in float64 and rounded."""
    rounded: Array = function(x.astype(np.float64)).astype(np.float32)
    return rounded


def elu(x: Array) -> Array:
    """``exp(x) - 1`` below 0, else x; x: float32[...]."""
    return np.where(x < 0, in_float64(np.expm1, x), x)


def logistic(x: Array) -> Array:
    """``1 / (1 + exp(-x))``; x: float32[...]. Below -9 it is ``exp(x)``, up to 0.012 % too much."""
    one = np.float32(1)
    return np.where(x < -9, in_float64(np.exp, x), one / (one + in_float64(np.exp, -x)))


def logistic_rounded_once(x: Array) -> Array:
    """``1 / (1 + exp(-x))`` of float32[...], in float64 throughout."""
    return in_float64(lambda wide: 1 / (1 + np.exp(-wide)), x)


def tanh(x: Array) -> Array:
    """``tanh(x)``; x: float32[...]."""
    return in_float64(np.tanh, x)


def gelu(x: Array) -> Array:
    """``x / 2 * erfc(-x / sqrt(2))``; x: float32[...]."""
    return np.float32(0.5) * x * in_float64(erfc, x * np.float32(-math.sqrt(0.5)))


def gelu_by_tanh(x: Array) -> Array:
    """``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x**3)))``; x: float32[...]."""
    cubic = x + np.float32(0.044715) * x * x * x
    return np.float32(0.5) * x * (np.float32(1) + tanh(np.float32(math.sqrt(2 / math.pi)) * cubic))


def erfc(x: Array) -> Array:
    """Complementary error function of float64[...]."""
    z = np.abs(x)
    t = 2 / (2 + z)
    exponent = np.zeros_like(t)
    for coefficient in reversed(ERFC_EXPONENT):
        exponent *= t
        exponent += coefficient
    magnitude: Array = t * np.exp(exponent - z * z)
    return np.where(x < 0, 2 - magnitude, magnitude)


def real_curve(curve: Curve, x: Array) -> Array:
    """The curve of float32 | float16 | bfloat16[...]; the narrow types are rounded once, at the end."""
    return curve(x.astype(np.float32, copy=False)).astype(x.dtype, copy=False)


def hard_swish(x: Array) -> Array:
    """``x * clamp(x + 3, 0, 6) / 6`` of float32[...]."""
    return x * np.clip(x + np.float32(3), np.float32(0), np.float32(6)) / np.float32(6)


def hard_swish_in_sixths(x: Array) -> Array:
    """The builtin kernel's: ``x * (1 / 6) * clamp(x + 3, 0, 6)``, multiplied by a sixth first in vectors of 4 along memory, else last."""
    sixth = np.float32(1) / np.float32(6)

    def clamped(x: Array) -> Array:
        return np.clip(x + np.float32(3), np.float32(0), np.float32(6))

    return along_memory(VectorLoop(4, lambda x: x * sixth * clamped(x), lambda x: x * clamped(x) * sixth), x)


def hard_swish_quantized(p: HardSwishParams, x: Array) -> Array:
    """As above, in 16-bit fixed point.

    Args:
        p: multipliers and zero points.
        x: int8 | uint8[...].

    The input in 128ths of a step is multiplied twice: by output_multiplier, to the output's scale but for a final shift; and to a
    number in Q0 that stands for -1 where x is -3 and for 1 where x is 3, saturating, which is then brought to [0, 1]. The last left
    bit of that second shift comes after the multiplication, so that only a saturation of the result counts. The product of the two
    truncates towards zero, all other roundings are to nearest.
    """
    width = Width(16)
    fine = np.subtract(x, p.input_zero_point, dtype=np.int64) * 128
    preshift = width.multiply(fine, p.output_multiplier)
    left = p.reluish_shift
    reluish = width.multiply(width.scale_up(fine, left - 1) if left > 0 else fine, p.reluish_multiplier)
    reluish = width.scale_up(reluish, 1) if left > 0 else width.scale_down(reluish, -left)
    gate = (reluish + (1 << 15)) >> 1
    product = gate * preshift
    truncated = np.where(product < 0, -(-product >> 15), product >> 15)
    codes = width.scale_down(truncated, -p.output_shift) + p.output_zero_point
    limits = np.iinfo(x.dtype)
    return np.clip(codes, limits.min, limits.max).astype(x.dtype)


def lines(p: LinesParams, x: Array, fraction_bits: int, greatest: int) -> tuple[Array, Array]:
    """The logistic function of a magnitude, by straight lines.

    Args:
        p: rescaling of x, in int32, where the product of a scale above 5.33 wraps.
        x: int16[...].
        fraction_bits: lowest bits of the rescaled magnitude, which say how far it lies between two samples.
        greatest: the value beyond the last sample.

    Returns:
        bool[...]: where the rescaled value is negative.
        int64[...]: the function of its magnitude in units of ``2**-(16 + fraction_bits)``.
    """
    half = (1 << p.shift) >> 1
    rescaled = (x.astype(np.int32) * np.int32(p.multiplier) + np.int32(half)) >> p.shift
    magnitude = np.abs(rescaled.astype(np.int64))
    index = np.minimum(magnitude >> fraction_bits, 255)
    sample, next_sample = p.samples[index], p.samples[np.minimum(index + 1, 255)]
    fraction = magnitude & ((1 << fraction_bits) - 1)
    between = (sample << fraction_bits) + fraction * (next_sample - sample)
    return rescaled < 0, np.where(index == 255, greatest, between)


def in_sixteen_bits(p: FixedPointParams, x: Array) -> Array:
    """A function of int16[...]; the output's steps are 1/32768."""
    return p.function(Width(16).scale_up(x.astype(np.int64), p.left_shift), 3, 16)


def logistic_by_lines(p: LinesParams, x: Array) -> Array:
    """LOGISTIC of int16[...]; the output's steps are 1/32768."""
    negative, value = lines(p, x, 9, 0x7FFF << 10)
    return (np.where(negative, (1 << 25) - value + (1 << 9) - 1, value + (1 << 9)) >> 10).astype(np.int16)


def tanh_by_lines(p: LinesParams, x: Array) -> Array:
    """TANH of int16[...]; the output's steps are 1/32768."""
    negative, value = lines(p, x, 8, 0xFFFF << 8)
    centred = value - (1 << 23)
    return (np.where(negative, -centred + (1 << 7) - 1, centred + (1 << 7)) >> 8).astype(np.int16)


ELU = OpDef("ELU", prepare_elu, ("float32", "int8"), (1, 1), tolerances={"float32": FLOAT_FUNCTION})
GELU = OpDef("GELU", prepare_gelu, ("float32", "int8", "uint8", "int16"), (1, 1), tolerances={"float32": FLOAT_FUNCTION})
HARD_SWISH = OpDef("HARD_SWISH", prepare_hard_swish, ("float32", "int8", "uint8"), (1, 1))
LOGISTIC = OpDef(
    "LOGISTIC", prepare_logistic, ("float32", *HALF_FLOATS, "int8", "uint8", "int16"), (1, 1), tolerances={"float32": FLOAT_FUNCTION}
)
TANH = OpDef("TANH", prepare_tanh, ("float32", *HALF_FLOATS, "int8", "uint8", "int16"), (1, 1), tolerances={"float32": FLOAT_FUNCTION})
