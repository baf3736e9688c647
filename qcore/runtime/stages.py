"""How a plan runs: operator by operator on NumPy, and what the fast engine covers as native programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qcore.kernels.fast.cpu import tier
from qcore.kernels.fast.lowering import lower
from qcore.kernels.fast.program import Call, Program
from qcore.kernels.fast.site import NotCovered, Scratch, Site
from qcore.kernels.opdef import Array
from qcore.model import OPTIONAL
from qcore.runtime.composition import composed, unread
from qcore.runtime.plan import Plan, PlannedOperator


@dataclass(frozen=True)
class Native:
    """Operators that follow one another, as one program.

    positions: in the plan.
    """

    program: Program
    positions: range


@dataclass(frozen=True)
class Lowered:
    """What became of an operator: its calls, or why it has none."""

    calls: list[Call]
    reason: str | None


def lowered(plan: Plan, values: Mapping[int, Array], threads: int = 1, alone: bool = False, exact: bool = False) -> list[Lowered]:
    """Calls for each operator of the plan, whose tensors have their memory; alone: operators are not joined; exact: see ``Site``."""
    scratch = Scratch()
    operators = plan.operators if alone else composed(plan, values)
    found = [_lowered(planned, plan, values, scratch, threads, exact) for planned in operators]
    # An operator left to NumPy reads what it always did.
    running = [planned if one.reason is None else own for planned, own, one in zip(operators, plan.operators, found, strict=True)]
    for position in unread(plan, running):
        found[position] = Lowered([], None)
    return found


def native_stages(plan: Plan, values: Mapping[int, Array], threads: int, alone: bool, exact: bool) -> dict[int, Native]:
    """Programs by the position of their first operator.

    Args:
        plan: of a subgraph.
        values: memory of its tensors.
        threads: that share the work.
        alone: one program for each operator, so that values can be looked at in between.
        exact: floats are to be the reference's to the bit, too.
    """
    found = lowered(plan, values, threads, alone, exact)
    stages: dict[int, Native] = {}
    position = 0
    while position < len(found):
        end = position
        while end < len(found) and found[end].reason is None and not (alone and end > position):
            end += 1
        if end > position:
            calls = [call for one in found[position:end] for call in one.calls]
            stages[position] = Native(Program(calls, tier(), threads), range(position, end))
        position = max(end, position + 1)
    return stages


def _lowered(planned: PlannedOperator, plan: Plan, values: Mapping[int, Array], scratch: Scratch, threads: int, exact: bool) -> Lowered:
    step, operator = planned.step, planned.operator
    if step is None:
        return Lowered([], "its shapes are known at run time alone")
    if any(o not in plan.offsets for o in operator.outputs) or step.updates:
        return Lowered([], "it updates variables, or its outputs have no fixed place")
    if any(i != OPTIONAL and i not in values for i in operator.inputs):
        return Lowered([], "it reads what has no fixed place")
    site = Site(
        step,
        tuple(None if i == OPTIONAL else values[i] for i in operator.inputs),
        tuple(values[o] for o in operator.outputs),
        tuple(i in plan.constants for i in operator.inputs),
        tuple(i in plan.offsets for i in operator.inputs),
        tier(),
        scratch,
        threads,
        exact,
    )
    try:
        return Lowered(lower(site), None)
    except NotCovered as reason:
        return Lowered([], str(reason))
