"""A comparison as a bar chart."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import get_args

from qcore.analysis.comparison import Comparison, OperatorError, View
from qcore.errors import InputError

INCHES_PER_OPERATOR = 0.22
TALLEST = 600
"""Inches; matplotlib refuses images of 2**16 pixels."""
LEAST_SPAN = 10.0
"""dB that the axis spans at least."""


def draw(comparison: Comparison, path: str | os.PathLike[str]) -> None:
    """Draw the SQNR of every operator, in the model's order, isolated and cumulative.

    Bars of operators without any error reach the right edge, those of NaN or minus infinity have no length; all are marked in words.

    Raises:
        InputError: matplotlib is missing, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError(f"plot {path}: drawing needs matplotlib: pip install 'qcore[plot]'") from None
    rows = comparison.operators
    known = [m.sqnr_db for row in rows for m in (row.isolated, row.cumulative) if m is not None and math.isfinite(m.sqnr_db)]
    low, high = min([0.0, *known]), max([LEAST_SPAN, *known]) * 1.05
    figure = Figure(figsize=(10, min(1.5 + INCHES_PER_OPERATOR * len(rows), TALLEST)), layout="constrained")
    axes = figure.add_subplot()
    for view, offset, color in zip(get_args(View), (-0.2, 0.2), ("tab:blue", "tab:orange"), strict=True):
        places = [place + offset for place in range(len(rows))]
        axes.barh(places, lengths(rows, view, low, high), left=low, height=0.4, color=color, label=view)
        for place, row in zip(places, rows, strict=True):
            axes.text(low, place, f" {remark(row, view)}", va="center", fontsize=5)
    axes.set_yticks(range(len(rows)), [f"{row.operator} {row.index}" for row in rows], fontsize=7)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(low, high)
    axes.set_xlabel("SQNR, dB")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper right", ncols=2)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise InputError(f"plot {path}: {error}") from error


def lengths(rows: Sequence[OperatorError], view: View, low: float, high: float) -> list[float]:
    """Lengths of the bars."""
    found = (row.metrics(view) for row in rows)
    ends = [low if metrics is None or math.isnan(metrics.sqnr_db) else metrics.sqnr_db for metrics in found]
    return [min(max(end, low), high) - low for end in ends]


def remark(row: OperatorError, view: View) -> str:
    """What a bar cannot say."""
    metrics = row.metrics(view)
    if metrics is None:
        return f"{view}: not measured"
    if math.isfinite(metrics.sqnr_db):
        return ""
    return {"inf": "no error", "-inf": "-inf dB"}.get(str(metrics.sqnr_db), "NaN")
