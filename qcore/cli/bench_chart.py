"""The time of every operator, and of the whole beside another runtime's, as bar charts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qcore.analysis.profile import Profile
from qcore.cli.chart import DRAWN, REFERENCE
from qcore.cli.terminal import microseconds
from qcore.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RIVAL = "#dd8452"
"""The colour of the other runtime."""

INCHES_PER_BAR = 0.2
TALLEST = 400
"""Inches; matplotlib refuses images of 2**16 pixels."""


def draw(profile: Profile, model: str, path: Path) -> None:
    """Draw a bar for each operator, in the model's order; those that NumPy runs in grey. Above them the whole, beside the rival's.

    Raises:
        InputError: the file cannot be written, or its name ends in no format that matplotlib knows.
    """
    from matplotlib.figure import Figure

    wholes = [("qcore", profile.seconds, DRAWN)]
    if profile.rival is not None:
        wholes.append(("LiteRT", profile.rival.seconds, RIVAL))
    bars = [len(wholes), max(len(profile.operators), 1)]
    figure = Figure(figsize=(9, min(2 + INCHES_PER_BAR * sum(bars), TALLEST)), layout="constrained")
    above, below = figure.subplots(2, height_ratios=bars)
    draw_bars(above, [name for name, _, _ in wholes], [seconds for _, seconds, _ in wholes], [color for _, _, color in wholes])
    ratio = "" if profile.rival is None else f"; qcore takes {profile.rival.ratio:.3f} of LiteRT's time"
    above.set_title(f"{model}, an invoke{ratio}")
    native = [row.runner.reason is None for row in profile.operators]
    names = [f"{row.operator} {row.index}" for row in profile.operators]
    draw_bars(below, names, [row.seconds for row in profile.operators], [DRAWN if one else REFERENCE for one in native])
    below.set_title("its operators, one by one" + ("" if all(native) else "; grey: run by NumPy"))
    below.set_xlabel("microseconds")
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise InputError(f"--plot {path}: {error}") from error


def draw_bars(axes: Axes, names: Sequence[str], seconds: Sequence[float], colors: Sequence[str]) -> None:
    """Horizontal bars from the top down, each with its microseconds beside it."""
    bars = axes.barh(range(len(names)), [s * 1e6 for s in seconds], color=colors)
    axes.bar_label(bars, [microseconds(s) for s in seconds], padding=3, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_ylim(max(len(names), 1) - 0.4, -0.6)
    axes.margins(x=0.08)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
