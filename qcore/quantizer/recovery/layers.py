"""Operators whose weights can be recovered: the float one and its quantized counterpart, their constants read and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.opdef import Array
from qcore.model import OPTIONAL, Model, Operator, Tensor
from qcore.numerics import QuantParams, quantize_bias
from qcore.numerics.dtypes import element_type
from qcore.quantizer.blocks import scales_of
from qcore.quantizer.graph import Graph, real_constant, set_constant, tensor_at, to_quantization
from qcore.quantizer.recovery.moments import Real
from qcore.quantizer.recovery.rows import Form
from qcore.quantizer.recovery.solve import INT4, INT8, Grid
from qcore.quantizer.weight_kernels import Case, Granularity, misreads_least_code
from qcore.schema import constant


class Slots(NamedTuple):
    """Which inputs of an operator are what."""

    input: int
    filter: int
    bias: int


SLOTS = MappingProxyType(
    {
        "CONV_2D": Slots(0, 1, 2),
        "DEPTHWISE_CONV_2D": Slots(0, 1, 2),
        "FULLY_CONNECTED": Slots(0, 1, 2),
        "TRANSPOSE_CONV": Slots(2, 1, 3),
    }
)
"""By the operator's name, of all that have a form."""

GRIDS: Mapping[str, Grid] = MappingProxyType({"int8": INT8, "int4": INT4})
"""The codes that weights may have, by their type."""

_GUARDED_MAX = 2**30 - 1
"""Greatest magnitude of a bias, as the quantizer guards it: half of int32."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Constants of a quantized operator.

    codes: integers in float64[groups, outputs, depth].
    scale: float64[groups, outputs], or [groups, outputs, blocks], real units per step.
    bias: float64[groups, outputs], real units.
    """

    codes: Real
    scale: Real
    bias: Real

    @property
    def weights(self) -> Real:
        """float64[groups, outputs, depth]: the weights that the codes stand for."""
        blocks = self.scale if self.scale.ndim == 3 else self.scale[..., np.newaxis]
        return self.codes * np.repeat(blocks, self.codes.shape[2] // blocks.shape[2], axis=2)


@dataclass(frozen=True, eq=False)
class Layer:
    """One operator with weights, in both models.

    graph: of the quantized model; the float one's has the same number.
    real: the operator of the float model. operator: its counterpart in the quantized one.
    weights: float32, of the float filter. bias: float32[channels]; zeros where the operator has none.
    codes: the tensor that holds the quantized weights. scales: the one that holds the scales of their blocks, if they have blocks.
    case: what it is to the table of ``weight_kernels``.
    input_scale: of quantized inputs; None of real ones.
    sharing: the layers that have these weights, itself among them, in the order they run.
    """

    graph: Graph
    real: Operator
    operator: Operator
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    codes: Tensor
    scales: Tensor | None
    case: Case
    input_scale: float | None
    sharing: list[Layer] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of its output."""
        return self.graph.tensors[self.operator.outputs[0]].name

    @property
    def slots(self) -> Slots:
        """Which of its inputs are what."""
        return SLOTS[self.operator.name]

    @property
    def grid(self) -> Grid:
        """The codes that its weights may have."""
        grid = GRIDS[self.codes.dtype]
        return replace(grid, low=-grid.high) if misreads_least_code(self.case) else grid

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

    @property
    def block_size(self) -> int | None:
        """Weights of a row that share a scale, where blocks of them do."""
        return None if self.scales is None else self.weights.shape[1] // self.scales.shape[1]

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
        codes = form.matrix(_value(self.codes)).astype(np.float64)
        bias = self._present_bias().reshape(codes.shape[:2])
        if self.scales is not None:
            return Solution(codes, _value(self.scales).astype(np.float64)[np.newaxis], bias)
        assert self.codes.quantization is not None
        scale = np.broadcast_to(self.codes.quantization.scale.astype(np.float64), len(self.bias)).reshape(codes.shape[:2])
        return Solution(codes, scale, bias)

    def write(self, form: Form, solution: Solution) -> None:
        """Gives it other constants; a bias where it has none."""
        codes = _value(self.codes).copy()
        form.put(codes, solution.codes.astype(codes.dtype))
        bias = solution.bias.reshape(-1).astype(np.float32)
        if self.scales is not None:
            set_constant(self.codes, codes, self.codes.dtype, self.codes.quantization)
            set_constant(self.scales, solution.scale.reshape(self.scales.shape).astype(np.float16), "float16")
            self._write_bias(bias, np.ones(1, np.float32))
            return
        scale = solution.scale.reshape(-1) if self.per_channel else solution.scale.reshape(-1)[:1]
        params = QuantParams(scale.astype(np.float32), np.zeros(1, np.int64), self.codes.dtype, self.quantized_dimension)
        self.write_constants(codes, params, bias)

    def write_constants(self, codes: Array, params: QuantParams, bias: NDArray[np.float32]) -> None:
        """The same, in their places: codes like the filter, real values of the bias, which is rounded to its own codes."""
        set_constant(self.codes, codes, params.dtype, to_quantization(params))
        self._write_bias(bias, params.scale)

    def _present_bias(self) -> Real:
        tensor = self._bias_tensor()
        if tensor is None:
            return np.zeros(len(self.bias))
        values = _value(tensor)
        scale = 1.0 if tensor.quantization is None or tensor.dtype == "float32" else tensor.quantization.scale.astype(np.float64)
        return values.reshape(-1) * scale

    def _bias_tensor(self) -> Tensor | None:
        index = tensor_at(self.operator, self.slots.bias)
        return None if index == OPTIONAL else self.graph.tensors[index]

    def _write_bias(self, bias: NDArray[np.float32], filter_scale: NDArray[np.float32]) -> None:
        tensor = self._own_bias(bias)
        if self.input_scale is None:
            set_constant(tensor, bias.reshape(tensor.shape), "float32")
            return
        write_codes_of_bias(tensor, bias, self.input_scale, filter_scale)

    def _own_bias(self, like: NDArray[np.float32]) -> Tensor:
        """The tensor of its bias: a new one where it has none, or another operator reads it too."""
        tensor, slot = self._bias_tensor(), self.slots.bias
        if tensor is None:
            input = self.graph.tensors[self.operator.inputs[self.slots.input]]
            dtype = "float32" if self.input_scale is None else bias_type(input)
            return add_bias(self.graph, self.operator, slot, np.zeros(len(like), element_type(dtype).storage), dtype)
        if len(self.graph.consumers()[self.operator.inputs[slot]]) > 1:
            return add_bias(self.graph, self.operator, slot, _value(tensor), tensor.dtype)
        return tensor


def bias_type(input: Tensor) -> str:
    """The type of an integer bias beside an input."""
    return "int64" if input.dtype == "int16" else "int32"


def add_bias(graph: Graph, operator: Operator, slot: int, values: Array, dtype: str) -> Tensor:
    """Gives an operator a bias of its own: storage type[channels] of dtype, its last input."""
    operator.inputs[slot:] = [graph.add_constant(f"{graph.tensors[operator.outputs[0]].name}_bias", values, dtype)]
    return graph.tensors[operator.inputs[slot]]


def write_codes_of_bias(tensor: Tensor, bias: NDArray[np.float32], input_scale: float, filter_scale: NDArray[np.float32]) -> None:
    """Writes real values, float32[channels], into an integer bias, in the scales of its operator's products."""
    found = quantize_bias(bias, input_scale, filter_scale, 64 if tensor.dtype == "int64" else 32, guard=False)
    params = QuantParams(found.scale, np.zeros(1, np.int64), tensor.dtype, 0 if found.scale.size > 1 else None)
    set_constant(tensor, found.data.reshape(tensor.shape), tensor.dtype, to_quantization(params))


def find_layers(model: Model, quantized: Model, origins: Mapping[Operator, Operator]) -> list[Layer]:
    """The operators of a quantized model that have integer weights, in the order they run.

    Weights that something else reads too are left out, unless all that read them are such operators, of one type.

    Args:
        model: the float model.
        quantized: what became of it.
        origins: by operator of the quantized model, that of the float one it came from.
    """
    found = []
    for index, subgraph in enumerate(quantized.subgraphs):
        graph, real = Graph(quantized, index), Graph(model, index)
        producers, layers = graph.producers(), dict[Operator, Layer]()
        for operator in subgraph.operators:
            origin = origins.get(operator)
            layer = None if origin is None else _layer(graph, operator, real, origin, producers)
            if layer is not None:
                layers[operator] = layer
        found += _known_readers(graph, layers)
    return found


def _known_readers(graph: Graph, layers: Mapping[Operator, Layer]) -> list[Layer]:
    """Those of the layers whose weights no operator of another type reads; each learns of those that have the same weights."""
    readers, found = graph.consumers(), list[Layer]()
    same: dict[tuple[int, Case, bytes], list[Layer]] = {}
    for operator, layer in layers.items():
        users = {use.operator for use in readers[operator.inputs[layer.slots.filter]]}
        stored = [use for uses in readers.values() for use in uses if graph.tensors[use.operator.inputs[use.slot]] is layer.codes]
        if len(stored) > len(users) or any(user not in layers or user.name != operator.name for user in users):
            continue
        found.append(layer)
        assert layer.codes.quantization is not None
        key = layer.real.inputs[layer.slots.filter], layer.case, layer.codes.quantization.scale.tobytes()
        same.setdefault(key, []).append(layer)
    for together in same.values():
        for layer in together:
            layer.sharing.extend(together)
    return found


def _layer(graph: Graph, operator: Operator, real: Graph, origin: Operator, producers: Mapping[int, Operator]) -> Layer | None:
    """The layer that an operator is; None where its constants are not known, or of another kind."""
    slots = SLOTS.get(operator.name)
    if slots is None or OPTIONAL in [tensor_at(each, slot) for each in (operator, origin) for slot in (slots.input, slots.filter)]:
        return None
    input, filter = graph.tensors[operator.inputs[slots.input]], operator.inputs[slots.filter]
    activations, bias = input.dtype, tensor_at(operator, slots.bias)
    if filter in producers and producers[filter].name == "DEQUANTIZE":
        filter, activations = producers[filter].inputs[0], "dequantized"
    codes, weights = graph.tensors[filter], real_constant(real.tensors[origin.inputs[slots.filter]])
    if weights is None or weights.shape != codes.shape or not weights.size or not codes.is_constant or codes.dtype not in GRIDS:
        return None
    channels, given = codes.shape[-1 if operator.name == "DEPTHWISE_CONV_2D" else 0], tensor_at(origin, slots.bias)
    values = np.zeros(channels, np.float32) if given == OPTIONAL else real_constant(real.tensors[given])
    if values is None or input.is_constant or (bias != OPTIONAL and not graph.tensors[bias].is_constant):
        return None
    if not (np.isfinite(weights).all() and np.isfinite(values).all()):
        return None
    quantization, scales = codes.quantization, scales_of(graph, codes)
    if quantization is None or (scales is None and (quantization.details is not None or quantization.scale.size not in (1, channels))):
        return None
    granularity: Granularity = "blockwise" if scales is not None else "per_channel" if quantization.scale.size > 1 else "per_tensor"
    case = Case(operator.name, codes.dtype, granularity, activations)  # type: ignore[arg-type]
    scale = None if input.dtype == "float32" or input.quantization is None else float(input.quantization.scale[0])
    return Layer(graph, origin, operator, weights, values.reshape(-1), codes, scales, case, scale)


def _value(tensor: Tensor) -> Array:
    values = constant(tensor)
    assert values is not None
    return values
