"""DENSIFY: all elements of a constant whose buffer stores only some; the others are 0.

The reader makes every sparse constant dense (qcore.schema.constant), whatever uses it; so nothing is left to compute here.

Source (TensorFlow Lite 2.21): tflite/kernels/densify.cc.
"""

from __future__ import annotations

from qcore.kernels.common import require_same_type
from qcore.kernels.opdef import Array, Node, OpDef, Step


def prepare(node: Node) -> Step:
    """Only a sparse constant will do."""
    input = node.input(0)
    require_same_type(node, input, node.output)
    node.require(input.sparse and input.constant is not None, f"'{input.name}' is no sparse constant")
    return Step(densify, None, (input.shape,))


def densify(_: None, x: Array) -> Array:
    """The dense array itself."""
    return x


DENSIFY = OpDef("DENSIFY", prepare, ("float32", "float16", "int8"), (1, 1))
