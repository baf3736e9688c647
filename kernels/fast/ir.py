"""Writing LLVM instructions: one function at a time, with loops, vectors and memory.

Every native kernel is ``void kernel(int64* arguments, int64 thread, int64 threads)``: it does its thread's part of one operator. What
changes from operator to operator comes in the arguments, numbers and addresses, by the names of a ``NamedTuple``'s fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from llvmlite import ir

BOOL, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
F32, F64 = ir.FloatType(), ir.DoubleType()
POINTER = ir.PointerType()
FUNCTION = ir.FunctionType(ir.VoidType(), [POINTER, I64, I64])

Value = Any
"""An ``ir.Value``; llvmlite has no types of its own."""


def vector(element: Any, lanes: int) -> ir.VectorType:
    """The type of so many elements."""
    return ir.VectorType(element, lanes)


def number(kind: Any, value: float | int) -> ir.Constant:
    """A constant; of a vector type, in every lane."""
    return ir.Constant(kind, [value] * kind.count) if isinstance(kind, ir.VectorType) else ir.Constant(kind, value)


def short_name(kind: Any) -> str:
    """What intrinsics call a type, such as ``v16i32``."""
    element = kind.element if isinstance(kind, ir.VectorType) else kind
    lanes = f"v{kind.count}" if isinstance(kind, ir.VectorType) else ""
    return lanes + ({F32: "f32", F64: "f64"}.get(element) or f"i{element.width}")


class Variable:
    """A value that changes as the function runs."""

    def __init__(self, code: Code, initial: Value):
        self._code = code
        with code.builder.goto_entry_block():
            self._place = code.builder.alloca(initial.type)
        self._type = initial.type
        self.set(initial)

    def get(self) -> Value:
        """The present value."""
        return self._code.builder.load(self._place, typ=self._type)

    def set(self, value: Value) -> None:
        """Give it another."""
        self._code.builder.store(value, self._place)


class Code:
    """One kernel's function that is being written.

    Args:
        name: of the function.
        arguments: the NamedTuple of which the caller passes one, as int64.
    """

    def __init__(self, name: str, arguments: type[NamedTuple]):
        self.module = ir.Module(name)
        self.function = ir.Function(self.module, FUNCTION, name)
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        start, self.thread, self.threads = self.function.args
        start.add_attribute("noalias")
        fields: Sequence[str] = arguments._fields
        self._arguments = {field: self.load(I64, start, 8 * i, 8) for i, field in enumerate(fields)}

    def __getitem__(self, argument: str) -> Value:
        """int64: an argument."""
        return self._arguments[argument]

    def pointer(self, argument: str) -> Value:
        """An argument that is an address."""
        return self.builder.inttoptr(self._arguments[argument], POINTER)

    def finish(self) -> str:
        """The module as text."""
        self.builder.ret_void()
        return str(self.module)

    # Numbers

    def wide(self, value: Value | int) -> Value:
        """An int64."""
        return ir.Constant(I64, value) if isinstance(value, int) else value

    def add(self, *terms: Value | int) -> Value:
        """The sum of int64 numbers."""
        total = self.wide(terms[0])
        for term in terms[1:]:
            total = self.builder.add(total, self.wide(term))
        return total

    def multiply(self, one: Value | int, other: Value | int) -> Value:
        """The product of int64 numbers."""
        return self.builder.mul(self.wide(one), self.wide(other))

    def smaller(self, one: Value | int, other: Value | int) -> Value:
        """The smaller of two int64 numbers."""
        one, other = self.wide(one), self.wide(other)
        return self.builder.select(self.builder.icmp_signed("<", one, other), one, other)

    def share(self, count: Value) -> tuple[Value, Value]:
        """This thread's part of so many pieces of work: from the first to before the second."""
        first = self.builder.sdiv(self.multiply(count, self.thread), self.threads)
        return first, self.builder.sdiv(self.multiply(count, self.add(self.thread, 1)), self.threads)

    # Memory

    def at(self, pointer: Value, offset: Value | int) -> Value:
        """The address so many bytes further."""
        return self.builder.gep(pointer, [self.wide(offset)], source_etype=I8)

    def load(self, kind: Any, pointer: Value, offset: Value | int = 0, align: int = 1) -> Value:
        """What lies so many bytes after an address."""
        return self.builder.load(self.at(pointer, offset), align=align, typ=kind)

    def store(self, value: Value, pointer: Value, offset: Value | int = 0) -> None:
        """Write a value so many bytes after an address."""
        self.builder.store(value, self.at(pointer, offset), align=1)

    def store_first(self, value: Value, pointer: Value, count: Value) -> None:
        """Write the first so many elements of a vector."""
        mask = self.first(value.type.count, count)
        self.call(f"llvm.masked.store.{short_name(value.type)}.p0", ir.VoidType(), [value, pointer, ir.Constant(I32, 1), mask])

    def first(self, lanes: int, count: Value) -> Value:
        """A mask of so many lanes: the first ``count``."""
        places = ir.Constant(vector(I32, lanes), list(range(lanes)))
        return self.builder.icmp_signed("<", places, self.splat(self.builder.trunc(count, I32), lanes))

    # Vectors

    def splat(self, value: Value, lanes: int) -> Value:
        """A vector with this value in every lane."""
        kind = vector(value.type, lanes)
        single = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(I32, 0))
        return self.shuffle(single, single, [0] * lanes)

    def shuffle(self, one: Value, other: Value, lanes: Iterable[int]) -> Value:
        """The lanes of two vectors, by their numbers in both."""
        numbers = list(lanes)
        return self.builder.shuffle_vector(one, other, ir.Constant(vector(I32, len(numbers)), numbers))

    def joined(self, parts: list[Value]) -> Value:
        """Vectors of one type, a power of two of them, one after another."""
        while len(parts) > 1:
            lanes = 2 * parts[0].type.count
            parts = [self.shuffle(one, other, range(lanes)) for one, other in zip(parts[::2], parts[1::2], strict=True)]
        return parts[0]

    def call(self, name: str, result: Any, arguments: list[Value]) -> Value:
        """Call an intrinsic."""
        function = self.module.globals.get(name)
        if function is None:
            function = ir.Function(self.module, ir.FunctionType(result, [a.type for a in arguments]), name)
        return self.builder.call(function, arguments)

    def elementwise(self, name: str, *arguments: Value) -> Value:
        """Call an intrinsic that works in each lane, such as ``smax``."""
        kind = arguments[0].type
        return self.call(f"llvm.{name}.{short_name(kind)}", kind, list(arguments))

    # Control flow

    def variable(self, initial: Value) -> Variable:
        """A value that changes as the function runs."""
        return Variable(self, initial)

    @contextmanager
    def loop(self, start: Value | int, stop: Value | int, step: int = 1) -> Iterator[Value]:
        """For i = start, start + step, ... below stop, as in Python."""
        b = self.builder
        before = b.block
        head, body, after = (self.function.append_basic_block(name) for name in ("head", "body", "after"))
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(I64)
        i.add_incoming(self.wide(start), before)
        b.cbranch(b.icmp_signed("<", i, self.wide(stop)), body, after)
        b.position_at_end(body)
        yield i
        i.add_incoming(self.add(i, step), b.block)
        b.branch(head)
        b.position_at_end(after)

    @contextmanager
    def repeat(self) -> Iterator[Value]:
        """Over and over, until ``leave_if`` branches to the block that this gives."""
        b = self.builder
        body, after = (self.function.append_basic_block(name) for name in ("again", "left"))
        b.branch(body)
        b.position_at_end(body)
        yield after
        b.branch(body)
        b.position_at_end(after)

    def leave_if(self, condition: Value, block: Value) -> None:
        """Go on in that block if the condition holds."""
        onward = self.function.append_basic_block("on")
        self.builder.cbranch(condition, block, onward)
        self.builder.position_at_end(onward)
