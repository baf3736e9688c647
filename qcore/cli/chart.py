"""The closing table of ``qcore quantize`` as a bar chart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qcore.cli.terminal import size
from qcore.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from qcore.cli.quantize import Row

DRAWN = "#4c72b0"
REFERENCE = "#b0b0b0"
"""Colours of the quantized models and of the float one."""


def require_matplotlib() -> None:
    """Refuse to begin where the chart cannot be drawn.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise InputError("--plot: needs matplotlib: pip install 'qcore[plot]'") from None


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw a bar for each model's size, and, where they are known, for accuracy and agreement with the float model.

    Raises:
        InputError: the file cannot be written, or its name ends in no format that matplotlib knows.
    """
    from matplotlib.figure import Figure

    panels: list[tuple[str, Sequence[float], list[str]]] = [("size", [row.bytes for row in rows], [size(row.bytes) for row in rows])]
    for title, shares in (("accuracy", [row.accuracy for row in rows]), ("agreement with float", [row.agreement for row in rows])):
        known = [share for share in shares if share is not None]
        if known:
            panels.append((title, known, [f"{share:.2%}" for share in known]))
    figure = Figure(figsize=(2 + 3 * len(panels), 1 + 0.4 * len(rows)), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for place, (title, values, texts) in zip(axes, panels, strict=True):
        draw_panel(place, title, values, texts)
    axes[0].set_yticks(range(len(rows)), [row.name for row in rows])
    axes[0].invert_yaxis()
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise InputError(f"--plot {path}: {error}") from error


def draw_panel(axes: Axes, title: str, values: Sequence[float], texts: Sequence[str]) -> None:
    """Horizontal bars from 0, the first of them the float model's, each with its value beside it."""
    bars = axes.barh(range(len(values)), values, color=[REFERENCE] + [DRAWN] * (len(values) - 1))
    axes.bar_label(bars, texts, padding=4)
    axes.set_title(title)
    axes.set_xlim(0, 1.3 * max(values) or 1)
    axes.set_xticks([])
    axes.tick_params(left=False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
