"""Codes of constants: weights, biases, and the other operands of operators that compute in integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qcore.errors import QCoreError, QuantizationError
from qcore.model import Operator
from qcore.numerics import QuantizedTensor
from qcore.numerics.half_even import choose_half_even_params, quantize_half_even
from qcore.quantizer.ai_edge_specification import COLUMN, Weights
from qcore.quantizer.graph import Graph
from qcore.quantizer.options import Options


def weight_axis(operator: Operator, weights: Weights, rank: int, options: Options) -> int | None:
    """The axis along which an operator's weights have scales; None for one scale.

    Args:
        operator: of the type that has these weights.
        weights: of its row.
        rank: of the constant.
        options: ``per_channel`` and ``per_channel_dense`` count.
    """
    axis = weights.axis
    if axis == COLUMN:
        transposed = operator.options is not None and operator.options.fields.get("adj_y", False)
        axis = rank - 2 if transposed else rank - 1
    return options.channel_axis(operator.name, axis)


def quantize_weights(values: NDArray[np.float32], dtype: str, axis: int | None) -> QuantizedTensor:
    """Weights as symmetric codes, with a scale for each place of an axis or one scale.

    Raises:
        QuantizationError: weights that are NaN or infinite, or have no such axis.
    """
    if axis is not None and not 0 <= axis < values.ndim:
        raise QuantizationError(f"got shape {list(values.shape)}, expected channels along axis {axis}")
    others = None if axis is None else tuple(i for i in range(values.ndim) if i != axis)
    return _quantize(values, others, dtype, symmetric=True, axis=axis or 0)


def quantize_operand(values: NDArray[np.float32], dtype: str) -> QuantizedTensor:
    """A constant as codes like those of activations: spread over its own range.

    Raises:
        QuantizationError: values that are NaN or infinite.
    """
    return _quantize(values, None, dtype, symmetric=dtype == "int16")


def named(graph: Graph, operator: Operator, slot: int, error: QCoreError) -> QuantizationError:
    """The error of a constant, with its name and whose it is."""
    return QuantizationError(f"{operator.name}, constant {graph.tensors[operator.inputs[slot]].name!r}: {error}")


def _quantize(values: NDArray[np.float32], axes: tuple[int, ...] | None, dtype: str, symmetric: bool, axis: int = 0) -> QuantizedTensor:
    low, high = values.min(axis=axes, initial=0), values.max(axis=axes, initial=0)
    params = choose_half_even_params(low, high, dtype, symmetric, axis)
    return QuantizedTensor(quantize_half_even(values, params), params)
