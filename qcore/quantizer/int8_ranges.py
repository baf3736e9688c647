"""From calibrated ranges to parameters: which ranges count, and what scale and zero point each gives.

Calibration has a range for every tensor, but where inputs and outputs must share a scale, or the operator fixes it, most of them are
not needed. What remains is pinned: propagation works around it and does not change it.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from qcore.errors import QuantizationError
from qcore.model import Operator
from qcore.numerics import QuantParams, choose_params
from qcore.quantizer.graph import Graph
from qcore.quantizer.options import Ranges
from qcore.quantizer.specification import float_slots, spec_of

SMALLEST_RANGE = 1e-6
"""A calibrated range narrower than this is widened by as much at both ends."""


def activation_params(low: float, high: float) -> QuantParams:
    """int8 parameters of a tensor with that calibrated range; asymmetric, over all codes.

    Args:
        low: float32 value, real units, the lower end.
        high: likewise the upper one.

    Raises:
        QuantizationError: a range that is NaN, infinite or upside down.

    Source: tflite/converter/quantization/common/quantization_lib/quantization_utils.h#ConvertStatsToQDQs.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low < SMALLEST_RANGE:
        low, high = low - SMALLEST_RANGE, high + SMALLEST_RANGE
    return choose_params(low, high, "int8", precision="float32")


def pinned_params(graph: Graph, ranges: Ranges, carried: Mapping[int, QuantParams]) -> dict[int, QuantParams]:
    """Parameters of the tensors whose calibrated range counts, and of those that carry theirs.

    Raises:
        QuantizationError: a range that no tensor can be quantized with.

    Source: tflite/converter/quantization/common/quantization_lib/quantization_utils.cc#RemoveRedundantStatsOps.
    """
    ranges_seen = calibrated_ranges(graph, ranges)
    known = ranges_seen.keys() | carried.keys()
    redundant = _fixed_by_the_operator(graph, known)
    redundant |= _same_as_the_input(graph, known)
    redundant |= _same_as_the_output(graph, known, redundant - carried.keys())
    params = dict(carried)
    for tensor in sorted(known - redundant - carried.keys()):
        try:
            params[tensor] = activation_params(*ranges_seen[tensor])
        except QuantizationError as error:
            raise QuantizationError(f"tensor {graph.tensors[tensor].name!r}: {error}") from None
    return params


def calibrated_ranges(graph: Graph, ranges: Ranges) -> dict[int, tuple[float, float]]:
    """The range of every float tensor that is computed or fed at run time, and read.

    The output of an operator that keeps its last output as a state has the range of both.
    """
    read = graph.consumers().keys() | set(graph.subgraph.outputs)
    found = {}
    for number, tensor in enumerate(graph.tensors):
        if number in read and tensor.dtype == "float32" and not tensor.is_constant and not tensor.is_variable:
            known = ranges.range(graph.index, number)
            if known is not None:
                found[number] = known
    for operator in graph.operators:
        spec = spec_of(operator)
        slot = None if spec is None or spec.recurrent is None else spec.recurrent.output_state
        state = None if slot is None else ranges.range(graph.index, operator.inputs[slot])
        if state is not None and operator.outputs[0] in found:
            low, high = found[operator.outputs[0]]
            found[operator.outputs[0]] = min(low, state[0]), max(high, state[1])
    return found


def _fixed_by_the_operator(graph: Graph, known: Set[int]) -> set[int]:
    """Outputs of operators that compute in parameters of their own."""
    fixed: set[int] = set()
    for operator in graph.operators:
        spec = spec_of(operator)
        if spec is not None and spec.output is not None:
            fixed |= known & set(operator.outputs)
    return fixed


def _same_as_the_input(graph: Graph, known: Set[int]) -> set[int]:
    """Outputs that take over the parameters of the single float input, from each tensor with a range on."""
    same: set[int] = set()
    consumers = graph.consumers()
    pending = list(known)
    while pending:
        for use in consumers.get(pending.pop(), ()):
            if _shares_scale(use.operator) and len(float_slots(graph.subgraph, use.operator.inputs)) == 1:
                found = known & set(use.operator.outputs) - same
                same |= found
                pending += found
    return same


def _same_as_the_output(graph: Graph, known: Set[int], redundant: Set[int]) -> set[int]:
    """Inputs that take over the parameters of the output, from each tensor whose range counts so far back."""
    same: set[int] = set()
    producers = graph.producers()
    pending = list(known - redundant)
    while pending:
        operator = producers.get(pending.pop())
        if operator is not None and _shares_scale(operator):
            found = known & set(operator.inputs) - same
            same |= found
            pending += found
    return same


def _shares_scale(operator: Operator) -> bool:
    spec = spec_of(operator)
    return spec is not None and spec.same_scale
