"""Models of any choice, made quickly.

Constants are taken from two models whose accuracy was recovered, one with int8 weights and one with int4.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qcore.calibration import Statistics
from qcore.kernels.opdef import Array
from qcore.model import OPTIONAL, Model, Operator, Quantization
from qcore.quantizer import Rules, quantize_model
from qcore.quantizer.graph import Graph, finish, set_constant, tensor_at
from qcore.quantizer.int16x8_specification import SPECIFICATION
from qcore.quantizer.recovery.layers import add_bias, bias_type, write_codes_of_bias
from qcore.schema import constant


@dataclass(frozen=True, eq=False)
class Constants:
    """Of an operator with weights.

    codes: of its weights. quantization: theirs. bias: float64[channels], real units; None without.
    """

    codes: Array
    quantization: Quantization
    bias: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class Bank:
    """Constants to make files from.

    constants: by the name and the type of the weights; their biases make good for what these weights err by on average.
    drifts: by name, float64[channels] twice: what a bias must add for the errors of the operators before, if all of them have int8 weights,
        and if all have int4.
    """

    constants: Mapping[tuple[str, str], Constants] = field(default_factory=dict)
    drifts: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = field(default_factory=dict)

    def bias(self, name: str, kind: str, narrow: float) -> NDArray[np.float64] | None:
        """Of an operator; narrow: the part of the operators before that has int4 weights."""
        own = self.constants[name, kind].bias
        if own is None or name not in self.drifts:
            return own
        wide_drift, narrow_drift = self.drifts[name]
        return np.asarray(own + (1 - narrow) * wide_drift + narrow * narrow_drift)


def graphs(model: Model) -> list[Graph]:
    """The subgraphs of a model, to be edited or looked at."""
    return [Graph(model, index) for index in range(len(model.subgraphs))]


def weighted_operators(model: Model) -> Iterator[tuple[Graph, Operator, int, int]]:
    """The operators of a quantized model that have quantized inputs and integer weights: with the numbers of weights and bias."""
    for graph in graphs(model):
        for operator in graph.operators:
            row = SPECIFICATION.get(operator.name)
            if row is None or row.weights is None or row.bias is None or len(operator.inputs) <= row.weights:
                continue
            input, filter = operator.inputs[row.inputs[0]], operator.inputs[row.weights]
            bias = tensor_at(operator, row.bias)
            if OPTIONAL not in (input, filter) and graph.tensors[input].dtype in ("int8", "int16") and _is_codes(graph, filter):
                yield graph, operator, filter, bias


def constants_of(model: Model) -> dict[tuple[str, str], Constants]:
    """The constants of a quantized model, of weights that are told apart by name and read once."""
    names = Counter(graph.tensors[filter].name for graph, _, filter, _ in weighted_operators(model))
    found = {}
    for graph, _, filter, bias in weighted_operators(model):
        tensor = graph.tensors[filter]
        if names[tensor.name] > 1:
            continue
        codes = constant(tensor)
        assert codes is not None and tensor.quantization is not None
        found[tensor.name, tensor.dtype] = Constants(codes.copy(), tensor.quantization, _real_bias(graph, bias))
    return found


def compose(model: Model, statistics: Statistics, bank: Bank, rules: Rules) -> Model:
    """A model as ``quantize_model`` makes it in mode "int8", with constants of the bank where it has some."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantized = quantize_model(model, "int8", statistics, rules=rules, runnable=True)
    readers = [graph.consumers() for graph in graphs(quantized)]
    narrow = 0
    for before, (graph, operator, filter, bias) in enumerate(weighted_operators(quantized)):
        tensor = graph.tensors[filter]
        known = bank.constants.get((tensor.name, tensor.dtype))
        if known is not None:
            set_constant(tensor, known.codes, tensor.dtype, known.quantization)
            real = bank.bias(tensor.name, tensor.dtype, narrow / max(before, 1))
            if real is not None and (bias == OPTIONAL or len(readers[graph.index][bias]) == 1):
                _put_bias(graph, operator, bias, real, known.quantization)
        narrow += tensor.dtype == "int4"
    finish(quantized)
    return quantized


def _is_codes(graph: Graph, filter: int) -> bool:
    tensor = graph.tensors[filter]
    q = tensor.quantization
    return tensor.is_constant and tensor.dtype in ("int8", "int4") and q is not None and q.details is None and q.scale.size > 0


def _real_bias(graph: Graph, bias: int) -> NDArray[np.float64] | None:
    if bias == OPTIONAL:
        return None
    tensor = graph.tensors[bias]
    codes = constant(tensor)
    if codes is None or tensor.quantization is None:
        return None
    return np.asarray(codes.reshape(-1) * tensor.quantization.scale.astype(np.float64))


def _put_bias(graph: Graph, operator: Operator, bias: int, real: NDArray[np.float64], weights: Quantization) -> None:
    """Writes a bias in the scales of an operator's products; a new one where it has none, as ``quantize_model`` does with ``accuracy``."""
    row = SPECIFICATION[operator.name]
    input = graph.tensors[operator.inputs[row.inputs[0]]]
    assert input.quantization is not None and row.bias is not None
    if bias == OPTIONAL:
        dtype = bias_type(input)
        tensor = add_bias(graph, operator, row.bias, np.zeros(len(real), dtype), dtype)
    else:
        tensor = graph.tensors[bias]
    write_codes_of_bias(tensor, real.astype(np.float32), float(input.quantization.scale[0]), weights.scale)
