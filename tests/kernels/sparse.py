"""Constants that store only some of their elements."""

from __future__ import annotations

import numpy as np

from qcore.model import Buffer, Model, Table
from qcore.schema import encode


def rows_of_blocks(segments: list[int], indices: list[int], shape: tuple[int, int], width: int) -> Table:
    """Sparsity of a matrix: each row a run of blocks of so many columns; no blocks where width is 1."""
    compressed = {
        "format": "SPARSE_CSR",
        "array_segments": Table("Int32Vector", {"values": np.array(segments, np.int32)}),
        "array_indices": Table("Int32Vector", {"values": np.array(indices, np.int32)}),
    }
    levels = [{"format": "DENSE", "dense_size": shape[0]}, compressed, *([{"format": "DENSE", "dense_size": width}] if width > 1 else [])]
    return Table(
        "SparsityParameters",
        {
            "traversal_order": np.arange(len(levels), dtype=np.int32),
            "block_map": np.array([1], np.int32) if width > 1 else None,
            "dim_metadata": [Table("DimensionMetadata", level) for level in levels],
        },
    )


def make_sparse(model: Model, index: int, width: int = 1) -> Model:
    """The model, a matrix of which now stores only those blocks of so many columns that are not all zero."""
    tensor = model.subgraphs[0].tensors[index]
    assert tensor.buffer.data is not None
    rows, columns = tensor.shape
    blocks = tensor.buffer.data.view(tensor.dtype).reshape(rows, columns // width, width)
    there = blocks.any(axis=2)
    tensor.sparsity = rows_of_blocks([0, *np.cumsum(there.sum(axis=1))], list(np.nonzero(there)[1]), (rows, columns), width)
    tensor.buffer = Buffer(encode(blocks[there].reshape(-1), tensor.dtype))
    model.buffers.append(tensor.buffer)
    return model
