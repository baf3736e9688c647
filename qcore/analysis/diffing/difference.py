"""What ``diff`` found: where two models are not the same."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from qcore.shown import Shown

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class Change:
    """Something that the two models say differently.

    subgraph: number of the subgraph. position: of the operator in the first model; None where it is no operator.
    name: of the operator or tensor in the first model, or "model". what: of it.
    a, b: what each says, as plain values; None where it says nothing.
    """

    subgraph: int
    position: int | None
    name: str
    what: str
    a: Any
    b: Any


@dataclass(frozen=True)
class QuantizationChange:
    """Scales and zero points of a tensor that differ.

    tensor: in the first model.
    scales: how many each has. axes: along which dimension, where there are several.
    differing: how many pairs of scale and zero point differ; None where counts do.
    scale_a, scale_b: the two that lie furthest apart. zero_point_a, zero_point_b: likewise. All None where a tensor has none.
    """

    tensor: str
    scales: tuple[int, int]
    axes: tuple[int | None, int | None]
    differing: int | None
    scale_a: float | None
    scale_b: float | None
    zero_point_a: int | None
    zero_point_b: int | None

    @property
    def ratio(self) -> float | None:
        """The second scale in units of the first."""
        return self.scale_b / self.scale_a if self.scale_a and self.scale_b is not None else None


@dataclass(frozen=True)
class ValueChange:
    """Elements that differ: of a constant, or of a tensor in a run.

    tensor: in the first model. types: element types.
    elements: how many there are; differing: how many are not equal.
    codes: the greatest difference of integers of one type, in codes; None of others.
    real: the greatest difference of real values; None where there are none, infinite where just one of the two is NaN.
    """

    tensor: str
    types: tuple[str, str]
    elements: int
    differing: int
    codes: int | None
    real: float | None


@dataclass(frozen=True)
class Departure:
    """An operator's output that differs in a run.

    positions: of the operator in each model. operator: its name.
    inputs_agree: what it computes from is the same in both, so that the difference arises here: from other constants, other quantization,
        other options or another operator.
    """

    positions: tuple[int, int]
    operator: str
    change: ValueChange
    inputs_agree: bool


@dataclass(frozen=True)
class Difference(Shown):
    """Where two models differ.

    equal: they are the same model, to the byte once written.
    only_a, only_b: operators without a counterpart.
    structure: of counterparts: operators, options, what they read, tensors' types, shapes and names.
    quantization, constants: of tensors that correspond.
    model: inputs, outputs, signatures, metadata and the like.
    compared: how many tensors a run compared; None where there was none.
    values: those that differ in it, in the first model's order.
    """

    equal: bool
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    structure: tuple[Change, ...] = ()
    quantization: tuple[QuantizationChange, ...] = ()
    constants: tuple[ValueChange, ...] = ()
    model: tuple[Change, ...] = ()
    compared: int | None = None
    values: tuple[Departure, ...] = ()

    @property
    def first(self) -> Departure | None:
        """The first operator whose outputs differ although its inputs agree."""
        return next((departure for departure in self.values if departure.inputs_agree), None)

    @property
    def counts(self) -> dict[str, int]:
        """How many differences there are of each kind."""
        found = {
            "operators only in the first": self.only_a,
            "operators only in the second": self.only_b,
            "structure": self.structure,
            "quantization": self.quantization,
            "constants": self.constants,
            "model": self.model,
            "values": self.values,
        }
        return {kind: len(changes) for kind, changes in found.items() if changes}

    @property
    def conclusion(self) -> str:
        """In one line."""
        if self.equal:
            return "the same model"
        if not self.counts:
            return "the models differ only in what no reader of them sees: numbering, order, or what nothing uses"
        return "the models differ: " + ", ".join(f"{kind} {count}" for kind, count in self.counts.items())

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {
            "conclusion": self.conclusion,
            "first": None if self.first is None else asdict(self.first),
            "quantization": [asdict(change) | {"ratio": change.ratio} for change in self.quantization],
        }

    def table(self, count: int | None = None) -> RenderableType:
        """The conclusion, and tables of what differs.

        Args:
            count: how many rows of each; None for all.
        """
        from qcore.analysis.diffing.text import rendered

        return rendered(self, count)
