"""Which inputs TensorFlow Lite overwrites with an operator's output, and what that does to the ranges that its calibrator finds.

Some operators may compute in place: where sizes allow it, the memory planner gives the output the memory of an input that nothing else
reads. TensorFlow's calibrator looks at an operator's inputs once more when it has run, and so takes the output's values for those of the
overwritten input. Measured on TensorFlow 2.21: the converter's ranges of such inputs are those of both tensors together. Method "minmax"
does the same; no other method does.

Source: tflite/arena_planner.cc#ArenaPlanner::IdentifyInPlaceTensors; tflite/tools/optimize/calibration/calibrator.cc#LoggingEval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import prod
from types import MappingProxyType

from qcore.kernels.opdef import Shape
from qcore.model import OPTIONAL, Subgraph

IN_PLACE: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"ADD": (0, 1), "SUB": (0, 1), "MUL": (0, 1), "DIV": (0, 1), "SOFTMAX": (0,), "DYNAMIC_UPDATE_SLICE": (0,)}
)
"""Operators that may compute in place, and the inputs whose memory they may take, the preferred one first."""

VIEWS = frozenset({"RESHAPE", "EXPAND_DIMS", "SQUEEZE", "BITCAST"})
"""Operators whose output is their input's memory, unchanged."""


def overwritten_inputs(graph: Subgraph, shapes: Mapping[int, Shape]) -> dict[int, int]:
    """The input that each output is written over, by numbers of tensors; outputs with memory of their own are left out.

    Args:
        graph: a subgraph.
        shapes: of its tensors, where they are known before it runs.
    """
    tensors, variables = graph.tensors, {i for i, tensor in enumerate(graph.tensors) if tensor.is_variable}
    uses = Counter(i for operator in graph.operators for i in operator.inputs)
    uses.update([*graph.inputs, *graph.outputs, *variables])
    movable = {i for i in shapes if not tensors[i].is_constant} - variables - set(graph.inputs)
    owner: dict[int, int] = {}
    overwritten: dict[int, int] = {}
    for operator in graph.operators:
        slots = (0,) if operator.name in VIEWS else IN_PLACE.get(operator.name, ())
        output = operator.outputs[0] if operator.outputs else OPTIONAL
        inputs = [operator.inputs[slot] for slot in slots if slot < len(operator.inputs) and operator.inputs[slot] in movable]
        if output in graph.outputs or output not in shapes:
            continue
        if operator.name in IN_PLACE:
            size = prod(shapes[output])
            inputs = [i for i in inputs if prod(shapes[i]) == size > 1 and uses[i] == 1]
        if not inputs:
            continue
        memory = owner.get(inputs[0], inputs[0])
        if operator.name in VIEWS:
            owner[output] = memory
        elif uses[memory] == 1:
            owner[output] = memory
            overwritten[output] = inputs[0]
    return overwritten
