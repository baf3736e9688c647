"""TRANSPOSE: axes in another order; axis i of the output is axis permutation[i] of the input.

Values are moved as they are.

Source (TensorFlow Lite 2.21; element types: LiteRT 2.3): tflite/kernels/transpose.cc.
"""

from __future__ import annotations

from dataclasses import dataclass

from qcore.kernels.common import integers, normalize_axis, require_rank, require_same_type, types_of_width
from qcore.kernels.opdef import Array, Node, OpDef, Shape, Step


@dataclass(frozen=True)
class Params:
    """permutation: for each axis of the output, the input's, counted from the front."""

    permutation: tuple[int, ...]


def infer_shape(input: Shape, permutation: tuple[int, ...]) -> Shape:
    """Sizes go with their axes."""
    return tuple(input[axis] for axis in permutation)


def prepare(node: Node) -> Step:
    """TRANSPOSE."""
    input, order = node.input(0), node.input(1)
    require_same_type(node, input, node.output)
    require_rank(node, input, 0, 8)
    permutation = tuple(normalize_axis(node, axis, input.rank) for axis in integers(node, order, ("int32",)))
    node.require(order.shape == (input.rank,), f"permutation '{order.name}' is {list(order.shape)}, expected [{input.rank}]")
    node.require(len(set(permutation)) == input.rank, f"permutation {list(permutation)} names an axis twice")
    return Step(transpose, Params(permutation), (infer_shape(input.shape, permutation),))


def transpose(p: Params, x: Array, _permutation: Array) -> Array:
    """x, any type and shape, with its axes in the new order; laid out afresh in row-major order."""
    return x.transpose(p.permutation).copy()


TRANSPOSE = OpDef("TRANSPOSE", prepare, types_of_width(4, 8, 16, 32, 64), (2, 2))
