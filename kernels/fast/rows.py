"""Two operands that broadcast, as rows of the output: in each, an operand goes on element by element, or is one that stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from qcore.kernels.fast import copies
from qcore.kernels.fast.ir import I64, Code, Value
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.site import NotCovered, Site
from qcore.kernels.opdef import Array

LONGEST = 4096
"""Elements of a row, at most, so that threads have rows to share."""

REPEATED = 1024
"""Operands that repeat are laid side by side up to so many elements: short rows are slow."""

MOST = 1 << 20
"""Rows of which each has an entry in a table."""

INPUTS = "input1", "input2"


@dataclass(frozen=True)
class Walk:
    """How a kernel takes rows, by its arguments: the addresses ``input1``, ``input2``, ``output`` and ``starts``, ``rows`` and ``length``.

    single: which operand, 0 or 1, is one element in each row; None where both go on.
    partial: rows are shorter than a block; else the last block of each overlaps the one before.
    """

    single: int | None
    partial: bool

    @contextmanager
    def blocks(self, code: Code, size: int) -> Iterator[tuple[Value, Value, Value]]:
        """For every block of so many elements in this thread's rows: where it is, in elements of both inputs and of the output."""
        with code.loop(*code.share(code["rows"])) as row:
            one, other, to = (code.load(I64, code.pointer("starts"), code.add(code.multiply(row, 24), 8 * i), 8) for i in range(3))
            with code.loop(0, code["length"], size) as block:
                start = block if self.partial else code.smaller(block, code.add(code["length"], -size))
                yield *(place if self.single == i else code.add(place, start) for i, place in enumerate((one, other))), code.add(to, start)

    def load(self, code: Code, kind: ir.VectorType, which: int, place: Value, item: int) -> Value:
        """A block of an operand, whose elements have so many bytes."""
        pointer, offset = code.pointer(INPUTS[which]), code.multiply(place, item)
        if self.single == which:
            return code.splat(code.load(kind.element, pointer, offset), kind.count)
        return code.load(kind, pointer, offset)

    def store(self, code: Code, values: Value, place: Value, item: int) -> None:
        """Write a block of the output."""
        to = code.at(code.pointer("output"), code.multiply(place, item))
        if self.partial:
            code.store_first(values, to, code["length"])
        else:
            code.store(values, to)


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of two operands.

    starts: int64[rows, 3], where each begins, in elements of both inputs and of the output; they may overlap.
    length: of a row. single: see ``Walk``.
    """

    starts: NDArray[np.int64]
    length: int
    single: int | None

    def walk(self, size: int) -> Walk:
        """By blocks of so many elements."""
        return Walk(self.single, self.length < size)

    def cut(self) -> Rows:
        """The same in rows that are not too long; the last part of each overlaps the one before."""
        length = min(self.length, LONGEST)
        parts = np.minimum(np.arange(0, self.length, LONGEST), self.length - length)
        steps = [int(self.single != which) for which in range(3)]
        return replace(self, starts=(self.starts[:, np.newaxis] + np.multiply.outer(parts, steps)).reshape(-1, 3), length=length)


def rows_of(shape1: Sequence[int], shape2: Sequence[int]) -> Rows:
    """The longest rows there are, of operands that are not empty.

    Raises:
        NotCovered: they are more than MOST.
    """
    shape = np.broadcast_shapes(tuple(shape1), tuple(shape2))
    inputs = [(1,) * (len(shape) - len(own)) + tuple(own) for own in (shape1, shape2)]
    stays = [tuple(own[axis] < n for own in inputs) for axis, n in enumerate(shape)]
    long = [axis for axis, n in enumerate(shape) if n > 1]
    first = len(shape)
    while first > 0 and (first - 1 not in long or stays[first - 1] == stays[long[-1]]):
        first -= 1
    if (count := prod(shape[:first])) > MOST:
        raise NotCovered(f"{count} rows of {prod(shape[first:])}")
    starts = [
        np.broadcast_to(np.arange(prod(own[:first])).reshape(own[:first]) * prod(own[first:]), shape[:first]).reshape(-1)
        for own in (*inputs, shape)
    ]
    single = stays[long[-1]].index(True) if long and any(stays[long[-1]]) else None
    return Rows(np.stack(starts, axis=1), prod(shape[first:]), single)


def meeting(site: Site) -> tuple[Rows, list[Array], list[Call]]:
    """The rows of a site's two inputs, these inputs, and the calls that lay a short one side by side."""
    inputs, calls = [site.readable(i) for i in (0, 1)], []
    rows = rows_of(inputs[0].shape, inputs[1].shape)
    for which, x in enumerate(inputs):
        again = rows.single is None and x.size == rows.length and inputs[1 - which].size == rows.length * len(rows.starts)
        if again:
            times = next(n for n in range(max(1, REPEATED // x.size), 0, -1) if len(rows.starts) % n == 0)
            if times > 1:
                inputs[which] = site.scratch.take(times * x.nbytes).view(x.dtype)
                arguments = copies.RunArguments(x.ctypes.data, inputs[which].ctypes.data, times, x.nbytes, 0, x.nbytes)
                calls.append(Call(copies.Runs(), arguments, (x,)))
                rows = Rows(rows.starts[::times], times * rows.length, None)
    return rows.cut(), inputs, calls
