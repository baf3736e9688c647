"""CONV_2D: each output is the sum of a window of the input times a filter, plus a bias.

    output[b, y, x, o] = activation(bias[o] + sum over ky, kx, c of
        input[b, y * stride_h + ky * dilation_h - pad_top, x * stride_w + kx * dilation_w - pad_left, c] * filter[o, ky, kx, c])

Input and output are NHWC, the filter OHWI. Padding stands for real zero. An input of more channels than the filter is taken in
groups: the first channels meet the first filters, and so on. Integer kinds sum ``(input - zero_point) * (filter - zero_point)``
exactly and requantize the sum once (see ``weighted``); the builtin kernels leave groups to the reference ones. A float32 input with an
integer filter is dynamic range (see ``hybrid``): where the filter has different scales for its channels, images are quantized
asymmetrically, else symmetrically. XNNPACK takes no narrow filters (see ``delegated_weights``), and quantizes each pixel by itself where
the windows are pixels.

The kernel lays the windows of a tile of outputs side by side, so that the tile is one matrix product. The builtin kernels' float32 sums
are taken in their order (see ``float_products``): that of the thread pool that they have where nobody asks for another number of threads,
or, with dilation or a filter that is computed at run time, of one thread; with groups, in turn. XNNPACK's and the reference kernels' are
not; there sums are taken as NumPy does.

Source (TensorFlow Lite 2.21): tflite/kernels/conv.cc#EvalFloat, kernels/internal/reference/conv.h#Conv, #HybridConvPerChannel,
kernels/internal/reference/integer_ops/conv.h#ConvPerChannel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from qcore.kernels.common import Window, require_rank, window
from qcore.kernels.delegated_weights import takes_weights
from qcore.kernels.float_blocking import THREADS
from qcore.kernels.float_products import Product, contraction, matrix_product, sums_in_turn
from qcore.kernels.hybrid import DynamicRange, channels_first, dynamic_range, real_values
from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Operand, Shape, Step
from qcore.kernels.products import PackedFilter, greatest_magnitude, pack
from qcore.kernels.weighted import (
    QuantizedOutput,
    RealOutput,
    codes,
    empty_output,
    filter_scale,
    quantized_output,
    real_output,
    require_bias_size,
    require_types,
)
from qcore.kernels.windows import Tile, region, span, tile_size, tiles, trimmed
from qcore.numerics.fixed_point import DoubleRounding, HalfUpRounding

FILTERS = MappingProxyType(
    {"float32": ("float32", "int8", "int4", "uint8"), "int8": ("int8", "int4"), "uint8": ("uint8",), "int16": ("int8", "int4", "int16")}
)
"""Types of the filter, by type of the input."""

TILE = 1 << 17
"""Elements of the windows and sums of a tile: few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class Geometry:
    """Shapes of a convolution.

    height, width: the windows, without the taps that only ever meet padding.
    taps: the rows and columns of the filter that these are.
    depth: input channels of a group.
    """

    height: Window
    width: Window
    taps: tuple[slice, slice]
    groups: int
    depth: int
    output: Shape

    @property
    def window_size(self) -> int:
        """Elements of a window, all groups together."""
        return self.height.size * self.width.size * self.groups * self.depth

    @property
    def tile_positions(self) -> int:
        """How many outputs of all channels make a tile."""
        return TILE // (self.window_size + self.output[3])

    def matrix(self, filter: Array) -> Array:
        """The filter as [groups, outputs of a group, depth of a window]."""
        return filter[(slice(None), *self.taps)].reshape(self.groups, self.output[3] // self.groups, self.window_size // self.groups)


@dataclass(frozen=True)
class RealParams:
    """A convolution of floats."""

    geometry: Geometry
    finish: RealOutput


@dataclass(frozen=True)
class OrderedParams:
    """A convolution of floats whose sums are taken in an order.

    filter_size: height and width, with the taps that only ever meet padding: these count, too.
    """

    geometry: Geometry
    filter_size: tuple[int, int]
    product: Product
    finish: RealOutput

    @property
    def depth(self) -> int:
        """Of the sums."""
        return math.prod(self.filter_size) * self.geometry.depth

    @property
    def tile_positions(self) -> int:
        """How many outputs of all channels make a tile."""
        return TILE // (self.depth * self.geometry.groups + self.geometry.output[3])


@dataclass(frozen=True, eq=False)
class QuantizedParams:
    """A convolution of integers.

    packed: the filter, where it is known at plan time.
    """

    geometry: Geometry
    packed: PackedFilter | None
    input_zero_point: int
    filter_zero_point: int
    finish: QuantizedOutput


@dataclass(frozen=True, eq=False)
class HybridParams:
    """A convolution of float32 inputs with an integer filter.

    packed: the filter, where it is known at plan time.
    filter_scale: float32[1 or channels].
    by: how images are quantized, and sums made real.
    """

    geometry: Geometry
    packed: PackedFilter | None
    filter_scale: NDArray[np.float32]
    by: DynamicRange
    finish: RealOutput


def infer_shape(batch: int, height: Window, width: Window, channels: int) -> Shape:
    """NHWC."""
    return batch, height.output, width.output, channels


def geometry(node: Node, input: Operand, filter: Operand) -> Geometry:
    """Shapes of the convolution, after every check of them."""
    require_rank(node, input, 4)
    require_rank(node, filter, 4)
    options = node.options
    channels, depth, filters = input.shape[3], filter.shape[3], filter.shape[0]
    node.require(
        channels > 0 and depth > 0 and channels % depth == 0, f"input has {channels} channels, expected a multiple of the filter's {depth}"
    )
    groups = channels // depth
    node.require(filters % groups == 0, f"filter has {filters} outputs, expected a multiple of the {groups} groups of input channels")
    padding = options["padding"]
    height = window(node, "height", input.shape[1], filter.shape[1], options["stride_h"], padding, options["dilation_h_factor"])
    width = window(node, "width", input.shape[2], filter.shape[2], options["stride_w"], padding, options["dilation_w_factor"])
    output = infer_shape(input.shape[0], height, width, filters)
    (height, rows), (width, columns) = trimmed(height), trimmed(width)
    return Geometry(height, width, (rows, columns), groups, depth, output)


def prepare(node: Node) -> Step:
    """Check types and shapes, and choose the kernel by the types of input and filter."""
    input, filter, bias = node.input(0), node.input(1), node.optional_input(2)
    require_types(node, FILTERS, input, filter, bias)
    shapes = geometry(node, input, filter)
    require_bias_size(node, bias, filter.shape[0])
    if 0 in shapes.output:
        return Step(empty_output, (shapes.output, input.storage), (shapes.output,))
    scratch = scratch_bytes(shapes, input, filter)
    delegated = bias is not None and not filter.type.packed and takes_weights(node, input, filter, bias, 0)
    if input.dtype != "float32":
        return Step(convolve_quantized, prepare_quantized(node, shapes, delegated), (shapes.output,), scratch)
    if filter.dtype != "float32":
        return prepare_hybrid(node, shapes, delegated)
    if node.arithmetic == "builtin":
        return prepare_ordered(node, shapes)
    return Step(convolve_real, RealParams(shapes, real_output(node)), (shapes.output,), scratch)


def prepare_ordered(node: Node, shapes: Geometry, threads: int = THREADS) -> Step:
    """A convolution of floats by the builtin kernels, with so many threads."""
    input, filter = node.input(0), node.input(1)
    _, height, width, depth = filter.shape
    rows, channels = math.prod(shapes.output[:3]), shapes.output[3] // shapes.groups
    along = shapes.height, shapes.width
    if shapes.groups > 1:
        product = sums_in_turn(rows, channels, height * width * depth)
    elif filter.constant is None or any(w.dilation > 1 for w in along):
        product = matrix_product(rows, channels, height * width * depth)
    else:
        pixels = height == width == 1 and all(w.stride == 1 for w in along)
        one_window = (height, width) == input.shape[1:3] and all(w.output == 1 and w.pad_before == 0 for w in along)
        product = contraction(rows, channels, height * width * depth, gathered=not (pixels or one_window), threads=threads)
    params = OrderedParams(shapes, (height, width), product, real_output(node))
    return Step(convolve_in_order, params, (shapes.output,), scratch_bytes(shapes, input, filter, params.tile_positions))


def prepare_quantized(node: Node, shapes: Geometry, delegated: bool) -> QuantizedParams:
    """A convolution of integers; only uint8 filters have a zero point."""
    input, filter, bias = node.input(0), node.input(1), node.optional_input(2)
    builtin = HalfUpRounding if shapes.groups == 1 else DoubleRounding
    finish = quantized_output(node, input, filter, bias, filter.shape[0], builtin=builtin, delegated=delegated)
    zero_point = filter.zero_point if filter.dtype == "uint8" else 0
    if filter.dtype != "uint8" and filter.quantization is not None:
        node.require(not filter.quantization.zero_point.any(), f"filter is {filter.dtype} with a zero point other than 0")
    packed = None if filter.constant is None else pack_codes(shapes, filter.constant, zero_point, input.storage)
    return QuantizedParams(shapes, packed, input.zero_point, zero_point, finish)


def is_pointwise(shapes: Geometry, filter: Operand) -> bool:
    """The windows are the pixels, and it is not one number for one number: XNNPACK takes the convolution as a dense layer."""
    strides = shapes.height.stride, shapes.width.stride
    return filter.shape[1:3] == strides == (1, 1) and shapes.groups == 1 and shapes.depth + shapes.output[3] > 2


def prepare_hybrid(node: Node, shapes: Geometry, delegated: bool) -> Step:
    """A convolution of float32 inputs with an integer filter."""
    input, filter = node.input(0), node.input(1)
    output, kernel = shapes.output, convolve_hybrid
    if delegated and is_pointwise(shapes, filter):
        input = replace(input, shape=(math.prod(input.shape[:3]), 1, 1, input.shape[3]))
        shapes, kernel = geometry(node, input, filter), convolve_pixels
    scale = filter_scale(node, filter, filter.shape[0])
    asymmetric = bool((scale != scale[0]).any())
    node.require(
        asymmetric or delegated or shapes.groups == 1, "a filter of one scale with groups of input channels, which is not supported"
    )
    packed = None if filter.constant is None else pack_codes(shapes, filter.constant, 0, np.dtype(np.int8))
    by_reference = asymmetric and (node.arithmetic == "reference" or shapes.groups > 1)
    by = dynamic_range(asymmetric, delegated, channels_first if by_reference else real_values)
    params = HybridParams(shapes, packed, scale, by, real_output(node))
    return Step(kernel, params, (output,), scratch_bytes(shapes, input, filter))


def scratch_bytes(shapes: Geometry, input: Operand, filter: Operand, positions: int | None = None) -> int:
    """Bytes of temporaries: a filter packed at run time, the quantized input, and a tile's inputs, windows and sums.

    positions: of a tile, where it is not that of the shapes.
    """
    images, rows, columns = tile_size(shapes.output[0], shapes.height, shapes.width, positions or shapes.tile_positions)
    inputs = images * span(shapes.height.part(0, rows)) * span(shapes.width.part(0, columns)) * input.shape[3]
    outputs = images * rows * columns
    tile = 8 * inputs + outputs * (8 * shapes.window_size + 32 * shapes.output[3])
    return tile + 16 * math.prod(filter.shape) + 8 * math.prod(input.shape)


def pack_codes(shapes: Geometry, filter: Array, zero_point: int, input: np.dtype[Any]) -> PackedFilter:
    """An integer filter packed for inputs of that type."""
    return pack(shapes.matrix(codes(filter, input)), zero_point, greatest_magnitude(input))


def tiles_of_windows(
    p: Geometry, x: Array, padding: Array | int, dtype: np.dtype[Any], positions: int | None = None
) -> Iterator[tuple[Tile, Array]]:
    """For each tile of outputs, its windows as [groups, outputs, depth of a window].

    Args:
        p: shapes.
        x: [batch, height, width, channels].
        padding: value that stands for real zero, or one for each image: [batch, 1, 1, 1].
        dtype: float type of the windows.
        positions: of a tile, where it is not that of the shapes.
    """
    for tile in tiles(len(x), p.height, p.width, positions or p.tile_positions):
        rows, columns = tile.rows, tile.columns
        inputs = region(x, tile, padding, dtype)
        inputs = inputs.reshape(*inputs.shape[:3], p.groups, p.depth)
        extent = (rows.size - 1) * rows.dilation + 1, (columns.size - 1) * columns.dilation + 1
        views = sliding_window_view(inputs, extent, axis=(1, 2))
        views = views[:, :: rows.stride, :: columns.stride, ..., :: rows.dilation, :: columns.dilation]
        yield tile, views.transpose(3, 0, 1, 2, 5, 6, 4).reshape(p.groups, -1, p.window_size // p.groups)


def channels_last(products: Array, place: Array) -> Array:
    """[groups, outputs, channels of a group] as the [images, rows, columns, channels] of their place in the output."""
    return products.transpose(1, 0, 2).reshape(place.shape)


def convolve_real(p: RealParams, x: Array, filter: Array, bias: Array | None = None) -> Array:
    """float32[batch, height, width, channels] with float32[outputs, height, width, channels], plus float32[outputs]."""
    output = np.empty(p.geometry.output, np.float32)
    matrix = p.geometry.matrix(filter).swapaxes(1, 2)
    for tile, windows in tiles_of_windows(p.geometry, x, 0, x.dtype):
        total = channels_last(np.matmul(windows, matrix), output[tile.place])
        output[tile.place] = p.finish(total, bias)
    return output


def convolve_in_order(p: OrderedParams, x: Array, filter: Array, bias: Array | None = None) -> Array:
    """As ``convolve_real``, with sums in the order of ``p.product``."""
    g, output = p.geometry, np.empty(p.geometry.output, np.float32)
    matrix = filter.reshape(g.groups, -1, p.depth)
    for tile, used in tiles_of_windows(g, x, 0, x.dtype, p.tile_positions):
        windows = np.zeros((*used.shape[:2], *p.filter_size, g.depth), np.float32)
        windows[(..., *g.taps, slice(None))] = used.reshape(*used.shape[:2], g.height.size, g.width.size, g.depth)
        first = int(np.ravel_multi_index([along.start for along in tile.place], g.output[:3]))
        products = [p.product(rows.reshape(-1, p.depth), of_group, first) for rows, of_group in zip(windows, matrix, strict=True)]
        output[tile.place] = p.finish(channels_last(np.stack(products), output[tile.place]), bias)
    return output


def convolve_quantized(p: QuantizedParams, x: Array, filter: Array, bias: Array | None = None) -> Array:
    """int8 | uint8 | int16[batch, height, width, channels] with an integer filter, plus int32 | int64[outputs].

    Sums are exact, and wrap to the accumulator's type where it cannot hold them.
    """
    packed = p.packed or pack_codes(p.geometry, filter, p.filter_zero_point, x.dtype)
    offset = -p.input_zero_point * packed.sums.reshape(-1)
    if bias is not None:
        offset += bias.reshape(-1)
    output = np.empty(p.geometry.output, x.dtype)
    for tile, windows in tiles_of_windows(p.geometry, x, p.input_zero_point, packed.dtype):
        sums = channels_last(packed.product(windows), output[tile.place])
        output[tile.place] = p.finish(sums, offset)
    return output


def convolve_hybrid(p: HybridParams, x: Array, filter: Array, bias: Array | None = None) -> Array:
    """float32[batch, height, width, channels], each image quantized to int8, with int8[outputs, height, width, channels]."""
    packed = p.packed or pack_codes(p.geometry, filter, 0, np.dtype(np.int8))
    rows = p.by.quantize(x.reshape(len(x), -1))
    zero_point = rows.zero_point.reshape(-1, 1, 1, 1)
    offset = zero_point * packed.sums.reshape(-1)
    output = np.empty(p.geometry.output, np.float32)
    for tile, windows in tiles_of_windows(p.geometry, rows.codes.reshape(x.shape), zero_point, packed.dtype):
        images = tile.place[0]
        sums = channels_last(packed.product(windows), output[tile.place]) - offset[images]
        output[tile.place] = p.finish(p.by.real_values(sums, rows.scale[images], p.filter_scale), bias)
    return output


def convolve_pixels(p: HybridParams, x: Array, filter: Array, bias: Array | None = None) -> Array:
    """As ``convolve_hybrid``, each pixel an image of its own."""
    pixels = convolve_hybrid(p, x.reshape(-1, 1, 1, x.shape[3]), filter, bias)
    return pixels.reshape(*x.shape[:3], len(filter))


CONV_2D = OpDef(
    "CONV_2D",
    prepare,
    tuple(FILTERS),
    (2, 3),
    tolerances={"float32": FLOAT_ORDER},
    notes="a filter of integers with a float32 input is dynamic range; XNNPACK is wrong for SAME padding with strides above the filter",
)
