"""The last steps of an 8-bit output: zero point, clamp, and from vectors of 32-bit lanes to bytes in memory.

Codes are worked on as uint8: int8 codes have their upper bit flipped on the way in and out, which adds 128.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.ir import I8, I16, I32, Code, Value, number, vector

FLIP = 128
"""What int8 codes gain to become uint8; also the bit that is flipped."""

GROUP = 4
"""Vectors of 32-bit lanes whose bytes fill a vector."""


def channel_order(tier: Tier, vectors: int) -> NDArray[np.int64]:
    """int64[vectors, lanes]: which of ``vectors * lanes`` consecutive channels lies in which lane.

    Instructions that pack 32 bits to 8 work within parts of 128 bits. With channels in this order what they give is in order.
    """
    natural = np.arange(vectors * tier.lanes)
    if tier.name != "avx512":
        return natural.reshape(vectors, tier.lanes)
    return natural.reshape(tier.lanes // 4, vectors, 4).transpose(1, 0, 2).reshape(vectors, tier.lanes)


@dataclass(frozen=True)
class Range:
    """What becomes of requantized sums: ``clamp(sum + zero_point, low, high)`` as uint8, with ``flip`` xored in at last.

    zero_point: <2 * lanes x i16>; low, high, flip: <4 * lanes x i8>.
    """

    zero_point: Value
    low: Value
    high: Value
    flip: Value

    @classmethod
    def of(cls, code: Code, tier: Tier) -> Range:
        """From the arguments ``zero_point``, ``low``, ``high``, ``flip``."""
        b = code.builder
        zero_point = code.splat(b.trunc(code["zero_point"], I16), 2 * tier.lanes)
        low, high, flip = (code.splat(b.trunc(code[name], I8), 4 * tier.lanes) for name in ("low", "high", "flip"))
        return cls(zero_point, low, high, flip)


def to_bytes(code: Code, tier: Tier, rows: list[list[Value]], output: Range, lower_halves: bool = False) -> list[Value]:
    """Each row's vectors of 32-bit lanes, in ``channel_order``, as one vector of bytes in order.

    Args:
        code: where to write.
        tier: of the instructions.
        rows: all of one number of vectors.
        output: zero point and clamp.
        lower_halves: these of the lanes hold codes, zero point and all; only with AVX-512.
    """
    if tier.name != "avx512":
        return [_narrowed(code, code.joined(row), output) for row in rows]
    vectors = len(rows[0])
    at_a_time = max(1, GROUP // vectors)
    results = []
    for start in range(0, len(rows), at_a_time):
        part = rows[start : start + at_a_time]
        flat = [lanes for row in part for lanes in row]
        whole = _packed(code, (flat + [flat[0]] * GROUP)[:GROUP], output, lower_halves)
        dwords = code.builder.bitcast(whole, vector(I32, 16))
        for row in range(len(part)):
            # In each part of 128 bits, four bytes of each vector.
            chosen = [GROUP * lane + row * vectors + v for lane in range(4) for v in range(vectors)]
            mine = dwords if vectors == GROUP else code.shuffle(dwords, dwords, chosen)
            results.append(code.builder.bitcast(mine, vector(I8, 16 * vectors)))
    return results


def in_order(code: Code, tier: Tier, packed: Value, vectors: int = GROUP) -> Value:
    """The bytes of vectors whose lanes were in order, which ``to_bytes`` takes to be in ``channel_order``."""
    if tier.name != "avx512":
        return packed
    fours = code.builder.bitcast(packed, vector(I32, packed.type.count // 4))
    first_of_four = channel_order(tier, vectors)[:, ::4] // 4
    return code.builder.bitcast(code.shuffle(fours, fours, first_of_four.reshape(-1).tolist()), packed.type)


def _packed(code: Code, four: list[Value], output: Range, lower_halves: bool) -> Value:
    """Four vectors of 16 lanes as 64 bytes, packed within parts of 128 bits."""
    words, bytes_ = vector(I16, 32), vector(I8, 64)
    if lower_halves:
        # Four lanes of one vector, then four of the other, from each part.
        lanes = [n for part in range(0, 32, 8) for start in (part, 32 + part) for n in range(start, start + 8, 2)]
        halves = [code.builder.bitcast(lane, words) for lane in four]
        sums = [code.shuffle(halves[i], halves[i + 1], lanes) for i in (0, 2)]
    else:
        pairs = [code.call("llvm.x86.avx512.packssdw.512", words, four[i : i + 2]) for i in (0, 2)]
        sums = [code.call("llvm.sadd.sat.v32i16", words, [pair, output.zero_point]) for pair in pairs]
    codes = code.call("llvm.x86.avx512.packuswb.512", bytes_, sums)
    clamped = code.elementwise("umin", code.elementwise("umax", codes, output.low), output.high)
    return code.builder.xor(clamped, output.flip)


def _narrowed(code: Code, lanes: Value, output: Range) -> Value:
    """Lanes of 32 bits as bytes, for any processor."""
    b, count = code.builder, lanes.type.count
    wide = vector(I32, count)

    def same(value: Value) -> Value:
        return code.splat(b.extract_element(value, I32(0)), count)

    limit = 1 << 15
    kept = code.elementwise("smin", code.elementwise("smax", lanes, number(wide, -limit)), number(wide, limit))
    shifted = b.add(kept, b.sext(same(output.zero_point), wide))
    low, high = (b.zext(same(bound), wide) for bound in (output.low, output.high))
    clamped = code.elementwise("smin", code.elementwise("smax", shifted, low), high)
    return b.xor(b.trunc(clamped, vector(I8, count)), same(output.flip))
