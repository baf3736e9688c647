"""ONE_HOT: for every index a vector that holds one value in the index's place and another elsewhere.

The new axis, of size depth, is put where ``axis`` says, last for -1. An index outside [0, depth) gives no place. int64 indices are
taken modulo 2**32, as int32.

Source (TensorFlow Lite 2.21): tflite/kernels/one_hot.cc.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qcore.kernels.common import require_same_type, single_integer
from qcore.kernels.opdef import Array, Node, OpDef, Shape, Step


@dataclass(frozen=True)
class Params:
    """Where the new axis goes, and its size."""

    axis: int
    depth: int


def infer_shape(indices: Shape, axis: int, depth: int) -> Shape:
    """The new axis comes in."""
    return indices[:axis] + (depth,) + indices[axis:]


def prepare(node: Node) -> Step:
    """ONE_HOT."""
    indices, depth, on, off = (node.input(i) for i in range(4))
    require_same_type(node, on, off, node.output)
    node.require(indices.dtype in ("int32", "int64"), f"indices '{indices.name}' are {indices.dtype}, expected int32 or int64")
    for operand in (on, off):
        node.require(all(size == 1 for size in operand.shape), f"'{operand.name}' has shape {list(operand.shape)}, expected 1 element")
    axis = node.options["axis"]
    if axis == -1:
        axis = indices.rank
    node.require(0 <= axis <= indices.rank, f"axis {axis} is out of range for an output of rank {indices.rank + 1}")
    size = single_integer(node, depth, ("int32",))
    node.require(size >= 0, f"depth is {size}, expected 0 or more")
    return Step(one_hot, Params(axis, size), (infer_shape(indices.shape, axis, size),))


def one_hot(p: Params, indices: Array, _depth: Array, on: Array, off: Array) -> Array:
    """Vectors of any type.

    Args:
        p: axis and depth.
        indices: int32 | int64[...].
        on: the value in the index's place, one element.
        off: the value elsewhere, one element.
    """
    vectors = np.full(infer_shape(indices.shape, p.axis, p.depth), off.reshape(()))
    before, after = math.prod(indices.shape[: p.axis]), math.prod(indices.shape[p.axis :])
    places = indices.astype(np.int32).reshape(before, after)
    i, k = np.nonzero((places >= 0) & (places < p.depth))
    vectors.reshape(before, p.depth, after)[i, places[i, k], k] = on.reshape(())
    return vectors


ONE_HOT = OpDef("ONE_HOT", prepare, ("float32", "int8", "uint8", "int32", "int64", "bool"), (4, 4), principal=2)
