"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED of float32 as calls of ``float_sums``.

Where the reference takes sums in an order, so do these; where it leaves them to NumPy they are fused, and agree with it only within the
operators' tolerance.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qcore.kernels import conv, depthwise, fully_connected
from qcore.kernels.common import Window
from qcore.kernels.fast.convolution import with_border
from qcore.kernels.fast.float_sums import (
    FLOAT,
    Arguments,
    FloatSums,
    Manner,
    ShareArguments,
    ShareSums,
    pack_channels,
    pack_filter,
    tile_of,
)
from qcore.kernels.fast.memory import aligned_bytes
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.site import Site
from qcore.kernels.float_blocking import VECTOR
from qcore.kernels.float_products import Dots, Order, Product, Reals
from qcore.kernels.opdef import Array
from qcore.kernels.weighted import RealOutput

BORDER = 4
"""How many times as large as the input an image with its border may be."""

LARGEST_TABLE = 1 << 16
"""Of taps of windows that meet padding, for images however small."""


class Rows(NamedTuple):
    """What is multiplied with a filter, in bytes.

    memory: the inputs. offsets: int64[rows], from there to where each row begins.
    taps: int64[depth], from where a row begins to each of its inputs; or int64[depth, rows], of each row.
    places: int64[rows], numbers of the output's rows that these make.
    padding: more memory, which taps reach too.
    """

    memory: Array
    offsets: NDArray[np.int64]
    taps: NDArray[np.int64]
    places: NDArray[np.int64]
    padding: Array | None = None


def lower_fused_convolution(site: Site) -> list[Call]:
    """CONV_2D with sums in any order."""
    require_free_order(site)
    p: conv.RealParams = site.params
    g = p.geometry
    return convolution_calls(site, g, (g.height, g.width), g.matrix(site.input(1)), None, p.finish)


def lower_real_convolution(site: Site) -> list[Call]:
    """CONV_2D with sums in order."""
    p: conv.OrderedParams = site.params
    g = p.geometry
    height, width = (untrimmed(along, used, size) for along, used, size in zip((g.height, g.width), g.taps, p.filter_size, strict=True))
    filter = site.input(1).reshape(g.groups, -1, p.depth)
    return convolution_calls(site, g, (height, width), filter, p.product, p.finish)


def lower_real_depthwise(site: Site) -> list[Call]:
    """DEPTHWISE_CONV_2D."""
    p: depthwise.RealParams = site.params
    g = p.geometry
    site.require(g.multiplier == 1, "several outputs for each channel")
    if not p.from_bias:
        require_free_order(site)
    site.require(site.constant[1], "the filter is computed at run time")
    filter = site.input(1)[(0, *g.taps)].reshape(-1, g.output[3]).T
    output, channels = site.outputs[0], slice(0, len(filter))
    return [
        call
        for rows in windows_in_place(site, g.height, g.width)
        for call in sum_calls(site, rows, slice(None), filter, channels, "in turn", output, p.finish, depthwise=True, fused=not p.from_bias)
    ]


def lower_real_dense(site: Site) -> list[Call]:
    """FULLY_CONNECTED."""
    p: fully_connected.FloatParams = site.params
    x, filter = site.readable(0), site.input(1)
    depth = FLOAT * p.rows.depth
    numbers = np.arange(p.rows.count)
    rows = Rows(x, depth * numbers, np.arange(0, depth, FLOAT), numbers)
    if p.product is None:
        require_free_order(site)
        site.require(site.outputs[0].size > 0, "there are no outputs")
    return product_calls(site, rows, p.product, filter, slice(0, len(filter)), p.output)


def require_free_order(site: Site) -> None:
    """Leave sums that NumPy takes in its own order to it where every bit counts.

    Raises:
        NotCovered: every bit counts.
    """
    site.require(not site.exact, "its float sums would round otherwise")


def untrimmed(along: Window, used: slice, size: int) -> Window:
    """The window with the taps that only ever meet padding, which ``trimmed`` takes off."""
    return replace(along, size=size, pad_before=along.pad_before + used.start * along.dilation)


def windows(site: Site, height: Window, width: Window) -> tuple[list[Call], Rows]:
    """Calls that put a border around the images, and the windows of these as rows, with the first channel's taps."""
    x = site.readable(0)
    spans = [max(w.input, (w.output - 1) * w.stride + (w.size - 1) * w.dilation + 1) + max(0, w.pad_before) for w in (height, width)]
    site.require(spans[0] * spans[1] <= BORDER * (x.shape[1] + 8) * (x.shape[2] + 8), "windows reach far beyond the images")
    calls, image, (top, left) = with_border(site, x.view(np.uint8), height, width, 0)
    images, _, columns, pixel = image.shape
    line = columns * pixel
    y = (top + np.arange(height.output) * height.stride) * line
    across = (left + np.arange(width.output) * width.stride) * pixel
    offsets = np.add.outer(np.arange(images) * (image.shape[1] * line), np.add.outer(y, across)).reshape(-1)
    taps = np.add.outer(np.arange(height.size) * height.dilation * line, np.arange(width.size) * width.dilation * pixel).reshape(-1)
    return calls, Rows(image, offsets, taps, np.arange(offsets.size))


def windows_in_place(site: Site, height: Window, width: Window) -> list[Rows]:
    """The windows of the images as they are, with the first channel's taps: those within, and those that meet padding, which have taps
    of their own, some of them zeros elsewhere."""
    x = site.readable(0)
    images, rows, columns, channels = x.shape
    (y, in_rows), (across, in_columns) = pixels(height, rows), pixels(width, columns)
    pixel = FLOAT * channels
    line = columns * pixel
    within = np.logical_and.outer(in_rows.all(1), in_columns.all(1))
    within = np.broadcast_to(within, (images, *within.shape))
    image, row, column = np.nonzero(within)
    offsets = image * (rows * line) + y[row, 0] * line + across[column, 0] * pixel
    taps = np.add.outer((y[0] - y[0, 0]) * line, (across[0] - across[0, 0]) * pixel).reshape(-1)
    inner = Rows(x, offsets, taps, np.flatnonzero(within))
    image, row, column = np.nonzero(~within)
    site.require(len(image) * taps.size <= BORDER * x.size + LARGEST_TABLE, "windows reach far beyond the images")
    zeros = aligned_bytes(pixel)
    own = (y[row] * line)[:, :, np.newaxis] + (across[column] * pixel)[:, np.newaxis] + (image * (rows * line)).reshape(-1, 1, 1)
    there = in_rows[row][:, :, np.newaxis] & in_columns[column][:, np.newaxis]
    own = np.where(there, own, zeros.ctypes.data - x.ctypes.data).reshape(len(image), taps.size).T
    edge = Rows(x, np.zeros(len(image), np.int64), np.ascontiguousarray(own), np.flatnonzero(~within), zeros)
    return [rows for rows in (inner, edge) if rows.places.size]


def pixels(along: Window, size: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """int64[outputs, taps]: what each window meets along an axis, and whether that lies within the image."""
    met = np.add.outer(np.arange(along.output) * along.stride - along.pad_before, np.arange(along.size) * along.dilation)
    return met, (met >= 0) & (met < size)


def convolution_calls(
    site: Site, g: conv.Geometry, along: tuple[Window, Window], filter: Reals, product: Product | None, finish: RealOutput
) -> list[Call]:
    """Windows times a filter, float32[groups, channels of a group, depth]."""
    calls, rows = windows(site, *along)
    for group, of_group in enumerate(filter):
        first = group * g.depth
        taps = np.add.outer(rows.taps, FLOAT * np.arange(first, first + g.depth)).reshape(-1)
        part = slice(group * len(of_group), (group + 1) * len(of_group))
        calls += product_calls(site, rows._replace(taps=taps), product, of_group, part, finish)
    return calls


def product_calls(site: Site, rows: Rows, product: Product | None, filter: Reals, channels: slice, finish: RealOutput) -> list[Call]:
    """Rows times a filter, float32[channels, depth]; channels: which of the output's these are. Without a product, in any order."""
    site.require(site.constant[1], "the filter is computed at run time")
    output = site.outputs[0]
    if product is None:
        return sum_calls(site, rows, slice(None), filter, channels, "in turn", output, finish, fused=True)
    if isinstance(product, Dots):
        half = product.ends_in_half and filter.shape[1] % VECTOR >= VECTOR // 2
        site.require(not (product.is_one or half), "dot products of four accumulators, or with half a vector")
        return sum_calls(site, rows, slice(None), filter, channels, "as dots", output, finish)
    shares = product.cut.shares
    if len(shares) == 1:
        return share_calls(site, rows, product, shares[0], filter, channels, output, finish)
    sums = aligned_bytes(len(shares) * output.nbytes).view(np.float32).reshape(len(shares), *output.shape)
    calls = [
        call
        for share, part in zip(shares, sums, strict=True)
        for call in share_calls(site, rows, product, share, filter, channels, part, None)
    ]
    bias = bias_of(site, channels)
    low, high = bits(finish)
    arguments = ShareArguments(
        shares=sums.ctypes.data,
        size=output.nbytes,
        singles=output.size // VECTOR * VECTOR,
        rows=product.rows,
        channels=product.channels,
        bias=bias.ctypes.data,
        low=low,
        high=high,
        output=output.ctypes.data,
    )
    return [*calls, Call(ShareSums(len(shares)), arguments, (sums, bias))]


def share_calls(
    site: Site, rows: Rows, order: Order, share: tuple[int, int], filter: Reals, channels: slice, output: Array, finish: RealOutput | None
) -> list[Call]:
    """The sums of a share of the depth; finish: what follows, if anything does."""
    parts = np.array([*(k.start for k in order.blocks(share)), share[1]], np.int64)
    calls = []
    for run, way in order.ways() if order.quads else ():
        to = slice(channels.start + run.start, channels.start + run.stop)
        calls += sum_calls(site, rows, slice(0, order.quads), filter[run], to, way, output, finish, parts)
    if order.quads < order.rows:
        calls += sum_calls(site, rows, slice(order.quads, None), filter, channels, "in turn", output, finish, parts)
    return calls


def sum_calls(
    site: Site,
    rows: Rows,
    some: slice,
    filter: Reals,
    channels: slice,
    way: Manner,
    output: Array,
    finish: RealOutput | None,
    parts: NDArray[np.int64] | None = None,
    depthwise: bool = False,
    fused: bool = False,
) -> list[Call]:
    """Some of the rows times a filter, in one way; parts: of the depth, which is else taken whole."""
    offsets = np.ascontiguousarray(rows.offsets[some])
    places = FLOAT * output.shape[-1] * rows.places[some]
    height, vectors = tile_of(site.tier, way, len(filter), len(offsets), fused)
    packed = pack_filter(filter, vectors, site.tier.lanes)
    bias = pack_channels(bias_of(site, channels), vectors, site.tier.lanes)
    ends = np.array([0, filter.shape[1]], np.int64) if parts is None else parts
    low, high = (0, 0) if finish is None else bits(finish)
    arguments = Arguments(
        input=rows.memory.ctypes.data,
        rows=offsets.ctypes.data,
        row_count=len(offsets),
        taps=rows.taps.ctypes.data,
        parts=ends.ctypes.data,
        part_count=len(ends) - 1,
        weights=packed.ctypes.data,
        block=packed[0].nbytes,
        bias=bias.ctypes.data,
        low=low,
        high=high,
        output=output.ctypes.data + FLOAT * channels.start,
        places=places.ctypes.data,
        blocks=len(packed),
        last=len(filter) - (len(packed) - 1) * vectors * site.tier.lanes,
    )
    kernel = FloatSums(height, vectors, way, finish is not None, depthwise, fused, own_taps=rows.taps.ndim > 1)
    return [Call(kernel, arguments, (packed, bias, offsets, places, ends, *(kept for kept in rows if kept is not None)))]


def bias_of(site: Site, channels: slice) -> Reals:
    """The bias of some channels; zeros where there is none."""
    bias = site.inputs[2] if len(site.inputs) > 2 else None
    site.require(bias is None or site.constant[2], "the bias is computed at run time")
    return np.zeros(channels.stop - channels.start, np.float32) if bias is None else bias.reshape(-1)[channels]


def bits(finish: RealOutput) -> tuple[int, int]:
    """The bounds of the activation as integers of the same bits."""
    low, high = np.array([finish.activation_min, finish.activation_max], np.float32).view(np.int32)
    return int(low), int(high)
