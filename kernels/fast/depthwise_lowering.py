"""DEPTHWISE_CONV_2D of codes, as calls of ``depthwise``."""

from __future__ import annotations

import numpy as np

from qcore.kernels.common import Window
from qcore.kernels.depthwise import Geometry, QuantizedParams
from qcore.kernels.fast.convolution import with_border
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.depthwise import PART, STEP, Arguments, Depthwise, chunk_order, pack_weights
from qcore.kernels.fast.endings import Ending, quantized_ending
from qcore.kernels.fast.products import FLIPPED, UNCHANGED, pack_constants
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.site import Site, aligned
from qcore.kernels.fast.tiles import held
from qcore.kernels.opdef import Array

LARGEST = 8
"""Rows and columns of the largest window: code is written out for all of them."""


def lower_depthwise(site: Site) -> list[Call]:
    """DEPTHWISE_CONV_2D."""
    p: QuantizedParams = site.params
    g, x = p.geometry, site.readable(0)
    site.require(p.taps is not None, "the filter is computed at run time")
    assert p.taps is not None
    require_windows(site, g)
    channels = g.output[3]
    filter = p.taps.reshape(-1, channels).T
    ending = quantized_ending(site, x.dtype, filter, slice(0, channels), p.input_zero_point, p.finish)
    site.require(not ending.output.wide, "sums of 64 bits")
    calls, image, first = with_border(site, x.view(np.uint8), g.height, g.width, p.input_zero_point)
    return [*calls, *channel_calls(site, g, image.view(x.dtype), first, p.taps, ending, site.outputs[0])]


def require_windows(site: Site, g: Geometry) -> None:
    """Leave to NumPy what the kernel has no code for."""
    site.require(g.multiplier == 1, "several outputs for each channel")
    site.require(max(g.height.size, g.width.size) <= LARGEST, f"a window of {g.height.size} x {g.width.size}")


def channel_calls(site: Site, g: Geometry, image: Array, first: tuple[int, int], taps: Array, ending: Ending, output: Array) -> list[Call]:
    """Each channel times its own filter.

    Args:
        site: whose tier and threads to use.
        g: shapes.
        image: codes [images, height, width, channels], with their border.
        first: row and column at which the first window begins.
        taps: integers[height, width, channels], less their zero point.
        ending: what becomes of the sums.
        output: [images, height, width, channels].
    """
    images, height, width, channels = image.shape
    words, item = image.itemsize == 2, image.itemsize
    weights, offset = (taps.astype(np.int16), 0) if words else held(site, taps)
    pixels = neighbours(site.tier, channels * item, g.width)
    kernel = Depthwise(g.height.size, g.width.size, ending.output, channels * item * pixels < STEP * site.tier.lanes, offset != 0, words)
    order = chunk_order(site.tier, channels, pixels, kernel.vectors)
    packed = pack_weights(weights, order)
    planes = pack_constants(ending.firsts, ending.planes, order)
    pixel = channels * item
    line = width * pixel
    rows = np.add.outer(np.arange(images) * height * line, np.arange(g.height.output) * g.height.stride * line).reshape(-1)
    columns = (g.width.output - 1) * g.width.stride + (g.width.size - 1) * g.width.dilation + 1
    room = kernel.groups * kernel.vectors * STEP * site.tier.lanes
    scratch_stride = columns * room + PART * kernel.vectors * STEP * site.tier.lanes
    scratch = aligned(site.threads * scratch_stride)
    arguments = Arguments(
        input=image.ctypes.data + first[0] * line + first[1] * pixel,
        input_flip=(FLIPPED if image.dtype == np.int8 else UNCHANGED).ctypes.data,
        rows=len(rows),
        row_offsets=rows.ctypes.data,
        line=g.height.dilation * line,
        column=pixel,
        columns=columns,
        outputs=g.width.output // pixels,
        stride=g.width.stride * pixels * room,
        tap=g.width.dilation * room,
        chunks=len(order),
        last_chunk=max(0, pixel - STEP * site.tier.lanes),
        weights=packed.ctypes.data,
        offset=offset,
        constants=planes.ctypes.data,
        scratch=scratch.ctypes.data,
        scratch_stride=scratch_stride,
        output=output.ctypes.data,
        output_stride=channels * pixels * output.itemsize,
        last=channels * pixels,
        **ending.arguments,
    )
    return [Call(kernel, arguments, (packed, planes, rows, scratch, image, *ending.keep))]


def neighbours(tier: Tier, pixel: int, width: Window) -> int:
    """How many neighbouring pixels are taken at a time, as if they were channels: as many as fill a vector of bytes.

    pixel: bytes of one.
    """
    pixels = STEP * tier.lanes // pixel
    return next((n for n in range(pixels, 1, -1) if width.stride == 1 and width.output % n == 0), 1)
