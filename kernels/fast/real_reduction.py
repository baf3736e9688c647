"""MEAN and SUM of float32, one value after the other as the reference adds them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.float_sums import FLOAT
from qcore.kernels.fast.ir import F32, I32, Code, vector
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.site import Site
from qcore.kernels.reduce import Reduction

TOGETHER = 4
"""Vectors that are summed side by side: no more than SLACK bytes, of which a row has at least one."""


class Arguments(NamedTuple):
    """What a call is about.

    input: address of float32[outer, summed, inner], readable SLACK bytes beyond; output: of float32[outer, inner].
    chunks: of inner. divisor: bits of a float32.
    """

    input: int
    output: int
    outer: int
    summed: int
    inner: int
    chunks: int
    divisor: int


@dataclass(frozen=True)
class RealSums:
    """A kernel: sums, each divided by the same number."""

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function."""
        code = Code(name, Arguments)
        b, kind, width = code.builder, vector(F32, tier.lanes), FLOAT * tier.lanes
        size = code.multiply(code["inner"], FLOAT)
        divisor = code.splat(b.bitcast(b.trunc(code["divisor"], I32), F32), tier.lanes)
        with code.loop(*code.share(code.multiply(code["outer"], code["chunks"]))) as piece:
            outer, chunk = b.sdiv(piece, code["chunks"]), b.srem(piece, code["chunks"])
            first = code.multiply(chunk, TOGETHER * width)
            start = code.at(code.pointer("input"), code.add(code.multiply(outer, code.multiply(code["summed"], size)), first))
            totals = [code.variable(code.load(kind, start, width * v)) for v in range(TOGETHER)]
            with code.loop(1, code["summed"]) as i:
                row = code.at(start, code.multiply(i, size))
                for v, total in enumerate(totals):
                    total.set(b.fadd(total.get(), code.load(kind, row, width * v)))
            to = code.at(code.pointer("output"), code.add(code.multiply(outer, size), first))
            count = code.add(code["inner"], code.multiply(chunk, -TOGETHER * tier.lanes))
            for v, total in enumerate(totals):
                code.store_first(b.fdiv(total.get(), divisor), code.at(to, width * v), code.add(count, -tier.lanes * v))
        return code


def lower_real_mean(site: Site) -> list[Call]:
    """MEAN."""
    what: Reduction = site.params
    return sum_calls(site, np.float32(what.count))


def lower_real_sum(site: Site) -> list[Call]:
    """SUM."""
    return sum_calls(site, np.float32(1))


def sum_calls(site: Site, divisor: np.float32) -> list[Call]:
    """Sums over axes that follow one another."""
    what: Reduction = site.params
    x, output = site.readable(0), site.outputs[0]
    axes = [axis for axis in what.axes if x.shape[axis] > 1]
    site.require(what.count > 0 and output.size > 0, "a sum of no values")
    adjoining = all(axis in axes or x.shape[axis] == 1 for axis in range(axes[0], axes[-1])) if axes else True
    site.require(adjoining, f"axes {what.axes} do not follow one another")
    inner = math.prod(x.shape[axes[-1] + 1 :]) if axes else output.size
    arguments = Arguments(
        input=x.ctypes.data,
        output=output.ctypes.data,
        outer=output.size // inner,
        summed=what.count,
        inner=inner,
        chunks=-(-inner // (TOGETHER * site.tier.lanes)),
        divisor=int(divisor.view(np.int32)),
    )
    return [Call(RealSums(), arguments, (x,))]
