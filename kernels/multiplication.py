"""MUL: products.

A quantized product takes one requantization, by ``scale_1 * scale_2 / output_scale``, a factor computed in float32; XNNPACK's product
of 8-bit codes is in float32 too (docs/quantization.md, float32-rounding). Two int16 inputs may also give 8 bits: they are then numbers
in [-1, 1) in units of 2**-15, whatever their scales, and the output is in units of 2**-7. Cells of legacy LSTMs use that.

Source (TensorFlow Lite 2.21): tflite/kernels/mul.cc; kernels/internal/reference/mul.h, integer_ops/mul.h;
XNNPACK src/qs8-vmul/sse-mul16-ld64.c.in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qcore.kernels.common import float32_activation_range, quantized_activation_range, require_same_type
from qcore.kernels.delegate import delegated
from qcore.kernels.elementwise import apply, operands, prepare_plain, require_scales, store
from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Step
from qcore.numerics.fixed_point import (
    DoubleRounding,
    Float32Rounding,
    Requantizer,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)


@dataclass(frozen=True)
class Params:
    """A quantized product."""

    input1_zero_point: int
    input2_zero_point: int
    requantize: Requantizer
    output_zero_point: int
    activation_min: int
    activation_max: int


@dataclass(frozen=True)
class NarrowingParams:
    """A product of int16 numbers in units of 2**-15 that gives 8 bits; type: of the output's codes."""

    output_zero_point: int
    activation_min: int
    activation_max: int
    type: np.dtype[Any]


def prepare(node: Node) -> Step:
    """MUL."""
    input1, _, shape = operands(node)
    output = node.output
    if input1.dtype == "int16" and output.dtype in ("int8", "uint8"):
        return prepare_narrowing(node)
    require_same_type(node, input1, output)
    if input1.dtype in ("int8", "uint8") or (input1.dtype == "int16" and output.is_quantized):
        return prepare_quantized(node)
    if input1.dtype == "complex64":
        activation = node.options["fused_activation_function"]
        node.require(activation == "NONE", f"fused activation {activation}, expected NONE for complex64")
        return Step(apply, np.multiply, (shape,))
    return prepare_plain(node, np.multiply)


def prepare_quantized(node: Node) -> Step:
    """Quantized operands and output of one type."""
    input1, input2, shape = operands(node)
    output = node.output
    require_scales(node, input1, input2, output)
    if output.dtype == "int16":
        for operand in (input1, input2, output):
            node.require(operand.zero_point == 0, f"'{operand.name}' has zero point {operand.zero_point}, expected 0 for int16")
    factor = np.float32(input1.scale) * np.float32(input2.scale) / np.float32(output.scale)
    activation = node.options["fused_activation_function"]
    if delegated(node, input1, input2, output) and 2**-16 <= factor < 2**8:
        requantize: Requantizer = Float32Rounding(float(factor))
        bounds = float32_activation_range(node, activation, output)
    else:
        requantize = DoubleRounding(*quantize_multiplier(float(factor)))
        bounds = quantized_activation_range(node, activation, output)
    return Step(multiply, Params(input1.zero_point, input2.zero_point, requantize, output.zero_point, *bounds), (shape,))


def prepare_narrowing(node: Node) -> Step:
    """Two int16 inputs of one shape, an output of 8 bits."""
    input1, input2, shape = operands(node)
    output = node.output
    node.require(input1.shape == input2.shape, f"inputs have shapes {list(input1.shape)} and {list(input2.shape)}, expected the same")
    activation = quantized_activation_range(node, node.options["fused_activation_function"], output)
    return Step(multiply_narrowing, NarrowingParams(output.zero_point, *activation, output.storage), (shape,))


def multiply(p: Params, x: Array, y: Array) -> Array:
    """Product of quantized operands.

    Args:
        p: zero points, requantization and bounds.
        x: int8 | uint8 | int16[...].
        y: like x, broadcast with it.

    The product is an int32 within 2**30.
    """
    product = (x.astype(np.int32) - p.input1_zero_point) * (y.astype(np.int32) - p.input2_zero_point)
    return store(p.requantize(product), p.output_zero_point, p.activation_min, p.activation_max, x.dtype)


def multiply_narrowing(p: NarrowingParams, x: Array, y: Array) -> Array:
    """Product of int16[...] numbers: rounded to 15 fractional bits, ties up, then to 7, ties away from zero."""
    product = np.minimum(saturating_rounding_doubling_high_mul(x, y.astype(np.int32) << 16), (1 << 15) - 1)
    return store(rounding_divide_by_pot(product, 8), p.output_zero_point, p.activation_min, p.activation_max, p.type)


MUL = OpDef(
    "MUL",
    prepare,
    ("float32", "int32", "uint32", "int64", "int8", "uint8", "int16", "complex64"),
    (2, 2),
    tolerances={"complex64": FLOAT_ORDER},
)
