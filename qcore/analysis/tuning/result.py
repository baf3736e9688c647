"""What ``tune`` found: the chosen types, the model, and the ways not taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from qcore.analysis.evaluation import Evaluation
from qcore.analysis.evaluation.result import in_words, interval_in_words
from qcore.model import Model
from qcore.quantizer import Rules
from qcore.shown import Shown, short_name, spaced, table


@dataclass(frozen=True)
class Point:
    """A file that was made and run on the held-out samples.

    bytes: of the file. value: the metric. loss: what it has lost to the float model's; see ``tune``.
    noise: the power of the error of the outputs, before a SOFTMAX, relative to that of the outputs.
    rules: that make it. final: it is what ``quantize_model`` makes of the rules with the accuracy that was asked for; else constants were
        taken from other models, which is quicker and a little worse.
    """

    bytes: int
    value: float
    loss: float
    noise: float
    rules: Rules
    final: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"bytes": self.bytes, "value": self.value, "loss": self.loss, "noise": self.noise, "final": self.final}


@dataclass(frozen=True)
class OperatorChoice:
    """The types of an operator with weights.

    name: of its output. operator: its type. chosen: "int4", "int8", "int16x4", "int16x8" (int16 activations) or "float32".
    noise: by type of the weights, what they add to ``Point.noise`` if all else is int8; float32 is 0.
    bytes: of the weights in the file, without their scales.
    """

    name: str
    operator: str
    chosen: str
    noise: dict[str, float]
    bytes: int


@dataclass(frozen=True)
class ActivationsChoice:
    """The type of activations that operators hand on to each other as they are; name: of the first; noise: as int8, of all else int8."""

    name: str
    chosen: str
    noise: float


@dataclass(frozen=True, eq=False)
class Tuning(Shown):
    """What ``tune`` found.

    model: the quantized model.
    rules: that make it; ``quantize_model(model, "int8", calibration, rules=rules, accuracy=..., runnable=True)`` gives the same.
    chosen: where it is among the points.
    points: all files that were evaluated, the smallest first.
    operators: with weights, in order. activations: likewise.
    evaluation: of the model on the held-out samples. baseline: of the float model.
    calibration_samples: how many samples calibrated. max_loss, max_bytes: the limit. met: it is met.
    """

    model: Model
    rules: Rules
    chosen: Point
    points: tuple[Point, ...]
    operators: tuple[OperatorChoice, ...]
    activations: tuple[ActivationsChoice, ...]
    evaluation: Evaluation
    baseline: Evaluation
    calibration_samples: int
    max_loss: float | None
    max_bytes: int | None
    met: bool

    @property
    def front(self) -> tuple[Point, ...]:
        """The points that no smaller or equal file beats in loss."""
        best, kept = math.inf, []
        for point in self.points:
            if point.loss < best:
                best = point.loss
                kept.append(point)
        return tuple(kept)

    def table(self) -> RenderableType:
        """Operators, activations that are int16, files, and what was found in words."""
        return Group(*spaced([self._operators(), self._activations(), self._files(), Text("\n".join(self._lines()))]))

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "max_loss": self.max_loss,
            "max_bytes": self.max_bytes,
            "met": self.met,
            "chosen": self.chosen.as_dict(),
            "evaluation": self.evaluation.as_dict(),
            "float": self.baseline.as_dict(),
            "calibration_samples": self.calibration_samples,
            "operators": [asdict(one) for one in self.operators],
            "activations": [asdict(one) for one in self.activations],
            "points": [point.as_dict() for point in self.points],
        }

    def _operators(self) -> RenderableType:
        kinds = [kind for kind in ("int4", "int8") if any(kind in one.noise for one in self.operators)]
        columns = ("op", "operator", "output", "chosen", "bytes", *(f"noise of {kind}" for kind in kinds))
        rows = [
            (place, one.operator, short_name(one.name), one.chosen, one.bytes)
            + tuple(f"{one.noise[kind]:.2g}" if kind in one.noise else "" for kind in kinds)
            for place, one in enumerate(self.operators)
        ]
        return table("Operators with weights", columns, rows, ("op", *columns[4:]))

    def _activations(self) -> RenderableType | None:
        rows = [(short_name(one.name), one.chosen, f"{one.noise:.2g}") for one in self.activations if one.chosen == "int16"]
        return table("Activations in int16", ("tensor", "chosen", "noise of int8"), rows, ("noise of int8",)) if rows else None

    def _files(self) -> RenderableType:
        columns = ("bytes", self.evaluation.metric, "loss", "noise", "")
        shown = [point for point in self.points if point in self.front or point.final or point is self.chosen]
        rows = [
            (
                point.bytes,
                in_words(self.evaluation.metric, point.value),
                f"{point.loss:.3g}",
                f"{point.noise:.2g}",
                "chosen" if point is self.chosen else "" if point.final else "estimate",
            )
            for point in shown
        ]
        return table("Files", columns, rows, columns[:4])

    def _lines(self) -> Sequence[str]:
        found = self.evaluation
        value = f"{found.metric} {in_words(found.metric, found.value)} ({found.confidence:.0%} interval {interval_in_words(found)})"
        of_float = f"the float model has {in_words(found.metric, self.baseline.value)}"
        lines = [f"{self.chosen.bytes} bytes, {value} on {found.samples} held-out samples; {of_float}"]
        lines.append(f"calibrated on {self.calibration_samples} samples; noise is relative to the power of the outputs, before a softmax")
        if not self.met:
            lines.append(f"no file loses at most {self.max_loss}; this one loses least")
        return lines
