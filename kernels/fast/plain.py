"""Functions of two numbers that stand for themselves: arithmetic, MAXIMUM and MINIMUM, comparisons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from qcore.kernels import addition, arithmetic
from qcore.kernels.elementwise import PlainParams
from qcore.kernels.fast.bytes_out import GROUP
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.float_sums import bounded
from qcore.kernels.fast.ir import F32, I8, I16, I32, I64, Code, Value, vector
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.real_elementwise import lower_curve
from qcore.kernels.fast.rows import Walk, meeting
from qcore.kernels.fast.site import Site

ELEMENTS: Mapping[str, Any] = MappingProxyType(
    {"float32": F32, "int8": I8, "uint8": I8, "int16": I16, "int32": I32, "uint32": I32, "int64": I64}
)

FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        function.__name__: function
        for function in (
            *(np.add, np.subtract, np.multiply, np.divide, addition.squared_difference, arithmetic.maximum, arithmetic.minimum),
            *(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal),
        )
    }
)
"""Those of the reference that are covered, by their names."""

SIGNS: Mapping[str, str] = MappingProxyType(
    {"equal": "==", "not_equal": "!=", "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">="}
    | {"maximum": ">", "minimum": "<"}
)
"""Of comparisons; an extremum is the first number where the comparison holds, else the second."""


class Arguments(NamedTuple):
    """What a call is about: addresses, rows as ``rows`` has them, and the bits of the result's bounds."""

    input1: int
    input2: int
    output: int
    starts: int
    rows: int
    length: int
    low: int
    high: int


@dataclass(frozen=True)
class Plain:
    """A kernel: a function by its name, of elements of a type."""

    function: str
    element: str
    walk: Walk

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the rows."""
        code = Code(name, Arguments)
        item, size = np.dtype(self.element).itemsize, block_elements(tier, self.element)
        kind = vector(ELEMENTS[self.element], size)
        with self.walk.blocks(code, size) as (one, other, to):
            values = self.value(code, *(self.walk.load(code, kind, i, place, item) for i, place in enumerate((one, other))))
            self.walk.store(code, values, to, values.type.element.width // 8 if self.compares else item)
        return code

    @property
    def compares(self) -> bool:
        """The result is a truth value."""
        return self.function in SIGNS and self.function not in ("maximum", "minimum")

    def value(self, code: Code, x: Value, y: Value) -> Value:
        """The function's."""
        b, real = code.builder, self.element == "float32"
        if self.function in SIGNS:
            holds = self.holds(code, SIGNS[self.function], x, y)
            return b.zext(holds, vector(I8, x.type.count)) if self.compares else b.select(holds, x, y)
        if self.function == "squared_difference":
            x = y = b.fsub(x, y) if real else b.sub(x, y)
        instructions = {"add": (b.add, b.fadd), "subtract": (b.sub, b.fsub), "divide": (b.sdiv, b.fdiv)}
        result = instructions.get(self.function, (b.mul, b.fmul))[real](x, y)
        low, high = (self.bound(code, name, x.type) for name in ("low", "high"))
        if real:
            return bounded(code, result, low, high)
        sign = "u" if self.element.startswith("u") else "s"
        return code.elementwise(f"{sign}min", code.elementwise(f"{sign}max", result, low), high)

    def holds(self, code: Code, sign: str, x: Value, y: Value) -> Value:
        """Where a comparison does. Numbers that are none are unequal to all, and neither more nor less."""
        b = code.builder
        if self.element == "float32":
            return (b.fcmp_unordered if sign == "!=" else b.fcmp_ordered)(sign, x, y)
        return (b.icmp_unsigned if self.element.startswith("u") else b.icmp_signed)(sign, x, y)

    def bound(self, code: Code, name: str, kind: Any) -> Value:
        """Of the result, in every lane."""
        width = 8 * np.dtype(self.element).itemsize
        bits = code[name] if width == 64 else code.builder.trunc(code[name], ir.IntType(width))
        return code.splat(code.builder.bitcast(bits, kind.element), kind.count)


def block_elements(tier: Tier, element: str) -> int:
    """That are worked on at a time; no more than SLACK bytes of them."""
    return 4 * GROUP * tier.lanes // max(4, np.dtype(element).itemsize)


def lower_plain(site: Site) -> list[Call]:
    """A function with bounds."""
    p: PlainParams = site.params
    return plain_calls(site, p.function, p.activation_min, p.activation_max)


def lower_function(site: Site) -> list[Call]:
    """A function without bounds, or a comparison; or a function of one number."""
    if len(site.inputs) == 1:
        return lower_curve(site)
    dtype = site.input(0).dtype
    if dtype.kind not in "iu":
        return plain_calls(site, site.params, -np.inf, np.inf)
    return plain_calls(site, site.params, np.iinfo(dtype).min, np.iinfo(dtype).max)


def plain_calls(site: Site, function: object, low: Any, high: Any) -> list[Call]:
    """A function whose results are kept within bounds."""
    name, output = getattr(function, "__name__", ""), site.outputs[0]
    site.require(FUNCTIONS.get(name) is function, "there is no native kernel of this function")
    element = site.input(0).dtype.name
    site.require(element in ELEMENTS and (name != "divide" or element == "float32"), f"numbers of {element}")
    if output.size == 0:
        return []
    rows, inputs, calls = meeting(site)
    bounds = [int(np.float32(bound).view(np.int32)) if element == "float32" else int(bound) for bound in (low, high)]
    arguments = Arguments(
        input1=inputs[0].ctypes.data,
        input2=inputs[1].ctypes.data,
        output=output.ctypes.data,
        starts=rows.starts.ctypes.data,
        rows=len(rows.starts),
        length=rows.length,
        low=bounds[0],
        high=bounds[1],
    )
    kernel = Plain(name, element, rows.walk(block_elements(site.tier, element)))
    return [*calls, Call(kernel, arguments, (*inputs, rows.starts))]
