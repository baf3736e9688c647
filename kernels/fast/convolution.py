"""CONV_2D and FULLY_CONNECTED of codes, as calls of ``products``."""

from __future__ import annotations

import numpy as np

from qcore.kernels.common import Window
from qcore.kernels.conv import Geometry, QuantizedParams
from qcore.kernels.fast import copies
from qcore.kernels.fast.endings import quantized_ending
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.site import Site
from qcore.kernels.fast.tiles import Rows, tile_calls
from qcore.kernels.fully_connected import IntegerParams
from qcore.kernels.opdef import Array
from qcore.kernels.weighted import QuantizedOutput


def lower_convolution(site: Site) -> list[Call]:
    """CONV_2D."""
    p: QuantizedParams = site.params
    site.require(p.packed is not None, "the filter is computed at run time")
    assert p.packed is not None
    g, x = p.geometry, site.readable(0)
    calls, image, (top, left) = with_border(site, x.view(np.uint8), g.height, g.width, p.input_zero_point)
    image = image.view(x.dtype)
    matrix = p.packed.weights  # [groups, outputs, window]
    for group in range(g.groups):
        rows = windows(image, g, top, left, group)
        filter = matrix[group].reshape(-1, len(rows.taps), rows.depth)
        first = group * filter.shape[0]
        calls += product_calls(site, rows, filter, slice(first, first + filter.shape[0]), p.input_zero_point, p.finish)
    return calls


def lower_dense(site: Site) -> list[Call]:
    """FULLY_CONNECTED."""
    p: IntegerParams = site.params
    site.require(p.filter is not None, "the filter is computed at run time")
    assert p.filter is not None
    depth = p.rows.depth
    site.require(p.rows.count > 0, "there are no rows")
    rows = Rows(site.readable(0), 0, depth * np.arange(p.rows.count), np.zeros(1, np.int64), depth)
    filter = p.filter.weights.reshape(-1, 1, depth)
    return product_calls(site, rows, filter, slice(0, len(filter)), p.input_zero_point, p.output)


def with_border(site: Site, x: Array, height: Window, width: Window, value: int) -> tuple[list[Call], Array, tuple[int, int]]:
    """The images with as much around them as windows reach over; also the row and column at which the first window begins.

    Args:
        site: whose scratch memory to use.
        x: bytes [batch, height, width, bytes of a pixel].
        height: the windows along the height.
        width: likewise.
        value: the byte around the images.
    """
    (top, bottom), (left, right) = (around(along) for along in (height, width))
    start = max(0, -height.pad_before), max(0, -width.pad_before)
    if not (top or bottom or left or right):
        return [], x, start
    images, rows, columns, channels = x.shape
    shape = images, top + rows + bottom, left + columns + right, channels
    bordered = site.scratch.take(int(np.prod(shape))).view(x.dtype).reshape(shape)
    arguments = copies.Arguments(
        x.ctypes.data, bordered.ctypes.data, images, rows, columns * channels, top, bottom, left * channels, right * channels, value & 255
    )
    return [Call(copies.Border(), arguments, (bordered,))], bordered, start


def around(along: Window) -> tuple[int, int]:
    """How far windows reach before and after the input."""
    before = max(0, along.pad_before)
    reach = (along.output - 1) * along.stride + (along.size - 1) * along.dilation + 1 - along.pad_before
    return before, max(0, reach - along.input)


def windows(image: Array, g: Geometry, top: int, left: int, group: int) -> Rows:
    """The windows of a convolution as rows; image: with its border."""
    images, height, width, channels = image.shape
    line = width * channels
    y, x = np.arange(g.height.output) * g.height.stride, np.arange(g.width.output) * g.width.stride
    in_image = (y * line).reshape(-1, 1) + x * channels
    offsets = np.arange(images).reshape(-1, 1, 1) * height * line + in_image
    down = np.arange(g.height.size) * g.height.dilation * line
    across = np.arange(g.width.size) * g.width.dilation * channels
    start = top * line + left * channels + group * g.depth
    if g.groups == 1 and g.width.dilation == 1:
        return Rows(image, start, offsets.reshape(-1), down, g.width.size * channels)
    return Rows(image, start, offsets.reshape(-1), np.add.outer(down, across).reshape(-1), g.depth)


def product_calls(site: Site, rows: Rows, filter: Array, channels: slice, input_zero_point: int, finish: QuantizedOutput) -> list[Call]:
    """Rows times a filter, requantized.

    Args:
        site: where bias and output are; the output is [rows, all channels].
        rows: codes.
        filter: integers[channels, taps, depth], less their zero point.
        channels: which of the output's channels these are.
        input_zero_point: of the codes.
        finish: what follows the sums.
    """
    ending = quantized_ending(site, rows.memory.dtype, filter.reshape(len(filter), -1), channels, input_zero_point, finish)
    output = site.outputs[0]
    return tile_calls(site, rows, filter, ending, output.reshape(-1, output.shape[-1])[:, channels])
