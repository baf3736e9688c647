"""Operators with weights as matrix products: their weights as matrices, and the rows of their input that these meet.

Each form here says how one type of operator is ``[groups, rows, depth] @ [groups, depth, outputs]``. It is made from what the kernel was
prepared with, so that the windows, their padding and the taps that count are the kernel's own.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from qcore.kernels import conv, depthwise, fully_connected, transpose_conv
from qcore.kernels.common import Window
from qcore.kernels.opdef import Array, Shape
from qcore.kernels.windows import Tile, region
from qcore.quantizer.recovery.moments import Real

Places = NDArray[np.int64]


class Form(Protocol):
    """An operator as a matrix product."""

    places: int
    """How many rows an input has."""

    def rows(self, x: Real, places: Places) -> Real:
        """float64[groups, rows, depth]: some rows of an input, by their numbers."""

    def matrix(self, filter: Array) -> Array:
        """[groups, outputs, depth]: a filter's weights, those that only ever meet padding left out."""

    def put(self, filter: Array, matrix: Array) -> None:
        """Writes a matrix into a filter; the inverse of ``matrix``."""


class Convolution:
    """CONV_2D: a row is a window, of each group of channels."""

    def __init__(self, params: Any) -> None:
        self.shapes: conv.Geometry = params.geometry
        self.places = math.prod(self.shapes.output[:3])

    def rows(self, x: Real, places: Places) -> Real:
        """See ``Form``."""
        windows = _windows(self.shapes.height, self.shapes.width, self.shapes.output, x, places)
        grouped = windows.reshape(len(places), self.shapes.groups, self.shapes.depth, *windows.shape[2:])
        return grouped.transpose(1, 0, 3, 4, 2).reshape(self.shapes.groups, len(places), -1)

    def matrix(self, filter: Array) -> Array:
        """See ``Form``."""
        return self.shapes.matrix(filter)

    def put(self, filter: Array, matrix: Array) -> None:
        """See ``Form``."""
        used = filter[(slice(None), *self.shapes.taps)]
        used[...] = matrix.reshape(used.shape)


class Depthwise:
    """DEPTHWISE_CONV_2D: a row is a window of one channel, which is a group."""

    def __init__(self, params: Any) -> None:
        self.shapes: depthwise.Geometry = params.geometry
        self.places = math.prod(self.shapes.output[:3])

    def rows(self, x: Real, places: Places) -> Real:
        """See ``Form``."""
        windows = _windows(self.shapes.height, self.shapes.width, self.shapes.output, x, places)
        return windows.transpose(1, 0, 2, 3).reshape(windows.shape[1], len(places), -1)

    def matrix(self, filter: Array) -> Array:
        """See ``Form``."""
        taps = filter[(0, *self.shapes.taps)]
        return taps.reshape(math.prod(taps.shape[:2]), -1, self.shapes.multiplier).transpose(1, 2, 0)

    def put(self, filter: Array, matrix: Array) -> None:
        """See ``Form``."""
        used = filter[(0, *self.shapes.taps)]
        used[...] = matrix.transpose(2, 0, 1).reshape(used.shape)


class Dense:
    """FULLY_CONNECTED: rows are rows."""

    def __init__(self, params: Any) -> None:
        self.shapes: fully_connected.Rows = params.rows
        self.places = self.shapes.count

    def rows(self, x: Real, places: Places) -> Real:
        """See ``Form``."""
        return x.reshape(self.shapes.count, self.shapes.depth)[np.newaxis, places]

    def matrix(self, filter: Array) -> Array:
        """See ``Form``."""
        return filter[np.newaxis]

    def put(self, filter: Array, matrix: Array) -> None:
        """See ``Form``."""
        filter[...] = matrix[0]


class Transposed:
    """TRANSPOSE_CONV: a row is a window over the input spread out with zeros, whose taps run backwards."""

    def __init__(self, params: Any) -> None:
        self.shapes: transpose_conv.Geometry = params.geometry
        self.places = math.prod(self.shapes.output[:3])

    def rows(self, x: Real, places: Places) -> Real:
        """See ``Form``."""
        along = self.shapes.height, self.shapes.width
        extents = [each.size + max(each.output * each.stride, each.input + each.pad_before) for each in along]
        spread = np.zeros((len(x), *extents, x.shape[3]))
        spread[:, *(slice(each.size - 1, each.size - 1 + each.output * each.stride, each.stride) for each in along)] = x
        views = sliding_window_view(spread, [each.size for each in along], axis=(1, 2))
        views = views[:, *(slice(each.pad_before, each.pad_before + each.input) for each in along), :, ::-1, ::-1]
        windows = np.asarray(views[np.unravel_index(places, self.shapes.output[:3])])
        return windows.transpose(0, 2, 3, 1).reshape(1, len(places), -1)

    def matrix(self, filter: Array) -> Array:
        """See ``Form``."""
        return filter.reshape(1, len(filter), -1)

    def put(self, filter: Array, matrix: Array) -> None:
        """See ``Form``."""
        filter[...] = matrix.reshape(filter.shape)


FORMS: MappingProxyType[str, type[Convolution | Depthwise | Dense | Transposed]] = MappingProxyType(
    {"CONV_2D": Convolution, "DEPTHWISE_CONV_2D": Depthwise, "FULLY_CONNECTED": Dense, "TRANSPOSE_CONV": Transposed}
)
"""By the operator's name."""


def _windows(height: Window, width: Window, output: Shape, x: Real, places: Places) -> Real:
    """float64[places, channels, rows, columns]: the windows at these places of the output."""
    whole = Tile((slice(0, len(x)), slice(0, height.output), slice(0, width.output)), height, width)
    extent = (height.size - 1) * height.dilation + 1, (width.size - 1) * width.dilation + 1
    views = sliding_window_view(region(x, whole, 0, np.float64), extent, axis=(1, 2))
    views = views[:, :: height.stride, :: width.stride, :, :: height.dilation, :: width.dilation]
    return np.asarray(views[np.unravel_index(places, output[:3])])
