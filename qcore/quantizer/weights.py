"""Which inputs of which operators are weights, and how weights alone are quantized: the rules of dynamic range and weight only.

Source: tflite/converter/ir/tfl_ops.td (DynamicRangeQuantizedOpInterface, AffineQuantizedOpInterface) and
tflite/converter/transforms/prepare_quantize_dynamic_range.cc.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from qcore.errors import QuantizationError
from qcore.model import OPTIONAL, Operator
from qcore.numerics import quantize_by_division
from qcore.quantizer.blocks import add_blocks, quantize_blocks
from qcore.quantizer.graph import Graph, Use, real_constant, to_quantization
from qcore.quantizer.options import Options
from qcore.quantizer.weight_kernels import Activations, Case, takes


@dataclass(frozen=True)
class Weights:
    """The weights of one type of operator.

    slots: of its inputs.
    axis: the axis of output channels, for operators whose kernels take a scale for each channel.
    asymmetric: its kernel quantizes the other input at run time; the flag ``asymmetric_quantize_inputs`` lets it use all codes.
    all_or_none: its kernel takes all weights as integers or none.
    """

    slots: tuple[int, ...]
    axis: int | None = None
    asymmetric: bool = False
    all_or_none: bool = False


_LSTM_SLOTS = (*range(1, 12), 16)
"""Weights of an LSTM: from the input, recurrent, peephole, projection."""

_BIDIRECTIONAL_LSTM_SLOTS = (*_LSTM_SLOTS, *range(18, 29), 33, *range(40, 48))
"""The same of both directions, and of the auxiliary input."""

WEIGHTS = MappingProxyType(
    {
        "CONV_2D": Weights((1,), axis=0),
        "DEPTHWISE_CONV_2D": Weights((1,), axis=3),
        "TRANSPOSE_CONV": Weights((1,), axis=0),
        "FULLY_CONNECTED": Weights((1,), axis=0, asymmetric=True),
        "BATCH_MATMUL": Weights((1,), asymmetric=True),
        "EMBEDDING_LOOKUP": Weights((1,), axis=0),
        "GATHER": Weights((0,)),
        "LSTM": Weights(_LSTM_SLOTS, asymmetric=True),
        "UNIDIRECTIONAL_SEQUENCE_LSTM": Weights(_LSTM_SLOTS, asymmetric=True, all_or_none=True),
        "BIDIRECTIONAL_SEQUENCE_LSTM": Weights(_BIDIRECTIONAL_LSTM_SLOTS, asymmetric=True),
        "UNIDIRECTIONAL_SEQUENCE_RNN": Weights((1, 2), asymmetric=True),
        "SVDF": Weights((1, 2), asymmetric=True),
    }
)
"""By the operator's name. Operators that are not here keep their constants."""

_SEPARABLE = ("RELU", "RELU6", "RELU_N1_TO_1")
"""Fused activations that are operators as well."""

LOOKUPS = ("EMBEDDING_LOOKUP",)
"""Operators whose kernels make codes real and do no more, so that a DEQUANTIZE would but take memory."""


@dataclass(frozen=True)
class Form:
    """How weights are stored.

    dtype: "int8", "int4" or "float16".
    axis: the axis with a scale for each place, or None.
    block_size: elements of a row that share a scale, or None.
    restored: a DEQUANTIZE gives operators their real values; otherwise kernels read the codes.
    """

    dtype: str
    axis: int | None
    block_size: int | None = None
    restored: bool = False


@dataclass(frozen=True, eq=False)
class SharedWeights:
    """A constant and the operators that read it as weights of the same form.

    name: of the constant.
    values: float32[...], real units.
    form: of the weights.
    uses: where it is read so.
    """

    name: str
    values: NDArray[np.float32]
    form: Form
    uses: list[Use]


def shared_weights(graph: Graph, options: Options, activations: Activations) -> list[SharedWeights]:
    """The weights of a subgraph that the options let be quantized, in the order of their first use.

    Args:
        graph: that is being quantized.
        options: which operators, and how.
        activations: what operators read beside them: "float32" where kernels are to multiply codes, else "dequantized".
    """
    found: dict[tuple[int, Form], SharedWeights] = {}
    for index, uses in graph.consumers().items():
        values = real_constant(graph.tensors[index])
        if values is None or values.size < max(options.min_elements, 1):
            continue
        for use in uses:
            if _is_chosen(graph, use, options):
                form = form_of(graph, use.operator, values.shape, options, activations)
                weights = SharedWeights(graph.tensors[index].name, values, form, [])
                found.setdefault((index, form), weights).uses.append(use)
    return list(found.values())


def form_of(graph: Graph, operator: Operator, shape: tuple[int, ...], options: Options, activations: Activations) -> Form:
    """The form of an operator's weights: int4 where that is asked for and a kernel takes it, blocks where they fit.

    Args:
        graph: of the operator.
        operator: one of WEIGHTS.
        shape: of the weights.
        options: see ``shared_weights``.
        activations: likewise.
    """
    axis, restored = options.channel_axis(operator.name, WEIGHTS[operator.name].axis), activations == "dequantized"
    if options.weight_dtype(graph, operator) == "int8":
        return Form("int8", axis, restored=restored)
    size = options.block_size
    if size and len(shape) == 2 and shape[1] % size == 0 and takes(Case(operator.name, "int4", "blockwise", "float32"), shape):
        return Form("int4", None, size)
    read = takes(Case(operator.name, "int4", "per_tensor" if axis is None else "per_channel", "float32"), shape)
    if restored:
        return Form("int4", axis, restored=not read or operator.name not in LOOKUPS)
    return Form("int4" if read else "int8", axis)


def add_weights(graph: Graph, weights: SharedWeights) -> int:
    """Adds weights in their form, as symmetric codes of a narrow range, and gives the number of what operators read.

    Raises:
        QuantizationError: weights that are NaN or infinite, or have too few dimensions.
    """
    require_usable(weights)
    name, form = weights.name, weights.form
    if form.block_size is not None:
        for use in weights.uses:
            separate_activation(graph, use.operator)
        return add_blocks(graph, name, quantize_blocks(weights.values, form.block_size))
    codes = quantize_by_division(weights.values, form.dtype, form.axis)
    stored = graph.add_constant(name, codes.data, form.dtype, to_quantization(codes.params))
    if not form.restored:
        return stored
    restored = graph.add_tensor(f"{name}_dequantize", "float32", graph.tensors[stored])
    graph.add_operator("DEQUANTIZE", [stored], [restored])
    return restored


def separate_activation(graph: Graph, operator: Operator) -> None:
    """Gives the fused activation of an operator that reads blocks an operator of its own: builtin kernels leave it out."""
    options = operator.options
    fused = None if options is None else options.fields.get("fused_activation_function")
    if options is not None and fused in _SEPARABLE:
        (output,) = operator.outputs
        operator.outputs = [graph.add_tensor(f"{graph.tensors[output].name}_linear", "float32", graph.tensors[output])]
        options.fields["fused_activation_function"] = "NONE"
        graph.add_operator(fused, operator.outputs, [output])


def require_usable(weights: SharedWeights) -> None:
    """Refuses weights that have no scales.

    Raises:
        QuantizationError: weights that are NaN or infinite, or have too few dimensions.
    """
    operator, axis, shape = weights.uses[0].operator.name, weights.form.axis, weights.values.shape
    if not np.isfinite(weights.values).all():
        raise QuantizationError(
            f"weights {weights.name!r} of {operator}: some are NaN or infinite; a rule can keep the operator in floating point"
        )
    if axis is not None and axis >= len(shape):
        raise QuantizationError(f"weights {weights.name!r} of {operator}: got shape {list(shape)}, expected channels along axis {axis}")


def _is_chosen(graph: Graph, use: Use, options: Options) -> bool:
    weights = WEIGHTS.get(use.operator.name)
    if weights is None or use.slot not in weights.slots or _is_basic(use.operator) or not options.quantizes(graph, use.operator):
        return False
    return not weights.all_or_none or _all_reach(graph, use.operator, weights, options.min_elements)


def _is_basic(operator: Operator) -> bool:
    """An LSTM of five inputs, whose kernel takes float32 weights alone."""
    return operator.options is not None and operator.options.fields.get("kernel_type") == "BASIC"


def _all_reach(graph: Graph, operator: Operator, weights: Weights, min_elements: int) -> bool:
    """All constant weights of the operator have that many elements."""
    used = [operator.inputs[slot] for slot in weights.slots if slot < len(operator.inputs) and operator.inputs[slot] != OPTIONAL]
    constants = (real_constant(graph.tensors[i]) for i in used)
    return all(values.size >= min_elements for values in constants if values is not None)
