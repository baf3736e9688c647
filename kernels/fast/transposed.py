"""TRANSPOSE_CONV, as calls of ``products``: convolutions of stride 1, one for each phase of the output.

Outputs whose rows and columns are the same modulo the strides meet the same taps of the filter: those that lead from them to inputs
(``Phase``). They are a convolution of the inputs with these taps, in the opposite order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import Window
from qcore.kernels.fast.convolution import with_border
from qcore.kernels.fast.endings import quantized_ending
from qcore.kernels.fast.hybrid import quantized_images, real_ending, repeated
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.site import NotCovered, Site
from qcore.kernels.fast.tiles import Rows, tile_calls
from qcore.kernels.opdef import Array
from qcore.kernels.transpose_conv import Geometry, HybridParams, QuantizedParams

INPUT, BIAS = 2, 3
"""Which inputs of the operator these are."""

LONGEST = 16
"""Taps of a phase, along an axis, at most: all are multiplied with, even where most of them meet the border alone."""

MOST = 64
"""Phases: each is a call or two."""


@dataclass(frozen=True)
class Phase:
    """Outputs along one axis that meet the same taps: ``outputs[i]`` is the sum over t of ``taps[t]`` times input ``first + i + t``.

    taps: of none, there is one that counts nothing.
    """

    outputs: range
    taps: list[int]
    first: int


def phases(along: Window) -> list[Phase]:
    """All outputs of an axis; along: of the convolution whose input they are."""
    found = []
    for start in range(min(along.stride, along.input)):
        remainder = (start + along.pad_before) % along.stride
        taps = list(range(remainder, along.size, along.stride))[::-1]
        last = (start + along.pad_before - remainder) // along.stride
        found.append(Phase(range(start, along.input, along.stride), taps, last - max(0, len(taps) - 1)))
    return found


def lower_transposed(site: Site) -> list[Call]:
    """Of codes."""
    p: QuantizedParams = site.params
    x = site.readable(INPUT)
    if p.matrix is None:
        raise NotCovered("the filter is computed at run time")
    height, width = around(site, p.geometry)
    calls, image, _ = with_border(site, x.view(np.uint8), height, width, p.input_zero_point)
    channels, whole = slice(0, p.geometry.output[3]), site.outputs[0].reshape(-1, p.geometry.output[3])
    for rows, filter, places in parts(p.geometry, image.view(x.dtype), p.matrix, (height, width)):
        ending = quantized_ending(site, x.dtype, filter.reshape(len(filter), -1), channels, p.input_zero_point, p.finish, BIAS)
        calls += tile_calls(site, rows, filter, ending, whole, places)
    return calls


def lower_hybrid_transposed(site: Site) -> list[Call]:
    """Of dynamic range."""
    p: HybridParams = site.params
    if p.matrix is None:
        raise NotCovered("the filter is computed at run time")
    windows = around(site, p.geometry)
    calls, images, _, row_scales = quantized_images(site, p.by, *windows, INPUT)
    channels, output = slice(0, p.geometry.output[3]), site.outputs[0]
    of_first: list[Call] = []
    for rows, filter, places in parts(p.geometry, images[:1], p.matrix, windows):
        ending = real_ending(site, filter.reshape(len(filter), -1), channels, p.filter_scale, p.by, p.finish, row_scales, 0, BIAS)
        of_first += tile_calls(site, rows, filter, ending, output[0].reshape(-1, p.geometry.output[3]), places)
    return [*calls, *repeated(of_first, images, output, row_scales)]


def around(site: Site, g: Geometry) -> tuple[Window, Window]:
    """Windows of stride 1 over the inputs that reach as far as those of all phases."""
    strides = g.height.stride, g.width.stride
    site.require(math.prod(strides) <= MOST, f"strides of {strides}")
    reaching = []
    for along in (g.height, g.width):
        every = phases(along)
        most = max(len(phase.taps) for phase in every)
        site.require(most <= LONGEST, f"a filter of {g.height.size} x {g.width.size}")
        first = min(phase.first for phase in every)
        end = max(phase.first + len(phase.outputs) + max(1, len(phase.taps)) - 1 for phase in every)
        reaching.append(Window(along.output, max(1, end - first), 1, 1, 1, -first))
    return reaching[0], reaching[1]


def parts(g: Geometry, image: Array, matrix: Array, windows: tuple[Window, Window]) -> Iterator[tuple[Rows, Array, NDArray[np.int64]]]:
    """For each phase its rows, its filter [channels, taps, depth], and where in the output [rows, channels] its sums belong.

    Args:
        g: shapes.
        image: codes [images, height, width, channels], with their border.
        matrix: integers[channels, height * width * outputs], less their zero point.
        windows: what the border was made for.
    """
    images, height, width, channels = image.shape
    filter = matrix.reshape(channels, g.height.size, g.width.size, -1).transpose(3, 1, 2, 0)
    top, left = (max(0, along.pad_before) for along in windows)
    for down, across in product(phases(g.height), phases(g.width)):
        used = filter[:, down.taps][:, :, across.taps]
        if not used.size:
            used = np.zeros((len(filter), 1, 1, channels), filter.dtype)
        lines = (top + down.first + np.arange(len(down.outputs))) * width
        pixels = np.add.outer(lines, left + across.first + np.arange(len(across.outputs)))
        offsets = np.add.outer(np.arange(images) * height * width, pixels).reshape(-1) * channels
        taps = np.arange(used.shape[1]) * width * channels
        in_image = np.add.outer(np.array(down.outputs) * g.output[2], np.array(across.outputs))
        places = np.add.outer(np.arange(images) * g.output[1] * g.output[2], in_image).reshape(-1)
        rows = Rows(image, int(offsets[0]), offsets - offsets[0], taps, used.shape[2] * channels)
        yield rows, used.reshape(len(filter), len(taps), rows.depth), places
