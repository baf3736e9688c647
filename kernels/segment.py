"""SEGMENT_SUM, UNSORTED_SEGMENT_SUM, UNSORTED_SEGMENT_PROD, UNSORTED_SEGMENT_MAX, UNSORTED_SEGMENT_MIN: reductions by label.

The shape of segment_ids is the beginning of the data's; what remains of the data's shape is one row. Row i goes into output row
``segment_ids[i]``, one after the other in order; rows with a negative id are left out. Every output row starts from the identity of
its operation; that of a maximum or minimum of floats is the greatest finite magnitude. NaN is no maximum or minimum. Integers wrap.

SEGMENT_SUM's ids are of one axis, start from 0 and grow by at most 1; the last tells how many segments there are.

Source (TensorFlow Lite 2.21): tflite/kernels/segment_sum.cc, unsorted_segment.cc,
kernels/internal/reference/reference_ops.h#SegmentSum, #UnsortedSegmentRef.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qcore.kernels.common import integers, require_rank, require_same_type, single_integer
from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Shape, Step
from qcore.kernels.reduce import greatest, least

TYPES = ("float32", "int32")


@dataclass(frozen=True)
class Params:
    """The operation, what every output starts from, and the shape of the output."""

    combine: np.ufunc
    identity: Any
    output: Shape


def infer_shape(data: Shape, ids: Shape, segments: int) -> Shape:
    """One row for each segment."""
    return (segments, *data[len(ids) :])


def prepare(node: Node, segments: int, combine: np.ufunc, identity: Any) -> Step:
    """A reduction into that many segments."""
    data, ids = node.input(0), node.input(1)
    require_same_type(node, data, node.output)
    require_rank(node, ids, 1, data.rank)
    node.require(ids.shape == data.shape[: ids.rank], f"segment_ids are {list(ids.shape)}, expected the first axes of {list(data.shape)}")
    shape = infer_shape(data.shape, ids.shape, segments)
    return Step(combine_segments, Params(combine, identity, shape), (shape,))


def prepare_sorted_sum(node: Node) -> Step:
    """SEGMENT_SUM."""
    require_rank(node, node.input(1), 1)
    ids = integers(node, node.input(1), ("int32",))
    steps = np.diff(ids)
    node.require(
        ids[:1] in ([], [0]) and bool(((steps == 0) | (steps == 1)).all()), "segment_ids do not grow from 0 by at most 1 at a time"
    )
    return prepare(node, max(ids, default=-1) + 1, np.add, 0)


def prepare_unsorted(node: Node, combine: np.ufunc, identity: Any) -> Step:
    """Any of the unsorted reductions."""
    count = node.input(2)
    require_rank(node, count, 0, 1)
    segments = single_integer(node, count, ("int32",))
    greatest_id = max(integers(node, node.input(1), ("int32",)), default=-1)
    node.require(segments >= 0 and greatest_id < segments, f"num_segments is {segments}, but segment_ids go up to {greatest_id}")
    return prepare(node, segments, combine, identity)


def prepare_sum(node: Node) -> Step:
    """UNSORTED_SEGMENT_SUM."""
    return prepare_unsorted(node, np.add, 0)


def prepare_prod(node: Node) -> Step:
    """UNSORTED_SEGMENT_PROD."""
    return prepare_unsorted(node, np.multiply, 1)


def prepare_max(node: Node) -> Step:
    """UNSORTED_SEGMENT_MAX."""
    return prepare_unsorted(node, np.fmax, least(node.input(0)))


def prepare_min(node: Node) -> Step:
    """UNSORTED_SEGMENT_MIN."""
    return prepare_unsorted(node, np.fmin, greatest(node.input(0)))


def combine_segments(p: Params, x: Array, ids: Array, *_segments: Array) -> Array:
    """Rows of float32 | int32[...] combined by id.

    Args:
        p: operation and output shape.
        x: the data.
        ids: int32[...], below the number of segments.
    """
    out = np.full(p.output, p.identity, x.dtype)
    kept = ids >= 0
    p.combine.at(out, ids[kept], x[kept])
    return out


SEGMENT_SUM = OpDef("SEGMENT_SUM", prepare_sorted_sum, TYPES, (2, 2), tolerances={"float32": FLOAT_ORDER})
UNSORTED_SEGMENT_SUM = OpDef("UNSORTED_SEGMENT_SUM", prepare_sum, TYPES, (3, 3), tolerances={"float32": FLOAT_ORDER})
UNSORTED_SEGMENT_PROD = OpDef("UNSORTED_SEGMENT_PROD", prepare_prod, TYPES, (3, 3), tolerances={"float32": FLOAT_ORDER})
UNSORTED_SEGMENT_MAX = OpDef("UNSORTED_SEGMENT_MAX", prepare_max, TYPES, (3, 3))
UNSORTED_SEGMENT_MIN = OpDef("UNSORTED_SEGMENT_MIN", prepare_min, TYPES, (3, 3))
