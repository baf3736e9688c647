"""TRANSPOSE_CONV: each input adds a filter's worth of values, scaled by it, to a window of the output; then comes a bias.

    output[b, y * stride_h + ky - pad_top, x * stride_w + kx - pad_left, o] += sum over c of input[b, y, x, c] * filter[o, ky, kx, c]

These are the windows of the convolution that would turn the output's shape into the input's. Input and output are NHWC, the filter
OHWI; the output's shape is an input of its own. Integer kinds sum ``(input - zero_point) * (filter - zero_point)`` exactly and
requantize the sum once (see ``weighted``); the builtin kernels do so in vectors, of uint8 in the order of memory. A float32 input with
an int8 filter is dynamic range: each image is quantized asymmetrically (see ``hybrid``). XNNPACK takes constant shapes, and with SAME
padding no strides above the filter's size (see ``delegated_weights``).

The kernel multiplies a tile of inputs by the whole filter in one matrix product, and adds the result, tap by tap, to where it belongs;
from the last tap to the first, which takes the inputs in the order of memory, as the builtin kernels do, whose float32 products are in
order (see ``float_products``). Sums of integers are taken in floats that hold them exactly (see ``products``).

Source (TensorFlow Lite 2.21): tflite/kernels/transpose_conv.cc, kernels/internal/reference/transpose_conv.h#TransposeConv,
#HybridTransposeConv, kernels/internal/reference/integer_ops/transpose_conv.h.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import Window, integers, require_rank, window
from qcore.kernels.delegate import is_static
from qcore.kernels.delegated_weights import takes_weights
from qcore.kernels.float_products import Product, matrix_product
from qcore.kernels.hybrid import DynamicRange, dynamic_range
from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Operand, Shape, Step
from qcore.kernels.products import as_integers, exact_type, greatest_magnitude
from qcore.kernels.weighted import (
    QuantizedOutput,
    RealOutput,
    Requantization,
    empty_output,
    filter_scale,
    in_vectors,
    quantized_output,
    real_output,
    require_bias_size,
    require_types,
)
from qcore.kernels.windows import tile_size, tiles
from qcore.numerics.vector_loop import along_memory

FILTERS = MappingProxyType({"float32": ("float32", "int8"), "int8": ("int8",), "uint8": ("uint8",), "int16": ("int8",)})
"""Types of the filter, by type of the input."""

LANES, UINT8_LANES = 8, 16
"""Outputs that the builtin kernels requantize at a time."""

TILE = 1 << 17
"""Products computed at once: few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class Geometry:
    """The windows, whose inputs are this operator's outputs and the other way round; the output's shape."""

    height: Window
    width: Window
    output: Shape

    @property
    def products(self) -> int:
        """Products that each input of all channels takes part in."""
        return self.height.size * self.width.size * self.output[3]

    @property
    def tile_positions(self) -> int:
        """How many inputs of all channels make a tile."""
        return TILE // self.products


@dataclass(frozen=True)
class RealParams:
    """A transposed convolution of floats.

    product: of one image and the filter, with sums in order; None where NumPy takes its own.
    """

    geometry: Geometry
    product: Product | None
    finish: RealOutput


@dataclass(frozen=True, eq=False)
class QuantizedParams:
    """A transposed convolution of integers.

    matrix: the filter (see ``exact_matrix``), where it is known at plan time.
    """

    geometry: Geometry
    matrix: Array | None
    input_zero_point: int
    filter_zero_point: int
    finish: QuantizedOutput


@dataclass(frozen=True, eq=False)
class HybridParams:
    """A transposed convolution of float32 inputs with an int8 filter.

    matrix: the filter (see ``exact_matrix``), where it is known at plan time.
    filter_scale: float32[1 or outputs].
    by: how images are quantized, and sums made real.
    """

    geometry: Geometry
    matrix: Array | None
    filter_scale: NDArray[np.float32]
    by: DynamicRange
    finish: RealOutput


def geometry(node: Node, input: Operand, filter: Operand) -> Geometry:
    """Shapes of the transposed convolution, after every check of them."""
    require_rank(node, input, 4)
    require_rank(node, filter, 4)
    output = tuple(integers(node, node.input(0), ("int32",)))
    node.require(
        len(output) == 4 and output[0] == input.shape[0] and output[3] == filter.shape[0] > 0 and min(output[1:3]) > 0,
        f"output shape is {list(output)}, expected {input.shape[0]}, height, width, {filter.shape[0]}",
    )
    node.require(input.shape[3] == filter.shape[3], f"input has {input.shape[3]} channels, filter {filter.shape[3]}, expected the same")
    options = node.options
    height = window(node, "height", output[1], filter.shape[1], options["stride_h"], options["padding"])
    width = window(node, "width", output[2], filter.shape[2], options["stride_w"], options["padding"])
    node.require(
        (height.output, width.output) == input.shape[1:3],
        f"output shape {list(output)} comes from inputs of {height.output}x{width.output}, the input is {input.shape[1]}x{input.shape[2]}",
    )
    return Geometry(height, width, output)


def prepare(node: Node) -> Step:
    """Check types and shapes, and choose the kernel by the types of input and filter."""
    filter, input, bias = node.input(1), node.input(2), node.optional_input(3)
    require_types(node, FILTERS, input, filter, bias)
    shapes = geometry(node, input, filter)
    require_bias_size(node, bias, filter.shape[0])
    if 0 in shapes.output:
        return Step(empty_output, (shapes.output, input.storage), (shapes.output,))
    scratch = scratch_bytes(shapes, input, filter)
    delegated = takes(node, shapes)
    if input.dtype != "float32":
        return Step(convolve_quantized, prepare_quantized(node, shapes, delegated), (shapes.output,), scratch)
    if filter.dtype != "float32":
        return Step(convolve_hybrid, prepare_hybrid(node, shapes, delegated), (shapes.output,), scratch)
    ordered = node.arithmetic == "builtin" and 0 not in input.shape
    product = matrix_product(math.prod(input.shape[1:3]), shapes.products, input.shape[3]) if ordered else None
    return Step(convolve_real, RealParams(shapes, product, real_output(node)), (shapes.output,), scratch)


def takes(node: Node, shapes: Geometry) -> bool:
    """XNNPACK computes the operator."""
    filter, input, bias = node.input(1), node.input(2), node.optional_input(3)
    covered = node.options["padding"] == "VALID" or all(along.size >= along.stride for along in (shapes.height, shapes.width))
    return is_static(node.input(0)) and covered and takes_weights(node, input, filter, bias, 0)


def prepare_quantized(node: Node, shapes: Geometry, delegated: bool) -> QuantizedParams:
    """A transposed convolution of integers; only a uint8 filter's zero point counts."""
    filter, input, bias = node.input(1), node.input(2), node.optional_input(3)
    builtin = in_memory_order if input.dtype == "uint8" else in_vectors(LANES)
    finish = quantized_output(node, input, filter, bias, filter.shape[0], builtin=builtin, delegated=delegated)
    zero_point = filter.zero_point if filter.dtype == "uint8" else 0
    matrix = None if filter.constant is None else exact_matrix(filter.constant, zero_point, input.storage)
    return QuantizedParams(shapes, matrix, input.zero_point, zero_point, finish)


def in_memory_order(multiplier: NDArray[np.int32], shift: NDArray[np.int32]) -> Requantization:
    """The builtin kernel's requantization of uint8, which has one factor: in vectors over all outputs."""
    return partial(along_memory, in_vectors(UINT8_LANES)(multiplier, shift))


def prepare_hybrid(node: Node, shapes: Geometry, delegated: bool) -> HybridParams:
    """A transposed convolution of float32 inputs with an int8 filter."""
    filter = node.input(1)
    matrix = None if filter.constant is None else exact_matrix(filter.constant, 0, np.dtype(np.int8))
    by = dynamic_range(asymmetric=True, delegated=delegated)
    return HybridParams(shapes, matrix, filter_scale(node, filter, filter.shape[0]), by, real_output(node))


def scratch_bytes(shapes: Geometry, input: Operand, filter: Operand) -> int:
    """Bytes of temporaries: a filter packed at run time, the input in floats, the sums, and a tile's products."""
    positions = math.prod(tile_size(shapes.output[0], shapes.height, shapes.width, shapes.tile_positions))
    tile = 8 * positions * shapes.products
    return tile + 32 * math.prod(shapes.output) + 16 * math.prod(filter.shape) + 16 * math.prod(input.shape)


def filter_matrix(filter: Array) -> Array:
    """[outputs, height, width, channels] as [channels, height * width * outputs]."""
    return filter.transpose(3, 1, 2, 0).reshape(filter.shape[3], math.prod(filter.shape[:3]))


def exact_matrix(filter: Array, zero_point: int, input: np.dtype[np.generic]) -> Array:
    """The filter less its zero point, as a matrix of the float type in which its products with the input sum exactly.

    Args:
        filter: int8 | uint8[outputs, height, width, channels].
        zero_point: of the filter.
        input: type of the input; an 8-bit input less its zero point has magnitudes up to 255, int16 has zero point 0.
    """
    values = np.subtract(filter, zero_point, dtype=np.int32)
    greatest = 255 if input.itemsize == 1 else greatest_magnitude(input)
    dtype = exact_type(greatest * int(np.abs(values).sum(axis=(1, 2, 3), dtype=np.int64).max()))
    return np.ascontiguousarray(filter_matrix(values), dtype)


def tap_sums(p: Geometry, x: Array, matrix: Array, product: Product | None = None) -> Array:
    """The sums [batch, height, width, outputs], in the matrix's type: of products with the inputs in the order of memory.

    Args:
        p: shapes.
        x: [batch, height, width, channels] of the matrix's type.
        matrix: [channels, height * width * outputs].
        product: of one image and the matrix, where it is not NumPy's.
    """
    total = np.zeros(p.output, matrix.dtype)
    for tile in tiles(len(x), p.height, p.width, p.tile_positions):
        inputs = x[tile.place]
        rows = inputs.reshape(len(inputs), -1, x.shape[3])
        first = tile.place[1].start * x.shape[2] + tile.place[2].start
        products = rows @ matrix if product is None else np.stack([product(image, matrix.T, first) for image in rows])
        products = products.reshape(*inputs.shape[:3], p.height.size, p.width.size, p.output[3])
        sums = total[tile.place[0]]
        for ky, from_rows, to_rows in reversed([*tile.rows.taps()]):
            for kx, from_columns, to_columns in reversed([*tile.columns.taps()]):
                sums[:, to_rows, to_columns] += products[:, from_rows, from_columns, ky, kx]
    return total


def convolve_real(p: RealParams, shape: Array, filter: Array, x: Array, bias: Array | None = None) -> Array:
    """float32[batch, height, width, channels] with float32[outputs, height, width, channels], plus float32[outputs]."""
    return p.finish(tap_sums(p.geometry, x, filter_matrix(filter), p.product), bias)


def convolve_quantized(p: QuantizedParams, shape: Array, filter: Array, x: Array, bias: Array | None = None) -> Array:
    """int8 | uint8 | int16[batch, height, width, channels] with an integer filter, plus int32 | int64[outputs].

    Sums are exact, and wrap to the accumulator's type where it cannot hold them.
    """
    matrix = exact_matrix(filter, p.filter_zero_point, x.dtype) if p.matrix is None else p.matrix
    sums = tap_sums(p.geometry, np.subtract(x, p.input_zero_point, dtype=matrix.dtype), matrix)
    return p.finish(as_integers(sums), bias)


def convolve_hybrid(p: HybridParams, shape: Array, filter: Array, x: Array, bias: Array | None = None) -> Array:
    """float32[batch, height, width, channels], each image quantized to int8, with int8[outputs, height, width, channels]."""
    matrix = exact_matrix(filter, 0, np.dtype(np.int8)) if p.matrix is None else p.matrix
    rows = p.by.quantize(x.reshape(len(x), -1))
    codes = np.subtract(rows.codes, rows.zero_point[:, np.newaxis], dtype=matrix.dtype).reshape(x.shape)
    return p.finish(p.by.real_values(tap_sums(p.geometry, codes, matrix), rows.scale, p.filter_scale), bias)


TRANSPOSE_CONV = OpDef(
    "TRANSPOSE_CONV",
    prepare,
    tuple(FILTERS),
    (3, 4),
    principal=2,
    tolerances={"float32": FLOAT_ORDER},
    notes="an int8 filter with a float32 input is dynamic range",
)
