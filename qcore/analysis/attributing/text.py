"""An attribution to be read."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from qcore.analysis.attributing.result import Attribution, OperatorAttribution
from qcore.analysis.attributing.split import PARTS, Split
from qcore.shown import short_name, spaced, table


def rendered(found: Attribution, count: int | None, in_model: bool) -> RenderableType:
    """A row for each operator, and what else there is to know."""
    rows = found.ranked(count)
    which = "in the model as a whole" if in_model else "alone"
    title = f"{len(rows)} of {len(found.operators)} operators, greatest effect first; parts of the error {which} ({found.samples} samples)"
    columns = ("op", "operator", "output", "type", "RMSE", "RMSE/lsb", *PARTS, "effect", "share")
    cells = [
        (row.index, row.measured.operator, short_name(row.measured.tensor), row.measured.dtype)
        + (*_split(row, row.in_model if in_model else row.alone), *_effect(row))
        for row in rows
    ]
    totals = [
        f"output '{output.tensor}': {output.error.sqnr_db:.1f} dB SQNR, RMSE {output.error.root_mean_squared_error:.3g}"
        for output in found.outputs
    ]
    if found.effect_samples:
        share = sum(row.effect.share for row in found.operators if row.effect is not None)
        totals.insert(0, f"shares of all operators add up to {share:.1%} (effects on {found.effect_samples} samples)")
    notes = [*found.notes, *(f"{row.measured.operator} (op {row.index}): {row.note}" for row in rows if row.note)]
    if found.unmatched:
        notes.append(f"without a counterpart in the float model: {', '.join(found.unmatched)}")
    lines = [f"note: {note}" for note in dict.fromkeys(notes)]
    operators = table(title, columns, cells, ("op", "RMSE", "RMSE/lsb", *PARTS, "effect", "share"))
    return Group(*spaced((operators, *(Text("\n".join(part)) for part in (totals, lines) if part))))


def _split(row: OperatorAttribution, split: Split | None) -> tuple[str, ...]:
    if split is None:
        return ("",) * (2 + len(PARTS))
    scale = row.measured.scale
    lsb = f"{split.rmse / scale:.2f}" if scale else ""
    return (f"{split.rmse:.3g}", lsb, *(f"{share:.0%}" if abs(share) >= 0.005 else "" for share in split.shares.values()))


def _effect(row: OperatorAttribution) -> tuple[str, str]:
    return ("", "") if row.effect is None else (f"{row.effect.change:.2%}", f"{row.effect.share:.1%}")
