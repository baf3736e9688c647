"""A difference to be read."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from qcore.analysis.diffing.difference import Change, Difference, QuantizationChange, ValueChange
from qcore.shown import short_name, spaced, table

LONGEST = 60
"""Characters of a value in a table."""

QUANTIZATION = ("tensor", "scales", "differ", "scale", "scale of second", "ratio", "zero point", "of second")
VALUES = ("tensor", "type", "elements", "differ", "codes", "real")


def rendered(found: Difference, count: int | None) -> RenderableType:
    """The conclusion, and a table of each kind of difference that there is."""

    def section(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], numeric: Sequence[str] = ()) -> RenderableType | None:
        first = f" (first {count} of {len(rows)})" if count is not None and len(rows) > count else ""
        return table(title + first, columns, rows[:count], numeric) if rows else None

    missing = [(name, "first") for name in found.only_a] + [(name, "second") for name in found.only_b]
    parts: list[RenderableType | None] = [Text(found.conclusion)]
    parts.append(section("operators of one model only", ("operator", "model"), missing))
    for title, changes in (("structure", found.structure), ("model", found.model)):
        rows = [(_place(change), change.what, _shown(change.a), _shown(change.b)) for change in changes]
        parts.append(section(title, ("where", "what", "first", "second"), rows))
    quantization = [_quantization_row(change) for change in found.quantization]
    parts.append(section("quantization", QUANTIZATION, quantization, QUANTIZATION[1:]))
    parts.append(section("constants", VALUES, [_value_row(change) for change in found.constants], VALUES[2:]))
    if found.compared is not None:
        values = [(d.positions[0], d.operator, *_value_row(d.change), "agree" if d.inputs_agree else "differ") for d in found.values]
        title = f"values: {len(values)} of {found.compared} tensors differ"
        parts.append(section(title, ("op", "operator", *VALUES, "inputs"), values, ("op", *VALUES[2:])))
        parts.append(Text(_arises(found)))
    return Group(*spaced(parts))


def _arises(found: Difference) -> str:
    """Where differences of values arise."""
    first = found.first
    if first is None:
        return "no operator gives other outputs on inputs that agree"
    where = f"{first.operator} (op {first.positions[0]}, op {first.positions[1]} of the second)"
    return f"first operator whose output differs although its inputs agree: {where}, tensor '{short_name(first.change.tensor)}'"


def _place(change: Change) -> str:
    """Where a change is."""
    named = short_name(change.name) if change.position is None else f"op {change.position} {change.name}"
    return named + (f" of subgraph {change.subgraph}" if change.subgraph else "")


def _shown(value: object) -> str:
    """A value, or the beginning of a long one."""
    text = "" if value is None else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _quantization_row(change: QuantizationChange) -> tuple[object, ...]:
    """A tensor's line."""
    scales, ratio = (None if s is None else f"{s:.6g}" for s in (change.scale_a, change.scale_b)), change.ratio
    count = str(change.scales[0]) if len(set(change.scales)) == 1 else f"{change.scales[0]}, {change.scales[1]}"
    numbers = (*scales, None if ratio is None else f"{ratio:.6g}", change.zero_point_a, change.zero_point_b)
    return short_name(change.tensor), count, *("" if n is None else n for n in (change.differing, *numbers))


def _value_row(change: ValueChange) -> tuple[object, ...]:
    """A tensor's line."""
    types = change.types[0] if len(set(change.types)) == 1 else " to ".join(change.types)
    sizes = "" if change.codes is None else change.codes, "" if change.real is None else f"{change.real:.4g}"
    return short_name(change.tensor), types, change.elements, change.differing, *sizes
