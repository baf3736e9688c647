"""What mode "int16x8" takes from the conversions in a float graph, where ``quantize_model`` is told to take ranges there.

A pair of QUANTIZE and DEQUANTIZE goes, and its parameters are those of the real tensor, whose codes have the name of those of the pair.
Sixteen bits about zero keep their scale exactly, and their QUANTIZE stays behind what is computed in floating point; of others the range
counts, since int16 kernels know no zero point. Parameters pass through operators that keep scales.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from qcore.model import Operator
from qcore.numerics import QuantParams
from qcore.quantizer.graph import Graph
from qcore.quantizer.graph_ranges import pairs, remove_pair, settle_constants, signed
from qcore.quantizer.int8_rewrite import CONVERSIONS
from qcore.quantizer.int16x8_params import unit_params
from qcore.quantizer.int16x8_selection import real_slots
from qcore.quantizer.int16x8_specification import SPECIFICATION, Scaling
from qcore.quantizer.options import Options, Ranges
from qcore.quantizer.specification import float_slots
from qcore.runtime.real_values import parameters


@dataclass(frozen=True)
class CarriedRanges:
    """Ranges of one subgraph's tensors: those that the graph carries, then calibrated ones.

    carried: by real tensor, the parameters of its codes in the graph.
    weights: by constant that the graph rounds, what kernels can read.
    names: by real tensor, the name of its codes in the graph.
    codes: by real tensor, its codes, where a QUANTIZE stays in the graph.
    """

    calibrated: Ranges
    carried: Mapping[int, QuantParams] = field(default_factory=dict)
    weights: Mapping[int, QuantParams] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    codes: Mapping[int, int] = field(default_factory=dict)

    def range(self, subgraph: int, tensor: int, dtype: str = "int8") -> tuple[float, float] | None:
        """See ``Ranges``; of the subgraph that these are of."""
        if tensor not in self.carried:
            return self.calibrated.range(subgraph, tensor, dtype)
        return _range(self.carried[tensor])

    def params(self, tensor: int) -> QuantParams | None:
        """The parameters of a tensor that int16 kernels compute in as they are; None where the range has to give them."""
        found = self.carried.get(tensor)
        return found if found is not None and _is_about_zero(found) else None


def take_wide_ranges(graph: Graph, calibrated: Ranges, options: Options) -> CarriedRanges:
    """Reads the ranges of a subgraph, and removes the pairs that carry them. Constants are rounded at once.

    Args:
        graph: edited.
        calibrated: for tensors that have none in the graph.
        options: weight_type, rules and activation_type count. Among operators of int8 activations, only pairs of int16 go.

    Raises:
        QuantizationError: a range that is none.
    """
    weights = settle_constants(graph, replace(options, activation_type="int16"))
    carried: dict[int, QuantParams] = {}
    names: dict[int, str] = {}
    codes_of: dict[int, int] = {}
    for operator in [operator for operator in graph.operators if operator.name in CONVERSIONS]:
        ends = operator.inputs[0], operator.outputs[0]
        real, codes = ends if operator.name == "QUANTIZE" else ends[::-1]
        params = parameters(graph.tensors[codes])
        if params is not None and params.per_tensor and graph.tensors[real].dtype == "float32":
            carried[real] = max(signed(params), carried.get(real, signed(params)), key=_reach)
    found = pairs(graph)
    behind_pairs = {dequantize.outputs[0] for _, dequantize, _ in found}
    again = {quantize for quantize, _, _ in found if quantize.inputs[0] in behind_pairs}
    for quantize, dequantize, params in found:
        if not params.per_tensor or (options.activation_type is not None and params.dtype != "int16"):
            continue
        before, codes, behind = quantize.inputs[0], quantize.outputs[0], dequantize.outputs[0]
        if _is_about_zero(params) and (quantize in again or not _has_codes(graph, before, behind, options)):
            graph.operators.remove(dequantize)
            codes_of[behind] = codes
        else:
            names.setdefault(before, graph.tensors[codes].name)
            _take_out(graph, quantize, dequantize)
    while _spread(graph, carried):
        pass
    return CarriedRanges(calibrated, carried, weights, names, codes_of)


def _is_about_zero(params: QuantParams) -> bool:
    return params.dtype == "int16" and not params.zero_point.any()


def _has_codes(graph: Graph, before: int, behind: int, options: Options) -> bool:
    """The operator that computes a tensor will give codes, or those that read an input behind its pair."""
    producer = graph.producers().get(before)
    operators = [use.operator for use in graph.consumers().get(behind, ())] if producer is None else [producer]
    return any(operator.name in SPECIFICATION and options.quantizes(graph, operator) for operator in operators)


def _range(params: QuantParams) -> tuple[float, float]:
    """The real numbers that the least and the greatest code stand for."""
    scale, zero_point = params.single()
    return (params.quantized_min - zero_point) * scale, (params.quantized_max - zero_point) * scale


def _reach(params: QuantParams) -> float:
    return max(map(abs, _range(params)))


def _take_out(graph: Graph, quantize: Operator, dequantize: Operator) -> None:
    """Makes what reads behind a pair read what stands before it; an output keeps its name."""
    before, behind = quantize.inputs[0], dequantize.outputs[0]
    graph.redirect(graph.consumers().get(behind, ()), before)
    if behind in graph.subgraph.outputs:
        if before not in (*graph.subgraph.inputs, *graph.subgraph.outputs):
            graph.tensors[before].name, graph.tensors[behind].name = graph.tensors[behind].name, graph.tensors[before].name
        graph.replace_output(behind, before)
    remove_pair(graph, quantize, dequantize)


def _spread(graph: Graph, carried: dict[int, QuantParams]) -> bool:
    """Hands parameters on where operators have none of their own; False where nothing new is known."""
    count = len(carried)
    for operator in (*graph.operators, *reversed(graph.operators)):
        row = SPECIFICATION.get(operator.name)
        if row is None or row.scaling is Scaling.OWN:
            continue
        inputs = [operator.inputs[slot] for slot in real_slots(graph, operator, row)]
        outputs = [operator.outputs[slot] for slot in float_slots(graph.subgraph, operator.outputs)]
        givers = {Scaling.UNIT: [], Scaling.TO_INPUTS: outputs, Scaling.FROM_INPUT: [*inputs, *outputs]}[row.scaling]
        known = [unit_params()] if row.scaling is Scaling.UNIT else [carried[tensor] for tensor in givers if tensor in carried]
        for tensor in outputs if row.scaling is Scaling.UNIT else [*inputs, *outputs]:
            if known:
                carried.setdefault(tensor, known[0])
    return len(carried) > count
