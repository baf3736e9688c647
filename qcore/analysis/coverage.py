"""What runs each operator of a model on the fast engine: native kernels, or NumPy and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qcore.errors import QCoreError
from qcore.model import Model
from qcore.runtime.plan import Settings
from qcore.runtime.session import Session

if TYPE_CHECKING:
    from qcore.runtime.stages import Lowered


@dataclass(frozen=True)
class Runner:
    """What runs an operator.

    kernels: names of the native kernels, in order; none for an operator that is part of a later one.
    reason: why NumPy runs it; None where it is native.
    """

    kernels: tuple[str, ...] = ()
    reason: str | None = None

    def __str__(self) -> str:
        if self.reason is not None:
            return f"NumPy: {self.reason}"
        counts = Counter(self.kernels).items()
        return "native: " + (", ".join(name + (f" x{count}" if count > 1 else "") for name, count in counts) or "part of a later operator")


def runners(found: Sequence[Lowered]) -> list[Runner]:
    """What runs each operator of a plan, by what became of it."""
    return [Runner(tuple(type(call.kernel).__name__ for call in one.calls), one.reason) for one in found]


def coverage(model: Model) -> list[list[str]]:
    """For each subgraph and operator, in the model's order, what runs it: a ``Runner``, or why nothing can be said."""
    from qcore.runtime.stages import lowered

    session = Session(model, Settings())
    found = []
    for number, graph in enumerate(model.subgraphs):
        try:
            executor = session.executor(number)
            executor.allocate()
            plan = executor.allocated()
            running = {id(p.operator): str(r) for p, r in zip(plan.operators, runners(lowered(plan, executor.values)), strict=True)}
            found.append([running.get(id(operator), "nothing: it was computed once, by the plan") for operator in graph.operators])
        except QCoreError as error:
            found.append([f"nothing: no plan, {error}" for _ in graph.operators])
    return found
