"""Ranges that a float graph carries: what fake quantization, as training leaves it behind, says of the tensors it stands on.

A FAKE_QUANT, and a QUANTIZE whose codes are only dequantized again, round real numbers to codes. Training with quantization in sight
leaves them on activations and weights: TensorFlow's converter writes pairs, other tools either. Their parameters are taken as they are,
and nothing else decides about these tensors: neither calibration nor the values of a constant.

A pair stays in the graph for the passes to come. It is the conversion that ``insert_conversions`` would put there, and what computes before
it and reads behind it absorbs it. Between operators that stay float it goes on rounding.

Source: tflite/converter/transforms/prepare_quantize.cc#PrepareQuantizePass and tflite/converter/quantization/common/quantization_lib/
tfl_quantization_driver.cc#SetupAllStates, without ``post_training_quantization``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from qcore.errors import QuantizationError
from qcore.model import Model, Operator, Quantization, Tensor
from qcore.numerics import QuantParams, choose_params
from qcore.numerics import quantize as to_codes
from qcore.quantizer.graph import Graph, to_quantization
from qcore.quantizer.graph_constants import take_constant
from qcore.quantizer.graph_scalings import fold_scalings
from qcore.quantizer.int8_constants import is_float_constant, values_of
from qcore.quantizer.int8_tidy import fuse_activations
from qcore.quantizer.options import Options
from qcore.quantizer.specification import PER_TENSOR, spec_of
from qcore.runtime.real_values import parameters
from qcore.schema import constant

_SIGNED = MappingProxyType({"uint16": ("int16", 1 << 15), "uint8": ("int8", 128), "uint4": ("int4", 8)})
"""The type that takes the place of an unsigned one, and by how much its codes are less."""

_CONSTANT_CODES = ("int8", "uint8", "int4", "uint4")
"""Types of constants that are codes already."""

_SHOWN = 8
"""How many tensors a message names."""


@dataclass
class CarriedRanges:
    """What a subgraph carries.

    params: of the real tensors before and behind pairs, and of constants that were before one.
    before: the QUANTIZE that alone reads a tensor.
    behind: the DEQUANTIZE that computes a tensor.
    wide: the DEQUANTIZE of pairs of int16, which are left for operators of int16 activations.
    """

    params: dict[int, QuantParams] = field(default_factory=dict)
    before: dict[int, Operator] = field(default_factory=dict)
    behind: dict[int, Operator] = field(default_factory=dict)
    wide: set[Operator] = field(default_factory=set)

    @property
    def codes(self) -> set[int]:
        """The tensors between pairs."""
        return {dequantize.inputs[0] for dequantize in self.behind.values()}


def carries_ranges(model: Model) -> bool:
    """Something in the model rounds real numbers to codes."""
    return any(operator.name in ("FAKE_QUANT", "QUANTIZE") for subgraph in model.subgraphs for operator in subgraph.operators)


def require_ranges(mode: str, lacking: list[str]) -> None:
    """Refuses a model of which tensors lack a range.

    Args:
        mode: for the message.
        lacking: these tensors.

    Raises:
        QuantizationError: there are some.
    """
    if lacking:
        shown = ", ".join(lacking[:_SHOWN]) + (f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else "")
        raise QuantizationError(
            f"{mode} with ranges='graph': no range for {len(lacking)} of its tensors: {shown}; "
            "calibration fills in what the graph lacks, a rule keeps an operator in floating point"
        )


def take_ranges(graph: Graph, options: Options) -> CarriedRanges:
    """Reads the ranges of a subgraph. Whatever rounds activations becomes a pair of int8; constants are rounded at once.

    Args:
        graph: edited.
        options: weight_type, rules and ranges count.

    Raises:
        QuantizationError: a range that is none, or of other than 8 bits, or 4 for constants.
    """
    carried = CarriedRanges(settle_constants(graph, options))
    for quantize, dequantize, params in pairs(graph):
        if params.dtype == "int16" and options.activation_type == "int8":
            carried.wide.add(dequantize)
            continue
        if params.dtype != "int8":
            name = graph.tensors[quantize.inputs[0]].name
            raise QuantizationError(f"tensor {name!r} carries a range for {params.dtype}, expected one for 8 bits")
        if params.per_tensor:
            codes = graph.tensors[quantize.outputs[0]]
            codes.dtype, codes.quantization = "int8", to_quantization(params)
            _take_activation(graph, carried, quantize, dequantize, params)
    return carried


def settle_constants(graph: Graph, options: Options) -> dict[int, QuantParams]:
    """Rounds the constants that the graph rounds, and makes each FAKE_QUANT of something else a pair.

    Where ranges are to come from the graph, it also folds into weights what no range stands before, and weights remember their range.

    Returns:
        what ``take_constant`` gives for each.

    Raises:
        QuantizationError: as ``take_ranges``.
    """
    found = _take_constants(graph, options)
    if options.ranges == "graph":
        fold_scalings(graph, found, options)
        fuse_activations(graph, to_the_code=True)
        for number, params in found.items():
            _remember_reach(graph, number, params, options)
    return found


def _remember_reach(graph: Graph, number: int, params: QuantParams, options: Options) -> None:
    """Says in the minimum and maximum of weights, for modes that read those, what int8 codes of their scales reach."""
    for use in graph.consumers().get(number, ())[:1]:
        spec = spec_of(use.operator)
        axis = None if spec is None else options.channel_axis(use.operator.name, spec.weights.get(use.slot))
        shape = graph.tensors[number].shape
        channels = params.scale.size if axis is None or axis == PER_TENSOR or len(shape) <= axis else shape[axis]
        reach = np.broadcast_to(params.scale, channels) * np.float32(127)
        graph.tensors[number].quantization = Quantization(min=-reach, max=reach)


def _take_constants(graph: Graph, options: Options) -> dict[int, QuantParams]:
    found: dict[int, QuantParams] = {}
    for operator in [o for o in graph.operators if o.name == "FAKE_QUANT" and graph.tensors[o.inputs[0]].dtype == "float32"]:
        tensor = graph.tensors[operator.inputs[0]]
        params = signed(_fake_quant_params(operator, tensor.name))
        graph.operators.remove(operator)
        if is_float_constant(tensor):
            found |= _take_real(graph, tensor, operator.outputs[0], params, options)
        else:
            codes = graph.add_tensor(f"{tensor.name}/quantized", params.dtype, tensor, to_quantization(params))
            graph.add_operator("QUANTIZE", operator.inputs, [codes])
            graph.add_operator("DEQUANTIZE", [codes], operator.outputs)
    for quantize, dequantize, params in pairs(graph):
        tensor = graph.tensors[quantize.inputs[0]]
        if is_float_constant(tensor):
            remove_pair(graph, quantize, dequantize)
            found |= _take_real(graph, tensor, dequantize.outputs[0], params, options)
    if options.ranges == "graph":
        found |= _take_codes(graph, options)
    return found


def _take_real(graph: Graph, tensor: Tensor, behind: int, params: QuantParams, options: Options) -> dict[int, QuantParams]:
    return take_constant(graph, behind, to_codes(values_of(tensor), params).astype(np.int64), params, options)


def _take_codes(graph: Graph, options: Options) -> dict[int, QuantParams]:
    """Constants that are codes already, with a DEQUANTIZE behind them, as tools leave weights that fold constants."""
    found: dict[int, QuantParams] = {}
    for operator in [operator for operator in graph.operators if operator.name == "DEQUANTIZE"]:
        tensor, behind = graph.tensors[operator.inputs[0]], operator.outputs[0]
        params, codes = parameters(tensor), constant(tensor)
        if params is not None and codes is not None and tensor.dtype in _CONSTANT_CODES and behind not in graph.subgraph.outputs:
            graph.operators.remove(operator)
            _, offset = _SIGNED.get(tensor.dtype, ("", 0))
            found |= take_constant(graph, behind, codes.astype(np.int64) - offset, signed(params), options)
    return found


def pairs(graph: Graph) -> list[tuple[Operator, Operator, QuantParams]]:
    """Every QUANTIZE of real numbers whose codes are only dequantized, with each DEQUANTIZE, and signed parameters between them.

    Those of sparse constants, which stay as they are, are left out.
    """
    found = []
    consumers, writers = graph.consumers(), Counter(tensor for operator in graph.operators for tensor in operator.outputs)
    held = {*graph.subgraph.inputs, *(i for i, tensor in enumerate(graph.tensors) if tensor.is_variable)}
    for quantize in [operator for operator in graph.operators if operator.name == "QUANTIZE"]:
        codes = quantize.outputs[0]
        params = parameters(graph.tensors[codes])
        readers = [use.operator for use in consumers.get(codes, ())]
        before = graph.tensors[quantize.inputs[0]]
        if params is None or before.dtype != "float32" or before.sparsity is not None or codes in graph.subgraph.outputs:
            continue
        if all(reader.name == "DEQUANTIZE" for reader in readers):
            for dequantize in readers:
                computed = {codes, dequantize.outputs[0]}
                if computed.isdisjoint(held) and all(writers[tensor] == 1 for tensor in computed):
                    found.append((quantize, dequantize, signed(params)))
    return found


def remove_pair(graph: Graph, quantize: Operator, dequantize: Operator) -> None:
    """Removes a DEQUANTIZE, and the QUANTIZE before it once nothing reads its codes."""
    graph.operators.remove(dequantize)
    if quantize.outputs[0] not in graph.consumers():
        graph.operators.remove(quantize)


def _fake_quant_params(operator: Operator, name: str) -> QuantParams:
    """What a FAKE_QUANT rounds the tensor of that name to."""
    options = operator.options.fields if operator.options is not None else {}
    bits = options.get("num_bits", 0)
    if bits not in (4, 8, 16):
        raise QuantizationError(f"tensor {name!r} carries a range of {bits} bits, expected 8 or 16, or 4 for constants")
    try:
        return choose_params(options["min"], options["max"], f"uint{bits}", narrow_range=options["narrow_range"])
    except QuantizationError as error:
        raise QuantizationError(f"tensor {name!r} carries no range: {error}") from None


def signed(params: QuantParams) -> QuantParams:
    """The same real numbers by the codes of a signed type."""
    dtype, offset = _SIGNED.get(params.dtype, (params.dtype, 0))
    return replace(params, zero_point=params.zero_point - offset, dtype=dtype)


def _take_activation(graph: Graph, carried: CarriedRanges, quantize: Operator, dequantize: Operator, params: QuantParams) -> None:
    """Pins what stands behind a pair, and what stands before it where nothing else needs that."""
    before, behind = quantize.inputs[0], dequantize.outputs[0]
    readers = [use.operator for use in graph.consumers()[before]]
    if before in graph.subgraph.outputs and [reader.name for reader in readers].count("QUANTIZE") == 1:
        graph.tensors[before].name, graph.tensors[behind].name = graph.tensors[behind].name, graph.tensors[before].name
        graph.replace_output(before, behind)
    carried.params[behind], carried.behind[behind] = params, dequantize
    if len(readers) == 1 and before not in (*graph.subgraph.outputs, *carried.params) and not graph.tensors[before].is_variable:
        carried.params[before], carried.before[before] = params, quantize
