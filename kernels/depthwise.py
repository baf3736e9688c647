"""DEPTHWISE_CONV_2D: every channel of the input is convolved by filters of its own.

    output[b, y, x, c * multiplier + m] = activation(bias[c * multiplier + m] + sum over ky, kx of
        input[b, y * stride_h + ky * dilation_h - pad_top, x * stride_w + kx * dilation_w - pad_left, c]
        * filter[0, ky, kx, c * multiplier + m])

Input and output are NHWC, the filter 1HWC. Padding stands for real zero. Integer kinds sum
``(input - zero_point) * (filter - zero_point)`` exactly and requantize the sum once (see ``weighted``); the builtin kernels do so in
vectors for int8, and as the reference ones for uint8. A float32 input with an int8 filter is dynamic range: each image is quantized
asymmetrically (see ``hybrid``). XNNPACK takes neither that nor an int4 filter (see ``delegated_weights``).

The kernel adds up the filter's taps, each the product of a shifted view of the input with one row of weights; tap after tap in float32,
as both the builtin and the reference kernels do, but these add the bias last and those begin with it. Sums of integers are taken in
floats that hold them exactly (see ``products``).

Source (TensorFlow Lite 2.21): tflite/kernels/depthwise_conv.cc,
kernels/internal/optimized/depthwiseconv_float.h#DepthwiseConvImpl, kernels/internal/reference/depthwiseconv_float.h,
kernels/internal/reference/depthwiseconv_uint8.h, kernels/internal/reference/integer_ops/depthwise_conv.h#DepthwiseConvPerChannel,
#DepthwiseConvHybridPerChannel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import Window, require_rank, window
from qcore.kernels.delegated_weights import takes_weights
from qcore.kernels.hybrid import DynamicRange, channels_first, dynamic_range, real_values, rows_first
from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Operand, Shape, Step
from qcore.kernels.products import as_integers, exact_type, greatest_magnitude
from qcore.kernels.weighted import (
    QuantizedOutput,
    RealOutput,
    codes,
    empty_output,
    filter_scale,
    in_vectors,
    quantized_output,
    real_output,
    require_bias_size,
    require_types,
)
from qcore.kernels.windows import Tile, region, span, tile_size, tiles, trimmed
from qcore.numerics.fixed_point import DoubleRounding

FILTERS = MappingProxyType({"float32": ("float32", "int8"), "int8": ("int8", "int4"), "uint8": ("uint8",), "int16": ("int8", "int16")})
"""Types of the filter, by type of the input."""

LANES, REAL_LANES = 8, 4
"""Channels that the builtin kernels requantize, or make real, at a time."""

TILE = 1 << 16
"""Outputs computed at once: few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class Geometry:
    """Shapes of a depthwise convolution.

    height, width: the windows, without the taps that only ever meet padding.
    taps: the rows and columns of the filter that these are.
    multiplier: outputs for each input channel.
    """

    height: Window
    width: Window
    taps: tuple[slice, slice]
    multiplier: int
    output: Shape

    @property
    def tile_positions(self) -> int:
        """How many outputs of all channels make a tile."""
        return TILE // self.output[3]


@dataclass(frozen=True)
class RealParams:
    """A depthwise convolution of floats.

    from_bias: the bias is the first term of the sums, not the last.
    """

    geometry: Geometry
    finish: RealOutput
    from_bias: bool


@dataclass(frozen=True, eq=False)
class QuantizedParams:
    """A depthwise convolution of integers.

    taps: the filter (see ``exact_taps``), where it is known at plan time.
    """

    geometry: Geometry
    taps: Array | None
    input_zero_point: int
    filter_zero_point: int
    finish: QuantizedOutput


@dataclass(frozen=True, eq=False)
class HybridParams:
    """A depthwise convolution of float32 inputs with an int8 filter.

    taps: the filter (see ``exact_taps``), where it is known at plan time.
    filter_scale: float32[1 or outputs].
    by: how images are quantized, and sums made real.
    """

    geometry: Geometry
    taps: Array | None
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
    channels, outputs = input.shape[3], filter.shape[3]
    node.require(filter.shape[0] == 1, f"filter has shape {list(filter.shape)}, expected 1 in the first place")
    node.require(
        channels > 0 and outputs > 0 and outputs % channels == 0,
        f"filter has {outputs} channels, expected a multiple of the input's {channels}",
    )
    padding = options["padding"]
    height = window(node, "height", input.shape[1], filter.shape[1], options["stride_h"], padding, options["dilation_h_factor"])
    width = window(node, "width", input.shape[2], filter.shape[2], options["stride_w"], padding, options["dilation_w_factor"])
    output = infer_shape(input.shape[0], height, width, outputs)
    (height, rows), (width, columns) = trimmed(height), trimmed(width)
    return Geometry(height, width, (rows, columns), outputs // channels, output)


def prepare(node: Node) -> Step:
    """Check types and shapes, and choose the kernel by the types of input and filter."""
    input, filter, bias = node.input(0), node.input(1), node.optional_input(2)
    require_types(node, FILTERS, input, filter, bias)
    shapes = geometry(node, input, filter)
    require_bias_size(node, bias, filter.shape[3])
    if 0 in shapes.output:
        return Step(empty_output, (shapes.output, input.storage), (shapes.output,))
    scratch = scratch_bytes(shapes, input, filter)
    if input.dtype != "float32":
        return Step(convolve_quantized, prepare_quantized(node, shapes), (shapes.output,), scratch)
    if filter.dtype != "float32":
        return Step(convolve_hybrid, prepare_hybrid(node, shapes), (shapes.output,), scratch)
    return Step(convolve_real, RealParams(shapes, real_output(node), node.arithmetic == "builtin"), (shapes.output,), scratch)


def prepare_quantized(node: Node, shapes: Geometry) -> QuantizedParams:
    """A depthwise convolution of integers; only a uint8 filter's zero point counts."""
    input, filter, bias = node.input(0), node.input(1), node.optional_input(2)
    node.require(input.dtype != "int16" or bias is None or bias.dtype == "int64", "bias is int32, expected int64 for int16 inputs")
    delegated = (
        bias is not None
        and input.dtype == filter.dtype
        and node.options["depth_multiplier"] == shapes.multiplier
        and takes_weights(node, input, filter, bias, 3)
    )
    builtin = DoubleRounding if input.dtype == "uint8" else in_vectors(LANES)
    finish = quantized_output(node, input, filter, bias, filter.shape[3], builtin=builtin, delegated=delegated)
    zero_point = filter.zero_point if filter.dtype == "uint8" else 0
    taps = None if filter.constant is None else exact_taps(shapes, filter.constant, zero_point, input.storage)
    return QuantizedParams(shapes, taps, input.zero_point, zero_point, finish)


def prepare_hybrid(node: Node, shapes: Geometry) -> HybridParams:
    """A depthwise convolution of float32 inputs with an int8 filter."""
    filter = node.input(1)
    taps = None if filter.constant is None else exact_taps(shapes, filter.constant, 0, np.dtype(np.int8))
    by = dynamic_range(asymmetric=True, delegated=False, builtin=real_values if node.arithmetic == "reference" else real_values_in_vectors)
    return HybridParams(shapes, taps, filter_scale(node, filter, filter.shape[3]), by, real_output(node))


def real_values_in_vectors(accumulator: Array, scale: NDArray[np.float32], filter_scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """The builtin kernel's real values of sums: ``channels_first`` in whole vectors, ``rows_first`` in the channels left over."""
    real = channels_first(accumulator, scale, filter_scale)
    left_over = slice(accumulator.shape[-1] - accumulator.shape[-1] % REAL_LANES, None)
    real[..., left_over] = rows_first(accumulator, scale, filter_scale)[..., left_over]
    return real


def scratch_bytes(shapes: Geometry, input: Operand, filter: Operand) -> int:
    """Bytes of temporaries: a filter packed at run time, the quantized input, and a tile's inputs, products and sums."""
    images, rows, columns = tile_size(shapes.output[0], shapes.height, shapes.width, shapes.tile_positions)
    inputs = images * span(shapes.height.part(0, rows)) * span(shapes.width.part(0, columns))
    tile = shapes.output[3] * (16 * inputs + 48 * images * rows * columns)
    return tile + 16 * math.prod(filter.shape) + 8 * math.prod(input.shape)


def exact_taps(shapes: Geometry, filter: Array, zero_point: int, input: np.dtype[np.generic]) -> Array:
    """The filter less its zero point, as [height, width, outputs] of the float type in which its products with the input sum exactly.

    Args:
        shapes: which taps are used.
        filter: int8 | uint8 | int16[1, height, width, outputs].
        zero_point: of the filter.
        input: type of the input; an 8-bit input less its zero point has magnitudes up to 255, int16 has zero point 0.
    """
    taps = np.subtract(codes(filter, input)[(0, *shapes.taps)], zero_point, dtype=np.int32)
    greatest = 255 if input.itemsize == 1 else greatest_magnitude(input)
    return taps.astype(exact_type(greatest * int(np.abs(taps).sum(axis=(0, 1), dtype=np.int64).max())))


def tap_sums(p: Geometry, x: Array, zero_point: Array | int, taps: Array, first: Array | int = 0) -> Iterator[tuple[Tile, Array]]:
    """For each tile of outputs, the sums of (input - zero_point) * taps, in the taps' type, row by row of the filter.

    Args:
        p: shapes.
        x: [batch, height, width, channels].
        zero_point: of x, or one for each image: [batch, 1, 1, 1].
        taps: float32 or float64[height, width, outputs].
        first: what sums begin with, [outputs].
    """
    for tile in tiles(len(x), p.height, p.width, p.tile_positions):
        rows, columns = tile.rows, tile.columns
        inputs = region(x, tile, zero_point, taps.dtype)
        if np.any(zero_point):
            inputs = inputs - (zero_point if isinstance(zero_point, int) else zero_point[tile.place[0]].astype(taps.dtype))
        if p.multiplier > 1:
            inputs = inputs.repeat(p.multiplier, axis=3)
        total = np.full((len(inputs), rows.output, columns.output, taps.shape[2]), first, taps.dtype)
        product = np.empty_like(total)
        for ky in range(rows.size):
            top = ky * rows.dilation
            lines = inputs[:, top : top + (rows.output - 1) * rows.stride + 1 : rows.stride]
            for kx in range(columns.size):
                left = kx * columns.dilation
                shifted = lines[:, :, left : left + (columns.output - 1) * columns.stride + 1 : columns.stride]
                total += np.multiply(shifted, taps[ky, kx], out=product)
        yield tile, total


def convolve_real(p: RealParams, x: Array, filter: Array, bias: Array | None = None) -> Array:
    """float32[batch, height, width, channels] with float32[1, height, width, outputs], plus float32[outputs]."""
    output = np.empty(p.geometry.output, np.float32)
    first, last = (bias.reshape(-1), None) if p.from_bias and bias is not None else (0, bias)
    for tile, total in tap_sums(p.geometry, x, 0, filter[(0, *p.geometry.taps)], first):
        output[tile.place] = p.finish(total, last)
    return output


def convolve_quantized(p: QuantizedParams, x: Array, filter: Array, bias: Array | None = None) -> Array:
    """int8 | uint8 | int16[batch, height, width, channels] with an integer filter, plus int32 | int64[outputs].

    Sums are exact, and wrap to the accumulator's type where it cannot hold them.
    """
    taps = exact_taps(p.geometry, filter, p.filter_zero_point, x.dtype) if p.taps is None else p.taps
    output = np.empty(p.geometry.output, x.dtype)
    for tile, total in tap_sums(p.geometry, x, p.input_zero_point, taps):
        output[tile.place] = p.finish(as_integers(total), bias)
    return output


def convolve_hybrid(p: HybridParams, x: Array, filter: Array, bias: Array | None = None) -> Array:
    """float32[batch, height, width, channels], each image quantized to int8, with int8[1, height, width, outputs]."""
    taps = exact_taps(p.geometry, filter, 0, np.dtype(np.int8)) if p.taps is None else p.taps
    rows = p.by.quantize(x.reshape(len(x), -1))
    output = np.empty(p.geometry.output, np.float32)
    for tile, total in tap_sums(p.geometry, rows.codes.reshape(x.shape), rows.zero_point.reshape(-1, 1, 1, 1), taps):
        output[tile.place] = p.finish(p.by.real_values(total, rows.scale[tile.place[0]], p.filter_scale), bias)
    return output


DEPTHWISE_CONV_2D = OpDef(
    "DEPTHWISE_CONV_2D",
    prepare,
    tuple(FILTERS),
    (2, 3),
    tolerances={"float32": FLOAT_ORDER},
    notes="an int8 filter with a float32 input is dynamic range",
)
