"""Constants of the int8 mode: whose they are, which parameters they have, and their codes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from qcore.model import OPTIONAL, Model, Tensor
from qcore.numerics import (
    QuantParams,
    choose_params,
    greatest_magnitude,
    quantize_by_reach,
    quantize_by_reciprocal,
    quantize_in_double,
    symmetric_params,
)
from qcore.quantizer.graph import Graph, Use, copy_model, real_constant, set_constant
from qcore.quantizer.options import Options
from qcore.quantizer.specification import PER_TENSOR, spec_of
from qcore.schema import constant

Precision = Literal["float32", "float64"]
"""Of what is computed from constants: after calibration, and where the graph carries all ranges."""
Axis = int | None
"""Of a weight's scales, or PER_TENSOR; None for a constant that is no weight."""


def widened(model: Model) -> Model:
    """A model whose float16 constants are float32, a copy if it has any; its tensors have the numbers that they had."""
    if all(tensor.dtype != "float16" for graph in model.subgraphs for tensor in graph.tensors):
        return model
    copied = copy_model(model)
    for index in range(len(copied.subgraphs)):
        _widen_constants(Graph(copied, index))
    return copied


def _widen_constants(graph: Graph) -> None:
    """Makes float16 constants behind a DEQUANTIZE, as the float16 mode writes them, float32 constants again."""
    for operator in [operator for operator in graph.operators if operator.name == "DEQUANTIZE"]:
        if not operator.inputs or not operator.outputs or OPTIONAL in (operator.inputs[0], operator.outputs[0]):
            continue
        narrow = graph.tensors[operator.inputs[0]]
        if narrow.dtype == "float16" and narrow.is_constant and operator.outputs[0] not in graph.subgraph.outputs:
            values = constant(narrow)
            assert values is not None
            set_constant(graph.tensors[operator.outputs[0]], values.astype(np.float32), "float32")
            graph.operators.remove(operator)


def separate_constants(graph: Graph) -> None:
    """Gives every use of a constant whose parameters come from elsewhere a tensor of its own: biases, and inputs that share a scale.

    Source: tflite/converter/quantization/common/quantization_lib/tfl_quantization_driver.cc#PreprocessConstantOps.
    """
    for tensor, uses in graph.consumers().items():
        if len(uses) > 1 and is_float_constant(graph.tensors[tensor]):
            for use in uses:
                if follows_others(use):
                    graph.redirect([use], copy_constant(graph, tensor))


def copy_constant(graph: Graph, tensor: int) -> int:
    """Another tensor with the same bytes; gives its number."""
    graph.tensors.append(replace(graph.tensors[tensor]))
    return len(graph.tensors) - 1


def weights(graph: Graph, options: Options) -> dict[int, Axis]:
    """The constants whose own values give their parameters, each with the axis of its scales.

    Args:
        graph: after ``separate_constants``.
        options: per_channel and per_channel_dense apply.
    """
    found: dict[int, Axis] = {}
    for tensor, uses in graph.consumers().items():
        if is_float_constant(graph.tensors[tensor]) and not follows_others(uses[0]):
            axes = [_axis(use, options) for use in uses]
            found[tensor] = next((axis for axis in axes if axis is not None), None)
    return found


def constant_params(tensor: Tensor, axis: Axis, precision: Precision) -> QuantParams | None:
    """Parameters from a constant's values: symmetric in [-127, 127] with an axis or PER_TENSOR, else asymmetric.

    None for a constant that has no elements, or some that are NaN or infinite.

    Source: tflite/converter/quantization/common/quantization_lib/quantization_utils.cc#GetUniformQuantizedTypeForWeight and
    #GetUniformQuantizedPerAxisTypeForWeight.
    """
    values = values_of(tensor)
    if values.size == 0 or not np.isfinite(values).all() or (axis is not None and axis >= values.ndim):
        return None
    if axis is None:
        return choose_params(values.min(), values.max(), "int8", precision=precision)
    reach = greatest_magnitude(values, None if axis == PER_TENSOR else axis)
    return choose_params(-reach, reach, "int8", symmetric=True, narrow_range=True, axis=max(axis, 0))


def constant_codes(tensor: Tensor, params: QuantParams, precision: Precision) -> NDArray[Any]:
    """Codes of a constant that is no bias: codes[shape].

    In float32, symmetric ones are multiplied by a reciprocal: that of the scale per channel, of the reach per tensor. Others are divided in
    double.

    Source: tflite/converter/quantization/common/quantization_lib/quantization_utils.cc#QuantizeLegacy,
    tflite/converter/quantization/ir/QuantizeUtils.cc#quantizeAttr.
    """
    values = values_of(tensor)
    if precision == "float64" or not params.narrow_range:
        return quantize_in_double(values, params)
    if params.quantized_dimension is not None or params.dtype != "int8":
        return quantize_by_reciprocal(values, params)
    reach = greatest_magnitude(values, None)
    is_own = (symmetric_params(reach).scale == params.scale).all()
    return quantize_by_reach(values, reach, params) if is_own else quantize_by_reciprocal(values, params)


def is_float_constant(tensor: Tensor) -> bool:
    """A constant that can be quantized: float32, and not sparse."""
    return tensor.is_constant and tensor.dtype == "float32" and tensor.sparsity is None


def values_of(tensor: Tensor) -> NDArray[np.float32]:
    """float32[shape] of such a constant."""
    values = real_constant(tensor)
    assert values is not None
    return values


def follows_others(use: Use) -> bool:
    """The use is a bias, an input that shares its scale, or one of an operator that keeps states."""
    spec = spec_of(use.operator)
    if spec is None:
        return False
    return spec.same_scale or spec.recurrent is not None or (spec.bias is not None and spec.bias.slot == use.slot)


def _axis(use: Use, options: Options) -> Axis:
    spec = spec_of(use.operator)
    axis = None if spec is None else spec.weights.get(use.slot)
    if axis is None:
        return None
    per_channel = options.channel_axis(use.operator.name, axis)
    return PER_TENSOR if per_channel is None else per_channel
