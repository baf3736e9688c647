"""Each thing that can be wrong with a flatbuffer, on byte literals: what is refused, and what the message says."""

from __future__ import annotations

import re
import struct
from typing import Any

import flatbuffers
import pytest

from qcore.errors import ModelError
from qcore.schema import read
from qcore.schema.decode import decode

#   0 offset of the root    4 identifier
#   8 vtable of Model: 14 bytes, table of 16; version at 4, subgraphs at 8, buffers at 12 (two bytes fill up to 24)
#  24 Model: vtable 16 back, version 3, subgraphs 8 on, buffers 12 on
#  40 vector of 1 subgraph, at 60    48 vector of 1 buffer, at 64    56 vtable without fields    60 subgraph    64 buffer
MINIMAL = bytes.fromhex(
    "18000000 54464c33 0e001000 04000000 08000000 0c000000"
    "10000000 03000000 08000000 0c000000"
    "01000000 10000000 01000000 0c000000 04000400 04000000 08000000"
)


def _patched(data: bytes, position: int, layout: str, value: Any) -> bytes:
    patched = bytearray(data)
    struct.pack_into(layout, patched, position, value)
    return bytes(patched)


def test_the_literal_is_a_model() -> None:
    model = read(MINIMAL)
    assert len(model.subgraphs) == len(model.buffers) == 1
    assert model.version == 3


@pytest.mark.parametrize(
    ("position", "layout", "value", "message"),
    [
        (0, "<I", 0, "file, byte 0: an offset leads to byte 0,"),
        (0, "<I", 26, "file, byte 0: an offset leads to byte 26, expected a multiple of 4 within the file's 68 bytes"),
        (0, "<I", 68, "file, byte 0: an offset leads to byte 68,"),
        (0, "<I", 2**32 - 4, "file, byte 0: an offset leads to byte 4294967292,"),
        (4, "<4s", b"TFL2", "file, byte 4: file identifier is b'TFL2', expected b'TFL3'"),
        (8, "<H", 2, "file, byte 8: the vtable of a Model has 2 bytes,"),
        (8, "<H", 15, "file, byte 8: the vtable of a Model has 15 bytes,"),
        (8, "<H", 62, "file, byte 8: the vtable of a Model has 62 bytes,"),
        (10, "<H", 3, "file, byte 8: a Model has 3 bytes, expected at least 4"),
        (10, "<H", 45, "file, byte 24: a Model of 45 bytes runs past the end of the file (68 bytes)"),
        (12, "<H", 2, "file, byte 8: Model.version is at 2 of a table of 16 bytes"),
        (12, "<H", 13, "file, byte 8: Model.version is at 13 of a table of 16 bytes"),
        (12, "<H", 5, "version, byte 29: uint32 is not at a multiple of 4 bytes"),
        (16, "<H", 6, "subgraphs, byte 30: an offset is not at a multiple of 4 bytes"),
        (24, "<i", 25, "file, byte 24: a Model has its vtable at byte -1,"),
        (24, "<i", 15, "file, byte 24: a Model has its vtable at byte 9,"),
        (24, "<i", -44, "file, byte 24: a Model has its vtable at byte 68,"),
        (32, "<I", 36, "subgraphs, byte 32: an offset leads to byte 68,"),
        (40, "<I", 7, "subgraphs, byte 40: a vector of 7 elements runs past the end of the file (68 bytes)"),
        (40, "<I", 2**32 - 1, "subgraphs, byte 40: a vector of 4294967295 elements runs past the end of the file"),
        (44, "<I", 0, "subgraphs[0], byte 44: an offset leads to byte 44,"),
        (60, "<i", 59, "subgraphs[0], byte 60: a SubGraph has its vtable at byte 1,"),
    ],
)
def test_a_wrong_number_in_the_bytes_is_named_with_its_place(position: int, layout: str, value: Any, message: str) -> None:
    with pytest.raises(ModelError, match=f"^{re.escape(message)}"):
        read(_patched(MINIMAL, position, layout, value))


@pytest.mark.parametrize("length", range(len(MINIMAL)))
def test_a_file_cut_short_is_refused(length: int) -> None:
    with pytest.raises(ModelError):
        read(MINIMAL[:length])


def _model(fields: dict[int, tuple[str, Any]] | None = None, tensor: dict[int, tuple[str, Any]] | None = None) -> bytes:
    """A model whose root has these fields, or whose only tensor has: number -> (kind of slot, value or what builds it)."""
    builder = flatbuffers.Builder()

    def table(slots: dict[int, tuple[str, Any]]) -> int:
        values = {number: (kind, value(builder) if callable(value) else value) for number, (kind, value) in slots.items()}
        builder.StartObject(16)
        for number, (kind, value) in values.items():
            getattr(builder, f"Prepend{kind}Slot")(number, value, 0)
        return builder.EndObject()

    def tables(child: int) -> int:
        builder.StartVector(4, 1, 4)
        builder.PrependUOffsetTRelative(child)
        return builder.EndVector()

    tensors = {0: ("UOffsetTRelative", tables(table(tensor or {})))}
    subgraphs = tables(table(tensors))
    buffers = tables(table({}))
    root = {0: ("Uint32", 3), 2: ("UOffsetTRelative", subgraphs), 4: ("UOffsetTRelative", buffers)}
    builder.Finish(table(root | (fields or {})), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _string(text: bytes) -> Any:
    return lambda builder: builder.CreateString(text)


def _quantization(slots: dict[int, tuple[str, Any]]) -> Any:
    def build(builder: flatbuffers.Builder) -> int:
        builder.StartObject(7)
        for number, (kind, value) in slots.items():
            getattr(builder, f"Prepend{kind}Slot")(number, value, 0)
        return int(builder.EndObject())

    return build


def test_a_string_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(ModelError, match=r"^description, byte \d+: a string is not UTF-8"):
        read(_model({3: ("UOffsetTRelative", _string(b"a\xff"))}))


def test_a_string_without_its_final_zero_is_refused() -> None:
    data = _model({3: ("UOffsetTRelative", _string(b"abcd"))})
    with pytest.raises(ModelError, match=r"^description, byte \d+: a string of 4 bytes runs past the end .* or lacks its final zero"):
        read(data.replace(b"abcd\0", b"abcd\1"))


def test_an_element_type_that_the_schema_does_not_name_is_refused() -> None:
    with pytest.raises(
        ModelError,
        match=r"^subgraphs\[0\]\.tensors\[0\]\.type, byte \d+: 23 is no TensorType, which go from 0 \(float32\) to 22 \(float8_e5m2\)",
    ):
        read(_model(tensor={1: ("Int8", 23)}))
    with pytest.raises(ModelError, match=r": -3 is no TensorType"):
        read(_model(tensor={1: ("Int8", -3)}))


def test_a_union_that_names_no_table_of_the_schema_is_refused() -> None:
    details = _quantization({4: ("Uint8", 4)})
    with pytest.raises(ModelError, match=r"quantization\.details, byte \d+: 4 is no table of QuantizationDetails, which go to 3"):
        read(_model(tensor={4: ("UOffsetTRelative", details)}))


def test_a_union_that_names_a_table_but_holds_none_is_refused() -> None:
    details = _quantization({4: ("Uint8", 2)})
    with pytest.raises(ModelError, match=r"quantization\.details, .*says BlockwiseQuantization, but there is no such table"):
        read(_model(tensor={4: ("UOffsetTRelative", details)}))


def test_a_vector_of_8_byte_numbers_off_its_alignment_is_refused() -> None:
    vector = struct.pack("<Iqq", 2, 1, 0)
    data = _model(tensor={4: ("UOffsetTRelative", _misaligned_zero_points)})
    at = data.index(vector)
    offset_at = next(p for p in range(0, len(data) - 4, 4) if p + struct.unpack_from("<I", data, p)[0] == at)
    with pytest.raises(ModelError, match=r"zero_point, byte \d+: a vector of int64 does not start at a multiple of 8 bytes"):
        read(_patched(data, offset_at, "<I", at + 4 - offset_at))


def _misaligned_zero_points(builder: flatbuffers.Builder) -> int:
    builder.StartVector(8, 2, 8)
    builder.PrependInt64(0)
    builder.PrependInt64(1)
    vector = builder.EndVector()
    builder.StartObject(7)
    builder.PrependUOffsetTRelativeSlot(3, vector, 0)
    return int(builder.EndObject())


def test_fields_that_the_description_does_not_know_are_skipped() -> None:
    assert read(_model({12: ("Int32", 5)})).version == 3


def test_many_offsets_to_the_same_table_are_refused_before_they_unfold() -> None:
    """2000 subgraphs that are one, with 2000 tensors that are one, would be four million tensors from 16 kB."""
    count = 2000
    builder = flatbuffers.Builder()

    def vector_of(child: int) -> int:
        builder.StartVector(4, count, 4)
        for _ in range(count):
            builder.PrependUOffsetTRelative(child)
        return builder.EndVector()

    builder.StartObject(0)
    tensors = vector_of(builder.EndObject())
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, tensors, 0)
    subgraphs = vector_of(builder.EndObject())
    builder.StartObject(3)
    builder.PrependUOffsetTRelativeSlot(2, subgraphs, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"TFL3")
    with pytest.raises(ModelError, match="too many offsets lead to the same bytes"):
        decode(memoryview(bytes(builder.Output())))


def test_many_buffers_of_the_same_bytes_are_refused_before_they_unfold() -> None:
    """A writer would make as many copies of them."""
    count = 20
    builder = flatbuffers.Builder()
    buffers = []
    for _ in range(count):
        builder.StartObject(3)
        builder.PrependUint64Slot(1, 8, 0)
        builder.PrependUint64Slot(2, 500, 0)
        buffers.append(builder.EndObject())
    builder.StartVector(4, count, 4)
    for buffer in buffers:
        builder.PrependUOffsetTRelative(buffer)
    vector = builder.EndVector()
    builder.StartObject(5)
    builder.PrependUOffsetTRelativeSlot(4, vector, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"TFL3")
    with pytest.raises(ModelError, match=r"^buffer \d+: too many buffers share the same bytes"):
        read(bytes(builder.Output()))
