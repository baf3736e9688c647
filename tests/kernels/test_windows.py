"""Windows and tiles: taps against their definition, tiles cover every output once, regions hold what windows read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.errors import ModelError
from qcore.kernels.common import Window, window
from qcore.kernels.opdef import Node
from qcore.kernels.windows import Tile, region, span, tile_size, tiles, trimmed

NODE = Node("CONV_2D", "CONV_2D", (), ())

windows = st.builds(
    Window,
    input=st.integers(0, 9),
    output=st.integers(0, 6),
    size=st.integers(1, 7),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 4),
    pad_before=st.integers(-5, 8),
)
whole = windows.filter(lambda along: along.output > 0)


def reads(along: Window) -> dict[tuple[int, int], int]:
    """The input that each output reads for each k, by definition."""
    places = {(o, k): o * along.stride + k * along.dilation - along.pad_before for o in range(along.output) for k in range(along.size)}
    return {place: i for place, i in places.items() if 0 <= i < along.input}


@given(windows)
def test_taps_read_what_the_definition_says(along: Window) -> None:
    got = {}
    for k, outputs, inputs in along.taps():
        reached, read = range(along.output)[outputs], range(along.input)[inputs]
        assert len(reached) == len(read)
        got.update({(o, k): i for o, i in zip(reached, read, strict=True)})
    assert got == reads(along)


def test_taps_of_an_enormous_filter_are_as_many_as_the_input_has_places_for() -> None:
    assert len(list(Window(10, 5, 2**31 - 1, 2, 1, 3).taps())) == 13


@given(whole, st.data())
def test_a_part_reads_what_the_whole_reads_there(along: Window, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, along.output - 1))
    stop = data.draw(st.integers(start + 1, along.output))
    wanted = {(o - start, k): i for (o, k), i in reads(along).items() if start <= o < stop}
    assert reads(along.part(start, stop)) == wanted


@given(windows)
def test_trimming_takes_off_taps_that_read_nothing(along: Window) -> None:
    less, taps = trimmed(along)
    assert less.size == taps.stop - taps.start >= 1
    assert {(o, k + taps.start): i for (o, k), i in reads(less).items()} == reads(along)


def test_what_is_trimmed_spans_no_more_than_inputs_and_outputs() -> None:
    along, _ = trimmed(Window(10, 10, 2**20 + 1, 1, 2**10, 2**29))
    assert span(along) <= 30


@given(st.integers(1, 5), whole, whole, st.integers(0, 300))
def test_tiles_cover_every_output_once(batch: int, height: Window, width: Window, positions: int) -> None:
    seen = np.zeros((batch, height.output, width.output), int)
    for tile in tiles(batch, height, width, positions):
        seen[tile.place] += 1
        images, rows, columns = seen[tile.place].shape
        assert (rows, columns) == (tile.rows.output, tile.columns.output)
        assert 1 <= images * rows * columns <= max(1, positions)
    assert (seen == 1).all()
    assert next(seen[tile.place].shape for tile in tiles(batch, height, width, positions)) == tile_size(batch, height, width, positions)


@given(whole, whole)
def test_a_region_holds_every_input_and_padding_elsewhere(height: Window, width: Window) -> None:
    height, width = trimmed(height)[0], trimmed(width)[0]
    x = np.arange(1, 2 * height.input * width.input + 1, dtype=np.int16).reshape(1, height.input, width.input, 2)
    got = region(x, Tile((slice(0, 1), slice(0, height.output), slice(0, width.output)), height, width), -1, np.float32)
    assert got.shape == (1, span(height), span(width), 2)
    assert got.dtype == np.float32
    for i, j in np.ndindex(got.shape[1:3]):
        row, column = i - height.pad_before, j - width.pad_before
        inside = 0 <= row < height.input and 0 <= column < width.input
        assert got[0, i, j].tolist() == (x[0, row, column].tolist() if inside else [-1, -1])


def test_images_have_their_own_padding_and_a_region_without_any_is_a_view() -> None:
    x = np.zeros((3, 2, 2, 1), np.float32)
    along = Window(2, 2, 2, 1, 1, 0)
    padding = np.array([5, 6, 7]).reshape(3, 1, 1, 1)
    got = region(x, Tile((slice(1, 3), slice(0, 2), slice(0, 2)), along, along), padding, np.float32)
    assert got[:, 2, 2, 0].tolist() == [6, 7]
    inner = Window(2, 1, 2, 1, 1, 0)
    assert np.shares_memory(region(x, Tile((slice(0, 3), slice(0, 1), slice(0, 1)), inner, inner), padding, np.float32), x)


@pytest.mark.parametrize(("size", "stride", "outputs"), [(3, 1, 1), (4, 1, 0), (4, 3, 0), (5, 3, 0), (8, 3, 0), (7, 3, 0), (8, 6, 0)])
def test_a_window_short_of_the_input_by_less_than_a_stride_gives_no_outputs(size: int, stride: int, outputs: int) -> None:
    assert window(NODE, "height", 3, size, stride, "VALID").output == outputs


@pytest.mark.parametrize(("size", "stride"), [(5, 1), (9, 3), (10, 3)])
def test_a_longer_one_is_refused(size: int, stride: int) -> None:
    with pytest.raises(ModelError, match=f"height 3 is less than the filter's extent {size}"):
        window(NODE, "height", 3, size, stride, "VALID")
