"""HASHTABLE_LOOKUP: rows of a table, by key; and which keys were there.

Keys are in rising order, and searched by halving: where they are not, or one stands several times, halving decides what is found. A key
that is not found gives zeros, or an empty string.

Source (TensorFlow Lite 2.21): tflite/kernels/hashtable_lookup.cc.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import EVERY_TYPE, require_rank, require_same_type
from qcore.kernels.opdef import Array, Node, OpDef, Shape, Step


def infer_shape(wanted: Shape, values: Shape) -> Shape:
    """A row for each key that is wanted."""
    return (*wanted, *values[1:])


def prepare(node: Node) -> Step:
    """Check types and shapes."""
    wanted, keys, values, hits = node.input(0), node.input(1), node.input(2), node.outputs[1]
    require_same_type(node, values, node.output)
    for operand, dtype in ((wanted, "int32"), (keys, "int32"), (hits, "uint8")):
        node.require(operand.dtype == dtype, f"'{operand.name}' is {operand.dtype}, expected {dtype}")
    for operand in (wanted, keys):
        require_rank(node, operand, 1)
    node.require(values.shape[:1] == keys.shape, f"values have shape {list(values.shape)}, expected a row for each of {keys.size} keys")
    node.require(keys.size > 0, "there are no keys")
    if values.dtype == "string":
        require_rank(node, values, 1)
    return Step(look_up, None, (infer_shape(wanted.shape, values.shape), wanted.shape))


def search(keys: NDArray[np.int32], wanted: NDArray[np.int32]) -> NDArray[np.int64]:
    """int64[n]: where the halving of int32[m] comes upon each of int32[n]; -1 where it does not.

    Keys are compared by the sign of an int32 difference, which wraps.
    """
    low, high, found = np.zeros(wanted.shape, np.int64), np.full(wanted.shape, keys.size), np.full(wanted.shape, -1)
    while (searching := (low < high) & (found < 0)).any():
        middle = (low + high) // 2
        difference = wanted - keys[np.minimum(middle, keys.size - 1)]
        found = np.where(searching & (difference == 0), middle, found)
        high = np.where(searching & (difference < 0), middle, high)
        low = np.where(searching & (difference > 0), middle + 1, low)
    return found


def look_up(_: None, wanted: Array, keys: Array, values: Array) -> tuple[Array, Array]:
    """Rows of any type for int32[n] by int32[m], and uint8[n]: 1 where the key is there."""
    found = search(keys, wanted)
    rows = values[np.maximum(found, 0)]
    rows[found < 0] = b"" if rows.dtype == object else 0
    return rows, (found >= 0).astype(np.uint8)


HASHTABLE_LOOKUP = OpDef("HASHTABLE_LOOKUP", prepare, EVERY_TYPE, (3, 3), (2, 2), principal=2)
