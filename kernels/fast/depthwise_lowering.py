"""DEPTHWISE_CONV_2D of codes, as calls of ``depthwise``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qcore.kernels.common import Window
from qcore.kernels.conv import Geometry as ConvGeometry
from qcore.kernels.depthwise import Geometry, QuantizedParams
from qcore.kernels.fast.convolution import windows, with_border
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.depthwise import REGISTERS, Arguments, Depthwise, chunk_order, chunk_vectors, pack_weights
from qcore.kernels.fast.endings import Ending, quantized_ending
from qcore.kernels.fast.memory import aligned_bytes
from qcore.kernels.fast.products import STEP, input_flip, pack_constants
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.site import Site
from qcore.kernels.fast.tiles import held, tile_calls
from qcore.kernels.opdef import Array

LARGEST = 8
"""Rows and columns of the largest window that the kernel has code for: it is written out for all of them."""

GROUPS = 16
"""Channels, at most, of several outputs each or of larger windows: each is a call."""


def lower_depthwise(site: Site) -> list[Call]:
    """DEPTHWISE_CONV_2D."""
    p: QuantizedParams = site.params
    g, x = p.geometry, site.readable(0)
    site.require(p.taps is not None, "the filter is computed at run time")
    assert p.taps is not None

    def ending(filter: Array, channels: slice) -> Ending:
        return quantized_ending(site, x.dtype, filter, channels, p.input_zero_point, p.finish)

    if takes_channels(g) and neighbours(site.tier, x, g.width) == 1:
        first = -g.height.pad_before, -g.width.pad_before
        return depthwise_calls(site, g, x, first, p.taps, ending, site.outputs[0], p.input_zero_point)
    calls, image, first = with_border(site, x.view(np.uint8), g.height, g.width, p.input_zero_point)
    return [*calls, *depthwise_calls(site, g, image.view(x.dtype), first, p.taps, ending, site.outputs[0])]


def takes_channels(g: Geometry) -> bool:
    """The kernel has code for these windows."""
    return g.multiplier == 1 and max(g.height.size, g.width.size) <= LARGEST


def depthwise_calls(
    site: Site,
    g: Geometry,
    image: Array,
    first: tuple[int, int],
    taps: Array,
    ending: Callable[[Array, slice], Ending],
    output: Array,
    outside: int = 0,
) -> list[Call]:
    """Channels times filters of their own.

    Args:
        site: whose tier and threads to use.
        g: shapes.
        image: codes [images, height, width, channels], with their border but for what ``channel_calls`` puts there.
        first: row and column at which the first window begins.
        taps: integers[height, width, outputs], less their zero point.
        ending: what becomes of the sums of some outputs; their filter is [outputs, weights].
        output: [images, height, width, outputs].
        outside: the code around the image.
    """
    outputs = taps.shape[2]
    if takes_channels(g):
        whole = ending(taps.reshape(-1, outputs).T, slice(0, outputs))
        site.require(not whole.output.wide, "sums of 64 bits")
        return channel_calls(site, g, image, first, taps, whole, output, outside)
    # Each channel by itself is a convolution.
    channels = image.shape[3]
    window = f"a window of {g.height.size} x {g.width.size}"
    site.require(channels <= GROUPS, f"{g.multiplier} outputs for each of {channels} channels, {window}")
    calls = []
    for channel in range(channels):
        rows = windows(image, ConvGeometry(g.height, g.width, g.taps, channels, 1, g.output), *first, channel)
        made = slice(channel * g.multiplier, (channel + 1) * g.multiplier)
        filter = taps[:, :, made].transpose(2, 0, 1).reshape(g.multiplier, len(rows.taps), rows.depth)
        calls += tile_calls(site, rows, filter, ending(filter.reshape(g.multiplier, -1), made), output.reshape(-1, outputs)[:, made])
    return calls


def channel_calls(
    site: Site, g: Geometry, image: Array, first: tuple[int, int], taps: Array, ending: Ending, output: Array, outside: int
) -> list[Call]:
    """One output for each channel; windows are LARGEST at most.

    Args:
        site: whose tier and threads to use.
        g: shapes.
        image: codes [images, height, width, channels].
        first: row and column at which the first window begins; windows may reach beyond the image.
        taps: integers[height, width, channels], less their zero point.
        ending: what becomes of the sums.
        output: [images, height, width, channels].
        outside: the code around the image.
    """
    images, height, width, channels = image.shape
    (top, left), item = first, image.itemsize
    weights, offset = (taps.astype(np.int16), 0) if item == 2 else held(site, taps)
    pixel = channels * item
    vectors = chunk_vectors(site.tier, channels, item, g.width.output)
    pixels = neighbours(site.tier, image, g.width)
    chunk = vectors * site.tier.lanes
    rows = rows_together(g, STEP // item)
    size = g.height.size, g.width.size
    kernel = Depthwise(*size, rows, g.height.stride, ending.output, vectors, channels * pixels < chunk, offset != 0, item == 2)
    order = chunk_order(site.tier, channels, pixels, vectors)
    packed = pack_weights(weights, order, kernel)
    planes = pack_constants(ending.firsts, ending.planes, order)
    line = width * pixel
    border = aligned_bytes(line)
    border.view(image.dtype)[:] = outside
    starts = np.minimum(np.arange(0, g.height.output, rows), g.height.output - rows)
    first_rows = np.add.outer(np.arange(images) * g.height.output, starts).reshape(-1)
    y = np.add.outer(top + starts * g.height.stride, np.arange(kernel.lines) * g.height.dilation)
    of_image = np.arange(images).reshape(-1, 1, 1) * height * line
    inside = (y >= 0) & (y < height)
    offsets = np.where(inside, of_image + y * line, border.ctypes.data - image.ctypes.data) + left * pixel
    columns = (g.width.output - 1) * g.width.stride + (g.width.size - 1) * g.width.dilation + 1
    room = kernel.groups * chunk * STEP
    scratch = aligned_bytes(site.threads * columns * room)
    before = min(max(0, -left), columns)
    arguments = Arguments(
        input=image.ctypes.data,
        input_flip=input_flip(site.tier, image.dtype).ctypes.data,
        passes=len(first_rows),
        first_rows=first_rows.ctypes.data,
        line_offsets=offsets.ctypes.data,
        column=pixel,
        columns=columns,
        before=before,
        end=max(before, min(columns, width - left)),
        outside=outside,
        outputs=g.width.output // pixels,
        stride=g.width.stride * pixels * room,
        tap=g.width.dilation * room,
        chunks=len(order),
        last_chunk=max(0, channels - chunk) * item,
        weights=packed.ctypes.data,
        offset=offset,
        constants=planes.ctypes.data,
        scratch=scratch.ctypes.data,
        scratch_stride=columns * room,
        output=output.ctypes.data,
        output_stride=channels * pixels * output.itemsize,
        last=channels * pixels,
        **ending.arguments,
    )
    return [Call(kernel, arguments, (packed, planes, first_rows, offsets, border, scratch, image, *ending.keep))]


def rows_together(g: Geometry, group: int) -> int:
    """How many rows of outputs read no more groups of rows of codes than one does, and have weights that fit the registers.

    group: rows of codes that are laid side by side.
    """
    if g.height.dilation > 1:
        return 1
    groups = -(-g.height.size // group)
    rows = (groups * group - g.height.size) // g.height.stride + 1
    return max(1, min(rows, g.height.output, REGISTERS // (groups * g.width.size)))


def neighbours(tier: Tier, image: Array, width: Window) -> int:
    """How many neighbouring pixels are taken at a time, as if they were channels: as many as fill a chunk.

    image: codes [images, height, width, channels].
    """
    channels = image.shape[3]
    pixels = chunk_vectors(tier, channels, image.itemsize, width.output) * tier.lanes // channels
    return next((n for n in range(pixels, 1, -1) if width.stride == 1 and width.output % n == 0), 1)
