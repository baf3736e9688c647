"""RELU, RELU6, RELU_N1_TO_1, RELU_0_TO_1, LEAKY_RELU, PRELU: straight lines with bends.

The first four clamp the real value. LEAKY_RELU and PRELU multiply values below zero by alpha: one number, or a tensor broadcast to
the input. Quantized, input and output may have scales of their own: every line is a rescaling by a fixed-point multiplier with two
roundings (docs/quantization.md, double-rounding), and its real factor is computed in float32. XNNPACK's LEAKY_RELU of 8 bits has factors
of 8 fractional bits instead (ibid., short-rescaling).

Source (TensorFlow Lite 2.21): tflite/kernels/activations.cc, kernels/internal/reference/reference_ops.h#ReluX, leaky_relu.h, prelu.h;
XNNPACK src/qs8-vlrelu/avx2.c.in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qcore.kernels.common import broadcast_shape, float_activation_range, quantized_activation_range, require_same_type
from qcore.kernels.delegate import delegated, scale_ratio
from qcore.kernels.opdef import Array, Node, OpDef, Operand, Step
from qcore.kernels.tabulate import unary_step
from qcore.numerics.fixed_point import DoubleRounding, Requantizer, quantize_multiplier
from qcore.numerics.xnnpack import short_rescaling

QUANTIZED = ("int8", "uint8", "int16")


@dataclass(frozen=True)
class ClampParams:
    """A rescaling, and the bounds of its result in output codes."""

    requantize: Requantizer
    input_zero_point: int
    output_zero_point: int
    activation_min: int
    activation_max: int


@dataclass(frozen=True)
class FloatClampParams:
    """Real bounds."""

    activation_min: float
    activation_max: float


@dataclass(frozen=True)
class SlopeParams:
    """Rescalings of values from zero up (identity) and below (alpha); the latter of the product with alpha's codes in PRELU."""

    identity: Requantizer
    alpha: Requantizer
    input_zero_point: int
    alpha_zero_point: int
    output_zero_point: int
    output_min: int
    output_max: int


def rescaling(*factors: float, by: float) -> Requantizer:
    """Rescaling by the product of float32 factors over ``by``, every operation rounded to float32; a negative one is allowed."""
    product = np.float32(1)
    for factor in factors:
        product = product * np.float32(factor)
    real = float(product / np.float32(by))
    multiplier, shift = quantize_multiplier(abs(real))
    return DoubleRounding(-multiplier if real < 0 else multiplier, shift)


def require_symmetric_int16(node: Node, *operands: Operand) -> None:
    """Refuse zero points other than 0 in tensors of 16 bits."""
    for operand in operands:
        if operand.dtype == "int16":
            node.require(operand.zero_point == 0, f"'{operand.name}' is int16 with zero point {operand.zero_point}, expected 0")


def prepare_clamp(activation: str) -> Callable[[Node], Step]:
    """The prepare of a clamping operator; activation names its bounds."""

    def prepare(node: Node) -> Step:
        input, output = node.input(0), node.output
        require_same_type(node, input, output)
        if input.dtype not in QUANTIZED:
            return unary_step(clamp_float, FloatClampParams(*float_activation_range(node, activation)), input)
        require_symmetric_int16(node, input, output)
        bounds = quantized_activation_range(node, activation, output)
        requantize = rescaling(input.scale, by=output.scale)
        return unary_step(clamp_quantized, ClampParams(requantize, input.zero_point, output.zero_point, *bounds), input)

    return prepare


def prepare_leaky(node: Node) -> Step:
    """LEAKY_RELU."""
    input, output, alpha = node.input(0), node.output, node.options["alpha"]
    require_same_type(node, input, output)
    if input.dtype not in QUANTIZED:
        return unary_step(leaky_float, np.float32(alpha), input)
    require_symmetric_int16(node, input, output)
    return unary_step(leaky_quantized, slope_params(input, *leaky_rescalings(node, input, alpha, output), 0, output), input)


def leaky_rescalings(node: Node, input: Operand, alpha: float, output: Operand) -> tuple[Requantizer, Requantizer]:
    """LEAKY_RELU's rescalings from zero up and below; XNNPACK's have bounds."""
    above = scale_ratio(input, output)
    below = above * np.float32(alpha)
    if delegated(node, input, output) and 2**-8 <= above <= 2**7 and 2**-8 - 2**7 <= below <= 2**7 and abs(below) >= 2**-8:
        return short_rescaling(above), short_rescaling(below)
    return rescaling(input.scale, by=output.scale), rescaling(input.scale, alpha, by=output.scale)


def prepare_prelu(node: Node) -> Step:
    """PRELU: alpha has the input's type, but for int16 inputs it is int8."""
    input, alpha, output = node.input(0), node.input(1), node.output
    require_same_type(node, input, output)
    expected = "int8" if input.dtype == "int16" else input.dtype
    node.require(alpha.dtype == expected, f"alpha is {alpha.dtype}, expected {expected}")
    shape = broadcast_shape(node, input, alpha)
    node.require(shape == input.shape, f"alpha of shape {list(alpha.shape)} does not broadcast to {list(input.shape)}")
    if input.dtype not in QUANTIZED:
        return Step(prelu_float, None, (shape,))
    identity, product = rescaling(input.scale, by=output.scale), rescaling(input.scale, alpha.scale, by=output.scale)
    return Step(prelu_quantized, slope_params(input, identity, product, alpha.zero_point, output), (shape,))


def slope_params(input: Operand, identity: Requantizer, alpha: Requantizer, alpha_zero_point: int, output: Operand) -> SlopeParams:
    """Quantized parameters of both lines."""
    limits = output.type.quantized_min, output.type.quantized_max
    return SlopeParams(identity, alpha, input.zero_point, alpha_zero_point, output.zero_point, *limits)


def clamp_float(p: FloatClampParams, x: Array) -> Array:
    """Clamp float32[...]; NaN stays."""
    return np.clip(x, np.float32(p.activation_min), np.float32(p.activation_max))


def clamp_quantized(p: ClampParams, x: Array) -> Array:
    """Rescale int8 | uint8 | int16[...] and clamp."""
    codes: Array = p.requantize(np.subtract(x, p.input_zero_point, dtype=np.int32)) + np.int32(p.output_zero_point)
    return np.clip(codes, p.activation_min, p.activation_max).astype(x.dtype)


def leaky_float(alpha: np.float32, x: Array) -> Array:
    """``x`` above zero, else ``x * alpha``; x: float32[...]."""
    return np.where(x > 0, x, x * alpha)


def leaky_quantized(p: SlopeParams, x: Array) -> Array:
    """Rescale int8 | uint8 | int16[...] by one factor from the zero point up, by another below."""
    centred = np.subtract(x, p.input_zero_point, dtype=np.int32)
    return joined(p, centred, p.identity(centred), p.alpha(centred), x)


def prelu_float(_: None, x: Array, alpha: Array) -> Array:
    """``x`` from zero up, else ``x * alpha``; x: float32[...], alpha broadcast to it."""
    return np.where(x >= 0, x, x * alpha)


def prelu_quantized(p: SlopeParams, x: Array, alpha: Array) -> Array:
    """As LEAKY_RELU, but below the zero point it rescales the products with alpha's codes.

    Args:
        p: rescalings and zero points.
        x: int8 | uint8 | int16[...].
        alpha: int8 | uint8[...], broadcast to x.

    The int32 products are below 2**24.
    """
    centred = np.subtract(x, p.input_zero_point, dtype=np.int32)
    product = centred * np.subtract(alpha, p.alpha_zero_point, dtype=np.int32)
    return joined(p, centred, p.identity(centred), p.alpha(product), x)


def joined(p: SlopeParams, centred: Array, above: Array, below: Array, x: Array) -> Array:
    """Codes of the two lines, each where it holds."""
    codes = np.where(centred >= 0, above, below) + np.int32(p.output_zero_point)
    return np.clip(codes, p.output_min, p.output_max).astype(x.dtype)


RELU = OpDef("RELU", prepare_clamp("RELU"), ("float32", *QUANTIZED), (1, 1))
RELU6 = OpDef("RELU6", prepare_clamp("RELU6"), ("float32", *QUANTIZED), (1, 1))
RELU_N1_TO_1 = OpDef("RELU_N1_TO_1", prepare_clamp("RELU_N1_TO_1"), ("float32", "int8", "uint8"), (1, 1))
RELU_0_TO_1 = OpDef("RELU_0_TO_1", prepare_clamp("RELU_0_TO_1"), ("float32", "int8", "uint8"), (1, 1))
LEAKY_RELU = OpDef("LEAKY_RELU", prepare_leaky, ("float32", *QUANTIZED), (1, 1))
PRELU = OpDef("PRELU", prepare_prelu, ("float32", *QUANTIZED), (2, 2))
