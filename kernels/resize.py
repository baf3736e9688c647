"""RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR: images of another height and width.

Input and output are NHWC, and share scale and zero point: values are moved or averaged as they are. Along each axis output position o
lies over input position ``o * scale``, or ``(o + 1/2) * scale - 1/2`` with half_pixel_centers, where scale is
``input / output``, or ``(input - 1) / (output - 1)`` with align_corners. These positions decide everything, so their rounding matters:

* bilinear float32: float32 throughout;
* bilinear uint8: likewise, a sum of four weighted neighbours plus 1/2, cut off. The reference kernel weighs a pixel by its row, then by
  its column; the builtin one by the product of both, and takes the neighbours in another order;
* bilinear int8 and int16: integers in units of 1/1024, scale rounded to nearest; the sum, in units of 2**-20, is rounded half away,
  equation (33) of docs/quantization.md;
* bilinear int8 and uint8 in XNNPACK: positions in float32, kept within the image, and weights in units of 1/2048; sums are rounded
  half up, equation (47);
* nearest: float32; without the last subtraction of 1/2, and rounded down, or half away with align_corners.

A rounded scale may lead past the last pixel. There TensorFlow Lite reads whatever comes next in memory; qcore reads the last pixel.

Source (TensorFlow Lite 2.21): tflite/kernels/resize_bilinear.cc, resize_nearest_neighbor.cc,
kernels/internal/reference/resize_bilinear.h#ResizeBilinear, #ResizeBilinearInteger, resize_nearest_neighbor.h#GetNearestNeighbor;
kernels/internal/optimized/resize_bilinear.h; XNNPACK src/indirection.c#xnn_indirection_init_resize_bilinear2d_hwc_q11,
src/s8-ibilinear/sse.c.in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import integers, require_rank, require_same_type, types_of_width
from qcore.kernels.delegate import delegated, is_static
from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Shape, Step
from qcore.numerics.fixed_point import divide_by_pot_in_place
from qcore.numerics.rounding import round_half_away

FRACTION_BITS = 10
"""Fractional bits of positions and weights."""
DELEGATE_FRACTION_BITS = 11
"""The same in XNNPACK."""
BLOCK = 1 << 16
"""Output elements worked on at once, so that the wide temporaries stay in the processor's cache."""


@dataclass(frozen=True)
class Axis:
    """How one axis is resized: sizes and the two options."""

    input: int
    output: int
    align_corners: bool
    half_pixel_centers: bool

    @property
    def ratio(self) -> tuple[int, int]:
        """Numerator and denominator of the scale."""
        if self.align_corners and self.output > 1:
            return self.input - 1, self.output - 1
        return self.input, self.output

    @property
    def scale(self) -> np.float32:
        """Input positions per output position, in float32."""
        numerator, denominator = self.ratio
        return np.float32(numerator) / np.float32(denominator)


@dataclass(frozen=True)
class Taps:
    """The two input positions that each output position takes from, and how much of each.

    lower, upper: int64[output], in [0, input).
    lower_weight, upper_weight: float32[output], or int32 | int64[output] in units of a power of two.
    """

    lower: NDArray[np.int64]
    upper: NDArray[np.int64]
    lower_weight: Array
    upper_weight: Array


@dataclass(frozen=True)
class Params:
    """Both axes, and the shape of the output."""

    height: Axis
    width: Axis
    output: Shape


Kernel = Callable[[Params, Array, Array], Array]


@dataclass(frozen=True)
class Scheme:
    """How means are taken: a row's neighbours first, then a column's.

    taps: both neighbours along an axis, and their weights.
    round_in_place: sums as values of the input's type; None where they are such.
    """

    taps: Callable[[Axis], Taps]
    round_in_place: Callable[[Array], None] | None = None


def infer_shape(input: Shape, height: int, width: int) -> Shape:
    """NHWC: batch and channels stay."""
    return input[0], height, width, input[3]


def prepare(node: Node, least_size: int, kernel: Kernel) -> Step:
    """A resize whose output is at least that high and wide."""
    input, output, options = node.input(0), node.output, node.options
    require_same_type(node, input, output)
    require_rank(node, input, 4)
    require_rank(node, node.input(1), 1)
    sizes = integers(node, node.input(1), ("int32",))
    node.require(len(sizes) == 2 and min(sizes) >= least_size, f"new height and width are {sizes}, expected two of at least {least_size}")
    shape = infer_shape(input.shape, *sizes)
    node.require(0 in shape or 0 not in input.shape, f"input {list(input.shape)} has no pixel to make {list(shape)} of")
    height, width = (
        Axis(i, o, options["align_corners"], options["half_pixel_centers"]) for i, o in zip(input.shape[1:3], sizes, strict=True)
    )
    row = shape[0] * max(input.shape[2], shape[2]) * shape[3]
    # A handful of 8-byte arrays: positions and weights along both axes, and a block of rows.
    scratch = 8 * 8 * (sum(sizes) + max(BLOCK, row))
    return Step(kernel, Params(height, width, shape), (shape,), scratch)


def prepare_bilinear(node: Node) -> Step:
    """RESIZE_BILINEAR."""
    both = node.options["align_corners"] and node.options["half_pixel_centers"]
    node.require(not both, "align_corners and half_pixel_centers are both set, expected one at most")
    return prepare(node, 1, bilinear_kernel(node))


def bilinear_kernel(node: Node) -> Kernel:
    """How RESIZE_BILINEAR takes means."""
    input, size, output = node.input(0), node.input(1), node.output
    if delegated(node, input, output) and is_static(size) and output.rank == 4:
        if input.dtype == "float32":
            return partial(bilinear, Scheme(delegate_taps))
        half_up = partial(divide_by_pot_in_place, exponent=2 * DELEGATE_FRACTION_BITS, ties="up")
        return partial(bilinear, Scheme(delegate_integer_taps, half_up))
    if input.dtype == "float32":
        return partial(bilinear, Scheme(float_taps))
    if input.dtype == "uint8":
        return partial(bilinear_uint8, node.arithmetic == "reference")
    taps = partial(integer_taps, weight_type=np.int32 if input.dtype == "int8" else np.int64)
    return partial(bilinear, Scheme(taps, partial(divide_by_pot_in_place, exponent=2 * FRACTION_BITS, ties="away")))


def prepare_nearest(node: Node) -> Step:
    """RESIZE_NEAREST_NEIGHBOR."""
    return prepare(node, 0, nearest)


def nearest_positions(axis: Axis) -> NDArray[np.int64]:
    """int64[output]: the input position that each output position takes."""
    centre = np.float32(0.5 if axis.half_pixel_centers else 0.0)
    positions = (np.arange(axis.output, dtype=np.float32) + centre) * axis.scale
    whole = round_half_away(positions) if axis.align_corners else np.floor(positions)
    return np.minimum(whole.astype(np.int64), axis.input - 1)


def float_taps(axis: Axis) -> Taps:
    """Neighbours and weights in float32.

    With half_pixel_centers the first positions may be negative: both taps are then pixel 0, with weights beyond [0, 1] that still
    add up to 1.
    """
    centre = np.float32(0.5 if axis.half_pixel_centers else 0.0)
    positions = (np.arange(axis.output, dtype=np.float32) + centre) * axis.scale - centre
    lower = np.clip(np.floor(positions).astype(np.int64), 0, axis.input - 1)
    upper = np.minimum(np.ceil(positions).astype(np.int64), axis.input - 1)
    upper_weight = positions - lower.astype(np.float32)
    return Taps(lower, upper, np.float32(1) - upper_weight, upper_weight)


def integer_taps(axis: Axis, weight_type: type[np.signedinteger]) -> Taps:
    """Neighbours and weights in units of 1/1024, as ``float_taps``."""
    one = 1 << FRACTION_BITS
    numerator, denominator = axis.ratio
    scale = (one * numerator + denominator // 2) // denominator
    positions = np.arange(axis.output, dtype=np.int64) * scale
    if axis.half_pixel_centers:
        positions += scale // 2 - one // 2
    lower = np.clip(positions >> FRACTION_BITS, 0, axis.input - 1)
    upper = np.minimum((positions + one - 1) >> FRACTION_BITS, axis.input - 1)
    upper_weight = (positions - lower * one).astype(weight_type)
    return Taps(lower, upper, one - upper_weight, upper_weight)


def delegate_taps(axis: Axis) -> Taps:
    """Neighbours and weights in float32; positions with half_pixel_centers keep within the image."""
    positions = np.arange(axis.output, dtype=np.float32) * axis.scale
    if axis.half_pixel_centers:
        positions = np.clip(positions + (np.float32(0.5) * axis.scale - np.float32(0.5)), np.float32(0), np.float32(axis.input - 1))
    lower = np.minimum(positions.astype(np.int64), axis.input - 1)
    upper = np.minimum(lower + 1, axis.input - 1)
    upper_weight = positions - lower.astype(np.float32)
    return Taps(lower, upper, np.float32(1) - upper_weight, upper_weight)


def delegate_integer_taps(axis: Axis) -> Taps:
    """The same with int32 weights in units of 1/2048."""
    taps, one = delegate_taps(axis), np.int32(1 << DELEGATE_FRACTION_BITS)
    upper_weight = np.rint(taps.upper_weight * np.float32(one)).astype(np.int32)
    return replace(taps, lower_weight=one - upper_weight, upper_weight=upper_weight)


def row_blocks(p: Params) -> Iterator[slice]:
    """Output rows, as many at a time as a block of temporaries allows."""
    batch, height, width, channels = p.output
    rows = max(1, BLOCK // (batch * max(width, p.width.input) * channels))
    for start in range(0, height, rows):
        yield slice(start, start + rows)


def nearest(p: Params, x: Array, _size: Array) -> Array:
    """Pixels of [batch, height, width, channels], of any type."""
    out = np.empty(p.output, x.dtype)
    if 0 in p.output:
        return out
    from_rows, from_columns = nearest_positions(p.height), nearest_positions(p.width)
    for rows in row_blocks(p):
        out[:, rows] = x.take(from_rows[rows], axis=1).take(from_columns, axis=2)
    return out


def bilinear(scheme: Scheme, p: Params, x: Array, _size: Array) -> Array:
    """Weighted means of two rows, then of two columns of these.

    Args:
        scheme: weights and rounding.
        p: axes and shape.
        x: float32 | int8 | uint8 | int16[batch, height, width, channels].

    Integer sums are exact: below 2**31 for 8 bits, below 2**39 for int16.
    """
    out = np.empty(p.output, x.dtype)
    if 0 in p.output:
        return out
    height, width = scheme.taps(p.height), scheme.taps(p.width)
    left_weight, right_weight = width.lower_weight[:, np.newaxis], width.upper_weight[:, np.newaxis]
    for rows in row_blocks(p):
        lines = x.take(height.lower[rows], axis=1) * height.lower_weight[rows, np.newaxis, np.newaxis]
        lines += x.take(height.upper[rows], axis=1) * height.upper_weight[rows, np.newaxis, np.newaxis]
        mean = lines.take(width.lower, axis=2)
        mean *= left_weight
        right = lines.take(width.upper, axis=2)
        right *= right_weight
        mean += right
        if scheme.round_in_place is not None:
            scheme.round_in_place(mean)
        out[:, rows] = mean
    return out


def bilinear_uint8(weighs_twice: bool, p: Params, x: Array, _size: Array) -> Array:
    """Weighted means of four pixels of uint8[batch, height, width, channels], in float32, plus 1/2, cut off.

    Args:
        weighs_twice: pixels are weighed by row, then by column, column after column; else by the product of both weights, row after
            row. It decides what falls on a tie.
        p: axes and shape.
        x: the image.
    """
    out = np.empty(p.output, x.dtype)
    if 0 in p.output:
        return out
    height, width = float_taps(p.height), float_taps(p.width)
    top, bottom = (height.lower, height.lower_weight), (height.upper, height.upper_weight)
    left, right = (width.lower, width.lower_weight), (width.upper, width.upper_weight)
    by_columns = ((top, left), (bottom, left), (top, right), (bottom, right))
    by_rows = ((top, left), (top, right), (bottom, left), (bottom, right))
    for rows in row_blocks(p):
        mean = np.zeros((), np.float32)
        for (from_rows, row_weight), (from_columns, column_weight) in by_columns if weighs_twice else by_rows:
            pixels = x.take(from_rows[rows], axis=1).take(from_columns, axis=2)
            weight = row_weight[rows, np.newaxis, np.newaxis]
            by_column = column_weight[:, np.newaxis]
            mean = mean + (pixels * weight * by_column if weighs_twice else pixels * (weight * by_column))
        out[:, rows] = mean + np.float32(0.5)
    return out


RESIZE_BILINEAR = OpDef(
    "RESIZE_BILINEAR",
    prepare_bilinear,
    ("float32", "int8", "uint8", "int16"),
    (2, 2),
    tolerances={"float32": FLOAT_ORDER},
    notes="where TensorFlow Lite reads past the last pixel, qcore takes the last one",
)
RESIZE_NEAREST_NEIGHBOR = OpDef("RESIZE_NEAREST_NEIGHBOR", prepare_nearest, types_of_width(8, 16, 32), (2, 2))
