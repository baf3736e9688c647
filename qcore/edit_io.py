"""Types of a quantized model's inputs and outputs, changed after the fact.

An interface of codes becomes one of float32 first; the quantizer, which leaves models so, then gives it the type that is asked for.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from qcore.errors import InputError
from qcore.model import Model, Operator, OperatorCode, Tensor
from qcore.quantizer.graph import Graph, copy_model, finish
from qcore.quantizer.io_types import UINT8_OFFSET
from qcore.quantizer.io_types import set_io_types as set_types_of_float_interface
from qcore.quantizer.versions import needed_version
from qcore.runtime.real_values import parameters
from qcore.schema import default_options

IoType = Literal["float32", "int8", "uint8", "int16"]


def set_io_types(model: Model, input_type: IoType | None = None, output_type: IoType | None = None) -> Model:
    """Give a quantized model's inputs and outputs other types, by QUANTIZE and DEQUANTIZE at its ends; what lies inside does not change.

    Args:
        model: not changed.
        input_type: of inputs that stand for real numbers: "float32", the type of the codes inside, or "uint8" where that is "int8". None
            leaves them.
        output_type: likewise, of outputs.

    Returns:
        A new model.

    Raises:
        InputError: no such type.
        QuantizationError: an input or output has no codes of that type.
    """
    for what, dtype in (("input_type", input_type), ("output_type", output_type)):
        if dtype is not None and dtype not in get_args(IoType):
            raise InputError(f"set_io_types: {what}: got {dtype!r}, expected one of {', '.join(get_args(IoType))}")
    edited = copy_model(model)
    entries = {0, *(signature.subgraph_index for signature in edited.signatures or ())}
    for graph in (Graph(edited, index) for index in sorted(entries)):
        for index in dict.fromkeys(graph.subgraph.inputs):
            if input_type is not None and is_other(graph.tensors[index], input_type):
                make_input_real(graph, index)
        for index in dict.fromkeys(graph.subgraph.outputs):
            if output_type is not None and is_other(graph.tensors[index], output_type):
                make_output_real(graph, index)
    set_types_of_float_interface(edited, input_type or "float32", output_type or "float32", float_fallback=False, caller="set_io_types")
    finish(edited)
    use_listed_codes(edited)
    return edited


def is_other(tensor: Tensor, dtype: IoType) -> bool:
    """The tensor holds codes of activations, of another type."""
    return tensor.dtype in get_args(IoType) and tensor.dtype != dtype and parameters(tensor) is not None


def make_input_real(graph: Graph, index: int) -> None:
    """Put a QUANTIZE behind an input; where there is one already that only changes the type of codes, it takes real values instead."""
    tensor, uses = graph.tensors[index], graph.consumers().get(index, [])
    if uses and all(changes_type(graph, use.operator) for use in uses) and index not in graph.subgraph.outputs:
        tensor.dtype, tensor.quantization = "float32", None
        return
    real = graph.add_tensor(tensor.name, "float32", tensor)
    tensor.name = f"{tensor.name}_{tensor.dtype}"
    graph.add_operator("QUANTIZE", [real], [index])
    graph.replace_input(index, real)


def make_output_real(graph: Graph, index: int) -> None:
    """Put a DEQUANTIZE before an output, in place of a QUANTIZE that only changes the type of codes."""
    tensor, producer = graph.tensors[index], graph.producers().get(index)
    if producer is not None and changes_type(graph, producer) and index not in graph.consumers():
        tensor.dtype, tensor.quantization = "float32", None
        producer.code, producer.options = OperatorCode("DEQUANTIZE"), default_options("DEQUANTIZE")
        return
    real = graph.add_tensor(tensor.name, "float32", tensor)
    tensor.name = f"{tensor.name}_{tensor.dtype}"
    graph.add_operator("DEQUANTIZE", [index], [real])
    graph.replace_output(index, real)


def changes_type(graph: Graph, operator: Operator) -> bool:
    """It is a QUANTIZE between int8 and uint8 codes of the same real numbers."""
    if operator.name != "QUANTIZE":
        return False
    input, output = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    p, q = parameters(input), parameters(output)
    if p is None or q is None or {input.dtype, output.dtype} != {"int8", "uint8"} or not np.array_equal(p.scale, q.scale):
        return False
    return bool((np.abs(p.zero_point - q.zero_point) == UINT8_OFFSET).all())


def use_listed_codes(model: Model) -> None:
    """Let operators that were added share the codes that the model lists, as far as their versions do; drop those in no use."""
    listed = list(model.operator_codes)
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            if operator.code not in listed:
                operator.code.version = needed_version(operator, subgraph.tensors)
                fitting = (code for code in listed if code.name == operator.code.name and code.version >= operator.code.version)
                operator.code = next(fitting, operator.code)
                listed += [operator.code] if operator.code not in listed else []
    used = {id(operator.code) for subgraph in model.subgraphs for operator in subgraph.operators}
    model.operator_codes = [code for code in listed if id(code) in used]
