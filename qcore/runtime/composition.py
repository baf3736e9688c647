"""Functions of one code that follow one another, as one table: ``x * logistic(x)`` and the like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from qcore.kernels import addition, multiplication
from qcore.kernels.opdef import Array, Step
from qcore.numerics.lookup_table import look_up
from qcore.runtime.plan import Plan, PlannedOperator

ELEMENTWISE = (look_up, addition.add_rescaled, multiplication.multiply)
"""Kernels whose every output depends on the inputs' codes at its place alone."""


@dataclass(frozen=True, eq=False)
class Function:
    """A tensor that is a function of another's codes.

    source: number of the other. table: 256 codes, for ``look_up``.
    """

    source: int
    table: Array


def composed(plan: Plan, values: Mapping[int, Array]) -> list[PlannedOperator]:
    """The plan's operators; one whose inputs are an 8-bit tensor and functions of it becomes a table of that tensor."""
    functions: dict[int, Function] = {}
    result = []
    for planned in plan.operators:
        function = _function(planned, plan, values, functions)
        if function is not None:
            functions[planned.operator.outputs[0]] = function
            inputs = planned.operator.inputs
            if len(inputs) > 1 and function.source in inputs:
                assert planned.step is not None
                step = Step(look_up, function.table, planned.step.shapes)
                planned = replace(planned, operator=replace(planned.operator, inputs=[function.source]), step=step)
        result.append(planned)
    return result


def unread(plan: Plan, operators: list[PlannedOperator]) -> set[int]:
    """Positions of the tables whose output no operator reads that is run, and nobody else may see."""
    end, read, positions = len(operators), set[int](), set[int]()
    for position in reversed(range(end)):
        step, operator = operators[position].step, operators[position].operator
        seen = any(o in read or plan.last_use.get(o) == end for o in operator.outputs)
        if step is not None and step.kernel is look_up and not seen:
            positions.add(position)
        else:
            read.update(operator.inputs)
    return positions


def _function(planned: PlannedOperator, plan: Plan, values: Mapping[int, Array], functions: Mapping[int, Function]) -> Function | None:
    """What an operator's output is a function of; None where it is not one of a single 8-bit tensor of the arena."""
    step, inputs = planned.step, planned.operator.inputs
    if step is None or step.kernel not in ELEMENTWISE or any(i not in plan.offsets for i in inputs):
        return None
    sources = {functions[i].source if i in functions else i for i in inputs}
    source = values[next(iter(sources))]
    if len(sources) > 1 or source.dtype.itemsize > 1 or any(values[i].shape != source.shape for i in inputs):
        return None
    codes = np.arange(256).astype(np.uint8).view(source.dtype)
    table = np.asarray(step.kernel(step.params, *(functions[i].table if i in functions else codes for i in inputs)))
    return Function(sources.pop(), table) if table.dtype.itemsize == 1 else None
