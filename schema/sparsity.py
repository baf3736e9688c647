"""The sparsity of a constant: which of a tensor's elements its buffer holds.

A tensor of shape (d0, ..., dn-1) may be cut into blocks; the blocks' own dimensions count on as dn, ... . ``traversal_order`` lists first
the n outer, then the block dimensions, in the order in which the elements are stored. Each dimension of that order, level by level,
is dense (all coordinates are there) or compressed: for every place so far, ``array_segments`` bounds a run of ``array_indices``,
the coordinates that are there.

Source: TACO's level formats (Kjolstad et al., "The Tensor Algebra Compiler", 2017); ``SparsityParameters`` of the TensorFlow Lite schema;
``tflite/core/tools/verifier.cc#VerifyAndCountSparseElements``.
"""

from __future__ import annotations

import reprlib
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.errors import ModelError
from qcore.model import Table
from qcore.schema.description import value_of


def stored_elements(sparsity: Table, shape: tuple[int, ...], where: str) -> int:
    """How many elements a sparse tensor's buffer holds, after checking that every index leads into the tensor.

    Args:
        sparsity: a SparsityParameters table.
        shape: the tensor's.
        where: what messages call the tensor.

    Raises:
        ModelError: the parameters do not fit each other or the shape.
    """
    sizes = _expanded_sizes(sparsity, shape, where)
    count = 1
    levels = value_of(sparsity, "dim_metadata") or []
    for level, (dimension, metadata) in enumerate(zip(_integers(sparsity, "traversal_order").tolist(), levels, strict=True)):
        at = f"{where}, sparsity, level {level}"
        if value_of(metadata, "format") == "DENSE":
            if value_of(metadata, "dense_size") != sizes[dimension]:
                raise ModelError(f"{at}: dense size {value_of(metadata, 'dense_size')}, dimension {dimension} has {sizes[dimension]}")
            count *= sizes[dimension]
        else:
            count = _compressed(metadata, count, sizes[dimension], at)
    return count


def make_dense(values: NDArray[Any], sparsity: Table, shape: tuple[int, ...]) -> NDArray[Any]:
    """All elements of a sparse tensor; those that are not stored are 0.

    Args:
        values: storage type[stored_elements], in the order in which they are stored.
        sparsity: a SparsityParameters table that ``stored_elements`` has checked.
        shape: the tensor's.

    Source: ``tflite/kernels/internal/utils/sparsity_format_converter.cc#FormatConverter::SparseToDense``.
    """
    dense = np.zeros(prod(shape), values.dtype)
    if dense.size:
        dense[_positions(sparsity, shape)] = values
    return dense.reshape(shape)


def _positions(sparsity: Table, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Where each stored element stands in the tensor, in row-major order; level by level, the places so far each lead to more."""
    steps = [prod(shape[dimension + 1 :]) for dimension in range(len(shape))]
    sizes, blocks = _expanded_sizes(sparsity, shape, ""), _integers(sparsity, "block_map").tolist()
    for block, outer in enumerate(blocks, start=len(shape)):
        steps.append(steps[outer])
        steps[outer] *= sizes[block]
    positions = np.zeros(1, np.int64)
    for dimension, metadata in zip(_integers(sparsity, "traversal_order").tolist(), value_of(sparsity, "dim_metadata") or [], strict=True):
        if value_of(metadata, "format") == "DENSE":
            positions = np.add.outer(positions, np.arange(sizes[dimension]) * steps[dimension]).reshape(-1)
        else:
            segments, indices = _runs(metadata)
            positions = np.repeat(positions, np.diff(segments)) + indices * steps[dimension]
    return positions


def _expanded_sizes(sparsity: Table, shape: tuple[int, ...], where: str) -> list[int]:
    """Sizes of the outer dimensions in blocks, then of the blocks' own dimensions."""
    rank = len(shape)
    order = _integers(sparsity, "traversal_order").tolist()
    blocks = _integers(sparsity, "block_map").tolist()
    levels = value_of(sparsity, "dim_metadata") or []
    if sorted(order[:rank]) != list(range(rank)) or sorted(order[rank:]) != list(range(rank, len(order))):
        raise ModelError(
            f"{where}, sparsity: traversal order {reprlib.repr(order)} does not list {rank} outer dimensions, then the blocks'"
        )
    if len(levels) != len(order) or len(blocks) != len(order) - rank:
        raise ModelError(
            f"{where}, sparsity: the traversal order has {len(order)} levels, of which {len(order) - rank} are of blocks, "
            f"got metadata of {len(levels)} and a block map of {len(blocks)}"
        )
    if len(set(blocks)) != len(blocks) or any(not 0 <= dimension < rank for dimension in blocks):
        raise ModelError(f"{where}, sparsity: block map {reprlib.repr(blocks)}, expected different dimensions of {rank}")
    sizes = [*shape, *(0 for _ in blocks)]
    for level in range(rank, len(order)):
        outer, block_size = blocks[order[level] - rank], value_of(levels[level], "dense_size")
        if block_size <= 0 or shape[outer] % block_size:
            raise ModelError(f"{where}, sparsity: blocks of {block_size} do not divide dimension {outer} of size {shape[outer]}")
        sizes[order[level]] = block_size
        sizes[outer] = shape[outer] // block_size
    return sizes


def _compressed(metadata: Table, places: int, size: int, where: str) -> int:
    segments, indices = _runs(metadata)
    if len(segments) != places + 1 or segments[0] != 0 or np.any(segments[1:] < segments[:-1]) or segments[-1] != len(indices):
        raise ModelError(f"{where}: expected {places + 1} segments that rise from 0 to the number of indices ({len(indices)})")
    if len(indices) and not 0 <= indices.min() <= indices.max() < size:
        raise ModelError(f"{where}: indices go from {indices.min()} to {indices.max()}, the dimension has {size}")
    return len(indices)


def _runs(metadata: Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The segments and the indices of a compressed level."""

    def integers(name: str) -> NDArray[np.int64]:
        vector = value_of(metadata, name)
        return np.zeros(0, np.int64) if vector is None else _integers(vector, "values")

    return integers("array_segments"), integers("array_indices")


def _integers(table: Table, field: str) -> NDArray[np.int64]:
    """A vector of integers, empty where there is none; wide enough that differences do not wrap."""
    values = value_of(table, field)
    return np.zeros(0, np.int64) if values is None else np.asarray(values).astype(np.int64)
