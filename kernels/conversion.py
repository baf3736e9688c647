"""QUANTIZE, DEQUANTIZE, FAKE_QUANT: real numbers to codes, codes to real numbers, codes to other codes.

    code = clamp(round_half_away(real / scale) + zero_point)
    real = scale * (code - zero_point)

Both hold per tensor or per channel, along quantized_dimension; quotient and product are rounded to float32 (docs/quantization.md,
quantize and affine). QUANTIZE of codes rescales them (ibid., rescale) by a fixed-point multiplier with two roundings, whose real
factor, input scale over output scale, is a float64 quotient. FAKE_QUANT is QUANTIZE and DEQUANTIZE in one, real numbers in and out.

Where a tensor has one scale the other arithmetics differ, by a step at ties or by a last bit (ibid., quantize-by-inverse):

* XNNPACK quantizes ``rint(real * (1 / scale))``, to 8 bits, and rescales codes by factors of 8 fractional bits;
* the builtin kernels are vector loops. In full vectors they quantize as XNNPACK, rescale 8-bit codes with the ties of the second
  rounding going up, and dequantize ``scale * code + (-scale * zero_point)``. What is left over is rescaled and dequantized as above,
  and quantized with a quotient in float64.

Source (TensorFlow Lite 2.21): tflite/kernels/quantize.cc, dequantize.cc, fake_quant.cc; kernels/internal/reference/quantize.h,
requantize.h, dequantize.h; kernels/internal/optimized/optimized_ops.h#AffineQuantize, #Requantize, #Dequantize;
kernels/internal/quantization_util.cc#NudgeQuantizationRange; XNNPACK src/f32-qs8-vcvt/avx512skx.c.in, src/qs8-vcvt/avx2.c.in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from qcore.kernels.delegate import EIGHT_BITS, delegated, is_static, scale_ratio
from qcore.kernels.opdef import Array, Node, OpDef, Operand, Shape, Step
from qcore.kernels.tabulate import unary_step, vector_step
from qcore.numerics.casting import float_to_int32
from qcore.numerics.fixed_point import DoubleRounding, HalfUpRounding, Requantizer, quantize_multiplier
from qcore.numerics.rounding import round_half_away
from qcore.numerics.vector_loop import VectorLoop, along_memory
from qcore.numerics.xnnpack import short_rescaling

FROM_FLOAT = ("int8", "uint8", "int16", "int4", "uint4")
FROM_FLOAT_PER_CHANNEL = ("int8", "uint8", "int16")
REQUANTIZED = {
    "int8": ("int8", "uint8", "int16"),
    "uint8": ("int8", "uint8", "int16"),
    "int16": ("int8", "int16", "int32"),
    "int32": ("int8", "int16"),
}
DEQUANTIZED = ("int8", "uint8", "int16", "int4", "uint4", "int2")

VECTOR = 8
"""Elements that the builtin kernels take at a time, between real numbers and codes."""
CODES_VECTOR = 16
"""The same, from codes to codes."""


@dataclass(frozen=True)
class AffineParams:
    """How codes stand for real numbers.

    scale: float32[], or float32[..., channels, ...] ready to broadcast with the tensor.
    zero_point: int32, shaped like scale.
    quantized_min, quantized_max: range of the codes; storage: their NumPy type.
    """

    scale: Array
    zero_point: Array
    quantized_min: int
    quantized_max: int
    storage: np.dtype[Any]


@dataclass(frozen=True)
class QuantizeParams:
    """How real numbers become codes.

    steps: float32[...] to int32[...], the nearest whole numbers of steps.
    zero_point: int32, ready to broadcast with the tensor.
    quantized_min, quantized_max: range of the codes; storage: their NumPy type.
    """

    steps: Callable[[Array], Array]
    zero_point: Array
    quantized_min: int
    quantized_max: int
    storage: np.dtype[Any]


@dataclass(frozen=True)
class MoveParams:
    """Codes times scale plus offset are real numbers; float32."""

    scale: Array
    offset: np.float32


@dataclass(frozen=True)
class RequantizeParams:
    """A rescaling of codes, and the type that it ends in."""

    requantize: Requantizer
    input_zero_point: int
    output_zero_point: int
    storage: np.dtype[Any]


@dataclass(frozen=True)
class FakeQuantParams:
    """Step and bounds of the codes in real units, float32; 0 is one of the steps."""

    scale: np.float32
    least: np.float32
    greatest: np.float32


def prepare_quantize(node: Node) -> Step:
    """QUANTIZE, of real numbers or of codes."""
    input, output = node.input(0), node.output
    if input.dtype == "float32":
        per_channel = output.quantization is not None and output.quantization.scale.size > 1
        require_output(node, output, FROM_FLOAT_PER_CHANNEL if per_channel else FROM_FLOAT)
        affine = affine_params(node, output, input.shape)
        params = QuantizeParams(steps_function(node, affine), affine.zero_point, affine.quantized_min, affine.quantized_max, affine.storage)
        return Step(quantize, params, (input.shape,))
    require_output(node, output, REQUANTIZED[input.dtype])
    if input.dtype == output.dtype == "int16":
        for operand in (input, output):
            node.require(operand.zero_point == 0, f"'{operand.name}' is int16 with zero point {operand.zero_point}, expected 0")
    return prepare_rescale(node)


def steps_function(node: Node, affine: AffineParams) -> Callable[[Array], Array]:
    """Real numbers to steps: by quotient where there are several scales, or the codes are of 4 bits."""
    dtype = node.output.dtype
    if node.arithmetic == "reference" or affine.scale.ndim > 0 or dtype not in FROM_FLOAT_PER_CHANNEL:
        return partial(divide, affine.scale)
    inverse = np.float32(1 / np.float64(affine.scale))
    if delegated(node, node.input(0), node.output):
        return partial(multiply_saturating, inverse)
    loop = VectorLoop(VECTOR, partial(multiply, inverse), partial(divide_in_float64, affine.scale))
    return partial(along_memory, loop)


def prepare_rescale(node: Node) -> Step:
    """QUANTIZE of codes."""
    input, output = node.input(0), node.output

    def by(requantize: Requantizer) -> Step:
        return unary_step(rescale, RequantizeParams(requantize, input.zero_point, output.zero_point, output.storage), input)

    factor = scale_ratio(input, output)
    if delegated(node, input, output) and input.dtype == output.dtype and 2**-8 <= factor <= 2**7:
        return by(short_rescaling(factor))
    multiplier = quantize_multiplier(float(np.float64(input.scale) / np.float64(output.scale)))
    if node.arithmetic != "reference" and input.dtype in EIGHT_BITS and output.dtype in EIGHT_BITS:
        return vector_step(CODES_VECTOR, by(HalfUpRounding(*multiplier)), by(DoubleRounding(*multiplier)))
    return by(DoubleRounding(*multiplier))


def prepare_dequantize(node: Node) -> Step:
    """DEQUANTIZE."""
    input, output = node.input(0), node.output
    require_output(node, output, ("float32",))
    if input.dtype == "float16":
        return Step(widen, None, (input.shape,))
    params = affine_params(node, input, input.shape)
    if params.scale.ndim > 0:
        node.require(input.dtype != "int16", "input is int16 with a scale per channel, expected one for the whole tensor")
        return Step(dequantize, params, (input.shape,))
    node.require(input.dtype != "int16" or input.zero_point == 0, f"input is int16 with zero point {input.zero_point}, expected 0")
    alone = unary_step(dequantize, params, input)
    # Constants of int8 are dequantized when the model is loaded, by the builtin kernel.
    if node.arithmetic == "reference" or (delegated(node, input, output) and not (input.dtype == "int8" and is_static(input))):
        return alone
    offset = np.float32(-input.zero_point * input.scale)
    return vector_step(VECTOR, unary_step(scale_and_move, MoveParams(params.scale, offset), input), alone)


def prepare_fake_quant(node: Node) -> Step:
    """FAKE_QUANT: the range is moved so that 0 falls on a step, everything in float32."""
    input, options = node.input(0), node.options
    require_output(node, node.output, ("float32",))
    low, high, bits = np.float32(options["min"]), np.float32(options["max"]), options["num_bits"]
    if options["narrow_range"]:
        raise node.unsupported("narrow_range is set, as only the converter's treatment of weights knows it")
    node.require(1 <= bits <= 16, f"num_bits is {bits}, expected 1 to 16")
    node.require(bool(low <= 0 <= high and low < high), f"range is [{low}, {high}], expected one that holds 0 and more")
    last = np.float32((1 << bits) - 1)
    scale = (high - low) / last
    node.require(bool(np.isfinite(scale) and scale > 0), f"range [{low}, {high}] has steps of {scale}, expected a positive finite number")
    zero_point = np.float32(round_half_away(np.clip(-low / scale, np.float32(0), last)))
    params = FakeQuantParams(scale, -zero_point * scale, (last - zero_point) * scale)
    return Step(fake_quantize, params, (input.shape,))


def require_output(node: Node, output: Operand, types: tuple[str, ...]) -> None:
    """Refuse any other type of the output."""
    if output.dtype not in types:
        raise node.unsupported(f"output is {output.dtype}, qcore has {', '.join(types)} for this input")


def affine_params(node: Node, quantized: Operand, shape: Shape) -> AffineParams:
    """Parameters of the quantized tensor, per tensor or per channel."""
    type = quantized.type
    limits = type.quantized_min, type.quantized_max, quantized.storage
    quantization = quantized.quantization
    if quantization is None or quantization.scale.size <= 1:
        return AffineParams(np.array(quantized.scale, np.float32), np.array(quantized.zero_point, np.int32), *limits)
    axis, scales = quantization.quantized_dimension, quantization.scale
    node.require(0 <= axis < len(shape), f"'{quantized.name}' has quantized_dimension {axis}, shape {list(shape)}")
    node.require(shape[axis] == scales.size, f"'{quantized.name}' has {scales.size} scales for dimension {axis} of {list(shape)}")
    node.require(
        quantization.zero_point.size in (1, scales.size),
        f"'{quantized.name}' has {quantization.zero_point.size} zero points, {scales.size} scales",
    )
    across = tuple(-1 if i == axis else 1 for i in range(len(shape)))
    zero_point = np.broadcast_to(quantization.zero_point, scales.shape).astype(np.int32)
    return AffineParams(scales.reshape(across), zero_point.reshape(across), *limits)


def quantize(p: QuantizeParams, x: Array) -> Array:
    """Codes of float32[...]. Steps that are the least int32 wrap to its greatest where the zero point is negative."""
    codes: Array = p.steps(x) + p.zero_point
    return np.clip(codes, p.quantized_min, p.quantized_max).astype(p.storage)


def divide(scale: Array, x: Array) -> Array:
    """Steps of float32[...], quotients rounded half away; whatever no int32 holds, NaN included, becomes the least int32."""
    steps = np.asarray(x / scale)
    return float_to_int32(round_half_away(steps, out=steps))


def divide_in_float64(scale: Array, x: Array) -> Array:
    """As ``divide``, with quotients in float64."""
    return divide(scale.astype(np.float64), x)


def multiply(inverse: np.float32, x: Array) -> Array:
    """Steps of float32[...], products rounded half to even; whatever no int32 holds, NaN included, becomes the least int32."""
    return float_to_int32(np.rint(x * inverse))


def multiply_saturating(inverse: np.float32, x: Array) -> Array:
    """Steps of float32[...], products rounded half to even and cut to int16; NaN becomes the greatest."""
    limits = np.iinfo(np.int16)
    return np.fmax(np.fmin(np.rint(x * inverse), np.float32(limits.max)), np.float32(limits.min)).astype(np.int32)


def rescale(p: RequantizeParams, x: Array) -> Array:
    """Codes of int8 | uint8 | int16 | int32[...] at another scale, zero point or width; int32 sums wrap."""
    codes: Array = p.requantize(x.astype(np.int32) - np.int32(p.input_zero_point)) + np.int32(p.output_zero_point)
    limits = np.iinfo(p.storage)
    return np.clip(codes, limits.min, limits.max).astype(p.storage)


def dequantize(p: AffineParams, x: Array) -> Array:
    """Real numbers, float32[...], of integer codes of up to 16 bits."""
    return np.subtract(x, p.zero_point, dtype=np.int32).astype(np.float32) * p.scale


def scale_and_move(p: MoveParams, x: Array) -> Array:
    """Real numbers, float32[...], of integer codes of up to 16 bits: product and sum are rounded."""
    return x.astype(np.float32) * p.scale + p.offset


def widen(_: None, x: Array) -> Array:
    """Float32 of float16[...]."""
    return x.astype(np.float32)


def fake_quantize(p: FakeQuantParams, x: Array) -> Array:
    """The nearest step to float32[...], within bounds; NaN becomes the lower bound."""
    steps = (np.fmin(np.fmax(x, p.least), p.greatest) - p.least) * (np.float32(1) / p.scale)
    return round_half_away(np.asarray(steps)) * p.scale + p.least


QUANTIZE = OpDef("QUANTIZE", prepare_quantize, ("float32", *REQUANTIZED), (1, 1))
DEQUANTIZE = OpDef("DEQUANTIZE", prepare_dequantize, (*DEQUANTIZED, "float16"), (1, 1))
FAKE_QUANT = OpDef("FAKE_QUANT", prepare_fake_quant, ("float32",), (1, 1))
