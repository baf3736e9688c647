"""What ``attribute`` found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from qcore.analysis.attributing.split import Split
from qcore.analysis.comparison import OperatorError, OutputError
from qcore.errors import InputError
from qcore.shown import Shown

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class Effect:
    """What quantizing one operator alone does to the outputs of the float model.

    change: root of the mean square of their change over that of the outputs, all outputs alike.
    share: of the quantized model's error at the outputs: the inner product of both over the square of that error. Operators whose errors
        add up have shares that do; they do so in full where the model is linear in them.
    """

    change: float
    share: float


@dataclass(frozen=True)
class OperatorAttribution:
    """One output of an operator of the quantized model.

    measured: its errors, as ``compare`` finds them.
    alone: the parts of its isolated error; None where note says why. in_model: likewise of its cumulative error.
    effect: of all the operator's outputs together; None but in the row of the first, and where the operator cannot be run alone.
    note: what to know of the row.
    """

    measured: OperatorError
    alone: Split | None
    in_model: Split | None
    effect: Effect | None
    note: str = ""

    @property
    def index(self) -> int:
        """The operator's place in the quantized model."""
        return self.measured.index


@dataclass(frozen=True)
class Attribution(Shown):
    """Where the error of a quantized model comes from.

    samples: how many the models were run on. effect_samples: how many of them effects are measured on.
    operators: in the quantized model's order.
    outputs: of the models.
    unmatched: operators of the quantized model without a counterpart.
    notes: what else to know.
    """

    samples: int
    effect_samples: int
    operators: tuple[OperatorAttribution, ...]
    outputs: tuple[OutputError, ...]
    unmatched: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def ranked(self, count: int | None = None) -> list[OperatorAttribution]:
        """Operators by their effect on the outputs, the greatest first; those without one last."""
        return sorted(self.operators, key=lambda row: -1.0 if row.effect is None else row.effect.change, reverse=True)[:count]

    def operator(self, index: int) -> OperatorAttribution:
        """The first output of an operator of the quantized model.

        Raises:
            InputError: it has none that was compared.
        """
        for row in self.operators:
            if row.index == index:
                return row
        raise InputError(f"attribution: operator {index} was not compared, those that were are {[row.index for row in self.operators]}")

    def as_dict(self, count: int | None = None) -> dict[str, Any]:
        """Plain data for JSON, operators of the greatest effect first; None for all."""
        return asdict(self) | {
            "operators": [asdict(row) | {"measured": row.measured.as_dict()} for row in self.ranked(count)],
            "outputs": [output.as_dict() for output in self.outputs],
        }

    def table(self, count: int | None = None, in_model: bool = False) -> RenderableType:
        """Operators of the greatest effect first, with the parts of their errors.

        Args:
            count: how many operators; None for all.
            in_model: the parts of errors in the model as a whole, instead of those of each operator alone.
        """
        from qcore.analysis.attributing.text import rendered

        return rendered(self, count, in_model)
