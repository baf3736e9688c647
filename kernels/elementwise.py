"""What elementwise operators share: operands that broadcast, and arithmetic of numbers that stand for themselves.

Operands broadcast as in NumPy: shapes are aligned at their ends, and a dimension of 1 stretches. TensorFlow Lite stops at four to six
dimensions, by operator, where shapes differ; there is no such limit here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import broadcast_shape, float_activation_range, require_same_type
from qcore.kernels.opdef import Array, Node, Operand, Shape, Step

Function = Callable[..., Array]


@dataclass(frozen=True)
class PlainParams:
    """A function of two numbers, and the bounds of the fused activation in their type."""

    function: Function
    activation_min: np.number[Any]
    activation_max: np.number[Any]


def operands(node: Node) -> tuple[Operand, Operand, Shape]:
    """Both inputs of one type, and the shape that they broadcast to."""
    input1, input2 = node.input(0), node.input(1)
    require_same_type(node, input1, input2)
    return input1, input2, broadcast_shape(node, input1, input2)


def require_scales(node: Node, *quantized: Operand) -> None:
    """Refuse the model unless each of these has one scale, above 0."""
    for operand in quantized:
        node.require(operand.scale > 0, f"'{operand.name}' has scale {operand.scale}, expected more than 0")


def prepare_function(node: Node, function: Function) -> Step:
    """A function of one or two inputs whose output has their type, and no activation."""
    inputs = [node.input(i) for i in range(len(node.inputs))]
    require_same_type(node, *inputs, node.output)
    return Step(apply, function, (broadcast_shape(node, *inputs),))


def prepares(function: Function) -> Callable[[Node], Step]:
    """The ``prepare`` of an operator that is this function and nothing else."""
    return partial(prepare_function, function=function)


def prepare_plain(node: Node, function: Function) -> Step:
    """A function of two inputs with a fused activation, neither of them quantized.

    Bounds are finite even without an activation: infinities become the type's greatest number, as in TensorFlow Lite's kernels.

    Source: tflite/kernels/kernel_util.h#CalculateActivationRange.
    """
    input1, _, shape = operands(node)
    require_same_type(node, input1, node.output)
    type_ = input1.storage.type
    limits = finite_range(input1.storage)
    low, high = float_activation_range(node, node.options["fused_activation_function"])
    bounds = type_(max(low, limits.min)), type_(min(high, limits.max))
    return Step(plain, PlainParams(function, *bounds), (shape,))


def store(accumulator: NDArray[np.int32], zero_point: int, activation_min: int, activation_max: int, dtype: np.dtype[Any]) -> Array:
    """Requantized numbers as codes: moved by the output's zero point and clamped, in place, then narrowed."""
    accumulator += np.int32(zero_point)
    np.clip(accumulator, activation_min, activation_max, out=accumulator)
    return accumulator.astype(dtype)


def finite_range(storage: np.dtype[Any]) -> np.finfo[Any] | np.iinfo[Any]:
    """The least and greatest number of an integer or float type."""
    return np.finfo(storage) if storage.kind == "f" else np.iinfo(storage)


def finite(x: Array) -> Array:
    """The array with infinities cut to the greatest numbers; NaN stays."""
    limits = finite_range(x.dtype)
    return np.clip(x, limits.min, limits.max)


def apply(function: Function, *inputs: Array) -> Array:
    """The function itself."""
    return np.asarray(function(*inputs))


def plain(p: PlainParams, x: Array, y: Array) -> Array:
    """The function, clamped; NaN stays."""
    return np.asarray(np.clip(p.function(x, y), p.activation_min, p.activation_max))
