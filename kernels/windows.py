"""Convolutions tile by tile: which outputs are computed at once, and the region of the input that their windows reach over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from qcore.kernels.common import Window
from qcore.kernels.opdef import Array


class Tile(NamedTuple):
    """A box of outputs: images, rows and columns; and the windows of these rows and columns."""

    place: tuple[slice, slice, slice]
    rows: Window
    columns: Window


def trimmed(along: Window) -> tuple[Window, slice]:
    """The window without the taps that only ever meet padding, and which taps are left: at least one.

    What is left reaches no further past the input than inputs and outputs are long, however large the filter and its dilation.
    """
    used = along.touching() or range(1)
    return replace(along, size=len(used), pad_before=along.pad_before - used.start * along.dilation), slice(used.start, used.stop)


def tile_size(batch: int, height: Window, width: Window, positions: int) -> tuple[int, int, int]:
    """Images, rows and columns of a tile of at most so many outputs, one at least: whole images where they fit, else whole rows."""
    columns = min(width.output, max(1, positions))
    rows = min(height.output, max(1, positions // columns))
    return min(batch, max(1, positions // (rows * columns))), rows, columns


def tiles(batch: int, height: Window, width: Window, positions: int) -> Iterator[Tile]:
    """All outputs, of which there are some, in tiles of at most so many."""
    images, rows, columns = tile_size(batch, height, width, positions)
    for first in range(0, batch, images):
        for top in range(0, height.output, rows):
            bottom = min(top + rows, height.output)
            for left in range(0, width.output, columns):
                right = min(left + columns, width.output)
                place = slice(first, min(first + images, batch)), slice(top, bottom), slice(left, right)
                yield Tile(place, height.part(top, bottom), width.part(left, right))


def span(along: Window) -> int:
    """How many inputs, padding included, the windows reach over."""
    return (along.output - 1) * along.stride + (along.size - 1) * along.dilation + 1


def region(x: Array, tile: Tile, padding: Array | int, dtype: DTypeLike) -> Array:
    """What a tile's windows reach over, as dtype[images, span(rows), span(columns), channels].

    Args:
        x: [batch, height, width, channels].
        tile: which outputs.
        padding: value outside the images, or one for each image of x: [batch, 1, 1, 1].
        dtype: type of the result; without padding and of the type of x it is a view.
    """
    images = tile.place[0]
    (to_rows, from_rows), (to_columns, from_columns) = _inside(tile.rows), _inside(tile.columns)
    part = x[images, from_rows, from_columns]
    shape = len(part), span(tile.rows), span(tile.columns), x.shape[3]
    if part.shape == shape:
        return part.astype(dtype, copy=False)
    padded = np.full(shape, padding if isinstance(padding, int) else padding[images], dtype)
    padded[:, to_rows, to_columns] = part
    return padded


def _inside(along: Window) -> tuple[slice, slice]:
    """What of a span is not padding: its place in the span, and in the input."""
    start = -along.pad_before
    first = max(start, 0)
    last = max(first, min(start + span(along), along.input))
    return slice(first - start, last - start), slice(first, last)
