"""The time of every operator as a bar chart."""

from __future__ import annotations

from pathlib import Path

from qcore.analysis.profile import Profile
from qcore.cli.chart import DRAWN, REFERENCE
from qcore.errors import InputError

INCHES_PER_OPERATOR = 0.2
TALLEST = 400
"""Inches; matplotlib refuses images of 2**16 pixels."""


def draw(profile: Profile, path: Path) -> None:
    """Draw a bar for each operator, in the model's order; those that NumPy runs in grey.

    Raises:
        InputError: the file cannot be written, or its name ends in no format that matplotlib knows.
    """
    from matplotlib.figure import Figure

    rows = profile.operators
    figure = Figure(figsize=(9, min(1.5 + INCHES_PER_OPERATOR * len(rows), TALLEST)), layout="constrained")
    axes = figure.add_subplot()
    for native, color, label in ((True, DRAWN, "native"), (False, REFERENCE, "NumPy")):
        places = [place for place, row in enumerate(rows) if (row.runner.reason is None) == native]
        if places:
            axes.barh(places, [rows[place].seconds * 1e6 for place in places], color=color, label=label)
    axes.set_yticks(range(len(rows)), [f"{row.operator} {row.index}" for row in rows], fontsize=7)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("microseconds")
    axes.set_title(f"{profile.seconds * 1e6:.4g} us an invoke")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    if rows:
        axes.legend()
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise InputError(f"--plot {path}: {error}") from error
