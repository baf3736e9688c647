"""MATRIX_DIAG, MATRIX_SET_DIAG, SPARSE_TO_DENSE, DYNAMIC_UPDATE_SLICE and DILATE: values set into a larger tensor.

Values are moved as they are.

Source (TensorFlow Lite 2.21; element types: LiteRT 2.3): tflite/kernels/matrix_diag.cc, tflite/kernels/matrix_set_diag.cc,
tflite/kernels/sparse_to_dense.cc, tflite/kernels/dynamic_update_slice.cc, tflite/kernels/dilate.cc.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qcore.kernels.common import integers, read_shape, require_rank, require_same_type, require_shape, types_of_width
from qcore.kernels.gather import row_numbers
from qcore.kernels.opdef import Array, Node, OpDef, Shape, Step

DIAGONAL_TYPES = ("float32", "int64", "int32", "int16", "int8", "uint8")


@dataclass(frozen=True)
class SparseParams:
    """where: how a message names the operator; count: how many indices there are; shape: the output's."""

    where: str
    count: int
    shape: Shape


@dataclass(frozen=True)
class DilateParams:
    """dilations: the step along each axis; shape: the output's."""

    dilations: tuple[int, ...]
    shape: Shape


def infer_dilate(input: Shape, dilations: tuple[int, ...]) -> Shape:
    """One less than dilation new elements between two old ones."""
    return tuple((size - 1) * dilation + 1 for size, dilation in zip(input, dilations, strict=True))


def prepare_matrix_diag(node: Node) -> Step:
    """MATRIX_DIAG."""
    input = node.input(0)
    require_same_type(node, input, node.output)
    node.require(input.rank >= 1, f"'{input.name}' is a scalar, expected one axis at least")
    return Step(matrix_diag, None, (require_shape(node, (*input.shape, input.shape[-1])),))


def prepare_matrix_set_diag(node: Node) -> Step:
    """MATRIX_SET_DIAG."""
    input, diagonal = node.input(0), node.input(1)
    require_same_type(node, input, diagonal, node.output)
    node.require(input.rank >= 2, f"'{input.name}' is {list(input.shape)}, expected two axes at least")
    expected = (*input.shape[:-2], min(input.shape[-2:]))
    node.require(diagonal.shape == expected, f"diagonal '{diagonal.name}' is {list(diagonal.shape)}, expected {list(expected)}")
    return Step(matrix_set_diag, None, (input.shape,))


def prepare_sparse_to_dense(node: Node) -> Step:
    """SPARSE_TO_DENSE; indices of one axis or none are those of a vector."""
    indices, wanted, values, default = (node.input(i) for i in range(4))
    require_same_type(node, values, default, node.output)
    require_rank(node, indices, 0, 2)
    require_rank(node, values, 0, 1)
    if indices.dtype not in ("int32", "int64"):
        raise node.unsupported(f"indices '{indices.name}' are {indices.dtype}, qcore has int32, int64")
    node.require(math.prod(default.shape) == 1, f"default '{default.name}' is {list(default.shape)}, expected one value")
    shape = read_shape(node, wanted)
    count, depth = indices.shape if indices.rank == 2 else (math.prod(indices.shape), 1)
    node.require(depth == len(shape) <= 4, f"indices '{indices.name}' go through {depth} axes, the output has {len(shape)}, at most 4")
    node.require(values.rank == 0 or values.shape == (count,), f"'{values.name}' is {list(values.shape)}, there are {count} indices")
    return Step(sparse_to_dense, SparseParams(node.where, count, shape), (shape,))


def prepare_dynamic_update_slice(node: Node) -> Step:
    """DYNAMIC_UPDATE_SLICE."""
    operand, update, start = (node.input(i) for i in range(3))
    require_same_type(node, operand, update, node.output)
    require_rank(node, operand, 0, 8)
    if start.dtype not in ("int32", "int64"):
        raise node.unsupported(f"start '{start.name}' is {start.dtype}, qcore has int32, int64")
    node.require(start.shape == (operand.rank,), f"start '{start.name}' is {list(start.shape)}, expected [{operand.rank}]")
    fits = update.rank == operand.rank and all(new <= old for new, old in zip(update.shape, operand.shape, strict=True))
    node.require(fits, f"update '{update.name}' {list(update.shape)} does not fit into '{operand.name}' {list(operand.shape)}")
    return Step(dynamic_update_slice, None, (operand.shape,))


def prepare_dilate(node: Node) -> Step:
    """DILATE."""
    input, factors, value = (node.input(i) for i in range(3))
    require_same_type(node, input, value, node.output)
    node.require(input.rank >= 1, f"'{input.name}' is a scalar, expected one axis at least")
    node.require(math.prod(value.shape) == 1, f"padding value '{value.name}' is {list(value.shape)}, expected one value")
    node.require(factors.shape == (input.rank,), f"dilations '{factors.name}' are {list(factors.shape)}, expected [{input.rank}]")
    dilations = tuple(integers(node, factors, ("int32",)))
    node.require(min(dilations) >= 1, f"dilations {list(dilations)}, expected at least 1")
    node.require(
        all(size > 0 or dilation == 1 for size, dilation in zip(input.shape, dilations, strict=True)),
        f"'{input.name}' {list(input.shape)} is empty along an axis with a dilation of more than 1",
    )
    shape = require_shape(node, infer_dilate(input.shape, dilations))
    return Step(dilate, DilateParams(dilations, shape), (shape,))


def matrix_diag(_p: None, x: Array) -> Array:
    """Matrices that are zero but for their diagonals, which are the rows of x."""
    size = x.shape[-1]
    out = np.zeros((*x.shape, size), x.dtype)
    out[..., np.arange(size), np.arange(size)] = x
    return out


def matrix_set_diag(_p: None, x: Array, diagonal: Array) -> Array:
    """The matrices of x with other diagonals."""
    out, along = x.copy(), np.arange(diagonal.shape[-1])
    out[..., along, along] = diagonal
    return out


def sparse_to_dense(p: SparseParams, indices: Array, _shape: Array, values: Array, default: Array) -> Array:
    """A tensor of one value but for some, each at its index; of several at one index, the last stays."""
    rows = row_numbers(p.where, indices.reshape(p.count, len(p.shape)), p.shape)
    out = np.full(p.shape, default.reshape(()), default.dtype)
    out.reshape(-1)[rows] = values
    return out


def dynamic_update_slice(_p: None, x: Array, update: Array, start: Array) -> Array:
    """A copy of x with a part replaced; the part begins at start, moved so that it lies within x."""
    begin = [min(max(int(first), 0), old - new) for first, old, new in zip(start, x.shape, update.shape, strict=True)]
    out = x.copy()
    out[tuple(slice(first, first + new) for first, new in zip(begin, update.shape, strict=True))] = update
    return out


def dilate(p: DilateParams, x: Array, _dilations: Array, value: Array) -> Array:
    """The elements of x with copies of one value between them."""
    out = np.full(p.shape, value.reshape(()), x.dtype)
    out[tuple(slice(None, None, dilation) for dilation in p.dilations)] = x
    return out


MATRIX_DIAG = OpDef("MATRIX_DIAG", prepare_matrix_diag, DIAGONAL_TYPES, (1, 1))
MATRIX_SET_DIAG = OpDef("MATRIX_SET_DIAG", prepare_matrix_set_diag, DIAGONAL_TYPES, (2, 2))
SPARSE_TO_DENSE = OpDef("SPARSE_TO_DENSE", prepare_sparse_to_dense, ("float32", "int32", "int64", "int8", "uint8"), (4, 4), principal=2)
DYNAMIC_UPDATE_SLICE = OpDef("DYNAMIC_UPDATE_SLICE", prepare_dynamic_update_slice, types_of_width(4, 8, 16, 32, 64, 128), (3, 3))
DILATE = OpDef("DILATE", prepare_dilate, types_of_width(8, 16, 32, 64, 128), (3, 3))
