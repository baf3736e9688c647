"""ARG_MAX, ARG_MIN: where along an axis the greatest or least value stands. TOPK_V2: the k greatest values of each row, and where.

Of equal values the first counts. ARG_MAX and ARG_MIN go along the axis and move on to a value only if that compares greater (less)
than the best so far: NaN never does, and NaN in the first place is never beaten. TOPK_V2 takes NaN for less than anything else.

TensorFlow Lite 2.21 loses its way over NaN in two places, which qcore does not follow: ARG_MAX and ARG_MIN along the last axis may
give index 2**31 - 1, and TOPK_V2 compares so that the order depends on its heap.

Source (TensorFlow Lite 2.21): tflite/kernels/arg_min_max.cc, kernels/internal/reference/arg_min_max.h#ArgMinMax,
tflite/kernels/topk_v2.cc#TopContainer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qcore.kernels.common import normalize_axis, require_same_type, single_integer
from qcore.kernels.opdef import Array, Node, OpDef, Shape, Step

INDEX_TYPES = ("int32", "int64")


@dataclass(frozen=True)
class ArgParams:
    """Axis, counted from the front, type of the indices, and whether the greatest or the least is sought."""

    axis: int
    index_type: np.dtype[Any]
    greatest: bool


@dataclass(frozen=True)
class TopKParams:
    """How many, and the type of their indices."""

    k: int
    index_type: np.dtype[Any]


def infer_shape(input: Shape, axis: int) -> Shape:
    """The axis goes."""
    return input[:axis] + input[axis + 1 :]


def prepare_arg(node: Node, greatest: bool) -> Step:
    """ARG_MAX or ARG_MIN."""
    input, output = node.input(0), node.output
    named = node.options["output_type"]
    node.require(
        named in INDEX_TYPES and named == output.dtype,
        f"output_type is {named}, '{output.name}' {output.dtype}, expected the same, int32 or int64",
    )
    axis = normalize_axis(node, single_integer(node, node.input(1), INDEX_TYPES), input.rank)
    node.require(input.shape[axis] > 0, f"axis {axis} of {list(input.shape)} is empty")
    return Step(arg, ArgParams(axis, output.storage, greatest), (infer_shape(input.shape, axis),))


def prepare_arg_max(node: Node) -> Step:
    """ARG_MAX."""
    return prepare_arg(node, greatest=True)


def prepare_arg_min(node: Node) -> Step:
    """ARG_MIN."""
    return prepare_arg(node, greatest=False)


def prepare_top_k(node: Node) -> Step:
    """TOPK_V2."""
    input, values, indices = node.input(0), *node.outputs
    require_same_type(node, input, values)
    node.require(input.rank >= 1, f"'{input.name}' is a scalar, expected at least one axis")
    node.require(indices.dtype in ("int16", "int32"), f"indices '{indices.name}' are {indices.dtype}, expected int16 or int32")
    row = input.shape[-1]
    k = max(0, single_integer(node, node.input(1), ("int16", "int32")))
    node.require(k <= row, f"k is {k}, but a row has {row} values")
    node.require(k == 0 or row <= indices.type.quantized_max, f"indices up to {row - 1} do not fit {indices.dtype}")
    shape = input.shape[:-1] + (k,)
    return Step(top_k, TopKParams(k, indices.storage), (shape, shape))


def arg(p: ArgParams, x: Array, _axis: Array) -> Array:
    """Index of the greatest or least value along the axis; x: float32 | int8 | uint8 | int32 | bool[...]."""
    find = np.argmax if p.greatest else np.argmin
    if x.dtype.kind != "f":
        return np.asarray(find(x, axis=p.axis)).astype(p.index_type)
    nan = np.isnan(x)
    found = find(np.where(nan, np.float32(-np.inf if p.greatest else np.inf), x), axis=p.axis)
    return np.where(nan.take(0, axis=p.axis), 0, found).astype(p.index_type)


def top_k(p: TopKParams, x: Array, _k: Array) -> tuple[Array, Array]:
    """The k greatest values of each row in descending order, and their indices.

    Args:
        p: k.
        x: float32 | int8 | uint8 | int16 | int32 | int64[..., row].
    """
    # Both keys fall where x rises. Unlike -x, ~x does so for every integer of its type.
    falling = np.negative(x) if x.dtype.kind == "f" else np.invert(x)
    indices = np.argsort(falling, axis=-1, kind="stable")[..., : p.k]
    return np.take_along_axis(x, indices, axis=-1), indices.astype(p.index_type)


ARG_TYPES = ("float32", "int8", "uint8", "int32", "bool")
ARG_MAX = OpDef("ARG_MAX", prepare_arg_max, ARG_TYPES, (2, 2))
ARG_MIN = OpDef("ARG_MIN", prepare_arg_min, ARG_TYPES, (2, 2))
TOPK_V2 = OpDef("TOPK_V2", prepare_top_k, ("float32", "int8", "uint8", "int16", "int32", "int64"), (2, 2), (2, 2))
