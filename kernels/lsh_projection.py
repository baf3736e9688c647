"""LSH_PROJECTION: a few bits of an input, such that inputs that share much share many bits (locality-sensitive hashing).

    bit[i, j] = (sum over items k of weight[k] * int64(fingerprint64(seed[i, j], item[k]))) > 0

The fingerprint is of the bytes of the float32 seed and the item, one after the other; products and sums are float64, in order. Items are
what the input's first axis counts. DENSE gives the bits; SPARSE an int32 for each row of bits, the first bit the highest, to which the
row's number times 2**bits is added.

Source (TensorFlow Lite 2.21): tflite/kernels/lsh_projection.cc.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import require_rank, types_of_width
from qcore.kernels.farmhash import fingerprint64
from qcore.kernels.opdef import Array, Node, OpDef, Shape, Step

CHUNK = 1 << 20
"""Bytes that are hashed at once, or those of all items with one seed."""


def infer_shape(seeds: Shape, kind: str) -> Shape:
    """A number for each row of bits, or for each bit."""
    return (seeds[0],) if kind == "SPARSE" else (math.prod(seeds),)


def prepare(node: Node) -> Step:
    """Check types and shapes."""
    seeds, input, weights, kind = node.input(0), node.input(1), node.optional_input(2), node.options["type"]
    if kind not in ("SPARSE", "DENSE"):
        raise node.unsupported(f"type {kind}, qcore has SPARSE and DENSE")
    require_rank(node, seeds, 2)
    node.require(seeds.shape[1] <= 32, f"seeds '{seeds.name}' have shape {list(seeds.shape)}, expected up to 32 bits")
    node.require(input.rank >= 1 and input.shape[0] >= 1, f"input '{input.name}' has shape {list(input.shape)}, expected one item or more")
    if weights is not None:
        node.require(
            weights.shape == input.shape[:1], f"weights have shape {list(weights.shape)}, expected one for each of {input.shape[0]} items"
        )
    for operand, dtype in ((seeds, "float32"), (weights, "float32"), (node.output, "int32")):
        node.require(
            operand is None or operand.dtype == dtype, f"'{operand and operand.name}' is {operand and operand.dtype}, expected {dtype}"
        )
    shape = infer_shape(seeds.shape, kind)
    scratch = 16 * max(CHUNK, 8 * input.shape[0] + input.size * input.storage.itemsize)
    return Step(sparse if kind == "SPARSE" else dense, None, (shape,), scratch)


def bits(seeds: NDArray[np.float32], x: Array, weights: NDArray[np.float32] | None) -> NDArray[np.bool_]:
    """bool, shaped like the seeds."""
    items = np.ascontiguousarray(x).reshape(len(x), -1).view(np.uint8)
    prefixes = np.ascontiguousarray(seeds).reshape(-1, 1).view(np.uint8)
    count, length = len(x), prefixes.shape[1] + items.shape[1]
    out = np.empty(len(prefixes), np.bool_)
    step = max(1, CHUNK // (count * length))
    for start in range(0, len(prefixes), step):
        chunk = prefixes[start : start + step, np.newaxis]
        keys = np.empty((len(chunk), count, length), np.uint8)
        keys[..., : chunk.shape[2]] = chunk
        keys[..., chunk.shape[2] :] = items
        values = fingerprint64(keys.reshape(-1, length)).view(np.int64).astype(np.float64).reshape(len(chunk), count)
        scores = np.cumsum(values if weights is None else values * weights, axis=1)
        out[start : start + step] = scores[:, -1] > 0
    return out.reshape(seeds.shape)


def dense(_: None, seeds: Array, x: Array, weights: Array | None = None) -> Array:
    """The bits of any numbers[items, ...], int32[rows * bits], from seeds float32[rows, bits] and weights float32[items]."""
    return bits(seeds, x, weights).reshape(-1).astype(np.int32)


def sparse(_: None, seeds: Array, x: Array, weights: Array | None = None) -> Array:
    """Rows of bits as int32[rows], which wraps; from the same."""
    rows, width = seeds.shape
    places = np.int64(1) << np.arange(width)[::-1]
    offsets = np.arange(rows) << width % 32
    return np.asarray(bits(seeds, x, weights) @ places + offsets, np.int32)


LSH_PROJECTION = OpDef("LSH_PROJECTION", prepare, types_of_width(8, 16, 32, 64, 128), (2, 3), principal=1)
