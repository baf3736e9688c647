"""Operators that keep states, LSTM and SVDF: what their weights, states and biases are quantized with.

Nothing else in the graph has a part in it but the parameters of the input and the output. An operator that lacks something stays float
as a whole.

Source: tflite/converter/transforms/prepare_quantize_helper.h#ConvertLstmStatsToQDQs and #ConvertSvdfStatsToQDQs,
tflite/converter/tools/optimize/operator_property.cc.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.model import OPTIONAL, Buffer, Operator, Tensor
from qcore.numerics import QuantParams, choose_params, quantize_bias
from qcore.quantizer.graph import Graph, to_quantization
from qcore.quantizer.int8_constants import is_float_constant, values_of
from qcore.quantizer.int8_propagate import Assignment
from qcore.quantizer.int8_ranges import activation_params
from qcore.quantizer.options import Ranges
from qcore.quantizer.specification import HIDDEN, Recurrent, spec_of

_INTERMEDIATES = ("input_to_input", "input_to_forget", "input_to_cell", "input_to_output", "effective_hidden")
"""Tensors of an LSTM without values, whose parameters are those of each gate before layer normalization, and of the hidden state."""

_GATES = 4
_PROJECTION = 16
_SMALLEST_REACH = 5e-7


class _MissingError(Exception):
    """What an operator lacks."""


def settle_recurrent(graph: Graph, ranges: Ranges, found: Assignment) -> None:
    """Adds the parameters of operators that keep states to those that propagation found, or what an operator lacks.

    Ranges are needed of the states; with a projection or layer normalization also of the operator's intermediate tensors.
    """
    for operator in graph.operators:
        spec = spec_of(operator)
        if spec is not None and spec.recurrent is not None:
            try:
                _Cell(graph, operator, spec.recurrent, ranges, found).settle()
            except _MissingError as missing:
                found.unmet[operator] = str(missing)


def add_intermediates(graph: Graph, found: Assignment, kept: dict[Operator, str]) -> None:
    """Gives every integer LSTM the tensors that tell its kernel the parameters of what it computes inside."""
    for operator, intermediates in found.intermediates.items():
        if operator not in kept:
            operator.intermediates = []
            for name, params in zip(_INTERMEDIATES, intermediates, strict=True):
                quantization = None if params is None else to_quantization(params)
                dtype = "float32" if params is None else params.dtype
                operator.intermediates.append(len(graph.tensors))
                graph.tensors.append(Tensor(f"{name}_intermediate", dtype, (0,), Buffer(), quantization=quantization, has_rank=True))


class _Cell:
    """One operator, and its parameters so far."""

    def __init__(self, graph: Graph, operator: Operator, inputs: Recurrent, ranges: Ranges, found: Assignment) -> None:
        self.graph, self.operator, self.inputs, self.ranges, self.found = graph, operator, inputs, ranges, found
        self.params: dict[int, QuantParams] = {}
        self.biases: dict[int, NDArray[Any]] = {}
        self.intermediates: list[QuantParams | None] = [None] * len(_INTERMEDIATES)

    def settle(self) -> None:
        """Decides everything, and adds it to what was found.

        Raises:
            _MissingError: it cannot.
        """
        for slot, bits in self.inputs.weights.items():
            if self.has(slot):
                self.set(slot, weight_params(self.constant(slot), bits))
        for slot, power_of_two in self.inputs.states.items():
            self.set(slot, state_params(*self.range_of(self.state(slot)), power_of_two))
        if self.inputs.output_state is not None:
            self.state(self.inputs.output_state)
            self.set(self.inputs.output_state, self.params_of(self.operator.outputs[0]))
            self.settle_intermediates()
        for slot, factors in self.inputs.biases.items():
            if self.has(slot):
                self.settle_bias(slot, factors)
        self.found.params |= self.params
        self.found.biases |= self.biases

    def settle_intermediates(self) -> None:
        for gate in range(_GATES):
            normalizer = list(self.inputs.normalizers.values())[gate]
            if self.has(normalizer):
                low, high = self.intermediate_range(gate)
                reach = max(-low, high)
                self.intermediates[gate] = choose_params(-reach, reach, "int16", symmetric=True, narrow_range=True)
        # Without a projection the hidden state is the output.
        hidden = self.intermediate_range(_GATES) if self.has(_PROJECTION) else self.range_of(self.operator.outputs[0])
        self.intermediates[_GATES] = activation_params(*hidden)
        self.found.intermediates[self.operator] = self.intermediates

    def settle_bias(self, slot: int, factors: tuple[int, ...]) -> None:
        """int32 codes in the scale of the products, or with layer normalization in that of its weights."""
        normalizer = self.inputs.normalizers.get(slot)
        if normalizer is not None and self.has(normalizer):
            scale = self.scale(normalizer) * 2.0**-10
        else:
            scale = math.prod(self.scale(factor) for factor in factors)
        values = self.constant(slot)
        quantized = quantize_bias(values.reshape(-1), 1.0, np.float32(scale), guard=False)
        self.set(slot, QuantParams(quantized.scale, np.zeros(1, np.int64), "int32"))
        self.biases[self.operator.inputs[slot]] = quantized.data.reshape(values.shape)

    def has(self, slot: int) -> bool:
        """The operator has that input."""
        return slot < len(self.operator.inputs) and self.operator.inputs[slot] != OPTIONAL

    def set(self, slot: int, params: QuantParams) -> None:
        """The input has these parameters."""
        self.params[self.operator.inputs[slot]] = params

    def scale(self, slot: int) -> float:
        """Of an input, or of the hidden state."""
        params = self.intermediates[_GATES] if slot == HIDDEN else self.params_of(self.operator.inputs[slot])
        assert params is not None
        return params.single()[0]

    def params_of(self, number: int) -> QuantParams:
        """Of a tensor."""
        params = self.params.get(number) or self.found.params.get(number)
        if params is None:
            raise _MissingError(f"{self.graph.tensors[number].name!r} has no calibrated range")
        return params

    def constant(self, slot: int) -> NDArray[np.float32]:
        """Values of an input."""
        tensor = self.graph.tensors[self.operator.inputs[slot]]
        if not is_float_constant(tensor) or not np.isfinite(values := values_of(tensor)).all():
            raise _MissingError(f"input {tensor.name!r} is no constant that can be quantized")
        return values

    def state(self, slot: int) -> int:
        """The number of a state."""
        number = self.operator.inputs[slot] if self.has(slot) else OPTIONAL
        if number == OPTIONAL or not self.graph.tensors[number].is_variable:
            raise _MissingError(f"its state, input {slot}, is no variable")
        return number

    def range_of(self, number: int) -> tuple[float, float]:
        """Calibrated, of a tensor."""
        known = self.ranges.range(self.graph.index, number)
        if known is None:
            raise _MissingError(f"{self.graph.tensors[number].name!r} has no calibrated range")
        return known

    def intermediate_range(self, index: int) -> tuple[float, float]:
        """Calibrated, of an intermediate tensor."""
        intermediates = self.operator.intermediates or []
        known = self.ranges.range(self.graph.index, intermediates[index]) if index < len(intermediates) else None
        if known is None:
            raise _MissingError(f"its intermediate tensor {_INTERMEDIATES[index]!r} has no calibrated range")
        return known


def weight_params(values: NDArray[np.float32], bits: int) -> QuantParams:
    """Symmetric parameters of a weight; 10 bits are [-512, 512] in int16.

    Args:
        values: float32[...], real units.
        bits: 8, 10 or 16.
    """
    reach = np.abs(values).max(initial=0)
    if bits == 10:
        return QuantParams(np.array([max(reach, _SMALLEST_REACH) / 512], np.float32), np.zeros(1, np.int64), "int16", narrow_range=True)
    return choose_params(-reach, reach, f"int{bits}", symmetric=True, narrow_range=True)


def state_params(low: float, high: float, power_of_two: bool) -> QuantParams:
    """Symmetric int16 parameters of a state.

    Args:
        low: float32 value, real units, the lower end of its range.
        high: likewise the upper one.
        power_of_two: the scale is the least power of two that the range fits in, divided by 2**15.
    """
    reach = max(-low, high, _SMALLEST_REACH)
    if not power_of_two:
        return choose_params(-reach, reach, "int16", symmetric=True, narrow_range=True)
    scale = 2.0 ** (math.ceil(math.log2(reach)) - 15)
    return QuantParams(np.array([scale], np.float32), np.zeros(1, np.int64), "int16")
