"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED of dynamic range: ``row_codes``, then ``products`` or ``depthwise``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.kernels import conv, depthwise, fully_connected
from qcore.kernels.common import Window
from qcore.kernels.depthwise import REAL_LANES, real_values_in_vectors
from qcore.kernels.fast.convolution import around, windows
from qcore.kernels.fast.depthwise_lowering import depthwise_calls
from qcore.kernels.fast.endings import Ending
from qcore.kernels.fast.outputs import Reals, Scaling
from qcore.kernels.fast.products import gained
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.row_codes import Arguments, RangeArguments, Ranges, RowCodes, Way, blocks_of
from qcore.kernels.fast.site import NotCovered, Site
from qcore.kernels.fast.tiles import Rows, tile_calls
from qcore.kernels.hybrid import (
    DynamicRange,
    channels_first,
    quantize_rows,
    quantize_rows_to_even,
    real_values,
    rows_first,
    unrounded_values,
)
from qcore.kernels.opdef import Array
from qcore.kernels.weighted import RealOutput

SCALINGS: Mapping[Callable[..., Any], Scaling] = MappingProxyType(
    {
        real_values: "product",
        channels_first: "channels",
        rows_first: "rows",
        real_values_in_vectors: "mixed",
        unrounded_values: "unrounded",
    }
)
"""By the reference's function."""

MOST = 256
"""Images of a batch: each is a call or more."""


def lower_hybrid_convolution(site: Site) -> list[Call]:
    """CONV_2D whose rows are images."""
    p: conv.HybridParams = site.params
    g = p.geometry
    if p.packed is None:
        raise NotCovered("the filter is computed at run time")
    matrix = p.packed.weights  # [groups, outputs, window]
    calls, images, first, row_scales = quantized_images(site, p.by, g.height, g.width)
    output = site.outputs[0]
    of_first: list[Call] = []
    for group, filter in enumerate(matrix):
        channels = slice(group * len(filter), (group + 1) * len(filter))
        rows = windows(images[:1], g, *first, group)
        ending = real_ending(site, filter, channels, p.filter_scale, p.by, p.finish, row_scales, 0)
        of_group = filter.reshape(-1, len(rows.taps), rows.depth)
        of_first += tile_calls(site, rows, of_group, ending, output[0].reshape(-1, g.output[3])[:, channels])
    return [*calls, *repeated(of_first, images, output, row_scales)]


def lower_hybrid_depthwise(site: Site) -> list[Call]:
    """DEPTHWISE_CONV_2D."""
    p: depthwise.HybridParams = site.params
    g = p.geometry
    if p.taps is None:
        raise NotCovered("the filter is computed at run time")
    calls, images, first, row_scales = quantized_images(site, p.by, g.height, g.width)
    output = site.outputs[0]

    def ending(filter: Array, channels: slice) -> Ending:
        return real_ending(site, filter, channels, p.filter_scale, p.by, p.finish, row_scales, 0)

    of_first = depthwise_calls(site, g, images[:1], first, p.taps, ending, output[:1])
    return [*calls, *repeated(of_first, images, output, row_scales)]


def lower_hybrid_pixels(site: Site) -> list[Call]:
    """CONV_2D whose rows are pixels."""
    p: conv.HybridParams = site.params
    if p.packed is None:
        raise NotCovered("the filter is computed at run time")
    return row_calls(site, p.packed.weights[0], p.filter_scale, p.by, p.finish)


def lower_hybrid_dense(site: Site) -> list[Call]:
    """FULLY_CONNECTED."""
    p: fully_connected.HybridParams = site.params
    if p.filter is None:
        raise NotCovered("the filter is computed at run time")
    return row_calls(site, p.filter.weights, p.filter_scale, p.by, p.output)


def row_calls(site: Site, filter: Array, filter_scale: NDArray[np.float32], by: DynamicRange, finish: RealOutput) -> list[Call]:
    """Rows, each quantized by its own range, times a filter.

    Args:
        site: the input is [rows, depth], the output [rows, channels].
        filter: integers[channels, depth].
        filter_scale: float32[1 or channels].
        by: how rows are quantized, and sums made real.
        finish: what follows.
    """
    x, (channels, depth) = site.readable(0), filter.shape
    count = x.size // depth
    site.require(count > 0, "there are no rows")
    codes = site.scratch.take(count * depth)
    row_scales, ranges = np.zeros((2, count + site.tier.lanes, 2), np.int32)
    kernel = RowCodes(way_of(by), False, *blocks_of(site.tier, depth))
    arguments = Arguments(x.ctypes.data, ranges.ctypes.data, codes.ctypes.data, row_scales.ctypes.data, count, 1, depth)
    rows = Rows(codes, 0, depth * np.arange(count), np.zeros(1, np.int64), depth)
    ending = real_ending(site, filter, slice(0, channels), filter_scale, by, finish, row_scales, row_scales.strides[0])
    products = tile_calls(site, rows, filter[:, np.newaxis], ending, site.outputs[0].reshape(-1, channels))
    return [Call(kernel, arguments, (codes, row_scales, ranges)), *products]


def repeated(of_first: list[Call], images: Array, output: Array, row_scales: Array) -> list[Call]:
    """What is done with the first image, done with each."""
    steps = {"input": images.strides[0], "output": output.strides[0], "row_scales": row_scales.strides[0]}
    calls = []
    for image, call in product(range(len(images)), of_first):
        fields = call.arguments._asdict()
        moved = {name: fields[name] + image * step for name, step in steps.items()}
        calls.append(replace(call, arguments=call.arguments._replace(**moved)))
    return calls


def quantized_images(
    site: Site, by: DynamicRange, height: Window, width: Window, input: int = 0
) -> tuple[list[Call], Array, tuple[int, int], Array]:
    """Images quantized each by its own range, with as much of their zero points around them as windows reach over.

    Args:
        site: where they are.
        by: how they are quantized.
        height: the windows along the height.
        width: likewise.
        input: which input they are.

    Returns:
        The calls, the codes uint8[images, height, width, channels], row and column at which the first window begins, and the images'
        scales and zero points, 8 bytes each.
    """
    x = site.readable(input)
    count, rows, columns, channels = x.shape
    site.require(count <= MOST, f"{count} images")
    (top, bottom), (left, right) = (around(along) for along in (height, width))
    shape = count, top + rows + bottom, left + columns + right, channels
    codes = site.scratch.take(math.prod(shape)).reshape(shape)
    row_scales, ranges = np.zeros((count, 2), np.int32), np.zeros((count, site.threads, 2), np.float32)
    length, line = rows * columns * channels, columns * channels
    find = Call(Ranges(*blocks_of(site.tier, length)), RangeArguments(x.ctypes.data, ranges.ctypes.data, count, length), (ranges,))
    arguments = Arguments(
        x.ctypes.data,
        ranges.ctypes.data,
        codes.ctypes.data,
        row_scales.ctypes.data,
        count,
        rows,
        line,
        top,
        bottom,
        left * channels,
        right * channels,
    )
    quantize = Call(RowCodes(way_of(by), True, *blocks_of(site.tier, line)), arguments, (codes, row_scales, ranges))
    return [find, quantize], codes, (max(0, -height.pad_before), max(0, -width.pad_before)), row_scales


def real_ending(
    site: Site,
    filter: Array,
    channels: slice,
    filter_scale: NDArray[np.float32],
    by: DynamicRange,
    finish: RealOutput,
    row_scales: Array,
    step: int,
    input: int = 2,
) -> Ending:
    """Sums as real values.

    Args:
        site: where the bias is.
        filter: integers[channels, weights].
        channels: which of the output's channels these are.
        filter_scale: float32[1 or all channels].
        by: how sums are made real.
        finish: what follows.
        row_scales: of the first row.
        step: bytes to the next row's; 0 where all rows have the first one's.
        input: which one is the bias.
    """
    bias, count = site.inputs[input] if len(site.inputs) > input else None, site.outputs[0].shape[-1]
    site.require(bias is None or site.constant[input], "the bias is computed at run time")
    bound = 255 * int(np.abs(filter).sum(axis=1, dtype=np.int64).max(initial=0))
    site.require(bound < 1 << 31, f"sums of up to {bound}")
    # Adding -0.0 changes nothing, 0.0 would change -0.0.
    biases = np.full(count, -0.0, np.float32) if bias is None else bias.reshape(-1)
    scaling = SCALINGS[by.real_values]
    sums = filter.sum(axis=1, dtype=np.int64)
    planes: tuple[NDArray[Any], ...] = sums.astype(np.int32), np.broadcast_to(filter_scale, count)[channels], biases[channels]
    if scaling == "mixed":
        planes = *planes, np.where(np.arange(count) < count - count % REAL_LANES, 0, -1).astype(np.int32)[channels]
    low, high = (int(np.float32(bound).view(np.int32)) for bound in (finish.activation_min, finish.activation_max))
    arguments = {
        "zero_point": 0,
        "low": low,
        "high": high,
        "row_scales": row_scales.ctypes.data,
        "row_scales_step": step,
    }
    return Ending(Reals(scaling), -gained(site.tier, np.dtype(np.uint8)) * sums, planes, arguments, (row_scales,))


def way_of(by: DynamicRange) -> Way:
    """How rows are quantized."""
    if by.quantize is quantize_rows_to_even:
        return "to_even"
    assert isinstance(by.quantize, partial) and by.quantize.func is quantize_rows
    return "asymmetric" if by.quantize.keywords["asymmetric"] else "symmetric"
