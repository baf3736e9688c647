"""Parameters for every tensor: from pinned ranges and constants along the operators, until each constraint is met or noted.

A tensor gets its parameters once. Where an operator asks for others later, it gets them by a QUANTIZE of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.model import OPTIONAL, Operator
from qcore.numerics import QuantParams, quantize_bias
from qcore.quantizer.graph import Graph, Use, tensor_at
from qcore.quantizer.int8_constants import Axis, Precision, constant_params, copy_constant, is_float_constant, values_of
from qcore.quantizer.specification import Bias, float_slots, spec_of


@dataclass
class Assignment:
    """What propagation decided.

    params: of each tensor, as it is read.
    pinned: the tensors whose own range gives them, from calibration or in the graph.
    precision: of what is computed from constants.
    computed: of tensors that their operator computes in other parameters than they are read in.
    converted: of single reads, in other parameters than the tensor's.
    biases: int32[shape], codes of constant biases.
    intermediates: of an LSTM's intermediate tensors, where they have parameters.
    unmet: what an operator lacks.
    """

    params: dict[int, QuantParams]
    pinned: frozenset[int]
    precision: Precision = "float32"
    computed: dict[int, QuantParams] = field(default_factory=dict)
    converted: dict[Use, QuantParams] = field(default_factory=dict)
    biases: dict[int, NDArray[Any]] = field(default_factory=dict)
    intermediates: dict[Operator, list[QuantParams | None]] = field(default_factory=dict)
    unmet: dict[Operator, str] = field(default_factory=dict)


def propagate(
    graph: Graph, pinned: dict[int, QuantParams], weights: dict[int, Axis], precision: Precision = "float32", patient: bool = False
) -> Assignment:
    """Parameters for all tensors that can have some.

    Operators are visited from the last to the first, constants after them; whoever reads or computes what was just decided is
    visited next. The order matters where several ask for the same tensor: the first of them wins.

    Args:
        graph: after ``separate_constants``.
        pinned: parameters that stay as they are.
        weights: constants whose own values give their parameters, each with the axis of its scales.
        precision: of these parameters.
        patient: visit operators that found nothing to go by once more at the end; the converter leaves them float.

    Source: tflite/converter/quantization/common/quantization_lib/tfl_quantization_driver.cc#PropagateParamsAndReturnIfChanged.
    """
    propagation = _Propagation(graph, weights, Assignment(dict(pinned), frozenset(pinned), precision))
    propagation.run()
    while patient and propagation.resume():
        propagation.run()
    return propagation.result()


class _Propagation:
    def __init__(self, graph: Graph, weights: dict[int, Axis], found: Assignment) -> None:
        self.graph = graph
        self.weights = weights
        self.found = found
        self.producers = graph.producers()
        self.consumers = graph.consumers()
        self.pending: list[Operator | int] = [*weights, *(operator for operator in graph.operators if spec_of(operator))]
        self.settled: set[Operator | int] = set()

    def run(self) -> None:
        """Visits whatever is pending, and what that brings up."""
        while self.pending:
            visited = self.pending.pop()
            if visited not in self.settled and self._settle(visited):
                self.settled.add(visited)

    def resume(self) -> bool:
        """Makes operators pending that could not be settled when they were visited, but can by now; False if there are none."""
        waiting = [operator for operator in self.graph.operators if operator not in self.settled]
        self.pending += [operator for operator in waiting if self._is_ready(operator)]
        return bool(self.pending)

    def _is_ready(self, operator: Operator) -> bool:
        spec = spec_of(operator)
        if spec is None or spec.bias is None:
            return spec is not None and spec.same_scale and self._shared_params(operator) is not None
        return all(operator.inputs[slot] in self.found.params for slot in (spec.bias.input, spec.bias.filter))

    def result(self) -> Assignment:
        """All but what readers asked of tensors whose operator has no row: these stay float."""
        for tensor in self.found.params.keys() - self.found.pinned:
            producer = self.producers.get(tensor)
            if producer is not None and spec_of(producer) is None:
                del self.found.params[tensor]
                reason = f"input {self.graph.tensors[tensor].name!r} is computed in floating point, and has the scale of what reads it"
                self.found.unmet |= {use.operator: reason for use in self.consumers[tensor]}
        converted = self.found.converted
        self.found.converted = {use: converted[use] for use in converted if use.operator.inputs[use.slot] in self.found.params}
        return self.found

    def _settle(self, visited: Operator | int) -> bool:
        """Decides what there is to decide there; False where too little is known yet."""
        if isinstance(visited, int):
            self._settle_weights(visited)
            return True
        spec = spec_of(visited)
        if spec is None:
            return True
        if spec.same_scale and not self._share_scale(visited):
            return False
        if spec.output_params is not None:
            for slot in float_slots(self.graph.subgraph, visited.outputs):
                self._give(visited.outputs[slot], spec.output_params)
        return spec.bias is None or self._settle_bias(visited, spec.bias)

    def _settle_weights(self, tensor: int) -> None:
        params = constant_params(self.graph.tensors[tensor], self.weights[tensor], self.found.precision)
        if params is not None:
            self._give(tensor, params)

    def _share_scale(self, operator: Operator) -> bool:
        shared = self._shared_params(operator)
        if shared is None:
            return False
        for slot in float_slots(self.graph.subgraph, operator.inputs):
            self._ask(Use(operator, slot), shared)
        for slot in float_slots(self.graph.subgraph, operator.outputs):
            self._give(operator.outputs[slot], shared)
        return True

    def _shared_params(self, operator: Operator) -> QuantParams | None:
        """Those of the only input, the only output, or the first tensor that has some; pinned ones before others."""
        params = self.found.params
        # RESHAPE has a second input, its shape, even where the file keeps it among the options.
        only_input = len(operator.inputs) == 1 and operator.name != "RESHAPE"
        only_output = len(operator.outputs) == 1
        for candidates in (self.found.pinned, params.keys() - self.found.pinned):
            inputs = [params[i] for i in operator.inputs if i in candidates]
            outputs = [params[i] for i in operator.outputs if i in candidates]
            if only_input and inputs:
                return inputs[0]
            if only_output and outputs:
                return outputs[0]
            if inputs or outputs:
                return [*inputs, *outputs][0]
        return None

    def _settle_bias(self, operator: Operator, bias: Bias) -> bool:
        """Gives a constant bias the scale of the products, and raises that of the weights where the guard must."""
        tensors, params = self.graph.tensors, self.found.params
        number = tensor_at(operator, bias.slot)
        if number == OPTIONAL or number in params or not is_float_constant(tensors[number]):
            return True
        filter_number = operator.inputs[bias.filter]
        of_input, of_filter = params.get(operator.inputs[bias.input]), params.get(filter_number)
        if of_input is None or of_filter is None:
            return False
        values = values_of(tensors[number])
        if not np.isfinite(values).all():
            return True
        guard = is_float_constant(tensors[filter_number]) and filter_number not in self.found.pinned
        quantized = quantize_bias(values.reshape(-1), of_input.single()[0], of_filter.scale, guard=guard)
        axis = None if quantized.scale.size == 1 else max(values.ndim - 1, 0)
        params[number] = QuantParams(quantized.scale, np.zeros(1, np.int64), "int32", axis)
        self.found.biases[number] = quantized.data.reshape(values.shape)
        if (quantized.filter_scale != of_filter.scale).any():
            if len(self.consumers[filter_number]) > 1:
                filter_number = copy_constant(self.graph, filter_number)
                self.graph.redirect([Use(operator, bias.filter)], filter_number)
            params[filter_number] = replace(of_filter, scale=quantized.filter_scale)
        return True

    def _ask(self, use: Use, params: QuantParams) -> None:
        """A reader needs its input in these parameters."""
        tensor = use.operator.inputs[use.slot]
        known = self.found.params.get(tensor)
        if known is None:
            self.found.params[tensor] = params
            if tensor in self.producers:
                self.pending.append(self.producers[tensor])
        elif not equal_params(known, params):
            self.found.converted[use] = params

    def _give(self, tensor: int, params: QuantParams) -> None:
        """Whatever computes this tensor does so in these parameters."""
        known = self.found.params.get(tensor)
        if known is None:
            self.found.params[tensor] = params
            self.pending += [use.operator for use in self.consumers.get(tensor, ())]
        elif not equal_params(known, params):
            self.found.computed.setdefault(tensor, params)


def equal_params(one: QuantParams, other: QuantParams) -> bool:
    """The same codes stand for the same numbers."""
    return (
        (one.dtype, one.quantized_dimension, one.narrow_range) == (other.dtype, other.quantized_dimension, other.narrow_range)
        and np.array_equal(one.scale, other.scale)
        and np.array_equal(one.zero_point, other.zero_point)
    )
