"""Convolutions tile by tile: which outputs are computed at once, and the region of the input that their windows reach over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import DTypeLike

from qcore.kernels.common import Window
from qcore.kernels.opdef import Array


def trimmed(along: Window) -> tuple[Window, slice]:
    """The window without the taps that only ever meet padding, and which taps are left: at least one.

    What is left reaches no further past the input than inputs and outputs are long, however large the filter and its dilation.
    """
    used = along.touching() or range(1)
    return replace(along, size=len(used), pad_before=along.pad_before - used.start * along.dilation), slice(used.start, used.stop)


def tile_size(height: Window, width: Window, positions: int) -> tuple[int, int]:
    """Rows and columns of a tile of at most so many outputs: whole rows where they fit."""
    columns = min(width.output, max(1, positions))
    return min(height.output, max(1, positions // max(1, columns))), columns


def tiles(height: Window, width: Window, positions: int) -> Iterator[tuple[tuple[slice, slice], Window, Window]]:
    """All outputs in tiles of at most so many: the rows and columns of each, and their windows."""
    rows, columns = tile_size(height, width, positions)
    for top in range(0, height.output, max(1, rows)):
        bottom = min(top + rows, height.output)
        for left in range(0, width.output, max(1, columns)):
            right = min(left + columns, width.output)
            yield (slice(top, bottom), slice(left, right)), height.part(top, bottom), width.part(left, right)


def span(along: Window) -> int:
    """How many inputs, padding included, the windows reach over."""
    return (along.output - 1) * along.stride + (along.size - 1) * along.dilation + 1


def region(image: Array, rows: Window, columns: Window, padding: int, dtype: DTypeLike) -> Array:
    """What windows reach over, as dtype[span(rows), span(columns), channels], with a value for padding.

    Args:
        image: [height, width, channels].
        rows: windows along the height.
        columns: windows along the width.
        padding: value outside the image.
        dtype: type of the result; without padding and of the image's own type it is a view.
    """
    places, parts = zip(_inside(rows), _inside(columns), strict=True)
    part = image[parts]
    shape = span(rows), span(columns), image.shape[2]
    if part.shape == shape:
        return part.astype(dtype, copy=False)
    padded = np.full(shape, padding, dtype)
    padded[places] = part
    return padded


def _inside(along: Window) -> tuple[slice, slice]:
    """What of a span is not padding: its place in the span, and in the input."""
    start = -along.pad_before
    first = max(start, 0)
    last = max(first, min(start + span(along), along.input))
    return slice(first - start, last - start), slice(first, last)
