"""What the converter's optimizer does to the operators of a quantized graph: only what changes files that other tools wrote.

Files that TensorFlow's converter wrote have been through it once, and pass unchanged. Results are the same numbers, but for activations
fused into the operator before: that then computes straight into the activation's parameters.

Source: tflite/converter/transforms/optimize_patterns.td and tflite/converter/ir/tfl_ops.cc#ReshapeOp.
"""

from __future__ import annotations

from math import prod
from types import MappingProxyType

import numpy as np

from qcore.model import OPTIONAL, Operator, OperatorCode, Table
from qcore.quantizer.graph import Graph
from qcore.quantizer.int8_propagate import equal_params
from qcore.runtime.real_values import parameters
from qcore.schema import constant, default_options

_INPUTS = MappingProxyType({"CONV_3D": 3, "CONV_3D_TRANSPOSE": 4, "FULLY_CONNECTED": 3, "LSTM": 24, "UNIDIRECTIONAL_SEQUENCE_LSTM": 24})
"""How many inputs an operator has with all that it may leave out."""

_FUSING = ("ADD", "SUB", "MUL", "DIV", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_ACTIVATIONS = ("RELU", "RELU6", "RELU_N1_TO_1")
_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask", "offset")


def tidy(graph: Graph, to_the_code: bool = False) -> None:
    """Runs the passes of this module on a quantized subgraph.

    Args:
        graph: edited.
        to_the_code: an activation in other parameters than those of what it reads stays an operator, since its input is clipped too.
    """
    name_optional_inputs(graph)
    fuse_activations(graph, to_the_code)
    keep_dense_dimensions(graph)
    slice_without_strides(graph)
    reshape_for_unit_dimensions(graph)
    merge_reshapes(graph)


def name_optional_inputs(graph: Graph) -> None:
    """Lists the optional inputs that an operator leaves out at the end, as those that it leaves out before."""
    for operator in graph.operators:
        missing = _INPUTS.get(operator.name, 0) - len(operator.inputs)
        # An LSTM that lacks more is that of five inputs, which has none besides.
        if 0 < missing <= 4:
            operator.inputs += [OPTIONAL] * missing


def fuse_activations(graph: Graph, to_the_code: bool) -> None:
    """Makes a sum, product or convolution apply the clamping activation that alone reads it; see ``tidy``."""
    consumers, producers = graph.consumers(), graph.producers()
    for activation in [operator for operator in graph.operators if operator.name in _ACTIVATIONS]:
        number = activation.inputs[0]
        producer = producers.get(number)
        if producer is None or producer.name not in _FUSING or len(consumers[number]) > 1 or number in graph.subgraph.outputs:
            continue
        before, behind = (parameters(graph.tensors[i]) for i in (number, activation.outputs[0]))
        if to_the_code and before is not None and behind is not None and not equal_params(before, behind):
            continue
        if producer.options is not None and producer.options["fused_activation_function"] == "NONE":
            fields = {**producer.options.fields, "fused_activation_function": activation.name}
            producer.options = Table(producer.options.name, fields)
            producer.outputs = activation.outputs
            graph.operators.remove(activation)


def keep_dense_dimensions(graph: Graph) -> None:
    """Lets FULLY_CONNECTED keep the dimensions of its input where a RESHAPE after it only restores them."""
    consumers, producers = graph.consumers(), graph.producers()
    for reshape in [operator for operator in graph.operators if operator.name == "RESHAPE"]:
        number = reshape.inputs[0]
        dense = producers.get(number)
        if dense is None or dense.name != "FULLY_CONNECTED" or dense.options is None or dense.options["keep_num_dims"]:
            continue
        before, flat, after = (_fixed_shape(graph, i) for i in (dense.inputs[0], number, reshape.outputs[0]))
        if before and flat and after == (*before[:-1], flat[-1]) and len(consumers[number]) == 1 and number not in graph.subgraph.outputs:
            dense.options = Table(dense.options.name, {**dense.options.fields, "keep_num_dims": True})
            dense.outputs = reshape.outputs
            graph.operators.remove(reshape)


def slice_without_strides(graph: Graph) -> None:
    """Makes a STRIDED_SLICE of step 1 between constant bounds, counted from the start, a SLICE."""
    for operator in graph.operators:
        if operator.name != "STRIDED_SLICE" or operator.options is None or any(operator.options[mask] for mask in _MASKS):
            continue
        if len(operator.inputs) != 4 or OPTIONAL in operator.inputs:
            continue
        begin, end, strides = (constant(graph.tensors[i]) for i in operator.inputs[1:])
        if begin is None or end is None or strides is None or (strides != 1).any() or (begin < 0).any() or (end < begin).any():
            continue
        size = graph.add_constant(f"{graph.tensors[operator.outputs[0]].name}/size", end - begin, graph.tensors[operator.inputs[2]].dtype)
        _become(operator, "SLICE", [*operator.inputs[:2], size])


def reshape_for_unit_dimensions(graph: Graph) -> None:
    """Makes SQUEEZE and EXPAND_DIMS a RESHAPE where the shape of the output is known."""
    for operator in graph.operators:
        if operator.name in ("SQUEEZE", "EXPAND_DIMS"):
            before, shape = _fixed_shape(graph, operator.inputs[0]), _fixed_shape(graph, operator.outputs[0])
            if before is not None and shape is not None and prod(before) == prod(shape):
                name = f"{graph.tensors[operator.outputs[0]].name}/shape"
                _become(operator, "RESHAPE", [operator.inputs[0], graph.add_constant(name, np.array(shape, np.int32), "int32")])


def merge_reshapes(graph: Graph) -> None:
    """Makes a RESHAPE of a RESHAPE read what the first read, and drops those that then change nothing, or that nothing reads."""
    reshapes = [operator for operator in graph.operators if operator.name == "RESHAPE"]
    for operator in reshapes:
        _keep_shape_as_input(graph, operator)
        before = graph.producers().get(operator.inputs[0])
        if before is not None and before.name == "RESHAPE":
            operator.inputs[0] = before.inputs[0]
    for operator in reshapes:
        number, output = operator.inputs[0], operator.outputs[0]
        if _fixed_shape(graph, number) == _fixed_shape(graph, output) is not None and output not in graph.subgraph.outputs:
            graph.redirect(graph.consumers().get(output, ()), number)
    read = graph.consumers().keys() | set(graph.subgraph.outputs)
    graph.subgraph.operators = [o for o in graph.operators if o.name != "RESHAPE" or o.outputs[0] in read]


def _keep_shape_as_input(graph: Graph, operator: Operator) -> None:
    """The shape that a RESHAPE has among its options becomes its second input, if it has none."""
    if operator.options is not None and operator.options["new_shape"] is not None:
        if len(operator.inputs) == 1:
            shape = np.array(operator.options["new_shape"], np.int32)
            operator.inputs.append(graph.add_constant(f"{graph.tensors[operator.outputs[0]].name}/shape", shape, "int32"))
        operator.options = default_options("RESHAPE")


def _fixed_shape(graph: Graph, number: int) -> tuple[int, ...] | None:
    """The shape of a tensor, if all of it is known before it runs."""
    tensor = graph.tensors[number]
    return None if -1 in (tensor.shape_signature or ()) else tensor.shape


def _become(operator: Operator, name: str, inputs: list[int]) -> None:
    """Changes what an operator computes; its outputs stay."""
    operator.code, operator.inputs, operator.options = OperatorCode(name), inputs, default_options(name)
