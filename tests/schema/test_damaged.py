"""Damaged files: whatever a file holds, the answer is a model or a ``ModelError``."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qcore.errors import ModelError, UnsupportedError
from qcore.schema import constant, read, write

NUMBERS = [0, 1, 2, 3, 4, 7, 8, 16, 127, 128, 255, 2**15 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 4, 2**32 - 1]


def _answers(data: bytes) -> None:
    """Reads the bytes; what is read can be decoded, written, and read again."""
    try:
        model = read(data)
    except ModelError as error:
        assert str(error)
        return
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            try:
                constant(tensor)
            except UnsupportedError as error:
                assert str(error)
    written = write(model)
    assert write(read(written)) == written


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_files_with_changed_bytes(rich_bytes: bytes, data: st.DataObject) -> None:
    damaged = bytearray(rich_bytes)
    places = st.integers(0, len(damaged) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=8)):
        damaged[place] = value
    _answers(bytes(damaged))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_files_with_changed_words(rich_bytes: bytes, data: st.DataObject) -> None:
    damaged = bytearray(rich_bytes)
    words = st.integers(0, len(damaged) // 4 - 1)
    for word, value in data.draw(st.lists(st.tuples(words, st.sampled_from(NUMBERS)), min_size=1, max_size=4)):
        struct.pack_into("<I", damaged, 4 * word, value)
    _answers(bytes(damaged))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_files_with_bytes_left_out_or_put_in(rich_bytes: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(rich_bytes)))
    end = data.draw(st.integers(start, min(start + 64, len(rich_bytes))))
    _answers(rich_bytes[:start] + data.draw(st.binary(max_size=64)) + rich_bytes[end:])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
@example(b"")
def test_files_of_any_bytes(tail: bytes) -> None:
    _answers(tail)
    _answers(b"\x10\0\0\0TFL3" + tail)


@pytest.mark.parametrize("step", range(4))
def test_files_cut_short(rich_bytes: bytes, step: int) -> None:
    for length in range(step, len(rich_bytes), 4):
        with pytest.raises(ModelError):
            read(rich_bytes[:length])
