"""SELECT, SELECT_V2, WHERE: values chosen, and positions found, by a condition.

SELECT takes a truth value for each element, or one for all, or one for each entry of the first axis; SELECT_V2 broadcasts all three
tensors. Where every tensor has one element, the output keeps the shape that the file gives it. Nothing is computed, so scales and
zero points play no part.

Source (TensorFlow Lite 2.21): tflite/kernels/select.cc, where.cc; kernels/internal/reference/select.h.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qcore.kernels.common import broadcast_shape, require_same_type, types_of_width
from qcore.kernels.opdef import Array, Node, OpDef, Shape, Step

INT64_BYTES = 8


@dataclass(frozen=True)
class Params:
    """condition_shape: the condition's, with the dimensions that make it broadcast; output_shape: the output's."""

    condition_shape: Shape
    output_shape: Shape


def infer_select(node: Node) -> Shape:
    """The values' shape, for a condition that suits them."""
    condition, x, y = (node.input(i) for i in range(3))
    node.require(x.shape == y.shape, f"values have shapes {list(x.shape)} and {list(y.shape)}, expected the same")
    suits = condition.shape in ((), x.shape) or (x.rank > 0 and condition.shape == x.shape[:1])
    node.require(suits, f"condition has shape {list(condition.shape)}, expected {list(x.shape)}, {list(x.shape[:1])} or []")
    return x.shape


def prepare_select(node: Node) -> Step:
    """SELECT."""
    condition = node.input(0).shape
    if all_single(node):
        return prepare_choice(node, condition, node.output.shape)
    shape = infer_select(node)
    return prepare_choice(node, condition + (1,) * (len(shape) - 1) if len(condition) == 1 else condition, shape)


def prepare_select_v2(node: Node) -> Step:
    """SELECT_V2."""
    inputs = [node.input(i) for i in range(3)]
    return prepare_choice(node, inputs[0].shape, node.output.shape if all_single(node) else broadcast_shape(node, *inputs))


def all_single(node: Node) -> bool:
    """Every tensor has one element, the output by its shape in the file."""
    return all(math.prod(operand.shape) == 1 for operand in (*(node.input(i) for i in range(3)), node.output))


def prepare_choice(node: Node, condition_shape: Shape, shape: Shape) -> Step:
    """Either selection, its shapes known."""
    condition = node.input(0)
    node.require(condition.dtype == "bool", f"condition is {condition.dtype}, expected bool")
    require_same_type(node, node.input(1), node.input(2), node.output)
    return Step(select, Params(condition_shape, shape), (shape,))


def prepare_where(node: Node) -> Step:
    """WHERE."""
    input = node.input(0)
    node.require(input.rank > 0, "input has no dimensions, expected at least one")
    node.require(node.output.dtype == "int64", f"output is {node.output.dtype}, expected int64")
    return Step(where, None, (None,), scratch=2 * math.prod(input.shape) * input.rank * INT64_BYTES)


def select(p: Params, condition: Array, x: Array, y: Array) -> Array:
    """Takes x where the condition holds, else y."""
    return np.where(condition.reshape(p.condition_shape), x, y).reshape(p.output_shape)


def where(_params: None, x: Array) -> Array:
    """int64[true elements, rank]: positions of what is true, or not zero, in the order of memory."""
    return np.argwhere(x).astype(np.int64, copy=False)


VALUES = types_of_width(8, 16, 32, 64)

SELECT = OpDef("SELECT", prepare_select, VALUES, (3, 3), principal=1)
SELECT_V2 = OpDef("SELECT_V2", prepare_select_v2, VALUES, (3, 3), principal=1)
WHERE = OpDef("WHERE", prepare_where, ("bool", "float32", "int64", "int32", "int8", "uint8", "uint32"), (1, 1))
