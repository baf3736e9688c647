"""BATCH_MATMUL: matrix products of the two last axes, the axes before them broadcast.

    output[..., i, j] = sum over k of x[..., i, k] * y[..., k, j]

``adj_x`` and ``adj_y`` say that the operand is stored with its two last axes swapped. Integer kinds sum
``(x - x_zero_point) * (y - y_zero_point)`` exactly, equation (22) of docs/quantization.md, and requantize the sum, (15) for int8 and (18)
for int16, by ``float32(x_scale * y_scale) / output_scale``; int8 operands with an int32 output are multiplied as they are, without zero
points. A float32 x with an int8 y is dynamic range (see ``hybrid``), a row being what is summed over. y may have a scale for each column,
and then has no zero point. XNNPACK takes int8 with a symmetric y, and requantizes by (19); and dynamic range with a constant y.

Source (TensorFlow Lite 2.21): tflite/kernels/batch_matmul.cc, kernels/internal/reference/batch_matmul.h;
tflite/delegates/xnnpack/xnnpack_delegate.cc#VisitBatchMatMulNode. What goes wrong there is computed right here: the scales of
dynamic-range rows when x has rank 4 or 5, batches of an x stored swapped when y has one matrix for them all, integers times a y of
several scales, and XNNPACK's with a y that has a zero point.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import parameters, require_rank
from qcore.kernels.delegate import delegated, is_static
from qcore.kernels.delegated_weights import float32_factor, usable
from qcore.kernels.hybrid import DynamicRange, dynamic_range
from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Operand, Shape, Step
from qcore.kernels.products import PackedFilter, greatest_magnitude, pack
from qcore.kernels.weighted import QuantizedOutput, Requantization
from qcore.numerics.fixed_point import DoubleRounding, Float32Rounding, ReducedMultiplier, quantize_multiplier

OUTPUTS = MappingProxyType(
    {
        ("float32", "float32"): ("float32",),
        ("float32", "int8"): ("float32",),
        ("int8", "int8"): ("int8", "int32"),
        ("int16", "int16"): ("int16",),
        ("int16", "int8"): ("int16",),
    }
)
"""Types of the output, by types of x and y."""


@dataclass(frozen=True)
class FloatParams:
    """Which operands are stored with their two last axes swapped."""

    adj_x: bool
    adj_y: bool


@dataclass(frozen=True)
class HybridParams:
    """Which operands are swapped, and how x is quantized and sums made real.

    y: packed; None where it is computed at run time.
    y_scale: float32[1 or columns].
    """

    adj_x: bool
    adj_y: bool
    by: DynamicRange
    y: PackedFilter | None
    y_scale: NDArray[np.float32]


@dataclass(frozen=True)
class IntegerParams:
    """Which operands are swapped, zero points, and what follows the products.

    y: packed; None where it is computed at run time.
    output: None for an int32 output, which is the sum itself.
    """

    adj_x: bool
    adj_y: bool
    y: PackedFilter | None
    x_zero_point: int
    y_zero_point: int
    output: QuantizedOutput | None


def infer_shape(node: Node, x: Operand, y: Operand, adj_x: bool, adj_y: bool) -> Shape:
    """The batches broadcast, rows of x, columns of y.

    Raises:
        ModelError: the operands do not fit together.
    """
    rows, depth = x.shape[-2:][::-1] if adj_x else x.shape[-2:]
    y_depth, columns = y.shape[-2:][::-1] if adj_y else y.shape[-2:]
    node.require(depth == y_depth, f"x {list(x.shape)} has {depth} columns, y {list(y.shape)} has {y_depth} rows, expected as many")
    try:
        return (*np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), rows, columns)
    except ValueError:
        raise node.error(f"batches of x {list(x.shape)} and y {list(y.shape)} cannot be broadcast together") from None


def prepare(node: Node) -> Step:
    """Check types and shapes, and choose the kernel by the types of both operands."""
    x, y, output = node.input(0), node.input(1), node.output
    adj_x, adj_y = node.options["adj_x"], node.options["adj_y"]
    types = OUTPUTS.get((x.dtype, y.dtype))
    if types is None:
        raise node.unsupported(f"x is {x.dtype} and y {y.dtype}, qcore has {', '.join(' by '.join(pair) for pair in OUTPUTS)}")
    node.require(output.dtype in types, f"output is {output.dtype}, expected {' or '.join(types)}")
    for operand in (x, y):
        require_rank(node, operand, 2, 5)
    shape = infer_shape(node, x, y, adj_x, adj_y)
    if y.dtype == "float32":
        return Step(real_in_turn if node.arithmetic == "builtin" else real, FloatParams(adj_x, adj_y), (shape,))
    if x.dtype != "float32":
        return Step(integer, prepare_integer(node), (shape,))
    packed = None if y.constant is None else pack_columns(y.constant, adj_y, 0, np.dtype(np.int8))
    scale = column_scale(node, y, adj_y)
    taken = delegated(node, x, output) and is_static(y) and usable(scale)
    by = dynamic_range(node.options["asymmetric_quantize_inputs"], taken)
    return Step(hybrid, HybridParams(adj_x, adj_y, by, packed, scale), (shape,))


def column_scale(node: Node, y: Operand, adj_y: bool) -> NDArray[np.float32]:
    """float32[1 or columns]: the scale of y, or of each column of it."""
    q, axis = y.quantization, y.rank - (2 if adj_y else 1)
    if q is None or q.scale.size == 0:
        raise node.error(f"y '{y.name}' ({y.dtype}) has no scale")
    per_column = q.scale.size == y.shape[axis] and q.quantized_dimension == axis
    node.require(
        q.scale.size == 1 or per_column,
        f"y has {q.scale.size} scales along axis {q.quantized_dimension}, expected one, or {y.shape[axis]} along axis {axis}",
    )
    return q.scale


def prepare_integer(node: Node) -> IntegerParams:
    """Integer operands and output."""
    x, y, output = node.input(0), node.input(1), node.output
    adj_x, adj_y = node.options["adj_x"], node.options["adj_y"]
    if output.dtype == "int32":
        packed = None if y.constant is None else pack_columns(y.constant, adj_y, 0, x.storage)
        return IntegerParams(adj_x, adj_y, packed, 0, 0, None)
    scale = column_scale(node, y, adj_y)
    _, y_zero_point = parameters(y)
    zero_points = x.zero_point, y_zero_point, output.zero_point
    node.require(x.dtype == "int8" or not any(zero_points), f"zero points are {zero_points}, expected 0 where x is int16")
    packed = None if y.constant is None else pack_columns(y.constant, adj_y, y_zero_point, x.storage)
    return IntegerParams(adj_x, adj_y, packed, x.zero_point, y_zero_point, quantized_output(node, scale))


def quantized_output(node: Node, y_scale: NDArray[np.float32]) -> QuantizedOutput:
    """What follows integer products: here the requantization is chosen. The product of both scales is taken in float32."""
    x, y, output = node.input(0), node.input(1), node.output
    node.require(output.scale > 0, f"output has scale {output.scale}, expected one above 0")
    factors = quantize_multiplier((np.float32(x.scale) * y_scale).astype(np.float64) / output.scale)
    low, high = output.type.quantized_min, output.type.quantized_max
    if x.dtype == "int16":
        return QuantizedOutput(np.dtype(np.int64), ReducedMultiplier(*factors), 0, low, high, output.storage)
    requantize: Requantization = DoubleRounding(*factors)
    if delegated(node, x, y, output) and y.zero_point == 0:
        requantize = Float32Rounding(float32_factor(x, y, output))
    return QuantizedOutput(np.dtype(np.int32), requantize, output.zero_point, low, high, output.storage)


def pack_columns(y: Array, adj_y: bool, zero_point: int, x_type: np.dtype[Any]) -> PackedFilter:
    """Pack y for products with integers of a type."""
    return pack(y if adj_y else y.swapaxes(-1, -2), zero_point, greatest_magnitude(x_type))


def real(p: FloatParams, x: Array, y: Array) -> Array:
    """float32 times float32."""
    product: Array = np.matmul(x.swapaxes(-1, -2) if p.adj_x else x, y.swapaxes(-1, -2) if p.adj_y else y)
    return product


def real_in_turn(p: FloatParams, x: Array, y: Array) -> Array:
    """The same, each sum taken in the order of the depth, as the builtin and the reference kernels do."""
    x, y = x if p.adj_x else x.swapaxes(-1, -2), y.swapaxes(-1, -2) if p.adj_y else y
    columns, rows = np.ascontiguousarray(x)[..., np.newaxis], np.ascontiguousarray(y)[..., np.newaxis, :]
    total = np.zeros((*np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), x.shape[-1], y.shape[-1]), np.float32)
    product = np.empty_like(total)
    for k in range(x.shape[-2]):
        total += np.multiply(columns[..., k, :, :], rows[..., k, :, :], out=product)
    return total


def hybrid(p: HybridParams, x: Array, y: Array) -> Array:
    """float32 times int8, each row of x quantized to int8 by its own range."""
    packed = p.y or pack_columns(y, p.adj_y, 0, y.dtype)
    codes, scale, zero_point = p.by.quantize(x.swapaxes(-1, -2) if p.adj_x else x)
    sums = packed.product(codes) - zero_point[..., np.newaxis] * packed.sums[..., np.newaxis, :]
    row_scale = np.broadcast_to(scale, sums.shape[:-1]).reshape(-1)
    real = p.by.real_values(sums.reshape(row_scale.size, sums.shape[-1]), row_scale, p.y_scale)
    return real.reshape(sums.shape).astype(np.float32, copy=False)


def integer(p: IntegerParams, x: Array, y: Array) -> Array:
    """int8 | int16 times int8 | int16. Sums are exact; those of int8 wrap to int32 where it cannot hold them."""
    packed = p.y or pack_columns(y, p.adj_y, p.y_zero_point, x.dtype)
    sums = packed.product(x.swapaxes(-1, -2) if p.adj_x else x)
    if p.output is None:
        return sums.astype(np.int32, copy=False)
    return p.output(sums - p.x_zero_point * packed.sums[..., np.newaxis, :], None)


BATCH_MATMUL = OpDef(
    "BATCH_MATMUL",
    prepare,
    ("float32", "int8", "int16"),
    (2, 2),
    tolerances={"float32": FLOAT_ORDER},
    notes="a y of int8 with a float32 x is dynamic range; TensorFlow Lite takes wrong rows of several batches, XNNPACK a wrong zero point",
)
