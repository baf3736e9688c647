"""Which operators stay in floating point, and why.

Source: tflite/converter/quantization/common/quantization_lib/quantization_utils.h#QuantizationPattern.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from qcore.model import OPTIONAL, Operator, Tensor
from qcore.quantizer.graph import Graph, Use
from qcore.quantizer.int8_propagate import Assignment
from qcore.quantizer.options import Options
from qcore.quantizer.specification import float_slots, spec_of

_COMMON_SCALE = MappingProxyType({"ADD": (20, 1), "SQUARED_DIFFERENCE": (7, 2)})
"""Operators that rescale both inputs to twice the greater scale, and shift: the shift, and the power of it all that comes out."""

_SYMMETRIC = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
"""Operators whose kernels refuse a filter with a zero point."""


def kept_float(graph: Graph, found: Assignment, options: Options) -> dict[Operator, str]:
    """The operators that go on computing in floating point, each with the reason.

    An operator computes in integers where all its float inputs and outputs have parameters. With ``float_fallback`` it makes a
    difference, as in the converter, whether others need the same tensor in floating point: see ``_sharing_inputs``.
    """
    read = graph.consumers().keys() | set(graph.subgraph.outputs)
    kept = {operator: reason for operator in graph.operators if (reason := _missing(graph, operator, found, options, read))}
    if options.float_fallback:
        for operator in _sharing_inputs(graph, found, kept):
            kept[operator] = "what it reads goes to a floating-point operator or an output too"
    return kept


def _sharing_inputs(graph: Graph, found: Assignment, kept: dict[Operator, str]) -> list[Operator]:
    """Operators without float outputs, as ARG_MAX, of which every float input is needed in floating point by another first.

    First is a later reader or the graph's output where a calibrated range pins the tensor's parameters, else an earlier reader: the
    converter looks through the readers of a tensor in this order, and stops at the first that is no integer operator.
    """
    consumers, outputs = graph.consumers(), set(graph.subgraph.outputs)
    place = {operator: i for i, operator in enumerate(graph.operators)}

    def comes_second(operator: Operator, number: int) -> bool:
        others = [use.operator for use in consumers[number] if use.operator in kept and use not in found.converted]
        if number in found.pinned:
            return number in outputs or any(place[other] > place[operator] for other in others)
        return not graph.tensors[number].is_constant and any(place[other] < place[operator] for other in others)

    def reads(operator: Operator) -> list[int]:
        return [operator.inputs[slot] for slot in float_slots(graph.subgraph, operator.inputs)]

    candidates = [o for o in graph.operators if o not in kept and reads(o) and not float_slots(graph.subgraph, o.outputs)]
    return [operator for operator in candidates if all(comes_second(operator, number) for number in reads(operator))]


def _missing(graph: Graph, operator: Operator, found: Assignment, options: Options, read: set[int]) -> str | None:
    """What the operator lacks to compute in integers; None where it lacks nothing, or has no float inputs and outputs."""
    spec, subgraph = spec_of(operator), graph.subgraph
    reals, results = float_slots(subgraph, operator.inputs), float_slots(subgraph, operator.outputs)
    if not reals and not results:
        return None
    if spec is None or not spec.integer:
        return "it has no int8 form"
    if not options.quantizes(graph, operator):
        return "a rule of the caller keeps it float"
    if any(_is_quantized(graph.tensors[i]) for i in operator.inputs if i != OPTIONAL):
        return "it computes with integers and real numbers already"
    if operator in found.unmet:
        return found.unmet[operator]
    for slot in reals:
        tensor = graph.tensors[operator.inputs[slot]]
        if spec.bias is not None and slot == spec.bias.slot and not tensor.is_constant:
            return f"its bias {tensor.name!r} is computed at run time"
        if operator.inputs[slot] not in found.params:
            return f"input {tensor.name!r} {_without_params(tensor)}"
    if results and read.isdisjoint(operator.outputs[slot] for slot in results):
        return "nothing reads its float outputs"
    for slot in results:
        if graph.tensors[operator.outputs[slot]].is_variable:
            return f"its output {graph.tensors[operator.outputs[slot]].name!r} is a variable"
        if operator.outputs[slot] not in found.params:
            return f"output {graph.tensors[operator.outputs[slot]].name!r} has no calibrated range"
    return _refused(graph, operator, found)


def _refused(graph: Graph, operator: Operator, found: Assignment) -> str | None:
    """Which of the operator's parameters kernels do not take; TensorFlow's converter writes them all the same."""
    inputs = [found.converted.get(Use(operator, slot)) or found.params.get(number) for slot, number in enumerate(operator.inputs)]
    tensors = [graph.tensors[number] for number in (*operator.inputs[:2], operator.outputs[0])]
    if operator.name in _SYMMETRIC and inputs[1] is not None and inputs[1].zero_point.any():
        return f"its filter {tensors[1].name!r} is computed at run time, and has a zero point"
    output = found.computed.get(operator.outputs[0]) or found.params.get(operator.outputs[0])
    if operator.name in _COMMON_SCALE and output is not None:
        shift, power = _COMMON_SCALE[operator.name]
        common = 2 * max(float(params.scale.max()) for params in inputs if params is not None)
        with np.errstate(over="ignore"):
            factor = common**power / float(np.float32(2.0 ** (shift * power)) * output.scale.min())
        if not 0 < factor < 1:  # TensorFlow Lite would abort
            return f"the range of its output {tensors[2].name!r} is too {'wide' if factor == 0 else 'narrow beside those of its inputs'}"
    return None


def _is_quantized(tensor: Tensor) -> bool:
    return tensor.quantization is not None and (tensor.quantization.scale.size > 0 or tensor.quantization.details is not None)


def _without_params(tensor: Tensor) -> str:
    return "is a constant that cannot be quantized" if tensor.is_constant else "has no calibrated range"
