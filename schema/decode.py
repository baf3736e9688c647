"""From bytes to tables: every offset, length and name is checked before it is believed.

A flatbuffer is a graph of tables and vectors that point at each other by byte offsets. The file's types do not nest without end, so
depth is bounded by the schema; but several offsets may lead to one place, so what a small file could unfold into is bounded here, by an
account of the bytes that are visited.

Source: FlatBuffers binary format (flatbuffers.dev, "FlatBuffer Internals").
"""

from __future__ import annotations

from struct import Struct
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from qcore.errors import ModelError
from qcore.model import Table
from qcore.schema.description import DTYPES, ENUMS, FILE_IDENTIFIER, SCALARS, TABLES, UNIONS, Field, TableType

MAX_TABLES = 1_000_000
"""Tables in one file, as in the verifier of FlatBuffers' own C++ library."""

VISITS_PER_BYTE = 4
"""How often a byte of the file may be visited on average; real files, where little is shared, stay below once."""

_UINT32 = SCALARS["uint32"]
_VTABLE_OFFSET = SCALARS["int32"]
_VTABLE_SIZES = Struct("<HH")
_TABLE_COST = 16


def decode(data: memoryview) -> tuple[Table, NDArray[np.uint8]]:
    """The tables of a ``.tflite`` file.

    Numbers are Python numbers, enumerations their names, vectors of numbers read-only NumPy views of ``data``, vectors of enumerations
    tuples, vectors of tables lists; a missing vector, string or table is None. Fields that the description does not know are skipped.

    Args:
        data: the file's bytes, read-only.

    Returns:
        the Model table, and the whole file as uint8[n].

    Raises:
        ModelError: the bytes are no ``.tflite`` file or a damaged one.
    """
    decoder = _Decoder(data)
    return decoder.root(), decoder.array


class _Decoder:
    """One walk over one file; ``path`` is where it is, for messages."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.size = len(data)
        self.array = np.frombuffer(data, np.uint8) if self.size else np.zeros(0, np.uint8)
        self.path: list[str | int] = []
        self.tables = 0
        self.visits = VISITS_PER_BYTE * self.size
        self.layouts: dict[tuple[int, str], tuple[int, list[tuple[Field, int, int]]]] = {}

    def fail(self, position: int, message: str) -> NoReturn:
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path).removeprefix(".")
        raise ModelError(f"{where or 'file'}, byte {position}: {message}")

    def spend(self, position: int, visits: int) -> None:
        self.visits -= visits
        if self.visits < 0:
            self.fail(position, f"too many offsets lead to the same bytes; a file of {self.size} bytes cannot hold that much")

    def root(self) -> Table:
        if self.size < 8:
            self.fail(0, f"got {self.size} bytes, a .tflite file has at least 8")
        identifier = bytes(self.data[4:8])
        if identifier != FILE_IDENTIFIER:
            self.fail(4, f"file identifier is {identifier!r}, expected {FILE_IDENTIFIER!r}")
        return self.table(TABLES["Model"], self.follow(0))

    def follow(self, position: int) -> int:
        """Where the offset at ``position`` leads: four bytes there are in the file."""
        if position % 4:
            self.fail(position, "an offset is not at a multiple of 4 bytes")
        target = position + int(_UINT32.unpack_from(self.data, position)[0])
        if target == position or target % 4 or target + 4 > self.size:
            self.fail(position, f"an offset leads to byte {target}, expected a multiple of 4 within the file's {self.size} bytes")
        return target

    def table(self, table: TableType, position: int) -> Table:
        self.tables += 1
        if self.tables > MAX_TABLES:
            self.fail(position, f"more than {MAX_TABLES} tables")
        self.spend(position, _TABLE_COST)
        vtable = position - int(_VTABLE_OFFSET.unpack_from(self.data, position)[0])
        layout = self.layouts.get((vtable, table.name))
        if layout is None:
            layout = self.layouts[vtable, table.name] = self.layout(table, position, vtable)
        inline_size, present = layout
        if position + inline_size > self.size:
            self.fail(position, f"a {table.name} of {inline_size} bytes runs past the end of the file ({self.size} bytes)")
        fields = dict(table.defaults)
        for field, offset, union_offset in present:
            self.path.append(field.name)
            if field.is_vector:
                fields[field.name] = self.vector(field, self.follow(position + offset))
            elif field.kind == "number":
                fields[field.name] = self.number(field.type, position + offset)
            elif field.kind == "enum":
                fields[field.name] = self.enum_name(field.type, self.number(field.stored_as, position + offset), position + offset)
            elif field.kind == "string":
                fields[field.name] = self.string(self.follow(position + offset))
            elif field.kind == "table":
                fields[field.name] = self.table(TABLES[field.type], self.follow(position + offset))
            else:
                fields[field.name] = self.union(field, position, offset, union_offset)
            self.path.pop()
        return Table(table.name, fields)

    def layout(self, table: TableType, position: int, vtable: int) -> tuple[int, list[tuple[Field, int, int]]]:
        """What a vtable says: the table's size, and each present field with its offset (and that of a union's type, else 0)."""
        if vtable % 2 or not 0 <= vtable <= self.size - 4:
            self.fail(position, f"a {table.name} has its vtable at byte {vtable}, expected an even number within {self.size} bytes")
        vtable_size, inline_size = _VTABLE_SIZES.unpack_from(self.data, vtable)
        if vtable_size < 4 or vtable_size % 2 or vtable + vtable_size > self.size:
            self.fail(vtable, f"the vtable of a {table.name} has {vtable_size} bytes, expected an even number from 4 within the file")
        if inline_size < 4:
            self.fail(vtable, f"a {table.name} has {inline_size} bytes, expected at least 4")
        offsets = self.array[vtable + 4 : vtable + vtable_size].view("<u2").tolist()[: table.slots]
        offsets += [0] * (table.slots - len(offsets))
        present: list[tuple[Field, int, int]] = []
        for field in table.fields.values():
            offset = offsets[field.number]
            union_offset = offsets[field.number - 1] if field.kind == "union" else 0
            for start, width in ((offset, field.inline_width), (union_offset, 1)):
                if start and not 4 <= start <= inline_size - width:
                    self.fail(vtable, f"{table.name}.{field.name} is at {start} of a table of {inline_size} bytes")
            if offset or union_offset:
                present.append((field, offset, union_offset))
        return inline_size, present

    def number(self, type_name: str, position: int) -> Any:
        number = SCALARS[type_name]
        if position % number.size:
            self.fail(position, f"{type_name} is not at a multiple of {number.size} bytes")
        return number.unpack_from(self.data, position)[0]

    def enum_name(self, type_name: str, value: int, position: int) -> str:
        names = ENUMS[type_name].names
        if not 0 <= value < len(names):
            self.fail(position, f"{value} is no {type_name}, which go from 0 ({names[0]}) to {len(names) - 1} ({names[-1]})")
        return names[value]

    def union(self, field: Field, position: int, offset: int, union_offset: int) -> Table | None:
        names = UNIONS[field.type]
        kind = self.data[position + union_offset] if union_offset else 0
        if kind >= len(names):
            self.fail(position + union_offset, f"{kind} is no table of {field.type}, which go to {len(names) - 1} ({names[-1]})")
        if kind == 0:
            return None
        if not offset:
            self.fail(position, f"{field.type} says {names[kind]}, but there is no such table")
        return self.table(TABLES[names[kind]], self.follow(position + offset))

    def string(self, position: int) -> str:
        length = int(_UINT32.unpack_from(self.data, position)[0])
        start, end = position + 4, position + 4 + length
        if end >= self.size or self.data[end]:
            self.fail(position, f"a string of {length} bytes runs past the end of the file ({self.size} bytes) or lacks its final zero")
        self.spend(position, length)
        try:
            return str(self.data[start:end], "utf-8")
        except UnicodeDecodeError as error:
            self.fail(start + error.start, "a string is not UTF-8")

    def vector(self, field: Field, position: int) -> Any:
        length = int(_UINT32.unpack_from(self.data, position)[0])
        start = position + 4
        width = SCALARS[field.stored_as].size
        end = start + length * width
        if end > self.size:
            self.fail(position, f"a vector of {length} elements runs past the end of the file ({self.size} bytes)")
        if start % width:
            self.fail(position, f"a vector of {field.stored_as} does not start at a multiple of {width} bytes")
        self.spend(position, length * width)
        if field.kind == "table":
            return self.table_vector(TABLES[field.type], start, length)
        values = self.array[start:end].view(DTYPES[field.stored_as])
        if field.kind == "enum":
            return tuple(self.enum_name(field.type, value, start) for value in values.tolist())
        if field.type == "bool":
            values = values.view(np.uint8) != 0
            values.flags.writeable = False
        return values

    def table_vector(self, table: TableType, start: int, length: int) -> list[Table]:
        tables = []
        for index in range(length):
            self.path.append(index)
            tables.append(self.table(table, self.follow(start + 4 * index)))
            self.path.pop()
        return tables
