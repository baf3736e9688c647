"""Elements that share bytes."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.errors import InputError
from qcore.numerics import element_type, pack, packed_size, unpack

NAMES = ["int4", "uint4", "int2"]


@pytest.mark.parametrize("name", NAMES)
def test_every_byte_unpacks_to_what_the_bits_say_and_packs_back(name: str) -> None:
    """Low bits first; against arithmetic on Python integers, and ml_dtypes' own reading of the bits."""
    bits = element_type(name).bits
    data = np.arange(256, dtype=np.uint8)
    codes = unpack(data, name, 256 * 8 // bits)
    fields = [(byte >> at) % 2**bits for byte in range(256) for at in range(0, 8, bits)]
    signed = element_type(name).signed
    assert codes.tolist() == [f - 2**bits if signed and f >= 2 ** (bits - 1) else f for f in fields]
    assert (codes == np.array(fields, np.uint8).view(getattr(ml_dtypes, name)).astype(np.int8)).all()
    assert codes.dtype == (np.int8 if signed else np.uint8)
    assert (pack(codes, name) == data).all()


def test_the_first_element_is_in_the_low_bits() -> None:
    assert pack(np.array([1, -2, 7]), "int4").tolist() == [0xE1, 0x07]
    assert pack(np.array([1, 15]), "uint4").tolist() == [0xF1]
    assert pack(np.array([1, -2, 0, -1, 1]), "int2").tolist() == [0b11_00_10_01, 0b01]


@given(st.sampled_from(NAMES), st.data())
def test_any_count_survives_and_the_last_byte_is_filled_with_zeros(name: str, data: st.DataObject) -> None:
    kind = element_type(name)
    codes = data.draw(st.lists(st.integers(kind.quantized_min, kind.quantized_max), max_size=40))
    packed = pack(np.array(codes, np.int64), name)
    assert packed.size == packed_size(name, len(codes)) == -(-len(codes) * kind.bits // 8)
    assert unpack(packed, name, len(codes)).tolist() == codes
    unused = packed.size * 8 - len(codes) * kind.bits
    if codes:
        assert int(packed[-1]) < 2 ** (8 - unused)


def test_rows_share_bytes() -> None:
    matrix = np.arange(9, dtype=np.int8).reshape(3, 3) - 4
    assert (unpack(pack(matrix, "int4"), "int4", 9).reshape(3, 3) == matrix).all()
    assert (pack(np.asfortranarray(matrix), "int4") == pack(matrix, "int4")).all()


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ([8], "int4"),
        ([-9], "int4"),
        ([16], "uint4"),
        ([-1], "uint4"),
        ([2], "int2"),
        ([-3], "int2"),
        ([0.5], "int4"),
        ([0], "int8"),
        ([0], "x"),
    ],
)
def test_values_that_are_no_codes_are_refused(values: list[Any], name: str) -> None:
    with pytest.raises(InputError):
        pack(np.array(values), name)


@pytest.mark.parametrize(
    ("data", "name", "count"),
    [
        (np.zeros(2, np.uint8), "int4", 5),
        (np.zeros(2, np.uint8), "int4", 2),
        (np.zeros(2, np.uint8), "int2", -1),
        (np.zeros(2, np.int8), "int4", 4),
        (np.zeros((1, 2), np.uint8), "int4", 4),
        (np.zeros(2, np.uint8), "int8", 2),
    ],
)
def test_bytes_that_do_not_fit_the_count_are_refused(data: Any, name: str, count: int) -> None:
    with pytest.raises(InputError):
        unpack(data, name, count)
