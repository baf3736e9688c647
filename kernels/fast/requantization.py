"""From accumulators to steps of the output: the requantizations of ``qcore.numerics.fixed_point`` in vector instructions.

Each takes its constants, one for each output channel, from memory: planes of a vector's width, in the order of ``planes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from qcore.kernels.fast.ir import F32, F64, I32, I64, Code, Value, number, vector
from qcore.numerics.fixed_point import (
    DoubleRounding,
    Float32Rounding,
    Float64Rounding,
    HalfUpRounding,
    ReducedMultiplier,
    SingleRounding,
)
from qcore.numerics.vector_loop import VectorLoop

NARROW = 1 << 30
"""Accumulators below this, in magnitude, leave room for their double in 32 bits."""

REDUCED = 1 << 47
"""Accumulators below this, in magnitude, times 15 bits stay within 64."""

BELOW_HALF, BELOW_HALF_F64 = 0.49999997, 0.49999999999999994
"""The greatest float32 and float64 below a half: half itself would lift what lies just below it."""

Kind = Literal["narrow", "narrow_signed", "narrow_mixed", "wide", "float32", "float64", "away", "shift"]


@dataclass(frozen=True, eq=False)
class Constants:
    """How to requantize, and the constants of every channel.

    kind: "narrow": multiplier, then a shift of at least 1 to the right, in the upper half of 64 bits; "narrow_signed" takes one off
        negative accumulators, since ties go away from zero, "narrow_mixed" in some channels; "wide": any shift, in 64 bits; "float32",
        "float64": a product of floats; "away": a product of float32 and an offset, rounded by cutting off what is beyond a half or so, for
        results within int32; "shift": to the right and no more, half a step being in the accumulators already.
    planes: by channel, in the order in which the instructions take them.
    """

    kind: Kind
    planes: tuple[NDArray[Any], ...]

    def of(self, channels: slice) -> Constants:
        """Those of some channels."""
        return Constants(self.kind, tuple(plane[channels] for plane in self.planes))


def constants(requantize: Any, channels: int, bound: int, from_zero: bool) -> Constants | None:
    """What instructions need to do as a requantizer does; None for one that has none.

    Args:
        requantize: a ``Requantizer`` of one factor or of one for each channel.
        channels: how many there are.
        bound: no accumulator's magnitude is greater.
        from_zero: outputs below the output's zero point are raised to it, so that negative sums may be rounded in any way.
    """
    if isinstance(requantize, VectorLoop):
        return _joined(requantize, channels, bound, from_zero)
    if isinstance(requantize, Float32Rounding | Float64Rounding):
        dtype = np.float32 if isinstance(requantize, Float32Rounding) else np.float64
        scale = np.broadcast_to(np.asarray(requantize.scale, dtype), channels)
        return Constants("float32" if dtype == np.float32 else "float64", (scale,))
    if not isinstance(requantize, DoubleRounding | HalfUpRounding | SingleRounding | ReducedMultiplier):
        return None
    multiplier = np.broadcast_to(np.asarray(requantize.multiplier, np.int64), channels)
    shift = np.broadcast_to(np.asarray(requantize.shift, np.int64), channels)
    if isinstance(requantize, ReducedMultiplier):
        return _reduced(np.broadcast_to(requantize.reduced, channels), shift, bound)
    away = np.full(channels, isinstance(requantize, DoubleRounding))
    return fixed_point(multiplier, shift, away, isinstance(requantize, SingleRounding), bound, from_zero)


def fixed_point(
    multiplier: NDArray[np.int64], shift: NDArray[np.int64], away: NDArray[np.bool_], single: bool, bound: int, from_zero: bool
) -> Constants | None:
    """Constants of a multiplier and a shift.

    Args:
        multiplier: int64[channels].
        shift: int64[channels], positive to the left.
        away: bool[channels]: the second rounding's ties go away from zero.
        single: there is no rounding but the last.
        bound: no accumulator's magnitude is greater.
        from_zero: see ``constants``.
    """
    right = np.maximum(-shift, 0)
    # In units of the product, 2**-31: half of the first rounding's step, and of the second's.
    half = np.where(single & (right > 0), 0, 1 << 30) + np.where(right > 0, np.int64(1) << (30 + right), 0)
    sign = np.where(away & ~np.bool_(single or from_zero), -1, 0).astype(np.int32)
    if (shift <= -1).all() and bound < 1 << 31 and not sign.any():
        # The upper half of the product is twice as coarse as the first rounding's step.
        return Constants("narrow", (multiplier, half, (right - 1).astype(np.int32)))
    if (shift <= -1).all() and bound < NARROW:
        # The upper half of twice the product: units of the first rounding's step.
        planes = (multiplier, 2 * half, right.astype(np.int32))
        return Constants("narrow_signed", planes) if sign.all() else Constants("narrow_mixed", (*planes, sign))
    left = np.maximum(shift, 0)
    if bound << int(left.max()) >= 1 << 31:
        return None
    off_negative = np.where(away & (right > 0) & (not single), np.int64(-1) << 31, 0)
    return Constants("wide", (multiplier << left, half, off_negative, 31 + right))


def _reduced(multiplier: NDArray[np.int64], shift: NDArray[np.int64], bound: int) -> Constants | None:
    """Constants of a multiplier of 15 bits, for sums of up to 48 bits."""
    if (shift <= -1).all() and bound < NARROW:
        return fixed_point(multiplier << 16, shift, np.zeros(len(shift), np.bool_), True, bound, False)
    if bound >= REDUCED:
        return None
    return Constants("wide", (multiplier, np.int64(1) << (14 - shift), np.zeros_like(shift), 15 - shift))


def _joined(loop: VectorLoop, channels: int, bound: int, from_zero: bool) -> Constants | None:
    """A loop that rounds whole vectors of channels in one way and those left over in another."""
    if not isinstance(loop.vectors, HalfUpRounding) or not isinstance(loop.rest, DoubleRounding):
        return None
    multiplier = np.broadcast_to(np.asarray(loop.vectors.multiplier, np.int64), channels)
    shift = np.broadcast_to(np.asarray(loop.vectors.shift, np.int64), channels)
    away = np.arange(channels) >= channels - channels % loop.width
    return fixed_point(multiplier, shift, away, False, bound, from_zero)


PLANES: Mapping[Kind, tuple[Any, ...]] = MappingProxyType(
    {
        "narrow": (I64, I64, I32),
        "narrow_signed": (I64, I64, I32),
        "narrow_mixed": (I64, I64, I32, I32),
        "wide": (I64, I64, I64, I64),
        "float32": (F32,),
        "float64": (F64,),
        "away": (F32, F32, F32),
        "shift": (I32,),
    }
)
"""Types of the constants: multiplier, half a step, shift, what to take off negative sums; or scale, offset, half; or the shift."""


def plane_bytes(kind: Kind, lanes: int) -> int:
    """Bytes of one vector's constants."""
    sizes = {I32: 4, I64: 8, F32: 4, F64: 8}
    return lanes * sum(sizes[element] for element in PLANES[kind])


def packed(planes: tuple[NDArray[Any], ...], order: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Constants as instructions take them: for each vector its planes, 64-bit ones with the even lanes before the odd ones.

    Args:
        planes: by channel.
        order: int64[vectors, lanes]: the channel in each lane; -1 for none.
    """
    return np.concatenate([_plane(plane, channels) for channels in order for plane in planes])


def _plane(plane: NDArray[Any], channels: NDArray[np.int64]) -> NDArray[np.uint8]:
    lanes = plane[np.maximum(channels, 0)]
    if plane.dtype.itemsize == 8:
        lanes = np.concatenate([lanes[0::2], lanes[1::2]])
    return np.ascontiguousarray(lanes).view(np.uint8)


def load(code: Code, kind: Kind, constants: Value, lanes: int) -> list[Value]:
    """One vector's constants; 64-bit ones as their even lanes and their odd ones.

    Args:
        code: where to write.
        kind: of the constants.
        constants: address of this vector's planes.
        lanes: of the vector.
    """
    planes, offset = [], 0
    for element in PLANES[kind]:
        parts = element.width // 32 if isinstance(element, ir.IntType) else 2 if element == F64 else 1
        size = 4 * lanes
        planes += [code.load(vector(element, lanes // parts), constants, offset + i * size) for i in range(parts)]
        offset += parts * size
    return planes


def emit(code: Code, kind: Kind, accumulator: Value | list[Value], planes: list[Value]) -> Value:
    """Lanes of accumulators as int32 lanes of output steps.

    Args:
        code: where to write.
        kind: of the constants.
        accumulator: int32 lanes; or, for "wide" and "float64", also int64 ones: the even lanes and the odd ones.
        planes: what ``load`` gave.
    """
    b = code.builder
    if kind in ("wide", "float64"):
        parts = accumulator if isinstance(accumulator, list) else _even_odd(code, accumulator)
        if kind == "wide":
            return _interleaved(code, _wide(code, parts, planes))
        return _interleaved(code, [_away(code, part, scale) for part, scale in zip(parts, planes, strict=True)])
    assert not isinstance(accumulator, list)
    lanes = accumulator.type.count
    integers, halves = vector(I32, lanes), vector(I64, lanes // 2)
    if kind == "float32":
        product = b.fmul(b.sitofp(accumulator, vector(F32, lanes)), planes[0])
        greatest = number(vector(F32, lanes), 2.0**31 - 128)
        product = b.select(b.fcmp_ordered("<", product, greatest), product, greatest)
        return code.call(f"llvm.lrint.v{lanes}i32.v{lanes}f32", integers, [product])
    if kind == "away":
        steps = b.fadd(b.fmul(b.sitofp(accumulator, vector(F32, lanes)), planes[0]), planes[1])
        return b.fptosi(b.fadd(steps, code.elementwise("copysign", planes[2], steps)), integers)
    if kind == "shift":
        return b.ashr(accumulator, planes[0])
    factor, thirty_two = accumulator if kind == "narrow" else b.add(accumulator, accumulator), number(halves, 32)
    both, sums = b.bitcast(factor, halves), []
    for lane, multiplier, half in zip((b.shl(both, thirty_two), both), planes[:2], planes[2:4], strict=True):
        # Both factors fill 32 bits alone, which shifting them up and down says.
        narrow = b.ashr(b.shl(multiplier, thirty_two), thirty_two)
        sums.append(b.bitcast(b.add(b.mul(b.ashr(lane, thirty_two), narrow), half), integers))
    upper = code.shuffle(sums[0], sums[1], [n for i in range(lanes // 2) for n in (2 * i + 1, lanes + 2 * i + 1)])
    if kind != "narrow":
        sign = b.ashr(accumulator, number(integers, 31))
        upper = b.add(upper, sign if kind == "narrow_signed" else b.and_(sign, planes[5]))
    return b.ashr(upper, planes[4])


def _even_odd(code: Code, lanes: Value) -> list[Value]:
    """The even lanes, and the odd ones."""
    return [code.shuffle(lanes, lanes, range(first, lanes.type.count, 2)) for first in (0, 1)]


def _interleaved(code: Code, parts: list[Value]) -> Value:
    """The inverse of ``_even_odd``."""
    half = parts[0].type.count
    return code.shuffle(parts[0], parts[1], [n for i in range(half) for n in (i, half + i)])


def _wide(code: Code, parts: list[Value], planes: list[Value]) -> list[Value]:
    b, halves = code.builder, planes[0].type
    results = []
    for i, part in enumerate(parts):
        multiplier, half, off_negative, shift = planes[i::2]
        wide = part if part.type == halves else b.sext(part, halves)
        product = b.add(b.mul(wide, multiplier), number(halves, 1 << 30))
        product = b.add(product, b.and_(b.ashr(product, number(halves, 63)), off_negative))
        rest = b.sub(half, number(halves, 1 << 30))
        results.append(b.trunc(b.ashr(b.add(product, rest), shift), vector(I32, halves.count)))
    return results


def _away(code: Code, accumulator: Value, scale: Value) -> Value:
    """int32: a product in float64 rounded half away from zero, kept within int32 as x86-64 converts."""
    b, kind = code.builder, scale.type
    product = b.fmul(b.sitofp(accumulator, kind), scale)
    half = code.elementwise("copysign", number(kind, BELOW_HALF_F64), product)
    rounded = code.elementwise("trunc", b.fadd(product, half))
    beyond = b.fcmp_ordered(">=", code.elementwise("fabs", rounded), number(kind, 2.0**31))
    return b.fptosi(b.select(beyond, number(kind, -(2.0**31)), rounded), vector(I32, kind.count))
