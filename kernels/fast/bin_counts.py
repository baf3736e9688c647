"""How many numbers fall into each bin of a histogram."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.fast.calls import NATIVE
from qcore.kernels.fast.compiler import compiler
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.cpu import tier as best_tier
from qcore.kernels.fast.ir import F32, F64, I32, I64, Code, Value

WAYS = 4
"""Tables that numbers go to by turns, since adding twice in a row to one place takes long."""
MOST = 1 << 30
"""Numbers that an int32 counts."""


class Arguments(NamedTuple):
    """Addresses of float32[value_count] and int32[WAYS, bins], and the bits of a float64."""

    values: int
    value_count: int
    tables: int
    bins_per_unit: int


@dataclass(frozen=True)
class BinCounts:
    """A kernel that counts value v in bin ``floor(v * bins_per_unit) + bins / 2``, which there must be.

    precise: the product is a float64 one.
    """

    bins: int
    precise: bool

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function, for one thread."""
        code = Code(name, Arguments)
        b, kind = code.builder, F64 if self.precise else F32
        factor = b.bitcast(code["bins_per_unit"], F64)
        factor = factor if self.precise else b.fptrunc(factor, F32)
        rest = b.and_(code["value_count"], I64(-WAYS))
        with code.loop(0, rest, WAYS) as first:
            for way in range(WAYS):
                self._count(code, kind, factor, code.add(first, way), way)
        with code.loop(rest, code["value_count"]) as i:
            self._count(code, kind, factor, i, 0)
        return code

    def _count(self, code: Code, kind: Any, factor: Value, i: Value, way: int) -> None:
        b = code.builder
        value = code.load(F32, code.pointer("values"), code.multiply(i, 4))
        scaled = b.fmul(b.fpext(value, F64) if self.precise else value, factor)
        toward_zero = b.fptosi(scaled, I64)
        whole = b.sub(toward_zero, b.zext(b.fcmp_ordered(">", b.sitofp(toward_zero, kind), scaled), I64))
        place = code.at(code.pointer("tables"), code.multiply(code.add(whole, self.bins // 2 + way * self.bins), 4))
        code.store(b.add(code.load(I32, place), I32(1)), place)


def count_bins(values: NDArray[np.float32], bins_per_unit: float, bins: int, precise: bool) -> NDArray[np.int64]:
    """How many values are in each of an even number of bins, half of them below 0.

    Args:
        values: float32[n], real units, all within the bins: the kernel does not check.
        bins_per_unit: a power of two.
        bins: how many there are.
        precise: multiply in float64, where a float32 product might vanish.

    Returns:
        int64[bins].
    """
    contiguous, tables = np.ascontiguousarray(values), np.zeros((WAYS, bins), np.int32)
    counts = np.zeros(bins, np.int64)
    bits = struct.unpack("q", struct.pack("d", bins_per_unit))[0]
    for start in range(0, contiguous.size, MOST):
        part = contiguous[start : start + MOST]
        arguments = np.array(Arguments(part.ctypes.data, part.size, tables.ctypes.data, bits), np.int64)
        _function(BinCounts(bins, precise), best_tier())(arguments.ctypes.data, 0, 1)
        counts += tables.sum(axis=0)
        tables[:] = 0
    return counts


@cache
def _function(kernel: BinCounts, tier: Tier) -> Any:
    return NATIVE(compiler(tier).addresses([kernel])[kernel])
