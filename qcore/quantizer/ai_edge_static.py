"""Modes "int8" and "int16x8": weights and activations in integers, from calibrated ranges.

The interface takes part as two operators of its own: one that computes the inputs, one that reads the outputs. They compute and read
codes, so that a model's inputs and outputs are integers unless float32 is asked for.

Source: litert_quantizer/recipe.py#static_wi8_ai8 and #static_wi8_ai16, transformation_instruction_generator.py (which conversions),
release 0.11.0.
"""

from __future__ import annotations

from qcore.errors import QuantizationError
from qcore.model import OPTIONAL, Model, Operator, OperatorCode
from qcore.numerics import QuantParams
from qcore.quantizer.ai_edge_constants import quantize_operand
from qcore.quantizer.ai_edge_parameters import Activations, Given, Parameters, find_parameters, fold_requantization, key
from qcore.quantizer.ai_edge_specification import (
    ACTIVATIONS,
    COMPOSITES,
    FILTER,
    SPECIFICATION,
    OperatorSpec,
    bias_of,
    decomposition,
    float_inputs,
)
from qcore.quantizer.graph import Graph, Use, real_constant, to_quantization
from qcore.quantizer.options import Options, Ranges
from qcore.quantizer.specification import float_slots

_UINT8_OFFSET = 128
"""What uint8 codes are greater by than the int8 ones of the same real numbers."""


def quantize_static(model: Model, mode: str, ranges: Ranges, options: Options, input_type: str, output_type: str) -> None:
    """Quantizes a model in place.

    Subgraphs that control flow runs stay float32: nothing tells the ranges of one call from those of another.

    Args:
        model: a float model, edited.
        mode: "int8" or "int16x8".
        ranges: of its activations.
        options: ``float_fallback``, ``per_channel``, ``per_channel_dense`` and ``rules`` count.
        input_type: of its inputs: "float32", the type of activations, or "uint8" where that is "int8".
        output_type: likewise.

    Raises:
        QuantizationError: a tensor has no range, or a constant has no codes; or operators stay float32, without ``float_fallback``.
    """
    dtype = ACTIVATIONS[mode]
    kept: list[str] = []
    entries = {0, *(signature.subgraph_index for signature in model.signatures or ())}
    pending, done = dict.fromkeys(sorted(entries)), set[int]()
    while pending:
        index = next(iter(pending))
        del pending[index]
        done.add(index)
        graph = Graph(model, index)
        specs = {operator: spec for operator in graph.operators if (spec := _spec(graph, operator, mode, options)) is not None}
        kept += _kept(graph, specs)
        types = (input_type, output_type) if index in entries else (dtype, dtype)
        _quantize(graph, specs, Activations(graph, ranges, dtype), options, *types)
        inside = (decomposition(operator) for operator in specs)
        pending |= dict.fromkeys(other for other in inside if other is not None and other not in done)
    if kept and not options.float_fallback:
        raise QuantizationError(f"{mode} without float_fallback: {len(kept)} operators stay float\n" + "\n".join(kept))


def _spec(graph: Graph, operator: Operator, mode: str, options: Options) -> OperatorSpec | None:
    """The operator's row, if it is to be quantized and can be."""
    spec = SPECIFICATION.get(operator.code.name)
    if spec is None or mode not in spec.modes or not options.quantizes(graph, operator):
        return None
    inputs, outputs = float_inputs(graph, operator, spec), float_slots(graph.subgraph, operator.outputs)
    if decomposition(operator) is not None and (operator.options is None or operator.options["name"] not in COMPOSITES):
        return None
    if not (inputs or outputs) or (spec.same_scale == "input" and len(inputs) != 1):
        return None
    if (spec.same_scale == "output" or spec.output is not None) and len(outputs) != 1:
        return None
    bias = bias_of(operator, spec)
    return spec if bias is None or _has_quantizable_bias(graph, operator, spec, bias, inputs) else None


def _has_quantizable_bias(graph: Graph, operator: Operator, spec: OperatorSpec, bias: int, inputs: list[int]) -> bool:
    """The bias is constant, and added to products of weights with something computed, which has one scale."""
    assert spec.weights is not None
    return (
        real_constant(graph.tensors[operator.inputs[bias]]) is not None
        and spec.weights.input in inputs
        and real_constant(graph.tensors[operator.inputs[spec.weights.input]]) is None
        and (FILTER in inputs or _is_quantized(graph, operator.inputs[FILTER]))
    )


def _is_quantized(graph: Graph, tensor: int) -> bool:
    """It holds int8 weights already, as dynamic range models do."""
    weights = None if tensor == OPTIONAL else graph.tensors[tensor]
    return weights is not None and weights.dtype == "int8" and weights.quantization is not None and weights.quantization.scale.size > 0


def _kept(graph: Graph, specs: dict[Operator, OperatorSpec]) -> list[str]:
    """What to call each operator that computes with real numbers and stays float32."""
    return [
        f"{operator.name} (op {i}, outputs {[graph.tensors[output].name for output in operator.outputs if output != OPTIONAL]})"
        for i, operator in enumerate(graph.operators)
        if operator not in specs
        and operator.name not in ("QUANTIZE", "DEQUANTIZE")
        and (float_slots(graph.subgraph, operator.inputs) or float_slots(graph.subgraph, operator.outputs))
    ]


def _quantize(
    graph: Graph, specs: dict[Operator, OperatorSpec], activations: Activations, options: Options, input_type: str, output_type: str
) -> None:
    found = find_parameters(graph, specs, activations, options)
    source = Operator(OperatorCode("INPUT"), [], list(graph.subgraph.inputs))
    sink = Operator(OperatorCode("OUTPUT"), list(graph.subgraph.outputs), [])
    graph.subgraph.operators = [source, *graph.operators, sink]
    _read_interface(graph, source, sink, found, activations, input_type, output_type)
    fold_requantization(graph, found, specs)
    _store_constants(graph, found)
    _insert_conversions(graph, found)
    graph.subgraph.operators = [operator for operator in graph.operators if operator not in (source, sink)]
    for old, new in zip(list(graph.subgraph.outputs), sink.inputs, strict=True):
        graph.replace_output(old, new)


def _read_interface(
    graph: Graph, source: Operator, sink: Operator, found: Parameters, activations: Activations, input_type: str, output_type: str
) -> None:
    """Gives inputs and outputs parameters; those that stay float32 get none."""
    for slot in float_slots(graph.subgraph, source.outputs) if input_type != "float32" else ():
        tensor = source.outputs[slot]
        if not graph.tensors[tensor].is_constant:
            found.computed[tensor] = _in_type(activations.of(tensor), input_type)
    for slot in float_slots(graph.subgraph, sink.inputs) if output_type != "float32" else ():
        tensor = sink.inputs[slot]
        values = real_constant(graph.tensors[tensor])
        if values is None:
            found.read[Use(sink, slot)] = _in_type(activations.of(tensor), output_type)
        else:
            found.constants[Use(sink, slot)] = quantize_operand(values, output_type)


def _in_type(given: Given, dtype: str) -> Given:
    params = given.params
    return given if params.dtype == dtype else Given(QuantParams(params.scale, params.zero_point + _UINT8_OFFSET, dtype), given.rank)


def _store_constants(graph: Graph, found: Parameters) -> None:
    """Makes uses read codes instead of constants; those of equal parameters share them."""
    stored: dict[object, int] = {}
    for use, codes in found.constants.items():
        number = use.operator.inputs[use.slot]
        form = (number, key(codes.params))
        if form not in stored:
            name = graph.tensors[number].name
            stored[form] = graph.add_constant(name, codes.data, codes.params.dtype, to_quantization(codes.params))
        graph.redirect([use], stored[form])


def _insert_conversions(graph: Graph, found: Parameters) -> None:
    """Turns tensors into codes, and converts them for those that read something else than what is computed."""
    for tensor, uses in graph.consumers().items():
        computed = found.computed.get(tensor)
        groups: list[tuple[Given | None, list[Use]]] = []
        for use in uses:
            wanted = found.read.get(use)
            group = next((group for given, group in groups if _same(given, wanted)), None)
            if group is None:
                groups.append((wanted, group := []))
            group.append(use)
        for wanted, group in groups:
            if not _same(computed, wanted):
                graph.redirect(group, _converted(graph, tensor, wanted))
    for tensor, given in found.computed.items():
        graph.tensors[tensor].dtype, graph.tensors[tensor].quantization = given.params.dtype, to_quantization(given.params)


def _same(one: Given | None, other: Given | None) -> bool:
    return other is None if one is None else one.same(other)


def _converted(graph: Graph, tensor: int, wanted: Given | None) -> int:
    """Adds what converts a tensor to codes with these parameters, or to real numbers."""
    like = graph.tensors[tensor]
    if wanted is None:
        converted = graph.add_tensor(f"{like.name}_dequant", "float32", like)
        graph.add_operator("DEQUANTIZE", [tensor], [converted])
    else:
        converted = graph.add_tensor(f"{like.name}_quantized", wanted.params.dtype, like, to_quantization(wanted.params))
        graph.add_operator("QUANTIZE", [tensor], [converted])
    return converted
