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
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from qcore.errors import QuantizationError
from qcore.model import Model, Operator
from qcore.numerics import QuantParams, choose_params, fake_quantize
from qcore.quantizer.graph import Graph, set_constant, to_quantization
from qcore.quantizer.int8_constants import follows_others, is_float_constant, values_of
from qcore.quantizer.specification import spec_of
from qcore.runtime.real_values import parameters
from qcore.schema import constant

_SIGNED = MappingProxyType({"uint8": ("int8", 128), "uint4": ("int4", 8)})
"""The type that takes the place of an unsigned one, and by how much its codes are less."""


@dataclass
class CarriedRanges:
    """What a subgraph carries.

    params: of the real tensors before and behind pairs, and of constants that were before one.
    before: the QUANTIZE that alone reads a tensor.
    behind: the DEQUANTIZE that computes a tensor.
    """

    params: dict[int, QuantParams] = field(default_factory=dict)
    before: dict[int, Operator] = field(default_factory=dict)
    behind: dict[int, Operator] = field(default_factory=dict)


def carries_ranges(model: Model) -> bool:
    """Something in the model rounds real numbers to codes."""
    return any(operator.name in ("FAKE_QUANT", "QUANTIZE") for subgraph in model.subgraphs for operator in subgraph.operators)


def take_ranges(graph: Graph) -> CarriedRanges:
    """Reads the ranges of a subgraph. Whatever rounds activations becomes a pair of int8; constants are rounded at once.

    A range that kernels cannot compute with is left to the values of the constant: one of a bias, an asymmetric one of weights, or scales
    along another axis than that of the operator's weights.

    Raises:
        QuantizationError: a range that is none, or of other than 8 bits, or 4 for constants.
    """
    carried = CarriedRanges()
    for operator in [o for o in graph.operators if o.name == "FAKE_QUANT" and graph.tensors[o.inputs[0]].dtype == "float32"]:
        number = operator.inputs[0]
        params = _signed(_fake_quant_params(operator, graph.tensors[number].name))
        graph.operators.remove(operator)
        if is_float_constant(graph.tensors[number]):
            _take_constant(graph, carried, number, operator.outputs[0], params)
        else:
            codes = graph.add_tensor(
                f"{graph.tensors[number].name}/quantized", params.dtype, graph.tensors[number], to_quantization(params)
            )
            graph.add_operator("QUANTIZE", [number], [codes])
            graph.add_operator("DEQUANTIZE", [codes], operator.outputs)
    for quantize, dequantize, params in list(_pairs(graph)):
        number, codes = quantize.inputs[0], quantize.outputs[0]
        signed = _signed(params)
        if is_float_constant(graph.tensors[number]):
            graph.operators.remove(dequantize)
            _take_constant(graph, carried, number, dequantize.outputs[0], signed)
        elif graph.tensors[number].is_constant:
            continue
        elif signed.dtype != "int8":
            raise QuantizationError(f"tensor {graph.tensors[number].name!r} carries a range for {params.dtype}, expected one for 8 bits")
        elif signed.per_tensor:
            graph.tensors[codes].dtype, graph.tensors[codes].quantization = "int8", to_quantization(signed)
            _take_activation(graph, carried, quantize, dequantize, signed)
    return carried


def _pairs(graph: Graph) -> Iterator[tuple[Operator, Operator, QuantParams]]:
    """Every QUANTIZE of real numbers whose codes are only dequantized, with each DEQUANTIZE, and the parameters between them."""
    consumers, writers = graph.consumers(), Counter(tensor for operator in graph.operators for tensor in operator.outputs)
    held = {*graph.subgraph.inputs, *(i for i, tensor in enumerate(graph.tensors) if tensor.is_variable)}
    for quantize in [operator for operator in graph.operators if operator.name == "QUANTIZE"]:
        codes = quantize.outputs[0]
        params = parameters(graph.tensors[codes])
        readers = [use.operator for use in consumers.get(codes, ())]
        if params is None or graph.tensors[quantize.inputs[0]].dtype != "float32" or codes in graph.subgraph.outputs:
            continue
        if all(reader.name == "DEQUANTIZE" for reader in readers):
            for dequantize in readers:
                computed = {codes, dequantize.outputs[0]}
                if computed.isdisjoint(held) and all(writers[tensor] == 1 for tensor in computed):
                    yield quantize, dequantize, params


def _fake_quant_params(operator: Operator, name: str) -> QuantParams:
    """What a FAKE_QUANT rounds the tensor of that name to."""
    options = operator.options.fields if operator.options is not None else {}
    bits = options.get("num_bits", 0)
    if bits not in (4, 8):
        raise QuantizationError(f"tensor {name!r} carries a range of {bits} bits, expected 8, or 4 for constants")
    try:
        return choose_params(options["min"], options["max"], f"uint{bits}", narrow_range=options["narrow_range"])
    except QuantizationError as error:
        raise QuantizationError(f"tensor {name!r} carries no range: {error}") from None


def _signed(params: QuantParams) -> QuantParams:
    """The same real numbers by the codes of a signed type."""
    dtype, offset = _SIGNED.get(params.dtype, (params.dtype, 0))
    return replace(params, zero_point=params.zero_point - offset, dtype=dtype)


def _take_constant(graph: Graph, carried: CarriedRanges, before: int, behind: int, params: QuantParams) -> None:
    """Makes what stands behind the rounding of a constant the rounded constant."""
    if params.dtype not in ("int8", "int4"):
        raise QuantizationError(f"constant {graph.tensors[before].name!r} carries a range for {params.dtype}, expected one for 8 or 4 bits")
    tensor, rounded = graph.tensors[behind], fake_quantize(values_of(graph.tensors[before]), params)
    tensor.shape, tensor.shape_signature = rounded.shape, None
    set_constant(tensor, rounded, "float32")
    for use in graph.consumers().get(behind, ()):
        if params.per_tensor and use.operator.name == "TRANSPOSE" and use.slot == 0 and len(use.operator.inputs) == 2:
            _transpose_at_once(graph, carried, use.operator, rounded, params)
    if _fits(graph, behind, params):
        carried.params[behind] = params


def _transpose_at_once(graph: Graph, carried: CarriedRanges, operator: Operator, values: NDArray[np.float32], params: QuantParams) -> None:
    """Makes the output of a TRANSPOSE of a constant a constant, which its readers take as weights."""
    permutation, tensor = constant(graph.tensors[operator.inputs[1]]), graph.tensors[operator.outputs[0]]
    if permutation is not None and sorted(permutation.reshape(-1)) == list(range(values.ndim)):
        graph.operators.remove(operator)
        transposed = values.transpose(permutation.reshape(-1))
        tensor.shape, tensor.shape_signature = transposed.shape, None
        set_constant(tensor, transposed, "float32")
        if _fits(graph, operator.outputs[0], params):
            carried.params[operator.outputs[0]] = params


def _fits(graph: Graph, constant: int, params: QuantParams) -> bool:
    """The kernels of all that read a constant take it in these parameters."""
    for use in graph.consumers().get(constant, ()):
        spec = spec_of(use.operator)
        if spec is None or follows_others(use):
            return False
        axis = spec.weights.get(use.slot)
        if axis is None and not (params.per_tensor and params.dtype == "int8"):
            return False
        if axis is not None and (params.zero_point.any() or params.quantized_dimension not in (None, axis)):
            return False
    return bool((params.scale > 0).all())


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
