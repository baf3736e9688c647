"""REDUCE_MAX, REDUCE_MIN, REDUCE_PROD, REDUCE_ANY, REDUCE_ALL: one value out of all those along some axes.

Every output starts from the identity of its operation and takes in the input's values one after the other, in the input's order.
Integers that are not quantized wrap. A maximum or minimum takes a value only if that compares greater (less): NaN never does, and
float results start from the greatest finite magnitude, so that reducing [-inf] gives -3.4e38. A reduction over *all* axes starts
from the first value instead, even if that is NaN.

A product of n quantized values is rescaled n times, after every factor and at the end, by ``input_scale / output_scale**(1/n)`` as
equation (18) of docs/quantization.md has it. So it keeps near the output's range, and depends on the order.

Source (TensorFlow Lite 2.21): tflite/kernels/reduce.cc, kernels/internal/reference/reduce.h#ReduceGeneric, #QuantizedReduceProd.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from qcore.kernels.common import integers, normalize_axis, require_same_quantization, require_same_type
from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Operand, Shape, Step
from qcore.numerics.fixed_point import ReducedMultiplier, Requantizer, quantize_multiplier

TYPES = ("float32", "int8", "uint8", "int16", "int32", "int64", "bool")
QUANTIZED = ("int8", "uint8", "int16")


@dataclass(frozen=True)
class Reduction:
    """What is reduced.

    axes: counted from the front, each once, in ascending order.
    output: shape of the result.
    count: input values for each output value.
    """

    axes: tuple[int, ...]
    output: Shape
    count: int


@dataclass(frozen=True)
class Params:
    """A fold of values into one.

    combine: the operation.
    identity: what every output starts from.
    from_first: start from the first input value instead.
    """

    reduction: Reduction
    combine: np.ufunc
    identity: Any
    from_first: bool


@dataclass(frozen=True)
class QuantizedProductParams:
    """A product of quantized values; requantize is by ``input_scale / output_scale**(1 / count)``."""

    reduction: Reduction
    input_zero_point: int
    output_zero_point: int
    requantize: Requantizer
    quantized_min: int
    quantized_max: int


def infer_shape(input: Shape, axes: tuple[int, ...], keep_dims: bool) -> Shape:
    """Reduced axes become 1 or vanish."""
    if keep_dims:
        return tuple(1 if axis in axes else size for axis, size in enumerate(input))
    return tuple(size for axis, size in enumerate(input) if axis not in axes)


def reduction(node: Node) -> Reduction:
    """The checks that all reductions share, MEAN and SUM included.

    Axes may be negative and repeat; those of a scalar input are not looked at.

    Raises:
        ModelError: types differ, or there is no such axis.
    """
    input, axis, output = node.input(0), node.input(1), node.output
    require_same_type(node, input, output)
    if input.dtype == "int16":
        for operand in (input, output):
            node.require(operand.zero_point == 0, f"int16 tensor '{operand.name}' has zero point {operand.zero_point}, expected 0")
    named = integers(node, axis, ("int32",)) if input.rank else []
    axes = tuple(sorted({normalize_axis(node, each, input.rank) for each in named}))
    count = math.prod(input.shape[each] for each in axes)
    return Reduction(axes, infer_shape(input.shape, axes, node.options["keep_dims"]), count)


def output_scale(node: Node) -> float:
    """The output's scale, which results are divided by."""
    node.require(node.output.scale > 0, f"output has scale {node.output.scale}, expected one above 0")
    return node.output.scale


def prepare_fold(node: Node, combine: np.ufunc, identity: Any, compares: bool) -> Step:
    """Any reduction that folds values as they are."""
    input, output = node.input(0), node.output
    what = reduction(node)
    if input.dtype in QUANTIZED:
        require_same_quantization(node, input, output)
    from_first = compares and len(what.axes) == input.rank and what.count > 0
    return Step(fold, Params(what, combine, input.storage.type(identity), from_first), (what.output,))


def prepare_max(node: Node) -> Step:
    """REDUCE_MAX."""
    return prepare_fold(node, np.fmax, least(node.input(0)), compares=True)


def prepare_min(node: Node) -> Step:
    """REDUCE_MIN."""
    return prepare_fold(node, np.fmin, greatest(node.input(0)), compares=True)


def prepare_any(node: Node) -> Step:
    """REDUCE_ANY."""
    return prepare_fold(node, np.logical_or, False, compares=False)


def prepare_all(node: Node) -> Step:
    """REDUCE_ALL."""
    return prepare_fold(node, np.logical_and, True, compares=False)


def prepare_prod(node: Node) -> Step:
    """REDUCE_PROD."""
    input, output = node.input(0), node.output
    if not input.is_quantized:
        return prepare_fold(node, np.multiply, 1, compares=False)
    if input.dtype not in ("int8", "int16"):
        raise node.unsupported(f"product of quantized {input.dtype}, qcore has int8 and int16")
    what = reduction(node)
    node.require(what.count > 0 or 0 in what.output, f"the product over axes {what.axes} of {list(input.shape)} is of no values")
    scale = input.scale / output_scale(node) ** (1 / what.count) if what.count else 0.0
    params = QuantizedProductParams(
        what,
        input.zero_point,
        output.zero_point,
        ReducedMultiplier(*quantize_multiplier(scale)),
        output.type.quantized_min,
        output.type.quantized_max,
    )
    return Step(product_quantized, params, (what.output,))


def least(operand: Operand) -> Any:
    """The least value of a type; for floats the least finite one."""
    if operand.dtype == "bool":
        return False
    return np.finfo(operand.storage).min if operand.storage.kind == "f" else np.iinfo(operand.storage).min


def greatest(operand: Operand) -> Any:
    """The greatest value of a type; for floats the greatest finite one."""
    if operand.dtype == "bool":
        return True
    return np.finfo(operand.storage).max if operand.storage.kind == "f" else np.iinfo(operand.storage).max


def fold(p: Params, x: Array, _axis: Array) -> Array:
    """Fold values along the axes.

    Args:
        p: axes, operation and where it starts.
        x: any of TYPES[...].

    Integers wrap at the width of their type.
    """
    start = x.flat[0] if p.from_first else p.identity
    if start != start:  # NaN: no value compares greater or less, so it stays
        return np.full(p.reduction.output, start, x.dtype)
    folded = p.combine.reduce(x, axis=p.reduction.axes, initial=start, dtype=x.dtype)
    return np.asarray(folded).reshape(p.reduction.output)


def rows(what: Reduction, x: Array) -> Array:
    """[count, outputs]: x with the values that meet in one output in one column, in the input's order."""
    kept = tuple(axis for axis in range(x.ndim) if axis not in what.axes)
    return x.transpose(what.axes + kept).reshape(what.count, math.prod(what.output))


def product_quantized(p: QuantizedProductParams, x: Array, _axis: Array) -> Array:
    """Product of quantized values, rescaled after every factor.

    Args:
        p: axes, zero points and the factor's part of the scale.
        x: int8 | int16[...].

    A rescaled product is int32 and wraps; times the next factor it keeps within 2**47.
    """
    if math.prod(p.reduction.output) == 0:
        return np.empty(p.reduction.output, x.dtype)
    factors = rows(p.reduction, x)
    product = factors[0].astype(np.int64) - p.input_zero_point
    for factor in factors[1:]:
        product = p.requantize(product * (factor.astype(np.int64) - p.input_zero_point)).astype(np.int64)
    quantized = p.requantize(product).astype(np.int64) + p.output_zero_point
    return np.clip(quantized, p.quantized_min, p.quantized_max).astype(x.dtype).reshape(p.reduction.output)


REDUCE_MAX = OpDef("REDUCE_MAX", prepare_max, TYPES, (2, 2))
REDUCE_MIN = OpDef("REDUCE_MIN", prepare_min, TYPES, (2, 2))
REDUCE_PROD = OpDef("REDUCE_PROD", prepare_prod, TYPES, (2, 2), tolerances={"float32": FLOAT_ORDER})
REDUCE_ANY = OpDef("REDUCE_ANY", prepare_any, ("bool",), (2, 2))
REDUCE_ALL = OpDef("REDUCE_ALL", prepare_all, ("bool",), (2, 2))
