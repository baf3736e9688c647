"""Operators whose weights can be recovered: the float one and its quantized counterpart, their constants read and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.opdef import Array
from qcore.model import OPTIONAL, Model, Operator, Tensor
from qcore.numerics import QuantParams, quantize_bias
from qcore.numerics.dtypes import element_type
from qcore.quantizer.graph import Graph, real_constant, set_constant, to_quantization
from qcore.quantizer.recovery.moments import Real
from qcore.quantizer.recovery.rows import FORMS, Form
from qcore.quantizer.recovery.solve import INT4, INT8, Grid
from qcore.schema import constant

INPUT, FILTER, BIAS = 0, 1, 2
"""The slots of operators in FORMS."""

_GRIDS: Mapping[str, Grid] = MappingProxyType({"int8": INT8, "int4": INT4})

_GUARDED_MAX = 2**30 - 1
"""Greatest magnitude of a bias, as the quantizer guards it: half of int32."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Constants of a quantized operator.

    codes: integers in float64[groups, outputs, depth].
    scale: float64[groups, outputs], real units per step.
    bias: float64[groups, outputs], real units.
    """

    codes: Real
    scale: Real
    bias: Real

    @property
    def weights(self) -> Real:
        """float64[groups, outputs, depth]: the weights that the codes stand for."""
        return self.codes * self.scale[..., np.newaxis]


@dataclass(frozen=True, eq=False)
class Layer:
    """One operator with weights, in both models.

    graph: of the quantized model; the float one's has the same number.
    real: the operator of the float model. operator: its counterpart in the quantized one.
    weights: float32, of the float filter. bias: float32[channels]; zeros where the operator has none.
    codes: the tensor that holds the quantized weights; no other operator reads it.
    input_scale: of quantized inputs; None of real ones.
    """

    graph: Graph
    real: Operator
    operator: Operator
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    codes: Tensor
    input_scale: float | None

    @property
    def name(self) -> str:
        """Of its output."""
        return self.graph.tensors[self.operator.outputs[0]].name

    @property
    def grid(self) -> Grid:
        """The codes that its weights may have."""
        return _GRIDS[self.codes.dtype]

    @property
    def per_channel(self) -> bool:
        """Its weights have a scale for each output channel."""
        return self.quantized_dimension is not None

    @property
    def quantized_dimension(self) -> int | None:
        """The axis of its scales; None where it has one for all."""
        q = self.codes.quantization
        assert q is not None
        return q.quantized_dimension if q.scale.size > 1 else None

    def problem(self, form: Form) -> tuple[Real, Real]:
        """The float weights and bias: float64[groups, outputs, depth] and float64[groups, outputs]."""
        weights = form.matrix(self.weights).astype(np.float64)
        return weights, self.bias.astype(np.float64).reshape(weights.shape[:2])

    def least_scale(self) -> Real:
        """float64[channels]: the scales below which the codes of the bias would not fit."""
        if self.input_scale is None:
            return np.zeros(len(self.bias))
        return np.abs(self.bias.astype(np.float64)) / (self.input_scale * _GUARDED_MAX)

    def read(self, form: Form) -> Solution:
        """The constants that it has now."""
        assert self.codes.quantization is not None
        codes = form.matrix(self._present_codes()).astype(np.float64)
        scale = np.broadcast_to(self.codes.quantization.scale.astype(np.float64), len(self.bias)).reshape(codes.shape[:2])
        return Solution(codes, scale, self._present_bias().reshape(codes.shape[:2]))

    def write(self, form: Form, solution: Solution) -> None:
        """Gives it other constants; a bias where it has none."""
        codes = self._present_codes().copy()
        form.put(codes, solution.codes.astype(codes.dtype))
        scale = solution.scale.reshape(-1) if self.per_channel else solution.scale.reshape(-1)[:1]
        params = QuantParams(scale.astype(np.float32), np.zeros(1, np.int64), self.codes.dtype, self.quantized_dimension)
        self.write_constants(codes, params, solution.bias.reshape(-1).astype(np.float32))

    def write_constants(self, codes: Array, params: QuantParams, bias: NDArray[np.float32]) -> None:
        """The same, in their places: codes like the filter, real values of the bias, which is rounded to its own codes."""
        set_constant(self.codes, codes, params.dtype, to_quantization(params))
        self._write_bias(bias, params.scale)

    def _present_codes(self) -> Array:
        values = constant(self.codes)
        assert values is not None
        return values

    def _present_bias(self) -> Real:
        tensor = self._bias_tensor()
        if tensor is None:
            return np.zeros(len(self.bias))
        values = constant(tensor)
        assert values is not None
        scale = 1.0 if tensor.quantization is None or tensor.dtype == "float32" else tensor.quantization.scale.astype(np.float64)
        return values.reshape(-1) * scale

    def _bias_tensor(self) -> Tensor | None:
        index = optional_input(self.operator, BIAS)
        return None if index == OPTIONAL else self.graph.tensors[index]

    def _write_bias(self, bias: NDArray[np.float32], filter_scale: NDArray[np.float32]) -> None:
        tensor = self._bias_tensor()
        if tensor is None:
            wide = self.graph.tensors[self.operator.inputs[INPUT]].dtype == "int16"
            dtype = "float32" if self.input_scale is None else "int64" if wide else "int32"
            zeros = np.zeros(len(bias), element_type(dtype).storage)
            self.operator.inputs[BIAS:] = [self.graph.add_constant(f"{self.name}_bias", zeros, dtype)]
            tensor = self._bias_tensor()
            assert tensor is not None
        if self.input_scale is None:
            set_constant(tensor, bias.reshape(tensor.shape), "float32")
            return
        found = quantize_bias(bias, self.input_scale, filter_scale, 64 if tensor.dtype == "int64" else 32, guard=False)
        params = QuantParams(found.scale, np.zeros(1, np.int64), tensor.dtype, 0 if found.scale.size > 1 else None)
        set_constant(tensor, found.data.reshape(tensor.shape), tensor.dtype, to_quantization(params))


def optional_input(operator: Operator, slot: int) -> int:
    """The number of an input that may be left out."""
    return operator.inputs[slot] if slot < len(operator.inputs) else OPTIONAL


def _reads_weights(operator: Operator) -> bool:
    return OPTIONAL not in (optional_input(operator, INPUT), optional_input(operator, FILTER))


def find_layers(model: Model, quantized: Model, origins: Mapping[Operator, Operator]) -> list[Layer]:
    """The operators of a quantized model that have integer weights of their own, in the order they run.

    Args:
        model: the float model.
        quantized: what became of it.
        origins: by operator of the quantized model, that of the float one it came from.
    """
    found = []
    for index, subgraph in enumerate(quantized.subgraphs):
        graph, real = Graph(quantized, index), Graph(model, index)
        readers = graph.consumers()
        producers = graph.producers()
        for operator in subgraph.operators:
            origin = origins.get(operator)
            if operator.name in FORMS and origin is not None and _reads_weights(operator) and _reads_weights(origin):
                layer = _layer(graph, operator, real, origin, producers, readers)
                if layer is not None:
                    found.append(layer)
    return found


def _layer(
    graph: Graph, operator: Operator, real: Graph, origin: Operator, producers: Mapping[int, Operator], readers: Mapping[int, Any]
) -> Layer | None:
    """The layer that an operator is; None where its constants are not known, shared, or of another kind."""
    filter, bias = operator.inputs[FILTER], optional_input(operator, BIAS)
    if len(readers[filter]) > 1 or (bias != OPTIONAL and (len(readers[bias]) > 1 or not graph.tensors[bias].is_constant)):
        return None
    if filter in producers and producers[filter].name == "DEQUANTIZE":
        filter = producers[filter].inputs[0]
    codes, input = graph.tensors[filter], graph.tensors[operator.inputs[INPUT]]
    weights, given = real_constant(real.tensors[origin.inputs[FILTER]]), optional_input(origin, BIAS)
    if weights is None or weights.shape != codes.shape or not weights.size:
        return None
    channels = codes.shape[-1 if operator.name == "DEPTHWISE_CONV_2D" else 0]
    values = np.zeros(channels, np.float32) if given == OPTIONAL else real_constant(real.tensors[given])
    quantization = codes.quantization
    if values is None or not codes.is_constant or codes.dtype not in _GRIDS or len(readers[filter]) > 1:
        return None
    if quantization is None or quantization.details is not None or quantization.scale.size not in (1, channels):
        return None
    if not (np.isfinite(weights).all() and np.isfinite(values).all()) or input.is_constant:
        return None
    scale = None if input.dtype == "float32" or input.quantization is None else float(input.quantization.scale[0])
    return Layer(graph, origin, operator, weights, values.reshape(-1), codes, scale)
