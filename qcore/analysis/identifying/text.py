"""An identification to be read."""

from __future__ import annotations

import math

from rich.console import Group, RenderableType
from rich.text import Text

from qcore.analysis.identifying.identification import ARITHMETICS, Identification, Mismatch, Verdict
from qcore.shown import short_name, spaced, table

OPERATORS = 4
"""Operators of a piece that a row names."""


def rendered(found: Identification, everything: bool) -> RenderableType:
    """The conclusion, the tensors that it rests on, and what fits each kind of operator."""
    lines = [found.conclusion, found.evidence]
    if (first := found.first_misfit) is not None:
        lines.append(f"first operator where none fits: {_operators(first)} (op {_places(first)}), tensor '{short_name(first.tensor)}'")
    chosen = [verdict for verdict in found.verdicts if everything or verdict.tells or not verdict.fits]
    columns = ("op", "operator", "tensor", "elements", *ARITHMETICS)
    rows = [
        (_places(v), _operators(v), short_name(v.tensor), _count(v), *(_outcome(v.mismatches.get(a), v) for a in ARITHMETICS))
        for v in chosen
    ]
    kinds = {kind: fits for kind, fits in found.by_kind.items() if everything or set(fits) != set(ARITHMETICS)}
    alone = [(kind, ", ".join(fits) or "none") for kind, fits in kinds.items()]
    parts = (
        Text("\n".join(filter(None, lines))),
        table(f"{len(chosen)} of {len(found.verdicts)} tensors", columns, rows, numeric=("op", "elements")),
        table("what fits wherever it stands alone", ("operator", "fits"), alone) if alone else None,
    )
    return Group(*spaced(parts), *(Text(note) for note in found.notes))


def _places(verdict: Verdict) -> str:
    """The positions of a piece."""
    first, last = verdict.operators[0], verdict.operators[-1]
    return str(first) if first == last else f"{first}..{last}"


def _operators(verdict: Verdict) -> str:
    """The operators of a piece."""
    names = verdict.names
    return ", ".join(names[:OPERATORS]) + (f" and {len(names) - OPERATORS} more" if len(names) > OPERATORS else "")


def _count(verdict: Verdict) -> object:
    """How many elements a tensor has, where that is known."""
    return next((mismatch.elements for mismatch in verdict.mismatches.values()), "")


def _outcome(mismatch: Mismatch | None, verdict: Verdict) -> str:
    """How an arithmetic fared."""
    if mismatch is None:
        return verdict.note
    if mismatch.equal:
        return "equal"
    if not math.isfinite(mismatch.largest):
        return f"{mismatch.differing} differ, in shape or by NaN"
    steps = f"{mismatch.largest:.0f} step" + ("" if mismatch.largest == 1 else "s")
    size = f"{mismatch.largest:.1e} of the greatest" if verdict.dtype.startswith(("float", "bfloat")) else steps
    return f"{mismatch.differing} differ, by {size}" + (", fits" if mismatch.fits else "")
