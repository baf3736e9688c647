"""Mode "int16x8": int16 activations, int8 weights, and biases of int64 or int32, from calibrated ranges.

What each operator asks for is written in ``int16x8_specification``. The passes, in order: select the operators to quantize; quantize their
weights; walk the operators as they run, giving every real tensor codes, and converting where floating point begins and ends; requantize
inputs that must share a scale; quantize biases. The interface stays float32.

Source: tflite/tools/optimize/quantize_model.cc#QuantizeModel, with int16 activations.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qcore.errors import QuantizationError
from qcore.model import OPTIONAL, Model, Operator
from qcore.numerics import (
    QuantParams,
    dequantize,
    quantize_bias,
    quantize_by_reach,
    quantize_by_reciprocal,
    symmetric_params,
)
from qcore.quantizer.graph import Graph, params_of, places, real_constant, set_constant, tensor_at, to_quantization
from qcore.quantizer.graph_ranges import require_ranges
from qcore.quantizer.int8 import require_operands
from qcore.quantizer.int16x8_params import activation_params, quantize_constant, unit_params
from qcore.quantizer.int16x8_ranges import CarriedRanges, take_wide_ranges
from qcore.quantizer.int16x8_selection import Chosen, guarded_reach, own_reach, range_of, select, without_range
from qcore.quantizer.int16x8_specification import Scaling
from qcore.quantizer.options import Options, Ranges
from qcore.quantizer.runnable import (
    NEVER_NONZERO,
    TOO_NARROW,
    ZERO_CONSTANT,
    is_nothing,
    narrowest_sum,
    refuses_zero_scale,
    warn_of_refused,
)
from qcore.quantizer.warning import warn
from qcore.schema import constant

_BIASED = ("CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
"""Operators whose options name the type of their bias, which says how wide to sum, also where there is none. Other kernels take int64."""

_NEW_KERNELS = ("TILE",)
"""Operators whose kernels take int16 in LiteRT 2, but not in TensorFlow Lite 2.21."""


def quantize_int16x8(model: Model, ranges: Ranges, options: Options) -> None:
    """Quantizes a model in place.

    Args:
        model: a float model, edited.
        ranges: of its activations.
        options: ``per_channel``, ``per_channel_dense``, ``float_fallback``, ``bias_type``, ``runnable``, ``rules`` and ``ranges`` count.

    Raises:
        QuantizationError: operators that stay in floating point, without ``float_fallback``; or tensors without a range, where ranges are
            to come from the graph.
    """
    names = places(model)
    kept: dict[Operator, str] = {}
    refused: dict[Operator, str] = {}
    new: set[str] = set()
    lacking: list[str] = []
    if options.ranges == "graph":
        for operator, place in names.items():
            require_operands(operator, place)
    for index in range(len(model.subgraphs)):
        graph = Graph(model, index)
        carried = take_wide_ranges(graph, ranges, options) if options.ranges == "graph" else CarriedRanges(ranges)
        lacking += without_range(graph, carried, options)
        selection = select(graph, carried, options)
        chosen = selection.chosen
        kept |= selection.kept
        with np.errstate(over="ignore", invalid="ignore"):  # numbers near the ends of float32 saturate, or have scales that are refused
            _quantize_weights(graph, chosen, carried, options)
            activations = _Activations(graph, carried, options.runnable)
            activations.quantize(chosen)
            _quantize_biases(graph, chosen, options)
        _set_options(graph, chosen, options)
        refused |= activations.refused | selection.refused
        new |= {use.operator.name for use in chosen} & set(_NEW_KERNELS)
    if options.ranges == "graph":
        require_ranges("int16x8", lacking)
    if kept and not options.float_fallback:
        lines = [f"{names[operator]}: {reason}" for operator, reason in kept.items()]
        raise QuantizationError("int16x8 without float_fallback: operators stay in floating point\n" + "\n".join(lines))
    warn_of_refused("int16x8", {name: refused[operator] for operator, name in names.items() if operator in refused})
    for name in sorted(new):
        warn(f"int16x8: {name} needs LiteRT 2, TensorFlow Lite has no int16 kernel for it; Rule(False, operator={name!r}) keeps it float")


def _quantize_weights(graph: Graph, chosen: list[Chosen], ranges: CarriedRanges, options: Options) -> None:
    """Gives operators int8 weights, or int4 ones that the graph has. Those that several operators share are raised for all their biases."""
    weighted = [(use, options.channel_axis(use.operator.name, use.row.axis)) for use in chosen if use.row.weights is not None]
    reach: dict[tuple[int, int | None], NDArray[np.float32]] = {}
    for use, axis in weighted:
        weights = tensor_at(use.operator, use.row.weights)
        greatest = reach.get((weights, axis), own_reach(graph, weights, axis))
        reach[weights, axis] = guarded_reach(graph, use, greatest, ranges, options)
    stored = {}
    for (weights, axis), greatest in reach.items():
        # A whole tensor of zeros has a scale of 1, a channel of zeros one of 0.
        codes_reach = greatest if axis is not None or greatest.any() else np.full_like(greatest, 127)
        params = symmetric_params(codes_reach, "int8", axis)
        codes = quantize_by_reach(_values(graph, weights), codes_reach, params)
        dtype = ranges.weights[weights].dtype if weights in ranges.weights else "int8"
        stored[weights, axis] = graph.add_constant(graph.tensors[weights].name, codes, dtype, to_quantization(params))
    for use, axis in weighted:
        assert use.row.weights is not None
        use.operator.inputs[use.row.weights] = stored[tensor_at(use.operator, use.row.weights), axis]


class _Activations:
    """One walk over a subgraph's operators as they run, giving real tensors int16 codes.

    codes: the number of each real tensor's codes, once it has any.
    readers: how many operators read each constant of codes.
    refused: why TensorFlow Lite does not run operators, for the scales that their inputs and outputs got.
    """

    def __init__(self, graph: Graph, ranges: CarriedRanges, runnable: bool) -> None:
        self.graph = graph
        self.ranges = ranges
        self.runnable = runnable
        self.refused: dict[Operator, str] = {}
        self.inputs, self.outputs = set(graph.subgraph.inputs), set(graph.subgraph.outputs)
        self.codes = dict(ranges.codes)
        self.readers: Counter[int] = Counter()

    def quantize(self, chosen: list[Chosen]) -> None:
        """Quantizes the chosen operators; the others read and give real numbers."""
        by_operator = {id(use.operator): use for use in chosen}
        operators = list(self.graph.operators)
        read = {use.operator.inputs[slot] for use in chosen for slot in use.slots}
        for real in sorted(self.inputs & read):
            self.codes[real] = self.add_quantize(real)
        for operator in operators:
            use = by_operator.get(id(operator))
            if use is None:
                self.dequantize_inputs(operator)
            else:
                self.quantize_inputs(use)
                self.quantize_outputs(use)
        for use in chosen:
            self.share_scale(use)
        for real in sorted(self.outputs & self.codes.keys()):
            restored = real
            if real in self.inputs:
                restored = self.graph.add_tensor(self.graph.tensors[real].name, "float32", self.graph.tensors[real])
                self.graph.replace_output(real, restored)
            self.graph.add_operator("DEQUANTIZE", [self.codes[real]], [restored])

    def dequantize_inputs(self, operator: Operator) -> None:
        """Puts a DEQUANTIZE before each input that has codes."""
        for slot, real in enumerate(operator.inputs):
            if real in self.codes:
                restored = self.graph.add_tensor(f"{self.graph.tensors[real].name}_float", "float32", self.graph.tensors[real])
                self.graph.add_operator("DEQUANTIZE", [self.codes[real]], [restored])
                operator.inputs[slot] = restored

    def quantize_inputs(self, use: Chosen) -> None:
        """Makes the real inputs codes.

        What an operator gave in floating point gets a QUANTIZE for each reader. So does a constant that the file keeps behind the
        flatbuffer, which TensorFlow's quantizer does not see.
        """
        inputs = use.operator.inputs
        for slot in use.slots:
            real = inputs[slot]
            if real in self.codes:
                inputs[slot] = self.codes[real]
            elif self.graph.tensors[real].is_constant and (self.runnable or not self.graph.tensors[real].buffer.in_appendix):
                inputs[slot] = self.codes[real] = self.add_constant(real)
            else:
                inputs[slot] = self.add_quantize(real)
            if refuses_zero_scale(use.operator.name) and self.scale(inputs[slot]) == 0:
                self.refused[use.operator] = ZERO_CONSTANT
        self.readers.update({inputs[slot] for slot in use.slots})

    def quantize_outputs(self, use: Chosen) -> None:
        """Makes the real outputs codes, with the parameters that the operator's row asks for."""
        for slot, real in enumerate(use.operator.outputs):
            if real == OPTIONAL or self.graph.tensors[real].dtype != "float32":
                continue
            if use.row.scaling is Scaling.FROM_INPUT:
                params = self.stored(use.operator.inputs[use.slots[0]])
            elif use.row.scaling is Scaling.UNIT:
                params = unit_params()
            else:
                params = self.output_params(use, real)
            use.operator.outputs[slot] = self.codes[real] = self.add_codes(real, params)

    def output_params(self, use: Chosen, real: int) -> QuantParams:
        """The parameters that the output's own range gives; where kernels fail on them, ADD may get a greater scale."""
        params = self.params(real)
        scale, _ = params.single()
        least = narrowest_sum(max(self.scale(use.operator.inputs[slot]) for slot in use.slots)) if use.operator.name == "ADD" else 0
        if self.runnable:
            return symmetric_params(2 * least * 32767, "int16") if scale <= least else params
        if scale <= least:
            self.refused[use.operator] = TOO_NARROW
        elif is_nothing(scale * 32767):
            self.refused[use.operator] = NEVER_NONZERO
        return params

    def share_scale(self, use: Chosen) -> None:
        """Requantizes the inputs that must share a scale and do not: a constant of this operator alone in place."""
        operator = use.operator
        if use.row.scaling is Scaling.TO_INPUTS:
            target = self.stored(operator.outputs[0])
        elif use.row.scaling is Scaling.FROM_INPUT:
            target = self.stored(operator.inputs[use.slots[0]])
        else:
            return
        for slot in use.slots:
            index = operator.inputs[slot]
            tensor, params = self.graph.tensors[index], self.stored(index)
            if params.single() == target.single():
                continue
            codes = constant(tensor)
            if codes is not None and self.readers[index] == 1:
                real = dequantize(codes, params)
                set_constant(tensor, quantize_by_reciprocal(real, target), "int16", to_quantization(target))
            else:
                operator.inputs[slot] = self.graph.add_tensor(f"{tensor.name}_requantized", "int16", tensor, to_quantization(target))
                self.graph.add_operator("QUANTIZE", [index], [operator.inputs[slot]])

    def params(self, real: int) -> QuantParams:
        """The parameters that a tensor's own range gives, or that the graph says."""
        carried = self.ranges.params(real)
        if carried is not None:
            return carried
        low_high = range_of(self.graph, real, self.ranges)
        assert low_high is not None
        return activation_params(*low_high, self.runnable)

    def stored(self, codes: int) -> QuantParams:
        """The parameters of a tensor of codes."""
        return replace(params_of(self.graph.tensors[codes]), narrow_range=True)

    def scale(self, codes: int) -> float:
        """The scale of a tensor of codes."""
        return self.stored(codes).single()[0]

    def add_constant(self, real: int) -> int:
        codes = quantize_constant(_values(self.graph, real), self.runnable)
        return self.graph.add_constant(self.graph.tensors[real].name, codes.data, "int16", to_quantization(codes.params))

    def add_quantize(self, real: int) -> int:
        codes = self.add_codes(real, self.params(real))
        self.graph.add_operator("QUANTIZE", [real], [codes])
        return codes

    def add_codes(self, real: int, params: QuantParams) -> int:
        """Adds a tensor for the codes of a real one; at the interface, the real one keeps its name."""
        tensor = self.graph.tensors[real]
        name = f"{tensor.name}_int16" if real in self.inputs | self.outputs else tensor.name
        return self.graph.add_tensor(self.ranges.names.get(real, name), "int16", tensor, to_quantization(params))


def _quantize_biases(graph: Graph, chosen: list[Chosen], options: Options) -> None:
    """Gives operators biases in the scale of their products. Zeros fit every scale, so operators share them as in the float model."""
    zeros: dict[tuple[int, str], int] = {}
    for use in chosen:
        bias = tensor_at(use.operator, use.row.bias)
        if bias == OPTIONAL or use.row.bias is None:
            continue
        dtype = options.bias_type if use.operator.name in _BIASED else "int64"
        values = _values(graph, bias)
        stored = zeros.get((bias, dtype))
        if stored is None:
            stored = _add_bias(graph, use, graph.tensors[bias].name, values, dtype)
        if not values.any():
            zeros[bias, dtype] = stored
        use.operator.inputs[use.row.bias] = stored


def _add_bias(graph: Graph, use: Chosen, name: str, values: NDArray[np.float32], dtype: str) -> int:
    input_scale, _ = params_of(graph.tensors[use.operator.inputs[use.slots[0]]]).single()
    weight_scale = params_of(graph.tensors[tensor_at(use.operator, use.row.weights)]).scale
    codes = quantize_bias(values, input_scale, weight_scale, 32 if dtype == "int32" else 64, guard=False)
    params = QuantParams(codes.scale, np.zeros(codes.scale.shape, np.int64), dtype, 0 if codes.scale.size > 1 else None)
    return graph.add_constant(name, codes.data, dtype, to_quantization(params))


def _set_options(graph: Graph, chosen: list[Chosen], options: Options) -> None:
    """What options say of 16x8: the type of biases, and that scales of sums are no powers of two.

    They are set wherever the operator was not int16 before, as the converter sets them: in files from before 2020 it knows no operator
    but ADD by name. There int64 biases go without saying; int32 ones would be read as int64, and are named against its ways. Among
    operators of int8 activations only those chosen have them.
    """
    quantized = {id(use.operator) for use in chosen}
    for operator in graph.operators:
        was_int16 = id(operator) not in quantized and any(i != OPTIONAL and graph.tensors[i].dtype == "int16" for i in operator.inputs)
        is_left = options.activation_type is not None and id(operator) not in quantized
        if operator.options is None or was_int16 or is_left:
            continue
        is_known = not operator.code.in_old_field
        if operator.name in _BIASED and (is_known or options.bias_type == "int32"):
            operator.options.fields["quantized_bias_type"] = options.bias_type
        if operator.name == "ADD" or (operator.name == "SUB" and is_known):
            operator.options.fields["pot_scale_int16"] = False


def _values(graph: Graph, tensor: int) -> NDArray[np.float32]:
    """The values of a constant that ``select`` found usable."""
    values = real_constant(graph.tensors[tensor])
    assert values is not None
    return values
