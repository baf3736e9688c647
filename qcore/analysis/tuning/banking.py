"""Constants of two models whose accuracy was recovered, taken apart so that they go into models of any choice.

A recovered bias is ``b + W m_f - Q s m_q``: float weights W and bias b, codes Q, their scales s, mean inputs m_f of the float model and m_q
of the quantized one. ``b + (W - Q s) m_f`` of it is for the operator's own weights, the rest for the errors of the operators before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.analysis.tuning.composing import Bank, Constants, constants_of
from qcore.model import OPTIONAL, Model, Operator, Table
from qcore.numerics import QuantParams, dequantize
from qcore.quantizer.graph import Graph, copy_model, finish, real_constant
from qcore.quantizer.int16x8_specification import SPECIFICATION
from qcore.quantizer.recovery.running import feeds, outputs


def bank_of(model: Model, wide: Model, narrow: Model, samples: Sequence[Any]) -> Bank:
    """What two quantized models give.

    Args:
        model: the float model.
        wide: with int8 weights.
        narrow: with int4 weights where there may be some.
        samples: that they learned from.
    """
    constants = dict[tuple[str, str], Constants]()
    drifts = dict[str, list[NDArray[np.float64]]]()
    for quantized in (narrow, wide):
        found = constants_of(quantized)
        own = _own_biases(model, found, samples)
        for (name, kind), one in found.items():
            constants[name, kind] = one
            if one.bias is not None and name in own:
                constants[name, kind] = replace(one, bias=own[name])
                drifts.setdefault(name, []).append(one.bias - own[name])
    return Bank(constants, {name: (two[1], two[0]) for name, two in drifts.items() if len(two) == 2})


def _own_biases(model: Model, constants: Mapping[tuple[str, str], Constants], samples: Sequence[Any]) -> dict[str, NDArray[np.float64]]:
    """``b + (W - Q s) m_f`` by name of the weights: beside each operator of the float model, another computes what the weights err by."""
    by_name = {name: (kind, one) for (name, kind), one in constants.items()}
    edited = copy_model(model)
    subgraph = feeds(model, samples[:1])[0].subgraph
    graph, found = Graph(edited, subgraph), dict[str, NDArray[np.float64]]()
    known = len(graph.subgraph.outputs)
    for operator in list(graph.operators):
        row = SPECIFICATION.get(operator.name)
        if row is None or row.weights is None or row.bias is None or len(operator.inputs) <= row.weights:
            continue
        filter, given = graph.tensors[operator.inputs[row.weights]], [*operator.inputs, OPTIONAL][row.bias]
        kind, one = by_name.get(filter.name, ("", None))
        weights = real_constant(filter)
        bias = None if given == OPTIONAL else real_constant(graph.tensors[given])
        if one is not None and one.bias is not None and weights is not None and weights.shape == one.codes.shape:
            found[filter.name] = np.zeros_like(one.bias) if bias is None else bias.reshape(-1).astype(np.float64)
            _add_probe(graph, operator, weights - _real(one, kind), found[filter.name].size)
    finish(edited)
    fed = feeds(edited, samples)
    for results in outputs(edited, fed):
        for own, errors in zip(found.values(), results[known:], strict=True):
            own += errors.reshape(-1, own.size).mean(axis=0, dtype=np.float64) / len(fed)
    return found


def _real(one: Constants, kind: str) -> NDArray[np.float32]:
    q = one.quantization
    axis = q.quantized_dimension if q.scale.size > 1 else None
    return dequantize(one.codes, QuantParams(q.scale, np.zeros(1, np.int64), kind, axis))


def _add_probe(graph: Graph, operator: Operator, weights: NDArray[np.float32], channels: int) -> None:
    """Adds an operator that is like another but for its weights, with no bias and no activation; its output is one of the subgraph's."""
    row, name = SPECIFICATION[operator.name], graph.tensors[operator.outputs[0]].name
    assert row.weights is not None and row.bias is not None and operator.options is not None
    inputs = [*operator.inputs[: row.bias], graph.add_constant(f"{name}/none", np.zeros(channels, np.float32), "float32")]
    inputs[row.weights] = graph.add_constant(f"{name}/apart", weights, "float32")
    output = graph.add_tensor(f"{name}/error", "float32", graph.tensors[operator.outputs[0]])
    options = Table(operator.options.name, {**operator.options.fields, "fused_activation_function": "NONE"})
    graph.operators.append(Operator(operator.code, inputs, [output], options))
    graph.subgraph.outputs.append(output)
