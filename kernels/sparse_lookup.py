"""EMBEDDING_LOOKUP_SPARSE: weighted sums of rows of a table, for examples that each name any number of rows.

The lookups are a sparse tensor: lookup i is the row ``ids[i]`` with the weight ``weights[i]``, and belongs to the example that
``indices[i]`` names but for its last number. For each run of lookups of one example, one after the other,

    output[example] = (output[example] + sum over the run of weight * row) / divisor

from zeros on, where the divisor is 1 (SUM), the sum of the run's weights (MEAN), or the root of the sum of their squares (SQRTN).

Source (TensorFlow Lite 2.21): tflite/kernels/embedding_lookup_sparse.cc.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import read_shape, require_indices, require_rank
from qcore.kernels.gather import row_numbers
from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Shape, Step

COMBINERS = ("SUM", "MEAN", "SQRTN")


@dataclass(frozen=True)
class Params:
    """What messages call the operator, how rows are combined, the examples' sizes, and the output's shape."""

    where: str
    combiner: str
    examples: Shape
    shape: Shape


def infer_shape(examples: Shape, table: Shape) -> Shape:
    """A row for each example."""
    return (*examples, *table[1:])


def prepare(node: Node) -> Step:
    """Check types and shapes."""
    ids, indices, shape, weights, table = (node.input(i) for i in range(5))
    for operand, dtype in ((ids, "int32"), (indices, "int32"), (shape, "int32"), (weights, "float32"), (node.output, "float32")):
        node.require(operand.dtype == dtype, f"'{operand.name}' is {operand.dtype}, expected {dtype}")
    require_rank(node, indices, 2)
    count, rank = indices.shape
    for operand in (ids, weights):
        node.require(operand.shape == (count,), f"'{operand.name}' has shape {list(operand.shape)}, expected one of {count} lookups each")
    node.require(table.rank >= 2, f"table '{table.name}' has shape {list(table.shape)}, expected rank 2 or more")
    node.require(rank >= 1 and shape.shape == (rank,), f"indices have {rank} numbers, the shape of the examples {list(shape.shape)}")
    combiner = node.options["combiner"]
    if combiner not in COMBINERS:
        raise node.unsupported(f"combiner {combiner}, qcore has {', '.join(COMBINERS)}")
    examples = read_shape(node, shape)[:-1]
    output = infer_shape(examples, table.shape)
    scratch = 16 * count * math.prod(table.shape[1:]) + 64 * count
    return Step(combine, Params(node.where, combiner, examples, output), (output,), scratch)


def divisors(combiner: str, weights: NDArray[np.float32], starts: Array) -> NDArray[np.float32]:
    """float32[runs]: what the sum of each run is divided by."""
    if combiner == "SUM":
        return np.ones(len(starts), np.float32)
    if combiner == "MEAN":
        return np.add.reduceat(weights, starts)
    return np.sqrt(np.add.reduceat(weights * weights, starts))


def combine(p: Params, ids: Array, indices: Array, _shape: Array, weights: Array, table: Array) -> Array:
    """Sums of float32[rows, ...] by int32[n] with weights float32[n], for examples by int32[n, rank + 1].

    Raises:
        ModelError: an id or an index is out of range.
    """
    require_indices(p.where, ids, len(table))
    examples = row_numbers(p.where, indices[:, :-1], p.examples)
    rows = table.reshape(len(table), math.prod(table.shape[1:]))[ids] * weights[:, np.newaxis]
    starts = np.flatnonzero(np.diff(examples, prepend=-1))
    out = np.zeros((math.prod(p.examples), rows.shape[1]), np.float32)
    if len(starts):
        sums = np.add.reduceat(rows, starts)
        for example, total, divisor in zip(examples[starts].tolist(), sums, divisors(p.combiner, weights, starts), strict=True):
            out[example] += total
            out[example] /= divisor
    return out.reshape(p.shape)


EMBEDDING_LOOKUP_SPARSE = OpDef("EMBEDDING_LOOKUP_SPARSE", prepare, ("float32",), (5, 5), principal=4, tolerances={"float32": FLOAT_ORDER})
