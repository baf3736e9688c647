"""ADD, SUB and MUL of 16-bit codes, whose zero points are 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qcore.kernels import addition, multiplication
from qcore.kernels.fast.bytes_out import GROUP
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.ir import F64, I16, I32, Code, Value, vector
from qcore.kernels.fast.outputs import Words
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.requantization import Constants, Kind, packed
from qcore.kernels.fast.rows import Walk, meeting
from qcore.kernels.fast.site import Site
from qcore.numerics.lookup_table import all_codes

Operation = Literal["add", "sub", "mul"]

GREATEST_PRODUCT = 1 << 30


class Arguments(NamedTuple):
    """What a call is about: addresses; rows as ``rows`` has them; each input's ``Scaling``, as bits of float64; the range of the codes."""

    input1: int
    input2: int
    output: int
    starts: int
    rows: int
    length: int
    factor1: int
    half1: int
    rise1: int
    factor2: int
    half2: int
    rise2: int
    constants: int
    low: int
    high: int


@dataclass(frozen=True)
class WordPairs:
    """A kernel.

    operation: a sum or a difference of codes that are brought to a common scale first; or a product of codes.
    kind: of the requantization.
    walk: of the rows.
    """

    operation: Operation
    kind: Kind
    walk: Walk

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the rows."""
        code, output, size = Code(name, Arguments), Words(self.kind), GROUP * tier.lanes
        b = code.builder
        combine = {"add": b.add, "sub": b.sub, "mul": b.mul}[self.operation]
        planes = output.load(code, code.pointer("constants"), tier.lanes)
        with self.walk.blocks(code, size) as (one, other, to):
            operands = [self.walk.load(code, vector(I16, size), which, place, 2) for which, place in enumerate((one, other))]
            steps = []
            for start in range(0, size, tier.lanes):
                lanes = [b.sext(code.shuffle(x, x, range(start, start + tier.lanes)), vector(I32, tier.lanes)) for x in operands]
                if self.operation != "mul":
                    lanes = [rescaled(code, x, *(b.bitcast(code[f"{name}{k}"], F64) for name in SCALING)) for k, x in enumerate(lanes, 1)]
                steps.append(output.step(code, combine(*lanes), planes, None))
            (words,) = output.rows(code, tier, [steps])
            self.walk.store(code, words, to, 2)
        return code


def rescaled(code: Code, x: Value, factor: Value, half: Value, rise: Value) -> Value:
    """int32 lanes by a ``Scaling``."""
    b, count = code.builder, x.type.count // 2
    kind, parts = vector(F64, count), []
    for start in (0, count):
        product = b.fmul(b.sitofp(code.shuffle(x, x, range(start, start + count)), kind), code.splat(factor, count))
        raised = b.fadd(product, code.splat(rise, count))
        parts.append(b.fptosi(b.fadd(raised, code.elementwise("copysign", code.splat(half, count), raised)), vector(I32, count)))
    return code.joined(parts)


class Scaling(NamedTuple):
    """``trunc(raised +- half)``, with the sign of ``raised = code * factor + rise``."""

    factor: float
    half: float
    rise: float

    @classmethod
    def of(cls, table: NDArray[np.int32]) -> Scaling | None:
        """One that makes every entry of a table of 16-bit codes; None where none is found.

        A first rounding to ``2**-bits`` takes to a tie what lies up to half of that below, from where it goes away from zero. Ties of
        the first go up: that is the rise, less than the steps that products come in.
        """
        codes = all_codes("int16").astype(np.float64)
        some = codes != 0
        for bits in range(1, 32):
            half, rise = 0.5 + (2.0 ** -(bits + 1) if bits < 31 else 0), 2.0 ** -(19 + bits)
            least, beyond = ((np.abs(table[some]) + end - half - np.copysign(rise, codes[some])) / np.abs(codes[some]) for end in (0, 1))
            raised = codes * (factor := float(least.max() + beyond.min()) / 2) + rise
            if np.array_equal(np.trunc(raised + np.copysign(half, raised)), table):
                return cls(factor, half, rise)
        return None


SCALING = Scaling._fields


def sum_calls(site: Site, p: addition.Params, by: Constants) -> list[Call]:
    """ADD or SUB."""
    one, other = Scaling.of(p.rescaled1), Scaling.of(p.rescaled2)
    site.require(one is not None and other is not None, "codes that are not rescaled by a factor")
    assert one is not None and other is not None
    return calls(site, "add" if p.combine is np.add else "sub", by, p, (one, other))


def product_calls(site: Site, p: multiplication.Params, by: Constants) -> list[Call]:
    """MUL."""
    return calls(site, "mul", by, p, (Scaling(1, 0, 0), Scaling(1, 0, 0)))


def calls(
    site: Site, operation: Operation, by: Constants, p: addition.Params | multiplication.Params, scalings: tuple[Scaling, Scaling]
) -> list[Call]:
    """The calls of an operation."""
    output = site.outputs[0]
    if output.size == 0:
        return []
    rows, inputs, before = meeting(site)
    bits = np.array(scalings, np.float64).view(np.int64).ravel().tolist()
    planes = packed(by.planes, np.zeros((1, site.tier.lanes), np.int64))
    arguments = Arguments(
        input1=inputs[0].ctypes.data,
        input2=inputs[1].ctypes.data,
        output=output.ctypes.data,
        starts=rows.starts.ctypes.data,
        rows=len(rows.starts),
        length=rows.length,
        factor1=bits[0],
        half1=bits[1],
        rise1=bits[2],
        factor2=bits[3],
        half2=bits[4],
        rise2=bits[5],
        constants=planes.ctypes.data,
        low=p.activation_min,
        high=p.activation_max,
    )
    kernel = WordPairs(operation, by.kind, rows.walk(GROUP * site.tier.lanes))
    return [*before, Call(kernel, arguments, (*inputs, planes, rows.starts))]
