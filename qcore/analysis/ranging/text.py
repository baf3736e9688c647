"""Ranges to be read."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from qcore.analysis.ranging.result import Channel, OperatorRanges, Ranges, Saturation
from qcore.shown import short_name, spaced, table

LISTED = 8
"""Channels that a finding names."""


def rendered(found: Ranges, op: int | None) -> RenderableType:
    """A row for each operator's worst channel, or for each channel of one operator; then outputs; then what looks wrong."""
    rows = found.operators if op is None else (found.operator(op),)
    overflows = [f"{_name(row)} overflows: {row.overflow}" for row in rows if row.overflow is not None]
    odd = [f"{_name(row)}: {finding.message}{_listed(finding.channels)}" for row in rows for finding in row.findings]
    notes = [f"note: {note}" for note in found.notes]
    return Group(
        *spaced(
            (
                _operators(found, rows) if op is None else _channels(found, rows[0]),
                _outputs(found, rows) if found.samples else None,
                *(Text("\n".join(lines)) for lines in (overflows, odd, notes) if lines),
            )
        )
    )


_BOUNDS = ("least", "greatest", "headroom", "between")
_SEEN = ("seen", "headroom")
_NUMERIC = ("op", "channel", *_BOUNDS, *_SEEN, "constant", "always")


def _operators(found: Ranges, rows: Sequence[OperatorRanges]) -> RenderableType:
    counted = [(row, row.worst) for row in rows if row.worst is not None]
    safe = sum(row.verdict == "proven" for row, _ in counted)
    title = f"{len(counted)} operators with integer accumulators, each by its worst channel: {safe} proven not to overflow"
    columns = ("op", "operator", "output", "sums", "channel", *_BOUNDS, *_seen(found), "verdict", "constant")
    cells = [
        (row.index, row.operator, short_name(row.tensor), row.accumulator, *_cells(worst, found), row.verdict, len(row.constant) or "")
        for row, worst in counted
    ]
    return table(title, columns, cells, _NUMERIC)


def _channels(found: Ranges, row: OperatorRanges) -> RenderableType:
    title = f"{_name(row)}: {row.accumulator} accumulators, {len(row.channels)} channels, least headroom first: {row.verdict}"
    columns = ("channel", *_BOUNDS, *_seen(found), "always")
    cells = [(*_cells(c, found), "" if c.constant is None else c.constant) for c in sorted(row.channels, key=lambda c: c.headroom)]
    return table(title, columns, cells, _NUMERIC)


def _outputs(found: Ranges, rows: Sequence[OperatorRanges]) -> RenderableType:
    columns = ("op", "operator", "output", "type", "at least code", "at greatest", "cut off below", "by", "above", "by", "one code")
    cells = [
        (row.index, row.operator, short_name(row.tensor), row.dtype, _part(s.at_least, s), _part(s.at_greatest, s), *_cuts(s))
        + (sum(c.constant_on_samples or False for c in row.channels) or "",)
        for row in rows
        if (s := row.saturation) is not None
    ]
    numeric = ("op", "at least code", "at greatest", "cut off below", "above", "one code")
    return table(f"codes of the outputs on {found.samples} samples", columns, cells, numeric)


def _seen(found: Ranges) -> tuple[str, ...]:
    return _SEEN if found.samples else ()


def _cells(c: Channel, found: Ranges) -> tuple[object, ...]:
    bounds = c.channel, c.least, c.greatest, f"{c.headroom:.1f}", f"{c.partial_headroom:.1f}"
    if not found.samples:
        return bounds
    if c.observed is None:
        return (*bounds, "", "")
    return (*bounds, f"{c.observed[0]} .. {c.observed[1]}", f"{c.observed_headroom:.1f}")


def _cuts(s: Saturation) -> tuple[str, ...]:
    return _part(s.below, s), s.lower if s.below else "", _part(s.above, s), s.upper if s.above else ""


def _part(count: int | None, of: Saturation) -> str:
    return f"{count / of.elements:.2%}" if count else ""


def _name(row: OperatorRanges) -> str:
    return f"{row.operator} (op {row.index}, output '{short_name(row.tensor)}')"


def _listed(channels: Sequence[int]) -> str:
    shown = ", ".join(map(str, channels[:LISTED]))
    return f" (channels {shown}{', ...' if len(channels) > LISTED else ''})" if channels else ""
