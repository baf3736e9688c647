"""The files that ``tune`` evaluated as a chart: what they lose over their bytes."""

from __future__ import annotations

import os
from collections.abc import Sequence

from qcore.analysis.tuning.result import Point, Tuning
from qcore.errors import InputError


def draw(tuning: Tuning, path: str | os.PathLike[str]) -> None:
    """Draw the loss of every file over its size, the limit, and the file that was chosen.

    Raises:
        InputError: matplotlib is missing, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError(f"plot {path}: drawing needs matplotlib: pip install 'qcore[plot]'") from None
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()

    def marked(points: Sequence[Point], label: str, *style: str, **look: object) -> None:
        axes.plot([point.bytes / 1000 for point in points], [point.loss for point in points], *style, label=label, **look)  # type: ignore[arg-type]

    marked(tuning.front, "best for their bytes", "-", color="lightgrey")
    marked([point for point in tuning.points if not point.final], "estimates", ".", color="tab:grey")
    marked([point for point in tuning.points if point.final], "files", "o", color="tab:blue")
    marked([tuning.chosen], "chosen", "*", color="tab:red", markersize=14)
    if tuning.max_loss is not None:
        axes.axhline(tuning.max_loss, color="tab:red", linewidth=0.8, linestyle="--")
    if tuning.max_bytes is not None:
        axes.axvline(tuning.max_bytes / 1000, color="tab:red", linewidth=0.8, linestyle="--")
    axes.set_xlabel("kB of the file")
    axes.set_ylabel(f"loss ({tuning.evaluation.metric})")
    axes.grid(alpha=0.3)
    axes.legend()
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise InputError(f"plot {path}: {error}") from error
