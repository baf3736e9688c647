"""What ``explain`` finds: an element's way in each arithmetic and in exact numbers, and where the ways part."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from qcore.analysis.explaining.case import Products, Tensor, place_text
from qcore.kernels.opdef import Arithmetic
from qcore.numerics.derivation import Line, Value, decimal
from qcore.shown import Shown, short_name

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class Chain:
    """The lines that lead to the element.

    kernel: what computed it. value: the element, and what it stands for.
    """

    kernel: str
    lines: tuple[Line, ...]
    value: Any
    real: float | None

    def story(self) -> str:
        """Its last rounding in words, and the one before where that made a tie of what was none."""
        rounding = [line for line in self.lines if line.before is not None]
        if not rounding:
            return self.lines[-1].text
        last = rounding[-1]
        before = decimal(last.before)
        if not last.is_tie:
            return f"{last.symbol} rounds {before} to {decimal(last.value)}"
        halfway = f"lies halfway and goes {last.ties}, to {decimal(last.value)}"
        made = next((line for line in reversed(rounding[:-1]) if line.before != line.value), None)
        if made is None:
            return f"{before} {halfway}"
        return f"{made.symbol} rounds {decimal(made.before)} to {decimal(made.value)}, and {last.symbol} meets {before}, which {halfway}"


@dataclass(frozen=True)
class Explanation(Shown):
    """One element of an operator's output.

    where: the operator, as messages name it. op: its position.
    element: the place in output, a tensor.
    run: the arithmetic whose run gave the operator's inputs.
    tensors: that take part; output: the one that the element is of.
    chains: for each arithmetic, on the same inputs; the last line of each is the element that its kernel computed.
    exact: the same with real numbers of infinite precision, rounded once; empty where real numbers play no part.
    products: of a weighted operator.
    """

    width = 100

    where: str
    op: int
    operator: str
    element: tuple[int, ...]
    run: Arithmetic
    tensors: tuple[Tensor, ...]
    output: Tensor
    chains: Mapping[Arithmetic, Chain]
    exact: tuple[Line, ...]
    products: Products | None

    @property
    def shared(self) -> tuple[Line, ...]:
        """The lines with which every arithmetic begins."""
        together = zip(*(chain.lines for chain in self.chains.values()), strict=False)
        return tuple(lines[0] for lines in itertools.takewhile(lambda lines: all(line == lines[0] for line in lines), together))

    @property
    def groups(self) -> list[tuple[tuple[Arithmetic, ...], Chain]]:
        """The arithmetics that go one way, and that way."""
        found: list[tuple[tuple[Arithmetic, ...], Chain]] = []
        for arithmetic, chain in self.chains.items():
            place = next((i for i, (_, other) in enumerate(found) if other.lines == chain.lines), None)
            if place is None:
                found.append(((arithmetic,), chain))
            else:
                found[place] = ((*found[place][0], arithmetic), found[place][1])
        return found

    @property
    def ways(self) -> list[tuple[str, Any, str]]:
        """Who gives which value, and the last rounding in words: the arithmetics by group, and exact numbers."""
        ways = [(", ".join(names), chain.value, chain.story()) for names, chain in self.groups]
        if self.exact:
            ways.append(("exact numbers", self.exact[-1].value, Chain("", self.exact, None, None).story()))
        return ways

    @property
    def agree(self) -> bool:
        """Every arithmetic gives one value, and exact numbers give it too, where they give a code at all."""
        exact = [self.exact[-1].value] if self.exact and isinstance(self.exact[-1].value, int) else []
        return len({decimal(value) for value in [*(chain.value for chain in self.chains.values()), *exact]}) == 1

    @property
    def parting(self) -> str:
        """Where the arithmetics part from each other, or from exact numbers, and why: in one sentence."""
        if not self.agree:
            return "; ".join(f"{names}: {decimal(value)}, {story}" for names, value, story in self.ways)
        value = decimal(self.chains[self.run].value)
        who = "every arithmetic gives" if len(self.chains) > 1 else f"{self.run} gives"
        exactly = ", as exact numbers do" if self.exact and isinstance(self.exact[-1].value, int) else ""
        return f"{who} {value}{exactly}"

    def as_dict(self, full: bool = False) -> dict[str, Any]:
        """Plain data for JSON; full: with every product."""
        return {
            "where": self.where,
            "op": self.op,
            "operator": self.operator,
            "element": list(self.element),
            "run": self.run,
            "tensors": [_tensor(tensor) for tensor in (*self.tensors, self.output)],
            "arithmetics": {
                name: {"kernel": c.kernel, "lines": [_line(line) for line in c.lines], "value": _plain(c.value), "real": _plain(c.real)}
                for name, c in self.chains.items()
            },
            "exact": [_line(line) for line in self.exact],
            "parting": self.parting,
            **({"products": _products(self.products)} if full and self.products is not None else {}),
        }

    def table(self, full: bool = False) -> RenderableType:
        """The same for a rich console; full: with every product."""
        from qcore.analysis.explaining.text import rendered

        return rendered(self, full)

    @property
    def title(self) -> str:
        """The element and its value."""
        chain = self.chains[self.run]
        real = "" if chain.real is None or self.output.scale is None else f", real {chain.real:.9g}"
        name = f"{self.operator} (op {self.op}, output '{short_name(self.output.name)}')"
        return f"{name} {place_text(self.element)} = {decimal(chain.value)}{real}"


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {
        "number": tensor.number,
        "role": tensor.role,
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "scale": None if tensor.scale is None else float(tensor.scale),
        "zero_point": tensor.zero_point,
    }


def _line(line: Line) -> dict[str, Any]:
    """A line; rationals also as a quotient of integers."""
    exact = {"exact": str(line.value)} if isinstance(line.value, Fraction) and line.value.denominator > 1 else {}
    before = {} if line.before is None else {"before": _plain(line.before), "before_exact": str(line.before), "ties": line.ties}
    return {"symbol": line.symbol, "value": _plain(line.value), "text": line.text, "equation": line.equation, **exact, **before}


def _products(products: Products) -> list[dict[str, Any]]:
    rows = zip(
        products.input.tolist(), products.filter.tolist(), products.input_values, products.filter_values, products.values, strict=True
    )
    return [{"input": i, "filter": f, "values": [_plain(a), _plain(b)], "product": _plain(c)} for i, f, a, b, c in rows]


def _plain(value: Value | Any) -> Any:
    """A rational number as JSON has it."""
    if not isinstance(value, Fraction):
        return value
    return value.numerator if value.denominator == 1 else float(value)
