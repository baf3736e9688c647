"""SOFTMAX of float32, by the exponential function that ``real_elementwise`` has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.float_sums import FLOAT
from qcore.kernels.fast.ir import F32, I64, Code, Value
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.real_elementwise import RealWriter
from qcore.kernels.fast.site import Site
from qcore.kernels.softmax import FloatParams


class Arguments(NamedTuple):
    """What a call is about.

    input, output: addresses of float32[rows, depth]. beta: bits of the exponent's factor.
    """

    input: int
    output: int
    rows: int
    depth: int
    beta: int


@dataclass(frozen=True)
class RealSoftmax:
    """A kernel."""

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function."""
        code = Code(name, Arguments)
        b, writer = code.builder, RealWriter(code, tier.lanes)
        size = code.multiply(code["depth"], FLOAT)
        lowest = writer.real(-np.inf)

        @contextmanager
        def vectors() -> Iterator[tuple[Value, Value]]:
            with code.loop(0, size, FLOAT * tier.lanes) as place:
                yield place, writer.mask(b.sdiv(b.sub(size, place), I64(FLOAT)))

        with code.loop(*code.share(code["rows"])) as row:
            x, y = (code.at(code.pointer(memory), code.multiply(row, size)) for memory in ("input", "output"))
            greatest, total = code.variable(lowest), code.variable(writer.real(0))
            with vectors() as (place, mask):
                one = b.select(mask, writer.load(code.at(x, place), mask), lowest)
                greatest.set(writer.larger(greatest.get(), one))
            peak = code.splat(code.call(f"llvm.vector.reduce.fmax.v{tier.lanes}f32", F32, [greatest.get()]), tier.lanes)
            with vectors() as (place, mask):
                below = b.fsub(writer.load(code.at(x, place), mask), peak)
                e = b.select(mask, writer.exponential(b.fmul(below, writer.argument("beta"))), writer.real(0))
                total.set(b.fadd(total.get(), e))
                writer.store(e, code.at(y, place), mask)
            both = [F32(0.0), total.get()]
            divisor = code.splat(code.call(f"llvm.vector.reduce.fadd.v{tier.lanes}f32", F32, both), tier.lanes)
            with vectors() as (place, mask):
                writer.store(b.fdiv(writer.load(code.at(y, place), mask), divisor), code.at(y, place), mask)
        return code


def lower_real_softmax(site: Site) -> list[Call]:
    """SOFTMAX."""
    p: FloatParams = site.params
    x, output, beta = site.input(0), site.outputs[0], np.float32(p.beta)
    site.require(not site.exact, "its function would round otherwise")
    site.require(output.size > 0 and float(beta) > 0, "there are no elements, or the factor is not above 0")
    depth = x.shape[-1]
    arguments = Arguments(x.ctypes.data, output.ctypes.data, x.size // depth, depth, int(beta.view(np.int32)))
    return [Call(RealSoftmax(), arguments, (x,))]
