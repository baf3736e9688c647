"""From calibrated ranges to parameters: which ranges count, and what scale and zero point each gives.

Calibration has a range for every tensor, but where inputs and outputs must share a scale, or the operator fixes it, most of them are
not needed. What remains is pinned: propagation works around it and does not change it.
"""

from __future__ import annotations

from qcore.errors import QuantizationError
from qcore.model import Operator
from qcore.numerics import QuantParams, choose_params
from qcore.quantizer.graph import Graph
from qcore.quantizer.options import Ranges
from qcore.quantizer.specification import float_slots, rule_of

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


def pinned_params(graph: Graph, ranges: Ranges) -> dict[int, QuantParams]:
    """Parameters of the tensors whose calibrated range counts.

    Raises:
        QuantizationError: a range that no tensor can be quantized with.

    Source: tflite/converter/quantization/common/quantization_lib/quantization_utils.cc#RemoveRedundantStatsOps.
    """
    known = calibrated_ranges(graph, ranges)
    redundant = _fixed_by_the_operator(graph, known)
    redundant |= _same_as_the_input(graph, known)
    redundant |= _same_as_the_output(graph, known, redundant)
    params = {}
    for tensor in sorted(known.keys() - redundant):
        try:
            params[tensor] = activation_params(*known[tensor])
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
        rule = rule_of(operator)
        slot = None if rule is None or rule.recurrent is None else rule.recurrent.output_state
        state = None if slot is None else ranges.range(graph.index, operator.inputs[slot])
        if state is not None and operator.outputs[0] in found:
            low, high = found[operator.outputs[0]]
            found[operator.outputs[0]] = min(low, state[0]), max(high, state[1])
    return found


def _fixed_by_the_operator(graph: Graph, known: dict[int, tuple[float, float]]) -> set[int]:
    """Outputs of operators that compute in parameters of their own."""
    fixed = set()
    for operator in graph.operators:
        rule = rule_of(operator)
        if rule is not None and rule.output is not None:
            fixed |= known.keys() & set(operator.outputs)
    return fixed


def _same_as_the_input(graph: Graph, known: dict[int, tuple[float, float]]) -> set[int]:
    """Outputs that take over the parameters of the single float input, from each tensor with a range on."""
    same: set[int] = set()
    consumers = graph.consumers()
    pending = list(known)
    while pending:
        for use in consumers.get(pending.pop(), ()):
            if _shares_scale(use.operator) and len(float_slots(graph.subgraph, use.operator.inputs)) == 1:
                found = known.keys() & set(use.operator.outputs) - same
                same |= found
                pending += found
    return same


def _same_as_the_output(graph: Graph, known: dict[int, tuple[float, float]], redundant: set[int]) -> set[int]:
    """Inputs that take over the parameters of the output, from each tensor whose range counts so far back."""
    same: set[int] = set()
    producers = graph.producers()
    pending = list(known.keys() - redundant)
    while pending:
        operator = producers.get(pending.pop())
        if operator is not None and _shares_scale(operator):
            found = known.keys() & set(operator.inputs) - same
            same |= found
            pending += found
    return same


def _shares_scale(operator: Operator) -> bool:
    rule = rule_of(operator)
    return rule is not None and rule.same_scale
