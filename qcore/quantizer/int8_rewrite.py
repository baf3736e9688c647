"""From parameters to integer operators: conversions around every tensor, then operators that absorb them, then what is left removed.

Every tensor with parameters first gets a QUANTIZE and a DEQUANTIZE behind it, which changes no operator. Each operator that can compute in
integers then reads what its DEQUANTIZE read, and computes what its QUANTIZE gave. Conversions that still face each other are pairs that
cancel out.
"""

from __future__ import annotations

from collections.abc import Collection

from qcore.model import Operator, Tensor
from qcore.numerics import QuantParams
from qcore.quantizer.graph import Graph, Use, to_quantization
from qcore.quantizer.graph_ranges import CarriedRanges
from qcore.quantizer.int8_constants import constant_codes
from qcore.quantizer.int8_propagate import Assignment, equal_params
from qcore.quantizer.specification import float_slots, spec_of

CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


def insert_conversions(graph: Graph, found: Assignment, carried: CarriedRanges) -> dict[int, int]:
    """Puts a QUANTIZE and a DEQUANTIZE between every tensor with parameters and all that reads it, where the graph does not carry them.

    Returns:
        the integer tensor that stands for each float tensor that operators now read: that before its DEQUANTIZE, or for a constant or
        a variable another that holds its codes, which nothing reads yet.
    """
    codes: dict[int, int] = {}
    consumers = graph.consumers()
    for number, params in found.params.items():
        tensor = graph.tensors[number]
        if tensor.is_constant:
            values = found.biases[number] if number in found.biases else constant_codes(tensor, params, found.precision)
            codes[number] = graph.add_constant(tensor.name, values, params.dtype, to_quantization(params))
            continue
        if tensor.is_variable:
            codes[number] = graph.add_tensor(tensor.name, params.dtype, tensor, to_quantization(params))
            graph.tensors[codes[number]].is_variable = True
            continue
        computed = _quantize(graph, number, tensor, found.computed[number]) if number in found.computed else number
        if number in carried.before:
            carried.before[number].inputs = [computed]
            continue
        behind = carried.behind.get(number)
        quantized = _quantize(graph, computed, tensor, params) if behind is None else behind.inputs[0]
        is_output = number in graph.subgraph.outputs
        for wanted, uses in _by_params(consumers.get(number, []), params, found):
            if wanted is params and behind is not None:
                codes[number] = quantized
                continue
            read = quantized if wanted is params else _quantize(graph, quantized, tensor, wanted)
            real = graph.add_tensor(f"{tensor.name}/dequantized", "float32", tensor)
            # Floating-point readers get what the operator computed, without the loss of a second rounding.
            exact = computed if wanted is params and number in found.computed and not is_output else read
            graph.add_operator("DEQUANTIZE", [exact], [real])
            graph.redirect(uses, real)
            codes[real] = read
            if wanted is params and is_output:
                graph.tensors[real].name = tensor.name
                graph.replace_output(number, real)
    return codes


def _by_params(uses: list[Use], params: QuantParams, found: Assignment) -> list[tuple[QuantParams, list[Use]]]:
    """The uses of a tensor, by the parameters that it is read in; first those that it has."""
    groups: list[tuple[QuantParams, list[Use]]] = [(params, [])]
    for use in uses:
        wanted = found.converted.get(use, params)
        group = next((same for other, same in groups if equal_params(other, wanted)), None)
        if group is None:
            groups.append((wanted, group := []))
        group.append(use)
    return groups


def _quantize(graph: Graph, number: int, like: Tensor, params: QuantParams) -> int:
    quantized = graph.add_tensor(f"{like.name}/quantized", params.dtype, like, to_quantization(params))
    graph.add_operator("QUANTIZE", [number], [quantized])
    return quantized


def absorb_conversions(graph: Graph, kept: dict[Operator, str], codes: dict[int, int], carried: CarriedRanges) -> None:
    """Makes every operator that is not kept float read and compute integers.

    Args:
        graph: after ``insert_conversions``.
        kept: operators that stay as they are.
        codes: what ``insert_conversions`` gave.
        carried: ranges of which each is read in codes too, where it rounds what has codes already.
    """
    requantized = {graph.producers()[dequantize.inputs[0]] for dequantize in carried.behind.values()}
    quantize = {operator.inputs[0]: operator for operator in graph.operators if operator.name == "QUANTIZE"}
    outputs = {graph.tensors[i].name for i in graph.subgraph.outputs}
    absorbed: set[Operator] = set()
    for operator in graph.operators:
        if operator in requantized and operator.inputs[0] in codes:
            operator.inputs = [codes[operator.inputs[0]]]
        if operator in kept or operator.name in CONVERSIONS:
            continue
        for slot in float_slots(graph.subgraph, operator.inputs):
            operator.inputs[slot] = codes[operator.inputs[slot]]
        for slot in float_slots(graph.subgraph, operator.outputs):
            real = operator.outputs[slot]
            operator.outputs[slot] = quantize[real].outputs[0]
            if graph.tensors[real].name not in outputs:
                graph.tensors[operator.outputs[slot]].name = graph.tensors[real].name
            absorbed.add(quantize[real])
    graph.subgraph.operators = [operator for operator in graph.operators if operator not in absorbed]


def remove_unread_conversions(graph: Graph) -> None:
    """Drops every QUANTIZE and DEQUANTIZE whose result nothing reads."""
    read = graph.consumers().keys() | set(graph.subgraph.outputs)
    kept = [operator for operator in graph.operators if operator.name not in CONVERSIONS or operator.outputs[0] in read]
    if len(kept) < len(graph.operators):
        graph.subgraph.operators = kept
        remove_unread_conversions(graph)


def fold_requantization(graph: Graph, kept: Collection[int] = ()) -> None:
    """Lets an operator that may compute in any parameters compute in those of the QUANTIZE that alone reads its output.

    Args:
        graph: after ``absorb_conversions``.
        kept: tensors of codes that stay, whatever reads them.

    Source: tflite/converter/quantization/common/quantization_lib/quantization_utils.h#FoldTrivalRequantizeOp.
    """
    producers, consumers = graph.producers(), graph.consumers()
    for requantize in [operator for operator in graph.operators if operator.name == "QUANTIZE"]:
        number = requantize.inputs[0]
        producer = producers.get(number)
        if producer is None or graph.tensors[number].dtype == "float32" or number in kept:
            continue
        spec = spec_of(producer)
        free = spec is not None and not spec.same_scale and spec.output is None and spec.recurrent is None
        if free and len(consumers[number]) == 1 and number not in graph.subgraph.outputs:
            producer.outputs = [requantize.outputs[0] if i == number else i for i in producer.outputs]
            graph.operators.remove(requantize)


def remove_pairs(graph: Graph, at_interface: bool, lasting: Collection[Operator]) -> None:
    """Makes the readers of a DEQUANTIZE that directly follows a QUANTIZE read what was there before both.

    Args:
        graph: after ``absorb_conversions``.
        at_interface: also behind the subgraph's inputs and before its outputs, where a type other than float32 may be asked for.
        lasting: those that stay.

    Source: tflite/converter/transforms/post_quantize.cc#RemoveVolatileOps.
    """
    producers, consumers = graph.producers(), graph.consumers()
    for dequantize in [operator for operator in graph.operators if operator.name == "DEQUANTIZE"]:
        real, quantize = dequantize.outputs[0], producers.get(dequantize.inputs[0])
        if quantize is None or quantize.name != "QUANTIZE" or dequantize in lasting:
            continue
        before, is_output = quantize.inputs[0], real in graph.subgraph.outputs
        if not at_interface and (before in graph.subgraph.inputs or (is_output and real not in consumers)):
            continue
        if graph.tensors[before].dtype != "float32":
            if is_output or graph.tensors[before].dtype == "uint8":
                dequantize.inputs = [before]
            continue
        graph.redirect(consumers.get(real, ()), before)
        if is_output:
            graph.replace_output(real, before)
