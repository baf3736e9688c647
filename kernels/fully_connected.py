"""FULLY_CONNECTED: each row of the input times the filter, plus a bias.

    output[row, unit] = activation(sum over k of input[row, k] * filter[unit, k] + bias[unit])

The filter is [units, depth]; the input, whatever its shape, is taken as rows of that depth. Integer kinds sum
``(input - input_zero_point) * (filter - filter_zero_point)`` exactly, equation (22) of docs/quantization.md, and requantize the sum in
float64 (20), unlike convolutions; a filter with a scale for each unit has no zero point. Nor has a sparse filter, which is taken as the
dense one that it stands for; its sums are requantized as those of convolutions are. A float32 input with an integer filter is dynamic
range (see ``hybrid``); with a blockwise filter it is always quantized asymmetrically.

The builtin kernels sum in int32 but for int16 with an int64 bias, which they leave to the reference ones, and round by (16); where the
filter has one scale they take its product with the input's in float32. Float32 sums they take in an order of their own (see
``float_products``), as qcore does for them, but for sparse filters. XNNPACK takes symmetric filters (see ``delegated_weights``), and
requantizes by (19).

Source (TensorFlow Lite 2.21): tflite/kernels/fully_connected.cc, kernels/internal/reference/fully_connected.h,
kernels/internal/reference/integer_ops/fully_connected.h, kernels/internal/optimized/integer_ops/fully_connected.h.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import float32_activation_range, parameters, quantized_activation_range, require_rank
from qcore.kernels.delegate import is_static
from qcore.kernels.delegated_weights import FUSED, float32_factor, takes_blocks, takes_weights
from qcore.kernels.float_products import Product, matrix_product
from qcore.kernels.hybrid import DynamicRange, block_scale, cut_to_bfloat16, dequantize_blocks, dynamic_range
from qcore.kernels.opdef import FLOAT_ORDER, Array, Blocks, Node, OpDef, Operand, Shape, Step
from qcore.kernels.products import PackedFilter, greatest_magnitude, pack
from qcore.kernels.weighted import (
    BIAS_TYPES,
    QuantizedOutput,
    RealOutput,
    Requantization,
    accumulator_type,
    common_factor,
    filter_scale,
    real_output,
    require_bias_size,
)
from qcore.numerics.fixed_point import DoubleRounding, Float32Rounding, Float64Rounding, HalfUpRounding, quantize_multiplier

SIGNED = ("int8", "int4", "int2")
FILTERS = MappingProxyType({"float32": ("float32", "uint8", *SIGNED), "int8": SIGNED, "uint8": ("uint8",), "int16": SIGNED})
"""Types of the filter, by type of the input."""

TILE = (4, 32)
"""Units and depth of the tiles in which the builtin kernel for int4 takes its filter."""

OUTPUTS = MappingProxyType({"float32": ("float32",), "int8": ("int8",), "uint8": ("uint8", "int16"), "int16": ("int16",)})
"""Types of the output, by type of the input."""


@dataclass(frozen=True)
class Rows:
    """The input as [count, depth]; ``shape`` is the output's, which has units for each row."""

    count: int
    depth: int
    shape: Shape

    def of(self, input: Array) -> Array:
        """The input as [count, depth]."""
        return input.reshape(self.count, self.depth)


@dataclass(frozen=True)
class FloatParams:
    """Shapes, and what follows the products.

    product: by which they are summed in order; None where NumPy takes its own.
    """

    rows: Rows
    product: Product | None
    output: RealOutput


@dataclass(frozen=True)
class HybridParams:
    """Shapes, how the input is quantized and sums made real, and what follows.

    filter: packed; None where it is computed at run time.
    filter_scale: float32[1 or units].
    """

    rows: Rows
    by: DynamicRange
    filter: PackedFilter | None
    filter_scale: NDArray[np.float32]
    output: RealOutput


@dataclass(frozen=True)
class BlockwiseParams:
    """Shapes, how the input is quantized and sums made real, and what follows.

    filter: float32[units, depth], real values.
    """

    rows: Rows
    by: DynamicRange
    filter: NDArray[np.float32]
    output: RealOutput


@dataclass(frozen=True)
class IntegerParams:
    """Shapes, zero points, and what follows the products.

    filter: packed; None where it is computed at run time.
    """

    rows: Rows
    filter: PackedFilter | None
    filter_zero_point: int
    input_zero_point: int
    output: QuantizedOutput


def infer_shape(input: Shape, filter: Shape, keep_num_dims: bool) -> tuple[int, Shape]:
    """Number of rows, and the output's shape: [rows, units], or the input's with units in the last place."""
    units, depth = filter
    count = math.prod(input) // depth if depth else math.prod(input[:-1])
    return count, (*input[:-1], units) if keep_num_dims else (count, units)


def prepare(node: Node) -> Step:
    """Check types and shapes, and choose the kernel by the types of input and filter."""
    input, filter, bias = node.input(0), node.input(1), node.optional_input(2)
    require_types(node, input, filter, bias)
    rows = prepare_rows(node, input, filter)
    require_bias_size(node, bias, filter.shape[0])
    activation = node.options["fused_activation_function"]
    if activation not in FUSED:
        raise node.unsupported(f"fused activation {activation}, qcore has {', '.join(FUSED)}")
    if rows.depth == 0:
        return Step(zeros, (rows.shape, node.output.storage), (rows.shape,))
    if filter.dtype == "float32":
        return Step(real, prepare_real(node, rows), (rows.shape,))
    if input.dtype == "float32" and filter.blocks is not None:
        return Step(blockwise, prepare_blockwise(node, rows, filter.blocks), (rows.shape,))
    delegated = not filter.sparse and takes_weights(node, input, filter, bias, 0)
    if input.dtype == "float32":
        return Step(hybrid, prepare_hybrid(node, rows, delegated), (rows.shape,))
    return Step(integer, prepare_integer(node, rows, delegated), (rows.shape,))


def prepare_real(node: Node, rows: Rows) -> FloatParams:
    """Floats: here the order of sums is chosen."""
    filter = node.input(1)
    ordered = node.arithmetic == "builtin" and not filter.sparse and 0 not in rows.shape
    return FloatParams(rows, matrix_product(rows.count, *filter.shape) if ordered else None, real_output(node))


def require_types(node: Node, input: Operand, filter: Operand, bias: Operand | None) -> None:
    """Refuse types of filter, bias and output that do not go with the input's."""
    for what, operand, types in (("filter", filter, FILTERS), ("bias", bias, BIAS_TYPES), ("output", node.output, OUTPUTS)):
        if operand is not None:
            wanted = " or ".join(types[input.dtype])
            node.require(operand.dtype in types[input.dtype], f"{what} is {operand.dtype}, expected {wanted} for {input.dtype} inputs")


def prepare_rows(node: Node, input: Operand, filter: Operand) -> Rows:
    """How the input is taken as rows of the filter's depth."""
    if node.options["weights_format"] != "DEFAULT":
        raise node.unsupported(f"weights_format {node.options['weights_format']}, qcore has DEFAULT")
    require_rank(node, filter, 2)
    depth, keep_num_dims = filter.shape[1], node.options["keep_num_dims"]
    if keep_num_dims or depth == 0:
        node.require(input.shape[-1:] == (depth,), f"input has shape {list(input.shape)}, expected {depth} in the last place")
    else:
        node.require(math.prod(input.shape) % depth == 0, f"input of shape {list(input.shape)} does not divide into rows of {depth}")
    count, shape = infer_shape(input.shape, filter.shape, keep_num_dims)
    return Rows(count, depth, shape)


def prepare_blockwise(node: Node, rows: Rows, blocks: Blocks) -> BlockwiseParams:
    """Dynamic range with a filter of blocks."""
    input, filter, bias = node.input(0), node.input(1), node.optional_input(2)
    delegated = takes_blocks(node, input, filter, bias, blocks)
    scale = block_scale(node, filter, blocks)
    real_filter = dequantize_blocks(filter.value, cut_to_bfloat16(scale) if delegated else scale)
    return BlockwiseParams(rows, dynamic_range(asymmetric=True, delegated=delegated), real_filter, real_output(node))


def prepare_hybrid(node: Node, rows: Rows, delegated: bool) -> HybridParams:
    """Dynamic range: float32 input and output, integer filter."""
    filter = node.input(1)
    asymmetric = node.options["asymmetric_quantize_inputs"] and not (node.arithmetic != "reference" and is_tiled(filter))
    return HybridParams(
        rows,
        dynamic_range(asymmetric, delegated),
        None if filter.constant is None else pack_codes(filter.constant),
        unit_scale(node, filter),
        real_output(node),
    )


def is_tiled(filter: Operand) -> bool:
    """The builtin kernels have one for int4 that takes the filter in tiles, and quantizes rows symmetrically whatever the option says."""
    units, depth = filter.shape
    return filter.dtype == "int4" and is_static(filter) and units >= TILE[0] and depth >= TILE[1] and depth % 2 == 0


def prepare_integer(node: Node, rows: Rows, delegated: bool) -> IntegerParams:
    """Integer input, filter and output."""
    input, filter, output = node.input(0), node.input(1), node.output
    node.require(output.dtype == input.dtype or output.zero_point == 0, f"output has zero point {output.zero_point}, expected 0 for int16")
    _, zero_point = parameters(filter)
    node.require(not filter.sparse or (input.dtype == "int8" and zero_point == 0), "a sparse filter takes int8 inputs and has zero point 0")
    packed = None if filter.constant is None else pack(filter.constant, zero_point, greatest_magnitude(input.storage))
    symmetric = filter.dtype == "uint8" or zero_point == 0
    return IntegerParams(rows, packed, zero_point, input.zero_point, quantized_output(node, delegated and symmetric))


def quantized_output(node: Node, delegated: bool) -> QuantizedOutput:
    """What follows integer products: here the requantization is chosen."""
    input, filter, bias, output = node.input(0), node.input(1), node.optional_input(2), node.output
    activation = node.options["fused_activation_function"]
    node.require(output.scale > 0, f"output has scale {output.scale}, expected one above 0")
    scale = unit_scale(node, filter)
    factor = np.float64(input.scale) * scale.astype(np.float64) / np.float64(output.scale)
    builtin_factor = common_factor(node, input, scale, bias) if scale.size == 1 else factor
    builtin = node.arithmetic != "reference"
    accumulator = accumulator_type(node, input, bias, unsaid="int32" if builtin else "int64")
    low, high = quantized_activation_range(node, activation, output)
    requantize: Requantization = Float64Rounding(factor)
    if delegated:
        requantize = Float32Rounding(float32_factor(input, filter, output))
        low, high = float32_activation_range(node, activation, output)
    elif filter.sparse:
        requantize = DoubleRounding(*quantize_multiplier(factor))
    elif builtin and accumulator == np.int32:
        requantize = HalfUpRounding(*quantize_multiplier(builtin_factor))
    return QuantizedOutput(accumulator, requantize, output.zero_point, low, high, output.storage)


def unit_scale(node: Node, filter: Operand) -> NDArray[np.float32]:
    """float32[1 or units]: the scale of the filter, or of each unit of it."""
    scale, q = filter_scale(node, filter, filter.shape[0]), filter.quantization
    assert q is not None
    node.require(scale.size == 1 or q.quantized_dimension == 0, f"filter has scales along axis {q.quantized_dimension}, expected axis 0")
    node.require(not (filter.type.packed and q.zero_point.any()), f"filter is {filter.dtype} with zero points other than 0")
    return scale


def pack_codes(filter: Array) -> PackedFilter:
    """A filter packed for int8 inputs. One of type uint8 holds int8 codes, as in files older than the type int8."""
    return pack(filter.view(np.int8), 0, greatest_magnitude(np.int8))


def zeros(p: tuple[Shape, np.dtype[Any]], *inputs: Array | None) -> Array:
    """What TensorFlow Lite gives for rows of no elements: zeros, without bias or activation."""
    return np.zeros(*p)


def real(p: FloatParams, input: Array, filter: Array, bias: Array | None = None) -> Array:
    """float32[..., depth] times float32[units, depth], plus float32[units]."""
    x = p.rows.of(input)
    sums = x @ filter.T if p.product is None else p.product(x, filter)
    return p.output(sums, bias).reshape(p.rows.shape)


def hybrid(p: HybridParams, input: Array, filter: Array, bias: Array | None = None) -> Array:
    """float32[..., depth], quantized to int8 row by row, times int8[units, depth], plus float32[units]."""
    packed = p.filter or pack_codes(filter)
    codes, scale, zero_point = p.by.quantize(p.rows.of(input))
    sums = packed.product(codes) - np.multiply.outer(zero_point, packed.sums)
    return p.output(p.by.real_values(sums, scale, p.filter_scale), bias).reshape(p.rows.shape)


def blockwise(p: BlockwiseParams, input: Array, filter: Array, bias: Array | None = None) -> Array:
    """float32[..., depth], quantized to int8 row by row, times real[units, depth], plus float32[units]."""
    codes, scale, zero_point = p.by.quantize(p.rows.of(input))
    total = (codes - zero_point[:, np.newaxis]).astype(np.float32) @ p.filter.T
    total *= scale[:, np.newaxis]
    return p.output(total, bias).reshape(p.rows.shape)


def integer(p: IntegerParams, input: Array, filter: Array, bias: Array | None = None) -> Array:
    """int8 | uint8 | int16[..., depth] times int8 | uint8[units, depth], plus int32 | int64[units].

    Sums are exact, and wrap to the accumulator's type where it cannot hold them.
    """
    packed = p.filter or pack(filter, p.filter_zero_point, greatest_magnitude(input.dtype))
    offset = -p.input_zero_point * packed.sums
    if bias is not None:
        offset += bias.reshape(-1)
    return p.output(packed.product(p.rows.of(input)), offset).reshape(p.rows.shape)


FULLY_CONNECTED = OpDef(
    "FULLY_CONNECTED",
    prepare,
    tuple(FILTERS),
    (2, 3),
    tolerances={"float32": FLOAT_ORDER},
    notes="a float32 input with an integer filter is dynamic range; blockwise as the builtin kernel: the reference kernel gives zeros",
)
