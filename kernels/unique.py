"""UNIQUE: the different values of a list in the order in which they first appear, and which of them each value is.

BUCKETIZE: how many of the sorted boundaries are at most each value.

Source (TensorFlow Lite 2.21): tflite/kernels/unique.cc, bucketize.cc.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import require_rank, require_same_type
from qcore.kernels.opdef import Array, Node, OpDef, Step


@dataclass(frozen=True)
class UniqueParams:
    """Type of the indices."""

    index_type: np.dtype[Any]


@dataclass(frozen=True, eq=False)
class BucketizeParams:
    """boundaries: float32[n], ascending."""

    boundaries: NDArray[np.float32]


def prepare_unique(node: Node) -> Step:
    """UNIQUE."""
    input, values, indices = node.input(0), *node.outputs
    require_same_type(node, input, values)
    require_rank(node, input, 1)
    named = node.options["idx_out_type"]
    node.require(
        named in ("int32", "int64") and named == indices.dtype,
        f"idx_out_type is {named}, '{indices.name}' {indices.dtype}, expected the same, int32 or int64",
    )
    return Step(unique, UniqueParams(indices.storage), (None, input.shape))


def prepare_bucketize(node: Node) -> Step:
    """BUCKETIZE."""
    output = node.output
    node.require(output.dtype == "int32", f"'{output.name}' is {output.dtype}, expected int32")
    boundaries = np.asarray(node.options["boundaries"], np.float32)
    node.require(bool((boundaries[:-1] <= boundaries[1:]).all()), "boundaries do not ascend")
    return Step(bucketize, BucketizeParams(boundaries), (node.input(0).shape,))


def unique(p: UniqueParams, x: Array) -> tuple[Array, Array]:
    """The different values, and for each value the index of its like; x: float32 | int8 | uint8 | int16 | int32 | int64[n]."""
    _, first, kind = np.unique(x, return_index=True, return_inverse=True)
    appearance = np.argsort(first)
    rank = np.argsort(appearance)
    return x[first[appearance]], rank[kind].astype(p.index_type)


def bucketize(p: BucketizeParams, x: Array) -> Array:
    """int32[...]: the bucket of each value.

    Args:
        p: boundaries.
        x: float32 | float64 | int32 | int64[...]; integers are compared as float32. NaN goes into the last bucket.
    """
    comparable = x if x.dtype.kind == "f" else x.astype(np.float32)
    return np.searchsorted(p.boundaries, comparable, side="right").astype(np.int32)


UNIQUE = OpDef("UNIQUE", prepare_unique, ("float32", "int8", "uint8", "int16", "int32", "int64"), (1, 1), (2, 2))
BUCKETIZE = OpDef("BUCKETIZE", prepare_bucketize, ("float32", "float64", "int32", "int64"), (1, 1))
