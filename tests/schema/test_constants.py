"""Constants as arrays: every element type there and back, without a copy where there need be none."""

from __future__ import annotations

import struct

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from qcore.errors import InputError, ModelError, UnsupportedError
from qcore.model import Buffer, Model, Tensor
from qcore.numerics.dtypes import ELEMENT_TYPES, ElementType
from qcore.schema import constant, encode, read

WHOLE_BYTES = [kind for kind in ELEMENT_TYPES.values() if kind.bits >= 8]


def _tensor(dtype: str, shape: tuple[int, ...], data: NDArray[np.uint8] | None) -> Tensor:
    return Tensor("t", dtype, shape, Buffer(data))


@pytest.mark.parametrize("kind", WHOLE_BYTES, ids=lambda kind: kind.name)
def test_types_of_whole_bytes_are_views(kind: ElementType) -> None:
    values = np.array([[0, 1, 1], [1, 0, 1]]).astype(kind.storage)
    data = encode(values, kind.name)
    decoded = constant(_tensor(kind.name, (2, 3), data))
    assert decoded is not None
    assert decoded.dtype == kind.storage
    assert np.array_equal(decoded, values)
    assert np.shares_memory(decoded, data)
    assert not decoded.flags.writeable


def test_numbers_are_little_endian() -> None:
    assert encode(np.array([1, -2], np.int16), "int16").tobytes() == b"\x01\x00\xfe\xff"
    assert encode(np.array([1.0], ml_dtypes.bfloat16), "bfloat16").tobytes() == b"\x80\x3f"


def test_types_narrower_than_a_byte_are_unpacked_low_bits_first() -> None:
    assert np.array_equal(constant(_tensor("int4", (3,), np.array([0x7F, 0x08], np.uint8))), np.array([-1, 7, -8], np.int8))
    assert np.array_equal(constant(_tensor("uint4", (2,), np.array([0x7F], np.uint8))), np.array([15, 7], np.uint8))
    assert np.array_equal(constant(_tensor("int2", (4,), np.array([0b11_10_01_00], np.uint8))), np.array([0, 1, -2, -1], np.int8))
    assert encode(np.array([-1, 7, -8], np.int8), "int4").tobytes() == b"\x7f\x08"


def test_a_bool_of_another_byte_than_1_is_true() -> None:
    assert np.array_equal(constant(_tensor("bool", (3,), np.array([0, 1, 9], np.uint8))), np.array([False, True, True]))


def test_an_address_that_does_not_suit_the_type_costs_a_copy() -> None:
    shifted = np.arange(9, dtype=np.uint8)[1:]
    decoded = constant(_tensor("float32", (2,), shifted))
    assert decoded is not None
    assert decoded.flags.aligned
    assert decoded.tobytes() == shifted.tobytes()


def test_strings_have_a_table_of_offsets() -> None:
    data = encode(np.array([["a", b""], ["\u00fc\0", "cd"]], object), "string")
    assert data.tobytes() == struct.pack("<6i", 4, 24, 25, 25, 28, 30) + b"a\xc3\xbc\0cd"
    decoded = constant(_tensor("string", (2, 2), data))
    assert decoded is not None
    assert decoded.tolist() == [[b"a", b""], [b"\xc3\xbc\0", b"cd"]]


@given(st.lists(st.binary(max_size=9), max_size=9))
def test_strings_come_back_as_they_were(strings: list[bytes]) -> None:
    values = np.empty(len(strings), object)
    values[:] = strings
    decoded = constant(_tensor("string", (len(strings),), encode(values, "string")))
    assert decoded is not None
    assert decoded.tolist() == strings


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes are too few for 0 strings"),
        (b"\0\0\0", "3 bytes are too few for 0 strings"),
        (struct.pack("<i", -1), "4 bytes are too few for 4294967295 strings"),
        (struct.pack("<2i", 1, 12), "8 bytes are too few for 1 strings"),
        (struct.pack("<3i", 1, 8, 12), "the offsets of its 1 strings do not rise from 12 to at most 12"),
        (struct.pack("<3i", 1, 12, 13), "the offsets of its 1 strings do not rise from 12 to at most 12"),
        (struct.pack("<4i", 2, 16, 17, 16) + b"ab", "the offsets of its 2 strings do not rise from 16 to at most 18"),
        (struct.pack("<3i", 1, 12, -1), "the offsets of its 1 strings do not rise from 12 to at most 12"),
    ],
)
def test_damaged_strings_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=f"^tensor 't': {message}"):
        constant(_tensor("string", (1,), np.frombuffer(data, np.uint8)))


@pytest.mark.parametrize(
    ("dtype", "size", "got"), [("float32", 7, 1), ("int8", 1, 1), ("int4", 0, 0), ("string", 8, 0)], ids=lambda case: str(case)
)
def test_too_few_bytes_are_refused(dtype: str, size: int, got: int) -> None:
    data = np.zeros(size, np.uint8)
    if dtype == "string":
        data[4] = 8
    with pytest.raises(ModelError, match=rf"^tensor 't': its buffer holds {got} elements, its shape \(2,\) asks for 2"):
        constant(_tensor(dtype, (2,), data))


def test_bytes_beyond_the_last_element_do_not_matter() -> None:
    assert np.array_equal(constant(_tensor("int16", (1,), np.array([1, 0, 7], np.uint8))), np.array([1], np.int16))
    assert np.array_equal(constant(_tensor("int4", (1,), np.array([3, 7], np.uint8))), np.array([3], np.int8))


def test_a_tensor_that_is_computed_has_no_values() -> None:
    assert constant(_tensor("int8", (2,), None)) is None


def test_a_sparse_constant_is_made_dense_within_a_limit(rich_model: Model) -> None:
    """2x2 blocks at either end of the diagonal."""
    tensor = rich_model.tensor("sparse")
    values = constant(tensor, 16)
    assert values is not None
    assert values.tolist() == [[0, 1, 0, 0], [2, 3, 0, 0], [0, 0, 4, 5], [0, 0, 6, 7]]
    with pytest.raises(ModelError, match="^tensor 'sparse': a sparse constant of 16 bytes when made dense, more than the limit of 15"):
        constant(tensor, 15)
    tensor.dtype = "string"
    with pytest.raises(UnsupportedError, match="^tensor 'sparse': a sparse constant of strings"):
        constant(tensor)


def test_types_without_values_are_not_supported() -> None:
    with pytest.raises(UnsupportedError, match="^constants of type resource have no values"):
        constant(_tensor("resource", (1,), np.zeros(4, np.uint8)))


def test_values_of_another_type_are_not_cast() -> None:
    with pytest.raises(InputError, match="got values of type int64, a constant of type int8 is made from int8"):
        encode(np.array([1]), "int8")
    with pytest.raises(InputError, match="a string tensor holds bytes or str, got int"):
        encode(np.array([1], object), "string")
    with pytest.raises(InputError, match="a constant of type variant is made from None"):
        encode(np.array([1]), "variant")


def test_constants_of_a_file_are_views_of_its_bytes(rich_bytes: bytes) -> None:
    model = read(rich_bytes)
    whole = np.frombuffer(rich_bytes, np.uint8)
    for name in ("w", "b"):
        values = constant(model.tensor(name))
        assert values is not None
        assert np.shares_memory(values, whole)
