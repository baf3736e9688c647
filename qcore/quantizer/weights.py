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
from qcore.numerics import QuantizedTensor, quantize_by_division
from qcore.quantizer.graph import Graph, Use, real_constant
from qcore.quantizer.options import Options


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


@dataclass(frozen=True, eq=False)
class SharedWeights:
    """A constant and the operators that read it as weights with the same kind of scales.

    name: of the constant.
    values: float32[...], real units.
    axis: the axis with a scale for each place, or None for one scale.
    uses: where it is read so.
    """

    name: str
    values: NDArray[np.float32]
    axis: int | None
    uses: list[Use]


def shared_weights(graph: Graph, options: Options) -> list[SharedWeights]:
    """The weights of a subgraph that the options let be quantized, in the order of their first use."""
    found: dict[tuple[int, int | None], SharedWeights] = {}
    for index, uses in graph.consumers().items():
        values = real_constant(graph.tensors[index])
        if values is None or values.size < max(options.min_elements, 1):
            continue
        for use in uses:
            if _is_chosen(graph, use, options):
                name = use.operator.name
                axis = options.channel_axis(name, WEIGHTS[name].axis)
                weights = SharedWeights(graph.tensors[index].name, values, axis, [])
                found.setdefault((index, axis), weights).uses.append(use)
    return list(found.values())


def quantize_weights(weights: SharedWeights, dtype: str) -> QuantizedTensor:
    """Weights as symmetric codes of a narrow range, divided in double.

    Args:
        weights: their values, and whether they get one scale or several.
        dtype: "int8" or "int4".

    Raises:
        QuantizationError: weights that are NaN or infinite, or have too few dimensions.
    """
    require_usable(weights)
    return quantize_by_division(weights.values, dtype, weights.axis)


def require_usable(weights: SharedWeights) -> None:
    """Refuses weights that have no scales.

    Raises:
        QuantizationError: weights that are NaN or infinite, or have too few dimensions.
    """
    operator = weights.uses[0].operator.name
    if not np.isfinite(weights.values).all():
        raise QuantizationError(
            f"weights {weights.name!r} of {operator}: some are NaN or infinite; a rule can keep the operator in floating point"
        )
    if weights.axis is not None and weights.axis >= weights.values.ndim:
        raise QuantizationError(
            f"weights {weights.name!r} of {operator}: got shape {list(weights.values.shape)}, expected channels along axis {weights.axis}"
        )


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
