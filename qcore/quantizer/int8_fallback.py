"""Which operators stay in floating point, and why.

Source: tflite/converter/quantization/common/quantization_lib/quantization_utils.h#QuantizationPattern.
"""

from __future__ import annotations

from qcore.model import OPTIONAL, Operator, Tensor
from qcore.quantizer.graph import Graph, Use
from qcore.quantizer.int8_propagate import Assignment
from qcore.quantizer.options import Options
from qcore.quantizer.runnable import refused_int8
from qcore.quantizer.specification import float_slots, spec_of


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


def without_range(graph: Graph, found: Assignment, options: Options) -> list[str]:
    """The tensors that keep operators from computing in integers since no range is known for them, each with what computes it."""
    producers, read = graph.producers(), graph.consumers().keys() | set(graph.subgraph.outputs)

    def lacks(number: int) -> bool:
        tensor = graph.tensors[number]
        return number not in found.params and not tensor.is_constant and not tensor.is_variable

    lacking: dict[int, None] = {}
    for operator in graph.operators:
        spec = spec_of(operator)
        if spec is None or not _computes_reals(graph, operator) or _set_aside(graph, operator, options):
            continue
        bias = None if spec.bias is None else spec.bias.slot
        inputs = [operator.inputs[slot] for slot in float_slots(graph.subgraph, operator.inputs) if slot != bias]
        outputs = [operator.outputs[slot] for slot in float_slots(graph.subgraph, operator.outputs)]
        lacking |= dict.fromkeys(filter(lacks, inputs))
        if not (spec.same_scale and any(map(lacks, inputs))):
            lacking |= dict.fromkeys(number for number in outputs if lacks(number) and number in read)
    return [f"{graph.tensors[i].name!r} ({producers[i].name if i in producers else 'an input'})" for i in lacking]


def quantized_but_refused(graph: Graph, found: Assignment, kept: dict[Operator, str]) -> dict[Operator, str]:
    """The operators that will compute in integers although no kernel takes them so, each with the reason."""
    quantized = [o for o in graph.operators if o not in kept and _computes_reals(graph, o)]
    return {operator: reason for operator in quantized if (reason := _refused(operator, found))}


def _computes_reals(graph: Graph, operator: Operator) -> bool:
    return bool(float_slots(graph.subgraph, operator.inputs) or float_slots(graph.subgraph, operator.outputs))


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
    if not _computes_reals(graph, operator):
        return None
    if (reason := _set_aside(graph, operator, options)) or spec is None:
        return reason
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
    return _refused(operator, found) if options.runnable else None


def _set_aside(graph: Graph, operator: Operator, options: Options) -> str | None:
    """Why an operator is no candidate for integers, whatever its parameters."""
    spec = spec_of(operator)
    if spec is None or not spec.integer:
        return "it has no int8 form"
    if not options.quantizes(graph, operator):
        return "a rule of the caller keeps it float"
    if any(_is_quantized(graph.tensors[i]) for i in operator.inputs if i != OPTIONAL):
        return "it computes with integers and real numbers already"
    return None


def _refused(operator: Operator, found: Assignment) -> str | None:
    """Why kernels do not take the operator with the parameters that it will have; TensorFlow's quantizer writes it all the same."""
    inputs = [found.converted.get(Use(operator, slot)) or found.params.get(number) for slot, number in enumerate(operator.inputs)]
    outputs = [found.computed.get(number) or found.params.get(number) for number in operator.outputs]
    return refused_int8(operator, inputs, outputs)


def _is_quantized(tensor: Tensor) -> bool:
    q = tensor.quantization
    return q is not None and (q.scale.size > 0 or q.details is not None)


def _without_params(tensor: Tensor) -> str:
    return "is a constant that cannot be quantized" if tensor.is_constant else "has no calibrated range"
