"""What a comparison of two models found: rows, worst first, as a table, as JSON and as a plot."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from rich.console import Group, RenderableType
from rich.text import Text

from qcore.errors import InputError
from qcore.numerics.metrics import ErrorMetrics
from qcore.shown import Shown, short_name, spaced, table

View = Literal["isolated", "cumulative"]
"""An operator run alone on the float model's values, or as part of the whole quantized model."""


@dataclass(frozen=True)
class OperatorError:
    """How far one output of an operator of the quantized model is from its counterpart in the float model.

    index, operator: of the quantized model. reference_index, reference_operator: the counterpart's; None where a QUANTIZE has none, being
    compared with the value that it is given.
    tensor, dtype, scale: of the output; None for a scale where it has none, or one for each channel.
    isolated: with the float model's values as inputs, quantized as the operator's inputs are: its own error. None where note says why.
    cumulative: in the quantized model as a whole.
    note: what to know of the row.
    """

    index: int
    operator: str
    reference_index: int | None
    reference_operator: str | None
    tensor: str
    dtype: str
    scale: float | None
    isolated: ErrorMetrics | None
    cumulative: ErrorMetrics
    note: str = ""

    def metrics(self, view: View) -> ErrorMetrics | None:
        """The metrics of one view."""
        return self.isolated if view == "isolated" else self.cumulative

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {view: _as_dict(self.metrics(view), self.scale) for view in get_args(View)}


@dataclass(frozen=True)
class OutputError:
    """How far an output of the quantized model is from the float model's.

    tensor, dtype, scale: as for ``OperatorError``. reference_tensor: the float model's.
    top1_agreement: the part of its rows that have their greatest number at the same place; None unless it is rows of at least two.
    """

    tensor: str
    reference_tensor: str
    dtype: str
    scale: float | None
    error: ErrorMetrics
    top1_agreement: float | None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {"error": _as_dict(self.error, self.scale)}


@dataclass(frozen=True)
class Comparison(Shown):
    """Two models, side by side on the same samples.

    operators: in the quantized model's order.
    outputs: in the float model's order.
    unmatched_float, unmatched_quantized: operators without a counterpart: fused, folded, added, or not recognized.
    notes: what else to know.
    """

    samples: int
    operators: tuple[OperatorError, ...]
    outputs: tuple[OutputError, ...]
    unmatched_float: tuple[str, ...] = ()
    unmatched_quantized: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def worst(self, count: int | None = None, by: View = "isolated") -> list[OperatorError]:
        """Operators by SQNR, the least first; NaN before all, operators without that view last, equal ones in the model's order.

        Args:
            count: how many; None for all.
            by: the view whose SQNR counts.

        Raises:
            InputError: no such view.
        """
        if by not in get_args(View):
            raise InputError(f"comparison: got by={by!r}, expected one of {', '.join(get_args(View))}")

        def order(row: OperatorError) -> tuple[float, ...]:
            metrics = row.metrics(by)
            if metrics is None:
                return 1, 0, 0
            return 0, not math.isnan(metrics.sqnr_db), 0 if math.isnan(metrics.sqnr_db) else metrics.sqnr_db

        return sorted(self.operators, key=order)[:count]

    def as_dict(self, count: int | None = None, by: View = "isolated") -> dict[str, Any]:
        """Plain data for JSON, operators worst first; arguments as for ``table``."""
        return {
            "samples": self.samples,
            "operators": [row.as_dict() for row in self.worst(count, by)],
            "outputs": [row.as_dict() for row in self.outputs],
            "unmatched_float": self.unmatched_float,
            "unmatched_quantized": self.unmatched_quantized,
            "notes": self.notes,
        }

    def table(self, count: int | None = None, by: View = "isolated") -> RenderableType:
        """The same for a rich console: operators worst first, the models' outputs, and whatever else there is to know.

        Args:
            count: how many operators; None for all.
            by: the view whose SQNR decides the order.
        """
        rows = self.worst(count, by)
        title = f"{len(rows)} of {len(self.operators)} operators, worst {by} SQNR first ({self.samples} samples)"
        views = [f"{view if place == 0 else ''}\n{column}" for view in get_args(View) for place, column in enumerate(_COLUMNS)]
        cells = [
            (
                row.index,
                _operator(row),
                short_name(row.tensor),
                row.dtype,
                *_cells(row.isolated, row.scale),
                *_cells(row.cumulative, row.scale),
            )
            for row in rows
        ]
        columns = ("output", "type", *_COLUMNS, "top-1 agreement")
        outputs = [
            (
                short_name(row.tensor),
                row.dtype,
                *_cells(row.error, row.scale),
                "" if row.top1_agreement is None else f"{row.top1_agreement:.2%}",
            )
            for row in self.outputs
        ]
        operators = ("\nop", "\noperator", "\noutput", "\ntype", *views)
        parts: list[RenderableType] = [
            table(title, operators, cells, (operators[0], *views)),
            table("outputs of the models", columns, outputs, columns[2:]),
        ]
        for what, unmatched in (("float", self.unmatched_float), ("quantized", self.unmatched_quantized)):
            if unmatched:
                parts.append(Text(f"{len(unmatched)} operators of the {what} model without a counterpart: {', '.join(unmatched)}"))
        notes = dict.fromkeys([*self.notes, *(f"{row.operator} (op {row.index}): {row.note}" for row in rows if row.note)])
        if notes:
            parts.append(Text("\n".join(f"note: {note}" for note in notes)))
        return Group(*spaced(parts))

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw the SQNR of every operator, in the model's order, as horizontal bars.

        Args:
            path: a file that ends in .png, .svg or .pdf.

        Raises:
            InputError: matplotlib is missing, or the file cannot be written.
        """
        from qcore.analysis.plot import draw

        draw(self, path)


_COLUMNS = ("SQNR dB", "cosine", "max", "mean", "RMSE/lsb")


def rmse_in_lsb(metrics: ErrorMetrics, scale: float | None) -> float | None:
    """The root mean squared error in quantized steps; None without a scale."""
    return metrics.root_mean_squared_error / scale if scale else None


def _as_dict(metrics: ErrorMetrics | None, scale: float | None) -> dict[str, float | None] | None:
    return None if metrics is None else {**asdict(metrics), "rmse_lsb": rmse_in_lsb(metrics, scale)}


def _operator(row: OperatorError) -> str:
    same = row.reference_operator in (None, row.operator)
    return row.operator if same else f"{row.operator} ({row.reference_operator})"


def _cells(metrics: ErrorMetrics | None, scale: float | None) -> tuple[str, ...]:
    if metrics is None:
        return ("",) * len(_COLUMNS)
    lsb = rmse_in_lsb(metrics, scale)
    return (
        f"{metrics.sqnr_db:.1f}",
        f"{metrics.cosine_similarity:.5f}",
        f"{metrics.max_abs_error:.3g}",
        f"{metrics.mean_error:.2g}",
        "" if lsb is None else f"{lsb:.2f}",
    )
