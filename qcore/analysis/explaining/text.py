"""An explanation to be read, at a hundred columns."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from qcore.analysis.explaining.case import Products, Tensor, place_text
from qcore.analysis.explaining.explanation import Chain, Explanation
from qcore.numerics.derivation import Line, decimal
from qcore.shown import short_name


def rendered(found: Explanation, full: bool) -> RenderableType:
    """The element, the tensors, the lines that all arithmetics share, what each goes on with, exact numbers, and where they part."""
    shared = len(found.shared)
    parts: list[RenderableType] = [Text(found.title, style="bold"), Text(f"inputs of the operator as in the {found.run} run"), Text()]
    parts += [_tensors((*found.tensors, found.output)), Text()]
    if full and found.products is not None:
        parts += [_products(found.products), Text()]
    sections: list[tuple[str, Iterable[Line]]] = []
    (names, first), *others = found.groups
    if others:
        sections += [("every arithmetic", found.shared)] if shared else []
        sections.append((f"{', '.join(names)}: {first.kernel}", first.lines[shared:]))
    else:
        sections.append((f"{', '.join(names)}: {first.kernel}", first.lines))
    for names, chain in others:
        same = common(first, chain)
        ahead = f", as {found.groups[0][0][0]} up to {chain.lines[same - 1].symbol}" if same > shared else ""
        sections.append((f"{', '.join(names)}: {chain.kernel}{ahead}", chain.lines[same:]))
    if found.exact:
        sections.append(("exact numbers", found.exact))
    parts += [_sections(sections), Text(), Text(found.parting) if found.agree else _ways(found.ways)]
    return Group(*parts)


def common(a: Chain, b: Chain) -> int:
    """How many lines two ways begin with together."""
    return len(tuple(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(a.lines, b.lines, strict=False))))


def _grid(columns: Sequence[tuple[str, str]]) -> Table:
    result = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name, justify in columns:
        result.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    return result


def _tensors(tensors: Iterable[Tensor]) -> Table:
    result = _grid([("", "left"), ("tensor", "left"), ("type", "left"), ("shape", "left"), ("scale S", "right"), ("zero point Z", "right")])
    for tensor in tensors:
        scale, zero_point = ("" if value is None else decimal(value) for value in (tensor.scale, tensor.zero_point))
        name = Text(f"{tensor.role} {short_name(tensor.name)}", no_wrap=True, overflow="ellipsis")
        result.add_row(tensor.number, name, tensor.dtype, "x".join(map(str, tensor.shape)) or "scalar", scale, zero_point)
    return result


def _sections(sections: Sequence[tuple[str, Iterable[Line]]]) -> Table:
    result = _grid([("", "left"), ("value", "right"), ("how", "left"), ("eq.", "right")])
    for heading, lines in sections:
        result.add_row("", "", Text(heading, style="bold"), "")
        for line in lines:
            equation = "" if line.equation is None else f"({line.equation})"
            result.add_row(line.symbol, decimal(line.value), Text(line.text), equation)
    return result


def _ways(ways: Sequence[tuple[str, Any, str]]) -> Table:
    result = _grid([("", "left"), ("value", "right"), ("why", "left")])
    for names, value, story in ways:
        result.add_row(names, decimal(value), Text(story))
    return result


def _products(products: Products) -> Table:
    result = _grid([("input", "left"), ("filter", "left"), ("value", "right"), ("value", "right"), ("product", "right")])
    values: list[np.generic] = list(products.values)
    for i, f, a, b, c in zip(products.input, products.filter, products.input_values, products.filter_values, values, strict=True):
        result.add_row(place_text(i), place_text(f), decimal(a), decimal(b), decimal(c))
    return result
