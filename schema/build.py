"""From tables to bytes: the inverse of ``decode``, through the ``flatbuffers`` package's Builder.

The layout is canonical: what a table points at comes after it, in the order of its fields; a field at its default is left out; a table's
own fields are laid out by falling width. So the same tables give the same bytes.

Source: FlatBuffers binary format (flatbuffers.dev, "FlatBuffer Internals").
"""

from __future__ import annotations

import struct
from typing import Any, NoReturn

import flatbuffers
import numpy as np
from flatbuffers import number_types
from flatbuffers.builder import BuilderSizeError

from qcore.errors import ModelError
from qcore.model import Table
from qcore.schema.description import DTYPES, ENUMS, FILE_IDENTIFIER, SCALARS, TABLES, UNIONS, Field

_FLAGS = {name: getattr(number_types, f"{name.capitalize()}Flags") for name in SCALARS}


def build(root: Table, expected_size: int) -> memoryview:
    """The flatbuffer of a Model table.

    Args:
        root: as ``decode`` gives it; vectors may also be lists or tuples, and fields at their default may be missing.
        expected_size: bytes to take at first; more are taken when needed, at the cost of a copy.

    Raises:
        ModelError: a table, field or name that the schema does not have, a value of the wrong type or outside its field's range,
            or more than the 2 GB that a flatbuffer can address.
    """
    builder = _Builder(expected_size)
    try:
        builder.flat.Finish(builder.table(root), file_identifier=FILE_IDENTIFIER)
    except BuilderSizeError:
        raise ModelError("the model takes more than the 2 GB that a flatbuffer can address, even without its constants") from None
    return memoryview(builder.flat.Bytes)[builder.flat.Head() :]


class _Builder:
    """One flatbuffer on its way; ``path`` is where it is, for messages. Methods give the Builder's offsets, from the end."""

    def __init__(self, expected_size: int) -> None:
        self.flat = flatbuffers.Builder(expected_size)
        self.path: list[str | int] = []

    def fail(self, message: str) -> NoReturn:
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path).removeprefix(".")
        raise ModelError(f"{where or 'model'}: {message}")

    def table(self, table: Table) -> int:
        kind = TABLES[table.name]
        unknown = table.fields.keys() - kind.fields.keys()
        if unknown:
            self.fail(f"{table.name} has no field {', '.join(sorted(unknown))}")
        slots: list[tuple[int, int, Any, Any, Any]] = []  # width, number, flags, value, default
        for field in reversed(kind.fields.values()):
            value = table.fields.get(field.name, field.default)
            if value is None:
                continue
            self.path.append(field.name)
            if field.is_offset:
                slots.append((4, field.number, None, self.child(field, value), 0))
            else:
                default = self.number(field, field.default)
                slots.append((field.inline_width, field.number, _FLAGS[field.stored_as], self.number(field, value), default))
            if field.kind == "union":
                slots.append((1, field.number - 1, _FLAGS["uint8"], UNIONS[field.type].index(value.name), 0))
            self.path.pop()
        self.flat.StartObject(kind.slots)
        for _, number, flags, value, default in sorted(slots, key=lambda slot: -slot[0]):
            if flags is None:
                self.flat.PrependUOffsetTRelativeSlot(number, value, default)
            else:
                self.flat.PrependSlot(flags, number, value, default)
        return int(self.flat.EndObject())

    def child(self, field: Field, value: Any) -> int:
        """Builds what a field points at."""
        if field.is_vector:
            return self.vector(field, value)
        if field.kind == "string":
            return self.string(value)
        expected = UNIONS[field.type][1:] if field.kind == "union" else (field.type,)
        return self.table(self.expect_table(value, expected))

    def string(self, value: Any) -> int:
        if not isinstance(value, str):
            self.fail(f"got {type(value).__name__}, expected str")
        try:
            return int(self.flat.CreateString(value.encode()))
        except UnicodeEncodeError as error:
            self.fail(f"{value!r} has no UTF-8: {error.reason}")

    def expect_table(self, value: Any, expected: tuple[str, ...]) -> Table:
        if not isinstance(value, Table) or value.name not in expected:
            got = value.name if isinstance(value, Table) else type(value).__name__
            self.fail(f"got {got}, expected {expected[0] if len(expected) == 1 else 'a table of the union'}")
        return value

    def number(self, field: Field, value: Any) -> Any:
        """A field's number as the file will hold it."""
        if field.kind == "enum":
            return self.enum_number(field, value)
        number = SCALARS[field.type]
        try:
            return number.unpack(number.pack(value))[0]
        except (struct.error, OverflowError, TypeError):
            self.fail(f"{value!r} is no {field.type}")

    def enum_number(self, field: Field, value: Any) -> int:
        try:
            return ENUMS[field.type].numbers[value]
        except (KeyError, TypeError):
            self.fail(f"{value!r} is no {field.type}")

    def vector(self, field: Field, values: Any) -> int:
        if field.kind == "table":
            return self.table_vector(field, values)
        if field.kind == "enum":
            values = [self.enum_number(field, value) for value in values]
        array = np.asarray(values)
        dtype = DTYPES[field.stored_as]
        if array.dtype != dtype:
            if array.size and not _fits(array, dtype):
                self.fail(f"the values are no vector of {field.stored_as}")
            array = array.astype(dtype)
        if array.ndim != 1:
            self.fail(f"got {array.ndim} dimensions, a vector has 1")
        self.flat.StartVector(dtype.itemsize, array.size, max(dtype.itemsize, field.force_align))
        end = self.flat.head
        self.flat.head = end - array.nbytes
        # NumPy copies once; assigning to a slice of a bytearray would copy twice.
        np.frombuffer(self.flat.Bytes, np.uint8)[self.flat.head : end] = np.ascontiguousarray(array).view(np.uint8)
        return int(self.flat.EndVector())

    def table_vector(self, field: Field, tables: Any) -> int:
        offsets = []
        for index in reversed(range(len(tables))):
            self.path.append(index)
            offsets.append(self.table(self.expect_table(tables[index], (field.type,))))
            self.path.pop()
        self.flat.StartVector(4, len(offsets), 4)
        for offset in offsets:
            self.flat.PrependUOffsetTRelative(offset)
        return int(self.flat.EndVector())


def _fits(array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> bool:
    """Whether every value has a place in that type: integers exactly, floats rounded."""
    if dtype.kind == "f":
        return array.dtype.kind in "fiu"
    if array.dtype.kind not in "iu" or dtype.kind not in "iu":
        return False
    limits = np.iinfo(dtype)
    return bool(int(array.min()) >= limits.min and int(array.max()) <= limits.max)
