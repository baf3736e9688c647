"""Functions of each code, or of each pair of codes, of 8 bits: tables, sums and products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from qcore.kernels.fast import requantization
from qcore.kernels.fast.bytes_out import GROUP, Range, to_bytes
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.depthwise import interleaved
from qcore.kernels.fast.ir import I8, I16, I32, I64, Code, Value, number, vector
from qcore.kernels.fast.products import Dot, WordDot
from qcore.kernels.fast.requantization import Kind
from qcore.kernels.fast.rows import Walk

CODES = 256
PART = 16
"""Bytes within which AVX-512 interleaves."""
QUARTER = 64
"""Entries of a table of bytes that a vector of 512 bits holds."""


def block_bytes(tier: Tier) -> int:
    """Codes that are worked on at a time."""
    return GROUP * tier.lanes


class LookupArguments(NamedTuple):
    """Addresses of codes, of a table with an entry for each that there may be, and of the output; how many codes there are."""

    input: int
    table: int
    output: int
    codes: int


Width = Literal[1, 2, 4]
"""Bytes."""


@dataclass(frozen=True)
class Lookup:
    """A kernel that writes the table's entry for each code.

    code: bytes of one. entry: likewise; those of 4 lie as ``packed_table`` has them where codes are taken by blocks.
    blocks: codes of one byte are taken a block at a time, of which there is at least one; the processor must have AVX-512.
    """

    code: Width
    entry: Width
    blocks: bool

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the codes."""
        code = Code(name, LookupArguments)
        if self.blocks:
            self._by_blocks(code, tier)
        else:
            self._by_codes(code)
        return code

    def _by_blocks(self, code: Code, tier: Tier) -> None:
        """The last block overlaps the one before."""
        b, size = code.builder, block_bytes(tier)
        tables = [ByteTable(code, code.at(code.pointer("table"), k * CODES)) for k in range(self.entry)]
        with code.loop(*code.share(b.sdiv(code.add(code["codes"], size - 1), I64(size)))) as block:
            start = code.smaller(code.multiply(block, size), code.add(code["codes"], -size))
            codes = code.load(vector(I8, size), code.pointer("input"), start)
            to = code.at(code.pointer("output"), code.multiply(start, self.entry))
            found = [table.look_up(codes) for table in tables]
            if self.entry == 1:
                code.store(found[0], to)
            else:
                for i, entries in enumerate(in_turn(code, tier, found)):
                    code.store(entries, to, i * size)

    def _by_codes(self, code: Code) -> None:
        kinds = {1: I8, 2: I16, 4: I32}
        with code.loop(*code.share(code["codes"])) as i:
            index = code.builder.zext(code.load(kinds[self.code], code.pointer("input"), code.multiply(i, self.code)), I64)
            entry = code.load(kinds[self.entry], code.pointer("table"), code.multiply(index, self.entry))
            code.store(entry, code.pointer("output"), code.multiply(i, self.entry))


class ByteTable:
    """256 bytes in the registers of an AVX-512 processor."""

    def __init__(self, code: Code, table: Value):
        self.code = code
        self.quarters = [code.load(vector(I8, QUARTER), table, start) for start in range(0, CODES, QUARTER)]

    def look_up(self, codes: Value) -> Value:
        """The entry of each of 64 codes, their bits taken as unsigned."""
        code, (first, second, third, fourth) = self.code, self.quarters
        permute, kind = "llvm.x86.avx512.vpermi2var.qi.512", vector(I8, QUARTER)
        low, high = (code.call(permute, kind, [one, codes, other]) for one, other in ((first, second), (third, fourth)))
        return code.builder.select(code.builder.icmp_signed("<", codes, number(kind, 0)), high, low)


def in_turn(code: Code, tier: Tier, planes: list[Value]) -> list[Value]:
    """Vectors of the first, second, third and fourth bytes of entries as vectors of the entries; with AVX-512."""
    vectors, size = interleaved(code, tier, planes), block_bytes(tier)
    entries = []
    for part in range(0, size, PART):
        # The same part of each vector, one after the other, is in order again.
        taken = [*range(part, part + PART), *range(size + part, size + part + PART)]
        entries.append(code.joined([code.shuffle(one, other, taken) for one, other in (vectors[:2], vectors[2:])]))
    return entries


class Arguments(NamedTuple):
    """What a call about pairs of codes is about.

    input1, input2, output: addresses. starts, rows, length: as ``rows`` has them.
    table1, table2: addresses of ``packed_table``, for sums of tables; or of uint8[256], for bent ones.
    factors_high, factors_low: two int16, the first input's before the second's; the factors of uint8 codes in a linear sum are
        ``high * 2**HIGH + low``. offset: int32, of such a sum.
    half, away: int32; sums below half have away taken off.
    zero_point1, zero_point2: of uint8 codes, for products; input_flip: 128 where the inputs are int8, else 0.
    constants: address of the requantization's.
    """

    input1: int
    input2: int
    output: int
    starts: int
    rows: int
    length: int
    table1: int
    table2: int
    factors_high: int
    factors_low: int
    offset: int
    half: int
    away: int
    zero_point1: int
    zero_point2: int
    input_flip: int
    constants: int
    zero_point: int
    low: int
    high: int
    flip: int


Operation = Literal["tables", "squares", "linear", "bent", "product"]

HIGH = 15
"""The low parts of factors are within ``2**(HIGH - 1)``."""


@dataclass(frozen=True)
class Pairs:
    """A kernel.

    operation: on both codes: a sum of their entries in two tables, or its square; a linear sum, or
        one to which a byte from a table is added for each code, which takes AVX-512; a product less zero points.
    kind: of the requantization.
    walk: of the rows.
    away: negative sums are lowered first.
    """

    operation: Operation
    kind: Kind
    walk: Walk
    away: bool = False

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the rows."""
        code = Code(name, Arguments)
        operation = OPERATIONS[self.operation](code, tier)
        planes = requantization.load(code, self.kind, code.pointer("constants"), tier.lanes)
        output, kind = Range.of(code, tier), vector(I8, block_bytes(tier))
        half, away = (code.splat(code.builder.trunc(code[name], I32), tier.lanes) for name in ("half", "away"))
        with self.walk.blocks(code, kind.count) as (one, other, to):
            x, y = (self.walk.load(code, kind, i, place, 1) for i, place in enumerate((one, other)))
            sums = operation.lanes(x, y)
            if self.away:
                b = code.builder
                sums = [b.select(b.icmp_signed("<", lanes, half), b.sub(lanes, away), lanes) for lanes in sums]
            steps = [requantization.emit(code, self.kind, lanes, planes) for lanes in sums]
            (codes,) = to_bytes(code, tier, [steps], output)
            self.walk.store(code, codes, to, 1)
        return code


class _Linear:
    """A sum of multiples of the codes; of bytes from two tables too where it is bent."""

    def __init__(self, code: Code, tier: Tier, bent: bool = False):
        self.code, self.tier, self.dot, self.all_bytes = code, tier, WordDot(code, tier), Dot(code, tier)
        self.flip = code.splat(code.builder.trunc(code["input_flip"], I8), block_bytes(tier))
        names = "factors_high", "factors_low", "offset"
        self.high, self.low, self.offset = (code.splat(code.builder.trunc(code[name], I32), tier.lanes) for name in names)

        self.bends = [ByteTable(code, code.pointer(name)) for name in ("table1", "table2")] if bent else []

    def lanes(self, x: Value, y: Value) -> list[Value]:
        """Sums of the multiples: both codes of a pair are the words of a lane; their bytes from tables are the upper halves of these."""
        b, dot, kind = self.code.builder, self.dot, self.offset.type
        high, low, none = dot.weights(self.high), dot.weights(self.low), number(kind, 0)
        sums, above = [], [bend.look_up(codes) for bend, codes in zip(self.bends, (x, y), strict=False)] or [number(x.type, 0)] * 2
        for bytes_ in interleaved(self.code, self.tier, [b.xor(x, self.flip), above[0], b.xor(y, self.flip), above[1]]):
            words, offset = dot.inputs(bytes_), self.offset
            if self.bends:
                offset = self.all_bytes.add(offset, bytes_, b.bitcast(number(kind, 0x01000100), bytes_.type))
                words = dot.inputs(b.and_(b.bitcast(bytes_, kind), number(kind, 0x00FF00FF)))
            upper = b.shl(dot.add(none, words, high), number(kind, HIGH))
            sums.append(dot.add(b.add(upper, offset), words, low))
        return sums


class _Tables:
    """Entries of two tables, added up."""

    def __init__(self, code: Code, tier: Tier, squared: bool = False):
        self.code, self.tier, self.squared = code, tier, squared
        pointers = [code.pointer("table1"), code.pointer("table2")]
        if tier.name == "avx512":
            self.planes = [[ByteTable(code, code.at(pointer, k * CODES)) for k in range(4)] for pointer in pointers]
        else:
            self.pointers = pointers

    def lanes(self, x: Value, y: Value) -> list[Value]:
        """Sums of the entries, or their squares."""
        b = self.code.builder
        sums = [b.add(one, other) for one, other in zip(self.entries(x, 0), self.entries(y, 1), strict=True)]
        return [b.mul(total, total) for total in sums] if self.squared else sums

    def entries(self, codes: Value, which: int) -> list[Value]:
        """A table's entry for each code."""
        code, kind = self.code, vector(I32, self.tier.lanes)
        if self.tier.name == "avx512":
            entries = interleaved(code, self.tier, [plane.look_up(codes) for plane in self.planes[which]])
            return [code.builder.bitcast(four, kind) for four in entries]
        return [self.gathered(codes, range(v * kind.count, (v + 1) * kind.count), which) for v in range(GROUP)]

    def gathered(self, codes: Value, places: range, which: int) -> Value:
        """The entries of some of the codes, one after the other."""
        code, kind = self.code, vector(I32, self.tier.lanes)
        lanes = ir.Constant(kind, ir.Undefined)
        for lane, place in enumerate(places):
            index = code.builder.zext(code.builder.extract_element(codes, I32(place)), I64)
            entry = code.load(I32, self.pointers[which], code.multiply(index, 4), 4)
            lanes = code.builder.insert_element(lanes, entry, I32(lane))
        return lanes


class _Product:
    """Codes less their zero points, multiplied."""

    def __init__(self, code: Code, tier: Tier):
        b, self.code, self.tier = code.builder, code, tier
        self.flip = code.splat(b.trunc(code["input_flip"], I8), block_bytes(tier))
        self.zero_points = [code.splat(b.trunc(code[name], I32), tier.lanes) for name in ("zero_point1", "zero_point2")]

    def lanes(self, x: Value, y: Value) -> list[Value]:
        """Products of the differences."""
        return [self.code.builder.mul(one, other) for one, other in zip(self.centred(x, 0), self.centred(y, 1), strict=True)]

    def centred(self, codes: Value, which: int) -> list[Value]:
        """int32, the codes of an input less its zero point."""
        code, b = self.code, self.code.builder
        return [b.sub(lanes, self.zero_points[which]) for lanes in widened(code, self.tier, b.xor(codes, self.flip))]


OPERATIONS: dict[Operation, Callable[[Code, Tier], _Tables | _Linear | _Product]] = {
    "tables": _Tables,
    "squares": partial(_Tables, squared=True),
    "linear": _Linear,
    "bent": partial(_Linear, bent=True),
    "product": _Product,
}
"""Written once before the loops; their ``lanes`` of a block of both inputs are int32, in ``channel_order``."""


def widened(code: Code, tier: Tier, codes: Value) -> list[Value]:
    """A block of uint8 codes as int32, in ``channel_order``."""
    kind = vector(I32, tier.lanes)
    if tier.name == "avx512":
        zero = number(codes.type, 0)
        return [code.builder.bitcast(four, kind) for four in interleaved(code, tier, [codes, zero, zero, zero])]
    parts = [code.shuffle(codes, codes, range(v * tier.lanes, (v + 1) * tier.lanes)) for v in range(GROUP)]
    return [code.builder.zext(part, kind) for part in parts]


def packed_table(tier: Tier, table: NDArray[Any]) -> NDArray[np.uint8]:
    """256 entries of 32 bits, a plane of bytes after the other where the tier looks bytes up, else as they are."""
    by_entry = np.ascontiguousarray(table).view(np.uint8).reshape(CODES, 4)
    return np.ascontiguousarray(by_entry.T if tier.name == "avx512" else by_entry).reshape(-1)
