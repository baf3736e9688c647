"""Products and sums per channel behind trained weights become part of them, as normalization that training left behind a layer.

A converter folds them into float weights, but not through the rounding of weights that have one scale. Folded behind it, each channel has
its own: the codes that training saw stay, or change their sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qcore.model import OPTIONAL, Operator
from qcore.numerics import QuantParams
from qcore.quantizer.graph import Graph, Use, real_constant, set_constant, tensor_at
from qcore.quantizer.options import Options

_CHANNELS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}
"""Operators that take a scale for each output channel, with the axis of these in their weights."""

_FILTER, _BIAS = 1, 2

Consumers = Mapping[int, list[Use]]


def fold_scalings(graph: Graph, params: dict[int, QuantParams], options: Options) -> None:
    """Folds MUL, then ADD, of a constant into the operators with weights before them.

    Args:
        graph: float, edited.
        params: of the constants that have some; edited.
        options: per_channel and per_channel_dense count.
    """
    consumers = graph.consumers()
    for operator in [operator for operator in graph.operators if operator.name in _CHANNELS]:
        axis = options.channel_axis(operator.name, _CHANNELS[operator.name])
        weights = real_constant(graph.tensors[operator.inputs[_FILTER]])
        if axis is None or weights is None or weights.ndim <= axis:
            continue
        channels = weights.shape[axis]
        product = _reader(graph, consumers, operator, "MUL", channels)
        if product is not None and _scale(graph, consumers, params, operator, axis, product[1]):
            _absorb(graph, operator, product[0])
        total = _reader(graph, consumers, operator, "ADD", channels)
        if total is not None and _shift(graph, operator, total[1]):
            _absorb(graph, operator, total[0])


def _reader(
    graph: Graph, consumers: Consumers, operator: Operator, name: str, channels: int
) -> tuple[Operator, NDArray[np.float32]] | None:
    """The operator of that name that alone reads the output, with float32[channels], what it multiplies with or adds to each."""
    number, uses = operator.outputs[0], consumers.get(operator.outputs[0], [])
    if len(uses) != 1 or number in graph.subgraph.outputs or uses[0].operator.name != name or _clamps(operator):
        return None
    reader = uses[0].operator
    others = [i for i in reader.inputs if i not in (number, OPTIONAL)]
    values = real_constant(graph.tensors[others[0]]) if others else None
    if values is None or not np.isfinite(values).all() or graph.tensors[number].shape != graph.tensors[reader.outputs[0]].shape:
        return None
    if values.size not in (1, channels) or values.shape[-1:] not in ((), (values.size,)):
        return None
    return reader, np.broadcast_to(values.reshape(-1), channels)


def _clamps(operator: Operator) -> bool:
    return operator.options is not None and operator.options["fused_activation_function"] != "NONE"


def _scale(
    graph: Graph, consumers: Consumers, params: dict[int, QuantParams], operator: Operator, axis: int, factor: NDArray[np.float32]
) -> bool:
    """Multiplies weights and bias; False where that is not possible."""
    number, bias = operator.inputs[_FILTER], tensor_at(operator, _BIAS)
    weights, shift = real_constant(graph.tensors[number]), None if bias == OPTIONAL else real_constant(graph.tensors[bias])
    if weights is None or len(consumers[number]) > 1:
        return False
    if bias != OPTIONAL and (shift is None or shift.size != factor.size or len(consumers[bias]) > 1):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        if number in params:
            scale = np.broadcast_to(params[number].scale, factor.shape) * np.abs(factor)
            if not (np.isfinite(scale) & (scale > 0)).all():
                return False
            params[number] = replace(params[number], scale=scale, zero_point=np.zeros(scale.shape, np.int64), quantized_dimension=axis)
        along = [1] * weights.ndim
        along[axis] = -1
        set_constant(graph.tensors[number], weights * factor.reshape(along), "float32")
        if shift is not None:
            set_constant(graph.tensors[bias], shift * factor.reshape(shift.shape), "float32")
    return True


def _shift(graph: Graph, operator: Operator, addend: NDArray[np.float32]) -> bool:
    """Adds to the bias; False where that is not possible."""
    bias = tensor_at(operator, _BIAS)
    shift = np.zeros(addend.shape, np.float32) if bias == OPTIONAL else real_constant(graph.tensors[bias])
    if shift is None or shift.size != addend.size:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        total = shift.reshape(-1) + addend
    operator.inputs[_BIAS:] = [graph.add_constant(f"{graph.tensors[operator.outputs[0]].name}/bias", total, "float32")]
    return True


def _absorb(graph: Graph, operator: Operator, reader: Operator) -> None:
    """Takes the place of the reader, with its activation."""
    if operator.options is not None and reader.options is not None:
        fused = {"fused_activation_function": reader.options["fused_activation_function"]}
        operator.options = replace(operator.options, fields={**operator.options.fields, **fused})
    operator.outputs = reader.outputs
    graph.operators.remove(reader)
