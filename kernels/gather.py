"""GATHER, GATHER_ND and SCATTER_ND: rows of a tensor fetched by index, and rows added up by index.

Values are moved as they are; SCATTER_ND adds, in the order of the indices, the rows that share one. An index below 0 or past the end
is refused: as an index is a value, this is found when the operator runs.

Source (TensorFlow Lite 2.21; element types: LiteRT 2.3): tflite/kernels/gather.cc, tflite/kernels/gather_nd.cc,
tflite/kernels/scatter_nd.cc, kernels/internal/reference/gather.h, kernels/internal/reference/reference_ops.h#GatherNd, #ScatterNd.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qcore.kernels.common import normalize_axis, read_shape, require_indices, require_same_type, require_shape
from qcore.kernels.opdef import Array, Node, OpDef, Operand, Shape, Step

POSITIONS = ("int16", "int32", "int64")


@dataclass(frozen=True)
class GatherParams:
    """The input seen as [batch, outer, size, inner], of which indices go through size; the indices as [batch, count].

    where: how a message names the operator.
    view: the input's shape when seen so.
    count: how many indices there are in a batch.
    shape: the output's.
    """

    where: str
    view: tuple[int, int, int, int]
    count: int
    shape: Shape


@dataclass(frozen=True)
class NdParams:
    """A tensor seen as rows, each under the index of its first few axes.

    where: how a message names the operator.
    indexed: sizes of the axes that an index goes through.
    row: elements in a row.
    count: how many indices there are.
    shape: the output's.
    """

    where: str
    indexed: Shape
    row: int
    count: int
    shape: Shape


def infer_gather(input: Shape, indices: Shape, axis: int, batch_dims: int) -> Shape:
    """The indices' shape, without the batch that both share, takes the axis's place."""
    return input[:axis] + indices[batch_dims:] + input[axis + 1 :]


def infer_gather_nd(input: Shape, indices: Shape) -> Shape:
    """A row for each index."""
    return indices[:-1] + input[indices[-1] :]


def require_positions(node: Node, indices: Operand) -> None:
    """Refuse the model unless the indices are whole numbers of a type that TensorFlow Lite takes."""
    if indices.dtype not in POSITIONS:
        raise node.unsupported(f"indices '{indices.name}' are {indices.dtype}, qcore has {', '.join(POSITIONS)}")


def prepare_gather(node: Node) -> Step:
    """GATHER."""
    input, indices, batch_dims = node.input(0), node.input(1), node.options["batch_dims"]
    require_same_type(node, input, node.output)
    require_positions(node, indices)
    if input.dtype == "string":
        node.require(input.rank == 1, f"strings '{input.name}' are {list(input.shape)}, expected one axis")
    axis = normalize_axis(node, node.options["axis"], input.rank)
    batch_dims += indices.rank if batch_dims < 0 else 0
    node.require(
        0 <= batch_dims <= min(axis, indices.rank), f"batch_dims is {node.options['batch_dims']}, at most {min(axis, indices.rank)}"
    )
    batch = input.shape[:batch_dims]
    node.require(
        indices.shape[:batch_dims] == batch,
        f"'{input.name}' {list(input.shape)} and '{indices.name}' {list(indices.shape)} differ in their first {batch_dims} axes",
    )
    shape = require_shape(node, infer_gather(input.shape, indices.shape, axis, batch_dims))
    view = math.prod(batch), math.prod(input.shape[batch_dims:axis]), input.shape[axis], math.prod(input.shape[axis + 1 :])
    return Step(gather, GatherParams(node.where, view, math.prod(indices.shape[batch_dims:]), shape), (shape,))


def prepare_gather_nd(node: Node) -> Step:
    """GATHER_ND."""
    input, indices = node.input(0), node.input(1)
    require_same_type(node, input, node.output)
    require_positions(node, indices)
    for operand in (input, indices):
        node.require(operand.rank >= 1, f"'{operand.name}' is a scalar, expected one axis at least")
    depth = indices.shape[-1]
    node.require(depth <= input.rank, f"indices '{indices.name}' go through {depth} axes, '{input.name}' has {input.rank}")
    node.require(0 not in input.shape or 0 in indices.shape, f"'{input.name}' {list(input.shape)} is empty, its indices are not")
    shape = require_shape(node, infer_gather_nd(input.shape, indices.shape))
    params = NdParams(node.where, input.shape[:depth], math.prod(input.shape[depth:]), math.prod(indices.shape[:-1]), shape)
    return Step(gather_nd, params, (shape,))


def prepare_scatter_nd(node: Node) -> Step:
    """SCATTER_ND."""
    indices, updates, wanted = node.input(0), node.input(1), node.input(2)
    require_same_type(node, updates, node.output)
    for operand in (indices, wanted):
        if operand.dtype != "int32":
            raise node.unsupported(f"'{operand.name}' is {operand.dtype}, qcore has int32")
    node.require(indices.rank >= 1, f"indices '{indices.name}' are a scalar, expected one axis at least")
    depth, shape = indices.shape[-1], read_shape(node, wanted)
    node.require(depth <= len(shape), f"indices '{indices.name}' go through {depth} axes, the output has {len(shape)}")
    expected = infer_gather_nd(shape, indices.shape)
    node.require(
        updates.rank >= 1 and updates.shape == expected, f"updates '{updates.name}' are {list(updates.shape)}, expected {list(expected)}"
    )
    params = NdParams(node.where, shape[:depth], math.prod(shape[depth:]), math.prod(indices.shape[:-1]), shape)
    return Step(scatter_nd, params, (shape,))


def row_numbers(where: str, indices: Array, sizes: Shape) -> Array:
    """int64[n]: the row that each index names, in row-major order over these sizes.

    Args:
        where: how a message names the operator.
        indices: int16 | int32 | int64[n, len(sizes)].
        sizes: of the axes that an index goes through.

    Raises:
        ModelError: an index is out of range.
    """
    rows = np.zeros(len(indices), np.int64)
    for column, size in zip(indices.T, sizes, strict=True):
        require_indices(where, column, size)
        rows = rows * size + column
    return rows


def gather(p: GatherParams, x: Array, indices: Array) -> Array:
    """Slices of x along an axis, one for each index; in each batch by indices of its own."""
    batch, _, size, _ = p.view
    require_indices(p.where, indices, size)
    slices = x.reshape(p.view).swapaxes(1, 2)
    picked: Array = slices[np.arange(batch)[:, np.newaxis], indices.reshape(batch, p.count)]
    return picked.swapaxes(1, 2).reshape(p.shape)


def gather_nd(p: NdParams, x: Array, indices: Array) -> Array:
    """Rows of x, one for each index, which is the last axis of indices."""
    rows = row_numbers(p.where, indices.reshape(p.count, len(p.indexed)), p.indexed)
    picked: Array = x.reshape(math.prod(p.indexed), p.row)[rows]
    return picked.reshape(p.shape)


def scatter_nd(p: NdParams, indices: Array, updates: Array, _shape: Array) -> Array:
    """Rows of a tensor of zeros that updates are added to, one for each index; integers wrap, booleans are or-ed."""
    rows = row_numbers(p.where, indices.reshape(p.count, len(p.indexed)), p.indexed)
    out = np.zeros(p.shape, updates.dtype)
    np.add.at(out.reshape(math.prod(p.indexed), p.row), rows, updates.reshape(p.count, p.row))
    return out


GATHER = OpDef(
    "GATHER",
    prepare_gather,
    ("float32", "float16", "bfloat16", "uint8", "int4", "int8", "int16", "int32", "int64", "bool", "string"),
    (2, 2),
    notes="strings have one axis",
)
GATHER_ND = OpDef(
    "GATHER_ND",
    prepare_gather_nd,
    ("float32", "float16", "bfloat16", "uint8", "int8", "int16", "int32", "int64", "bool", "string"),
    (2, 2),
)
SCATTER_ND = OpDef("SCATTER_ND", prepare_scatter_nd, ("float32", "uint8", "bool", "int8", "int32", "int64"), (3, 3), principal=1)
