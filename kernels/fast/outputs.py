"""What becomes of sums, by type of the output: codes of 8 bits or 16, or real values.

A kernel takes its constants from memory, for each vector of 32-bit lanes: the first values of the sums, then what ``load`` loads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from qcore.kernels.fast import requantization
from qcore.kernels.fast.bytes_out import Range, channel_order, to_bytes
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.ir import F32, F64, I16, I32, Code, Value, number, vector
from qcore.kernels.fast.requantization import Kind, plane_bytes


class Row(NamedTuple):
    """Of a row of codes that were quantized at run time, in every lane: its zero point's uint8 code, int32, and its scale, float32."""

    zero_point: Value
    scale: Value


@dataclass(frozen=True)
class Output(ABC):
    """How sums become elements of the output.

    item: bytes of an element.
    wide: sums are of 64 bits, as their even lanes and their odd ones.
    """

    item: ClassVar[int]
    wide: ClassVar[bool] = False

    @abstractmethod
    def constant_bytes(self, lanes: int) -> int:
        """Of one vector, without the first values."""

    @abstractmethod
    def load(self, code: Code, constants: Value, lanes: int) -> list[Value]:
        """One vector's constants."""

    def row(self, code: Code, index: Value, lanes: int) -> Row | None:
        """What a row has of its own."""
        return None

    @abstractmethod
    def step(self, code: Code, total: Value | list[Value], planes: list[Value], row: Row | None) -> Value:
        """32-bit lanes of the output, from one vector's sums."""

    def rows(self, code: Code, tier: Tier, steps: list[list[Value]]) -> list[Value]:
        """Each row's elements, from its vectors of 32-bit lanes in ``order``."""
        return [code.joined(row) for row in steps]

    def order(self, tier: Tier, vectors: int) -> NDArray[np.int64]:
        """int64[vectors, lanes]: which of as many consecutive channels lies in which lane."""
        return np.arange(vectors * tier.lanes).reshape(vectors, tier.lanes)


@dataclass(frozen=True)
class Requantized(Output):
    """Output steps; kind: of the requantization."""

    kind: Kind

    def constant_bytes(self, lanes: int) -> int:
        """See ``requantization``."""
        return plane_bytes(self.kind, lanes)

    def load(self, code: Code, constants: Value, lanes: int) -> list[Value]:
        """See ``requantization``."""
        return requantization.load(code, self.kind, constants, lanes)

    def step(self, code: Code, total: Value | list[Value], planes: list[Value], row: Row | None) -> Value:
        """Without zero point and clamp."""
        return requantization.emit(code, self.kind, total, planes)


@dataclass(frozen=True)
class Codes(Requantized):
    """8 bits. The range comes in the arguments ``zero_point``, ``low``, ``high`` and ``flip``."""

    item: ClassVar[int] = 1

    def rows(self, code: Code, tier: Tier, steps: list[list[Value]]) -> list[Value]:
        """See ``bytes_out``."""
        return to_bytes(code, tier, steps, Range.of(code, tier))

    def order(self, tier: Tier, vectors: int) -> NDArray[np.int64]:
        """See ``bytes_out``."""
        return channel_order(tier, vectors)


@dataclass(frozen=True)
class Words(Requantized):
    """16 bits, whose zero point is 0. The range comes in the arguments ``low`` and ``high``."""

    item: ClassVar[int] = 2

    def step(self, code: Code, total: Value | list[Value], planes: list[Value], row: Row | None) -> Value:
        """With the clamp."""
        steps = super().step(code, total, planes, row)
        low, high = (code.splat(code.builder.trunc(code[name], I32), steps.type.count) for name in ("low", "high"))
        return code.elementwise("smin", code.elementwise("smax", steps, low), high)

    def rows(self, code: Code, tier: Tier, steps: list[list[Value]]) -> list[Value]:
        """The lower halves of the lanes."""
        return [code.builder.trunc(row, vector(I16, row.type.count)) for row in super().rows(code, tier, steps)]


@dataclass(frozen=True)
class WideWords(Words):
    """The same from sums of 64 bits."""

    wide: ClassVar[bool] = True


Scaling = Literal["product", "channels", "rows", "mixed", "unrounded"]


@dataclass(frozen=True)
class Reals(Output):
    """float32 from sums of codes that were quantized row by row at run time.

    The argument ``row_scales`` is the address of the first row's float32 scale and int32 zero point; ``row_scales_step`` leads to the
    next. ``low`` and ``high`` are the bits of float32 bounds.

    scaling: how the two scales are multiplied with a sum: their product first; the channel's before the row's or after it; "mixed": as
        each channel says; "unrounded": the row's first, the rest in float64.
    """

    scaling: Scaling
    item: ClassVar[int] = 4

    @property
    def planes(self) -> tuple[ir.Type, ...]:
        """Sums of the weights, scales, biases; where mixed also -1 for channels whose scale comes last, else 0."""
        return (I32, F32, F32, I32) if self.scaling == "mixed" else (I32, F32, F32)

    def constant_bytes(self, lanes: int) -> int:
        """Of ``planes``."""
        return 4 * lanes * len(self.planes)

    def load(self, code: Code, constants: Value, lanes: int) -> list[Value]:
        """Of ``planes``."""
        return [code.load(vector(kind, lanes), constants, 4 * lanes * i) for i, kind in enumerate(self.planes)]

    def row(self, code: Code, index: Value, lanes: int) -> Row:
        """Its zero point and its scale."""
        place = code.at(code.pointer("row_scales"), code.multiply(index, code["row_scales_step"]))
        return Row(code.splat(code.load(I32, place, 4), lanes), code.splat(code.load(F32, place), lanes))

    def step(self, code: Code, total: Value | list[Value], planes: list[Value], row: Row | None) -> Value:
        """float32 lanes."""
        assert row is not None
        b, (sums, scale, bias) = code.builder, planes[:3]
        x = b.sitofp(b.sub(total, b.mul(row.zero_point, sums)), scale.type)
        if self.scaling == "unrounded":
            return clamped(code, _unrounded(code, b.fmul(x, row.scale), scale, bias))
        if self.scaling == "product":
            return clamped(code, b.fadd(b.fmul(x, b.fmul(row.scale, scale)), bias))
        first, second = (row.scale, scale) if self.scaling == "rows" else (scale, row.scale)
        if self.scaling == "mixed":
            last = b.icmp_signed("<", planes[3], number(planes[3].type, 0))
            first, second = b.select(last, second, first), b.select(last, first, second)
        return clamped(code, b.fadd(b.fmul(b.fmul(x, first), second), bias))


def _unrounded(code: Code, x: Value, scale: Value, bias: Value) -> Value:
    """``x * scale + bias`` in float64, as float32; the product of two float32 numbers is exact there, and may be fused with the sum."""
    b, half, parts = code.builder, x.type.count // 2, []
    for lanes in (range(half), range(half, 2 * half)):
        wide = [b.fpext(code.shuffle(value, value, lanes), vector(F64, half)) for value in (x, scale, bias)]
        total = b.fadd(b.fmul(*wide[:2], flags=("contract",)), wide[2], flags=("contract",))
        parts.append(b.fptrunc(total, vector(F32, half)))
    return code.joined(parts)


def clamped(code: Code, real: Value) -> Value:
    """float32 lanes within the arguments ``low`` and ``high``; NaN stays, and -0.0 becomes a lower bound of 0.0, as in NumPy."""
    b, lanes = code.builder, real.type.count
    low, high = (code.splat(b.bitcast(b.trunc(code[name], I32), F32), lanes) for name in ("low", "high"))
    # Adding -0.0 changes nothing, adding 0.0 makes -0.0 0.0.
    zero = b.select(b.fcmp_ordered("==", low, number(low.type, 0.0)), low, number(low.type, -0.0))
    raised = b.fadd(b.select(b.fcmp_ordered(">", low, real), low, real), zero)
    return b.select(b.fcmp_ordered("<", high, raised), high, raised)


def vector_bytes(output: Output, lanes: int) -> int:
    """Bytes of one vector's constants, first values and all."""
    return (8 if output.wide else 4) * lanes + output.constant_bytes(lanes)
