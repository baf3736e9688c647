"""Parameters of the tensors of a subgraph that operators compute and read in integers.

Operators are visited in the order they run. Every reader of a tensor and its producer say on their own what parameters it has; usually
these are the same, those of its calibrated range. They are others after an operator that hands on the parameters of its input or has a
fixed output, and before one whose inputs take the parameters of its output. Conversions then go where they differ.

Source: litert_quantizer/params_generator.py, algorithms/utils/common_utils.py#materialize_standard_op, release 0.11.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from qcore.errors import QCoreError, QuantizationError
from qcore.model import Operator
from qcore.numerics import QuantizedTensor, QuantParams
from qcore.numerics.half_even import choose_half_even_params, quantize_bias_half_even, quantize_half_even
from qcore.quantizer.ai_edge_constants import named, quantize_operand, quantize_weights, weight_axis
from qcore.quantizer.ai_edge_specification import FILTER, OperatorSpec, bias_of, float_inputs
from qcore.quantizer.graph import Graph, Use, params_of, real_constant
from qcore.quantizer.options import Options, Ranges
from qcore.quantizer.specification import float_slots


@dataclass(frozen=True, eq=False)
class Given:
    """Parameters of an activation, and the rank of the tensor whose range they are from; None if they are from no range.

    litert-quantizer keeps ranges, and so scales, as arrays of that rank. Those of different ranks never count as equal, so that a
    QUANTIZE may stand between codes of equal parameters. Scales from no range are float64, and so are products with them.
    """

    params: QuantParams
    rank: int | None

    def same(self, other: Given | None) -> bool:
        """Nothing has to be converted between the two."""
        return other is not None and self.rank == other.rank and key(self.params) == key(other.params)


@dataclass
class Parameters:
    """Of one subgraph. What is not here is float32.

    computed: of tensors, as they are computed.
    read: of tensors, as each use reads them.
    constants: codes that each use reads in place of a constant.
    """

    computed: dict[int, Given] = field(default_factory=dict)
    read: dict[Use, Given] = field(default_factory=dict)
    constants: dict[Use, QuantizedTensor] = field(default_factory=dict)


class Activations:
    """Parameters of activations: from their ranges, unless an operator said otherwise."""

    def __init__(self, graph: Graph, ranges: Ranges, dtype: str) -> None:
        self.graph, self.ranges, self.dtype = graph, ranges, dtype
        self.known: dict[int, Given] = {}

    def of(self, tensor: int) -> Given:
        """The parameters of a tensor that is not constant.

        Raises:
            QuantizationError: it has no range, or none that it can be quantized with.
        """
        if tensor not in self.known:
            name, rank = self.graph.tensors[tensor].name, len(self.graph.tensors[tensor].shape)
            found = self.ranges.range(self.graph.index, tensor, self.dtype)
            if found is None:
                raise QuantizationError(f"tensor {name!r} has no calibrated range: no sample computed it")
            try:
                self.known[tensor] = Given(choose_half_even_params(*found, self.dtype, symmetric=self.dtype == "int16"), rank)
            except QuantizationError as error:
                raise QuantizationError(f"tensor {name!r}: {error}") from error
        return self.known[tensor]


def find_parameters(graph: Graph, specs: Mapping[Operator, OperatorSpec], activations: Activations, options: Options) -> Parameters:
    """The parameters of everything that operators with a row of the specification compute and read.

    Raises:
        QuantizationError: a tensor has no range, or a constant has no codes.
    """
    found = Parameters()
    for operator, spec in specs.items():
        outputs = [operator.outputs[slot] for slot in float_slots(graph.subgraph, operator.outputs)]
        shared = activations.of(outputs[0]) if spec.same_scale == "output" else None
        slots = float_inputs(graph, operator, spec)
        for slot in slots:
            _read(graph, operator, slot, spec, shared, found, activations, options)
        if bias_of(operator, spec) is not None:
            _read_bias(graph, operator, spec, found, activations)
        fixed = spec.fixed_output(activations.dtype)
        if fixed is not None:
            activations.known[outputs[0]] = Given(fixed, None)
        elif spec.same_scale == "input":
            activations.known |= dict.fromkeys(outputs, _handed_on(found, Use(operator, slots[0])))
        found.computed |= {output: activations.of(output) for output in outputs}
        if spec.same_scale == "input" and Use(operator, slots[0]) in found.constants:
            # The operator computes in a scale of the constant's rank; readers only know what range that scale has.
            rank = len(graph.tensors[operator.inputs[slots[0]]].shape)
            found.computed |= {output: Given(found.computed[output].params, rank or None) for output in outputs}
    return found


def fold_requantization(graph: Graph, found: Parameters, specs: Mapping[Operator, OperatorSpec]) -> None:
    """Lets an operator compute at once in the parameters that all readers of its output take, where its kernel is free to.

    Source: litert_quantizer/transformation_instruction_generator.py#_eliminate_requantization_for_nonconstrained_provider.
    """
    consumers = graph.consumers()
    for operator, spec in specs.items():
        for tensor in operator.outputs if spec.free else ():
            wanted = [found.read.get(use) for use in consumers.get(tensor, ())]
            first = wanted[0] if wanted else None
            if first is None or tensor not in found.computed or first.params.dtype != found.computed[tensor].params.dtype:
                continue
            if all(first.same(other) for other in wanted):
                found.computed[tensor] = first


def key(params: QuantParams) -> tuple[str, bytes, bytes, int | None]:
    """Equal for parameters of which the same codes stand for the same numbers."""
    return params.dtype, params.scale.tobytes(), params.zero_point.tobytes(), params.quantized_dimension


def _read(
    graph: Graph,
    operator: Operator,
    slot: int,
    spec: OperatorSpec,
    shared: Given | None,
    found: Parameters,
    activations: Activations,
    options: Options,
) -> None:
    use, tensor = Use(operator, slot), operator.inputs[slot]
    values = real_constant(graph.tensors[tensor])
    if values is None:
        found.read[use] = shared or activations.of(tensor)
        return
    try:
        if shared is not None:
            found.constants[use] = QuantizedTensor(quantize_half_even(values, shared.params), shared.params)
        elif spec.weights is not None:
            found.constants[use] = quantize_weights(values, "int8", weight_axis(operator, spec.weights, values.ndim, options))
        else:
            found.constants[use] = quantize_operand(values, activations.dtype)
    except QCoreError as error:
        raise named(graph, operator, slot, error) from error


def _read_bias(graph: Graph, operator: Operator, spec: OperatorSpec, found: Parameters, activations: Activations) -> None:
    slot, weights = bias_of(operator, spec), spec.weights
    assert slot is not None and weights is not None
    values = real_constant(graph.tensors[operator.inputs[slot]])
    assert values is not None
    input_params = found.read[Use(operator, weights.input)]
    filter_params = _filter_params(graph, operator, found)
    exact = input_params.rank is None or filter_params.rank is None
    input_scale, _ = input_params.params.single()
    bits: Literal[32, 64] = 64 if activations.dtype == "int16" else 32
    try:
        found.constants[Use(operator, slot)] = quantize_bias_half_even(
            values, input_scale, filter_params.params.scale, bits, "float64" if exact else "float32"
        )
    except QCoreError as error:
        raise named(graph, operator, slot, error) from error


def _filter_params(graph: Graph, operator: Operator, found: Parameters) -> Given:
    """Of weights that are quantized now, were before, or are computed."""
    use, tensor = Use(operator, FILTER), graph.tensors[operator.inputs[FILTER]]
    if use in found.read:
        return found.read[use]
    params = found.constants[use].params if use in found.constants else params_of(tensor)
    return Given(params, len(tensor.shape))


def _handed_on(found: Parameters, use: Use) -> Given:
    return Given(found.constants[use].params, None) if use in found.constants else found.read[use]
