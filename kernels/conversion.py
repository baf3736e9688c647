"""QUANTIZE, DEQUANTIZE, FAKE_QUANT: real numbers to codes, codes to real numbers, codes to other codes.

    code = clamp(round_half_away(real / scale) + zero_point)
    real = scale * (code - zero_point)

Both hold per tensor or per channel, along quantized_dimension; quotient and product are rounded to float32 (docs/quantization.md,
quantize and affine). QUANTIZE of codes rescales them (ibid., rescale) by a fixed-point multiplier with two roundings, whose real
factor, input scale over output scale, is a float64 quotient. FAKE_QUANT is QUANTIZE and DEQUANTIZE in one, real numbers in and out.

Source (TensorFlow Lite 2.21): tflite/kernels/quantize.cc, dequantize.cc, fake_quant.cc; kernels/internal/reference/quantize.h,
requantize.h, dequantize.h; kernels/internal/quantization_util.cc#NudgeQuantizationRange.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qcore.kernels.opdef import Array, Node, OpDef, Operand, Shape, Step
from qcore.kernels.tabulate import unary_step
from qcore.numerics.casting import float_to_int32
from qcore.numerics.fixed_point import DoubleRounding, Requantizer, quantize_multiplier
from qcore.numerics.rounding import round_half_away

FROM_FLOAT = ("int8", "uint8", "int16", "int4", "uint4")
FROM_FLOAT_PER_CHANNEL = ("int8", "uint8", "int16")
REQUANTIZED = {
    "int8": ("int8", "uint8", "int16"),
    "uint8": ("int8", "uint8", "int16"),
    "int16": ("int8", "int16", "int32"),
    "int32": ("int8", "int16"),
}
DEQUANTIZED = ("int8", "uint8", "int16", "int4", "uint4", "int2")


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
        return Step(quantize, affine_params(node, output, input.shape), (input.shape,))
    require_output(node, output, REQUANTIZED[input.dtype])
    if input.dtype == output.dtype == "int16":
        for operand in (input, output):
            node.require(operand.zero_point == 0, f"'{operand.name}' is int16 with zero point {operand.zero_point}, expected 0")
    requantize = DoubleRounding(*quantize_multiplier(float(np.float64(input.scale) / np.float64(output.scale))))
    return unary_step(rescale, RequantizeParams(requantize, input.zero_point, output.zero_point, output.storage), input)


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
    return unary_step(dequantize, params, input)


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


def quantize(p: AffineParams, x: Array) -> Array:
    """Codes of float32[...].

    Whatever no int32 holds once divided, NaN included, becomes the least int32 before the zero point is added, wrapping: the least
    code, or the greatest where the zero point is negative.
    """
    steps = np.asarray(x / p.scale)
    codes = float_to_int32(round_half_away(steps, out=steps)) + p.zero_point
    return np.clip(codes, p.quantized_min, p.quantized_max).astype(p.storage)


def rescale(p: RequantizeParams, x: Array) -> Array:
    """Codes of int8 | uint8 | int16 | int32[...] at another scale, zero point or width; int32 sums wrap."""
    codes: Array = p.requantize(x.astype(np.int32) - np.int32(p.input_zero_point)) + np.int32(p.output_zero_point)
    limits = np.iinfo(p.storage)
    return np.clip(codes, limits.min, limits.max).astype(p.storage)


def dequantize(p: AffineParams, x: Array) -> Array:
    """Real numbers, float32[...], of integer codes of up to 16 bits."""
    return np.subtract(x, p.zero_point, dtype=np.int32).astype(np.float32) * p.scale


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
