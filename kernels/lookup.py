"""EMBEDDING_LOOKUP: rows of a table, by their numbers.

    output[i, ...] = table[ids[i], ...]

A table of integers with a float output is dequantized on the way, ``scale * quantized``, with one scale, one for each row, or one for each
block of a row; it has no zero point. Otherwise the rows are copied as they are.

Source (TensorFlow Lite 2.21): tflite/kernels/embedding_lookup.cc. There a row of int4 that starts within a byte is read from that byte's
first half; here it starts where it starts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import EVERY_TYPE, require_indices, require_rank, require_same_type
from qcore.kernels.hybrid import block_scale, dequantize_blocks
from qcore.kernels.opdef import Array, Node, OpDef, Operand, Shape, Step

INTEGERS, REALS = ("int8", "uint8", "int4", "int2"), ("float32", "float16")
"""Types of a table whose rows may be dequantized, and what to."""


@dataclass(frozen=True)
class Params:
    """What messages call the operator, and what rows are dequantized with and to.

    scale: float32[1 or rows, blocks].
    """

    where: str
    scale: NDArray[np.float32]
    output: np.dtype[Any]


def infer_shape(ids: Shape, table: Shape) -> Shape:
    """A row for each id."""
    return (*ids, *table[1:])


def prepare(node: Node) -> Step:
    """Check types and shapes, and choose whether rows are dequantized."""
    ids, table, output = node.input(0), node.input(1), node.output
    node.require(ids.dtype == "int32", f"ids are {ids.dtype}, expected int32")
    require_rank(node, ids, 1)
    node.require(table.rank >= 2, f"table '{table.name}' has shape {list(table.shape)}, expected rank 2 or more")
    shape = infer_shape(ids.shape, table.shape)
    if table.dtype in INTEGERS and output.dtype in REALS:
        return Step(dequantized_rows, Params(node.where, table_scale(node, table), output.storage), (shape,))
    require_same_type(node, table, output)
    q = table.quantization
    one_scale = table.blocks is None and (q is None or q.scale.size <= 1)
    node.require(one_scale, f"table '{table.name}' has {table.scales}, expected one where rows of {table.dtype} are copied")
    return Step(rows, node.where, (shape,))


def table_scale(node: Node, table: Operand) -> NDArray[np.float32]:
    """float32[1 or rows, blocks]: the scale of the table, of each row, or of each block of a row."""
    if table.blocks is not None:
        return block_scale(node, table, table.blocks)
    q, count = table.quantization, table.shape[0]
    if q is None or q.scale.size == 0:
        raise node.error(f"table '{table.name}' ({table.dtype}) has no scale")
    per_row = q.scale.size == count and q.quantized_dimension == 0
    node.require(
        q.scale.size == 1 or per_row,
        f"table has {q.scale.size} scales along axis {q.quantized_dimension}, expected one, or one for each of {count} rows along axis 0",
    )
    node.require(not q.zero_point.any(), f"table has zero points {q.zero_point}, expected 0")
    return q.scale.reshape(-1, 1)


def rows(where: str, ids: Array, table: Array) -> Array:
    """Rows of a table of any type as they are; where: what messages call the operator."""
    require_indices(where, ids, len(table))
    return table[ids]


def dequantized_rows(p: Params, ids: Array, table: Array) -> Array:
    """Rows of int8[rows, ...] as real numbers; a table of type uint8 holds int8 codes."""
    quantized = rows(p.where, ids, table.view(np.int8))
    scale = p.scale[ids] if len(p.scale) > 1 else p.scale
    flat = quantized.reshape(len(ids), math.prod(table.shape[1:]))
    return dequantize_blocks(flat, scale).astype(p.output, copy=False).reshape(quantized.shape)


EMBEDDING_LOOKUP = OpDef(
    "EMBEDDING_LOOKUP",
    prepare,
    EVERY_TYPE,
    (2, 2),
    principal=1,
    notes="TensorFlow Lite misreads int4 and int2 rows that start within a byte; qcore gives the row",
)
