"""An int8 model as ONNX Runtime runs it fastest: the same layers and parameters, to be timed beside qcore.

It is the form that its optimizer makes of DequantizeLinear, Conv and QuantizeLinear where activations are uint8 and memory is NHWC:
QLinearConv with channels last, QGemm and more operators of ONNX Runtime's own. They are written here directly, so that every layer is
fused and none pays for a change of layout. Codes are uint8, 128 above the model's; weights stay int8. ONNX Runtime scales sums in float32
and rounds ties to even, so results may be a step from TensorFlow Lite's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from qcore.kernels.common import quantized_activation_range, window
from qcore.kernels.opdef import Array, Node, Operand, Shape
from qcore.model import Model
from qcore.runtime.plan import Settings
from qcore.runtime.session import Session

OWN = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""


def unsigned(codes: Array) -> Array:
    """int8 codes as uint8 ones, 128 above."""
    return codes.view(np.uint8) ^ np.uint8(128)


class Graph:
    """An ONNX graph in the making; values are known by their names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, inputs: Sequence[str], domain: str = OWN, **attributes: Any) -> str:
        """A node; the name of its output."""
        self.nodes.append(helper.make_node(operator, inputs, [f"value{len(self.nodes)}"], domain=domain, **attributes))
        return str(self.nodes[-1].output[0])

    def constant(self, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.array(value, order="C"), f"constant{len(self.constants)}"))
        return str(self.constants[-1].name)

    def reshape(self, name: str, shape: Shape) -> str:
        return self.add("Reshape", [name, self.constant(np.array(shape, np.int64))], "")

    def zero_point(self, activation: Operand) -> str:
        return self.constant(np.uint8(activation.zero_point + 128))

    def quantization(self, activation: Operand) -> list[str]:
        return [self.constant(np.float32(activation.scale)), self.zero_point(activation)]

    def weights(self, filter: Operand, values: Array) -> list[str]:
        """A filter's values, scales and zero points."""
        assert filter.quantization is not None
        return [self.constant(part) for part in (values, filter.quantization.scale, filter.quantization.zero_point.astype(np.int8))]

    def bias(self, node: Node) -> str:
        bias = node.optional_input(2)
        return "" if bias is None else self.constant(bias.value)


Conversion = Callable[[Graph, Node, list[str]], str]
"""Adds an operator on inputs of these names ("" for constants), and returns its output's."""


def windows(node: Node) -> dict[str, list[int]]:
    """Attributes of a convolution's or a pool's windows."""
    options = {"dilation_h_factor": 1, "dilation_w_factor": 1, **node.options}
    sizes = [*node.input(1).shape[1:3]] if len(node.inputs) > 1 else [options["filter_height"], options["filter_width"]]
    strides = [options["stride_h"], options["stride_w"]]
    axes = zip("hw", node.input(0).shape[1:3], sizes, strides, strict=True)
    found = [window(node, a, length, size, stride, options["padding"], options[f"dilation_{a}_factor"]) for a, length, size, stride in axes]
    after = [max(0, (w.output - 1) * w.stride + (w.size - 1) * w.dilation + 1 - w.pad_before - w.input) for w in found]
    return {"kernel_shape": sizes, "strides": strides, "pads": [w.pad_before for w in found] + after}


def convolution(graph: Graph, node: Node, inputs: list[str]) -> str:
    input, filter = node.input(0), node.input(1)
    values = filter.value.transpose((0, 3, 1, 2) if node.operator == "CONV_2D" else (3, 0, 1, 2))
    given = [inputs[0], *graph.quantization(input), *graph.weights(filter, values), *graph.quantization(node.output), graph.bias(node)]
    groups = input.shape[3] // values.shape[1]
    dilations = [node.options["dilation_h_factor"], node.options["dilation_w_factor"]]
    return graph.add("QLinearConv", given, channels_last=1, group=groups, dilations=dilations, **windows(node))


def fully_connected(graph: Graph, node: Node, inputs: list[str]) -> str:
    input, filter, output = node.input(0), node.input(1), node.output
    rows = inputs[0] if input.rank == 2 else graph.reshape(inputs[0], (-1, filter.shape[1]))
    given = [rows, *graph.quantization(input), *graph.weights(filter, filter.value), graph.bias(node), *graph.quantization(output)]
    result = graph.add("QGemm", given, transB=1)
    return result if output.rank == 2 else graph.reshape(result, output.shape)


def of_activations(operator: str, **attributes: Any) -> Conversion:
    """An operator that takes every input with its quantization, then the output's."""

    def convert(graph: Graph, node: Node, inputs: list[str]) -> str:
        given = list[str]()
        for i, name in enumerate(inputs):
            given += [name or graph.constant(unsigned(node.input(i).value)), *graph.quantization(node.input(i))]
        return graph.add(operator, [*given, *graph.quantization(node.output)], **attributes)

    return convert


def mean(graph: Graph, node: Node, inputs: list[str]) -> str:
    if node.input(0).rank != 4 or sorted(node.input(1).value.ravel() % 4) != [1, 2]:
        raise NotImplementedError(f"{node.where}: ONNX Runtime has the mean over height and width only")
    return graph.reshape(of_activations("QLinearGlobalAveragePool", channels_last=1)(graph, node, inputs[:1]), node.output.shape)


def average_pool(graph: Graph, node: Node, inputs: list[str]) -> str:
    return of_activations("QLinearAveragePool", channels_last=1, **windows(node))(graph, node, inputs)


def pad(graph: Graph, node: Node, inputs: list[str]) -> str:
    paddings = graph.constant(node.input(1).value.astype(np.int64).T.ravel())
    return graph.add("Pad", [inputs[0], paddings, graph.zero_point(node.output)], "")


CONVERSIONS: Mapping[str, Conversion] = MappingProxyType(
    {
        "ADD": of_activations("QLinearAdd"),
        "AVERAGE_POOL_2D": average_pool,
        "CONV_2D": convolution,
        "DEPTHWISE_CONV_2D": convolution,
        "FULLY_CONNECTED": fully_connected,
        "LOGISTIC": of_activations("QLinearSigmoid"),
        "MAX_POOL_2D": lambda graph, node, inputs: graph.add("NhwcMaxPool", inputs, **windows(node)),
        "MEAN": mean,
        "MUL": of_activations("QLinearMul"),
        "PAD": pad,
        "RESHAPE": lambda graph, node, inputs: graph.reshape(inputs[0], node.output.shape),
        "SOFTMAX": of_activations("QLinearSoftmax", axis=-1, opset=13),
    }
)


def clamped(graph: Graph, node: Node, name: str) -> str:
    """The value within the bounds of a fused activation, where it has narrower ones than the codes."""
    bounds = quantized_activation_range(node, node.options.get("fused_activation_function", "NONE"), node.output)
    return name if bounds == (-128, 127) else graph.add("Clip", [name, *(graph.constant(np.uint8(b + 128)) for b in bounds)], "")


def onnx_model(model: Model) -> onnx.ModelProto:
    """The model's first subgraph; inputs and outputs are uint8.

    Raises:
        QCoreError: qcore cannot run it.
        NotImplementedError: it holds operators or types that are not converted.
    """
    executor = Session(model, Settings()).executor()
    executor.allocate()
    plan, graph = executor.allocated(), Graph()
    names = {i: f"input{i}" for i in executor.graph.inputs}
    for planned in plan.operators:
        node, operator = executor.planner.node(planned, plan.shapes, plan.constants), planned.operator
        if node.operator not in CONVERSIONS or {node.input(0).dtype, node.output.dtype} != {"int8"}:
            raise NotImplementedError(f"{node.where}: not converted to ONNX for {node.input(0).dtype}")
        value = CONVERSIONS[node.operator](graph, node, [names.get(i, "") for i in operator.inputs])
        names[operator.outputs[0]] = clamped(graph, node, value)
    inputs, outputs = (
        [helper.make_tensor_value_info(names[i], onnx.TensorProto.UINT8, plan.shapes[i]) for i in ends]
        for ends in (executor.graph.inputs, executor.graph.outputs)
    )
    made = helper.make_graph(graph.nodes, "main", inputs, outputs, graph.constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid(OWN, 1)], ir_version=10)
