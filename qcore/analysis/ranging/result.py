"""What ``ranges`` found: a row for each operator, and its channels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from qcore.errors import InputError
from qcore.kernels.opdef import Array
from qcore.shown import Shown

if TYPE_CHECKING:
    from rich.console import RenderableType

Verdict = Literal["proven", "wraps between", "overflows"]
"""No input leads out of the accumulator; the result is held, but a sum on the way may not be; or an input is known that leads out."""


@dataclass(frozen=True)
class Channel:
    """Accumulators of one channel, in units of ``input_scale * filter_scale``.

    least, greatest: over all inputs that the codes allow, bias included; both are reached.
    partial_least, partial_greatest: no sum on the way leaves these, whatever the order of the terms.
    headroom: bits between the accumulator's width and what can be reached; negative where it overflows. partial_headroom: likewise.
    observed: least and greatest on the samples. observed_headroom: likewise.
    constant: the code that the channel gives whatever its input, if there is such a code.
    constant_on_samples: it gave one code alone.
    """

    channel: int
    least: int
    greatest: int
    partial_least: int
    partial_greatest: int
    headroom: float
    partial_headroom: float
    observed: tuple[int, int] | None
    observed_headroom: float | None
    constant: int | None
    constant_on_samples: bool | None


@dataclass(frozen=True, eq=False)
class Overflow:
    """An input that overflows, and what running the operator on it gave.

    channel, row, column: of the output.
    inputs: codes by number of the operator's inputs.
    accumulator: the exact sum. wrapped: what the accumulator's type kept of it, as the kernel did.
    code: what the kernel gave. exact_code: what it should have given; None where that is not known.
    """

    channel: int
    row: int
    column: int
    inputs: dict[int, Array]
    accumulator: int
    wrapped: int
    code: int
    exact_code: int | None

    def __str__(self) -> str:
        wanted = "" if self.exact_code is None else f", expected {self.exact_code}"
        return (
            f"channel {self.channel} at row {self.row}, column {self.column}: the sum is {self.accumulator}, the accumulator keeps "
            f"{self.wrapped}, the output is {self.code}{wanted}"
        )


@dataclass(frozen=True)
class Saturation:
    """Codes of an output on the samples.

    elements: how many. at_least, at_greatest: how many are the type's least and greatest code.
    below, above: how many were cut off, for lying beyond a bound before; None where that is not known.
    lower, upper: what bounds them: the fused activation, or the output's type.
    """

    elements: int
    at_least: int
    at_greatest: int
    below: int | None = None
    above: int | None = None
    lower: str = ""
    upper: str = ""


@dataclass(frozen=True)
class Finding:
    """Something about an operator's numbers that looks wrong. kind: one word. channels: that it holds for; none for all."""

    kind: str
    channels: tuple[int, ...]
    message: str


@dataclass(frozen=True)
class OperatorRanges:
    """One operator.

    index, operator: in the model. tensor, dtype: of its output.
    accumulator: its type; "" for an operator without. width: bits of it that the kernel makes use of.
    """

    index: int
    operator: str
    tensor: str
    dtype: str
    accumulator: str = ""
    width: int = 0
    channels: tuple[Channel, ...] = ()
    verdict: Verdict | None = None
    overflow: Overflow | None = None
    saturation: Saturation | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def worst(self) -> Channel | None:
        """The channel with the least headroom."""
        return min(self.channels, key=lambda c: (c.headroom, c.partial_headroom), default=None)

    @property
    def constant(self) -> list[int]:
        """Channels that give one code whatever their input."""
        return [c.channel for c in self.channels if c.constant is not None]

    def as_dict(self, channels: bool) -> dict[str, Any]:
        """Plain data for JSON; with every channel and the inputs that overflow, or without."""
        plain = asdict(self) | {"worst": None if self.worst is None else asdict(self.worst), "constant": self.constant}
        if not channels:
            del plain["channels"]
            if self.overflow is not None:
                del plain["overflow"]["inputs"]
        return plain


@dataclass(frozen=True)
class Ranges(Shown):
    """Accumulators of a model.

    samples: how many it was run on; 0 for none.
    operators: those with integer accumulators, and others whose outputs are quantized, in the model's order.
    notes: what else to know.
    """

    samples: int
    operators: tuple[OperatorRanges, ...]
    notes: tuple[str, ...] = ()

    @property
    def proven(self) -> bool:
        """No input of any operator overflows its accumulator, nor any sum on the way."""
        return all(row.verdict in (None, "proven") for row in self.operators)

    def operator(self, index: int) -> OperatorRanges:
        """The row of an operator.

        Raises:
            InputError: there is none.
        """
        for row in self.operators:
            if row.index == index:
                return row
        raise InputError(f"ranges: operator {index} has no quantized output, those that do are {[row.index for row in self.operators]}")

    def as_dict(self, index: int | None = None) -> dict[str, Any]:
        """Plain data for JSON: every operator's worst channel; with an index, that operator with all its channels.

        Raises:
            InputError: there is no such row.
        """
        rows = self.operators if index is None else [self.operator(index)]
        return {
            "samples": self.samples,
            "proven": self.proven,
            "operators": [row.as_dict(channels=index is not None) for row in rows],
            "notes": list(self.notes),
        }

    def table(self, index: int | None = None) -> RenderableType:
        """Every operator's worst channel; with an index, the channels of that operator.

        Raises:
            InputError: there is no such row.
        """
        from qcore.analysis.ranging.text import rendered

        return rendered(self, index)
