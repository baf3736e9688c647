"""REVERSE_V2, REVERSE_SEQUENCE: values in the opposite order along some axes, or along one axis up to a length for each batch entry.

Source (TensorFlow Lite 2.21): tflite/kernels/reverse.cc, reverse_sequence.cc,
kernels/internal/reference/reference_ops.h#ReverseSequence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qcore.kernels.common import integers, normalize_axis, require_rank, require_same_type
from qcore.kernels.opdef import Array, Node, OpDef, Step

MAX_RANK = 8


@dataclass(frozen=True)
class Params:
    """The axes to reverse, counted from the front."""

    axes: tuple[int, ...]


@dataclass(frozen=True)
class SequenceParams:
    """The axis to reverse along, and the axis whose entries have their own length."""

    seq_dim: int
    batch_dim: int


def prepare(node: Node) -> Step:
    """REVERSE_V2: the axes must be adjacent."""
    input, axis = node.input(0), node.input(1)
    require_same_type(node, input, node.output)
    require_rank(node, input, 1, MAX_RANK)
    require_rank(node, axis, 1)
    axes = tuple(sorted(normalize_axis(node, each, input.rank) for each in integers(node, axis, ("int32",))))
    adjacent = axes == tuple(range(axes[0], axes[0] + len(axes))) if axes else False
    node.require(adjacent, f"axes to reverse are {list(axes)}, expected one or several adjacent ones, each once")
    return Step(reverse, Params(axes), (input.shape,))


def prepare_sequence(node: Node) -> Step:
    """REVERSE_SEQUENCE."""
    input, lengths = node.input(0), node.input(1)
    require_same_type(node, input, node.output)
    require_rank(node, lengths, 1)
    seq_dim, batch_dim = node.options["seq_dim"], node.options["batch_dim"]
    for name, dim in (("seq_dim", seq_dim), ("batch_dim", batch_dim)):
        node.require(0 <= dim < input.rank, f"{name} {dim} is out of range for rank {input.rank}")
    node.require(seq_dim != batch_dim, f"seq_dim and batch_dim are both {seq_dim}")
    entries, size = input.shape[batch_dim], input.shape[seq_dim]
    node.require(lengths.shape == (entries,), f"seq_lengths have shape {list(lengths.shape)}, expected [{entries}]")
    longest = max(integers(node, lengths), default=0)
    node.require(longest <= size, f"a sequence length is {longest}, axis {seq_dim} has {size}")
    return Step(reverse_sequences, SequenceParams(seq_dim, batch_dim), (input.shape,))


def reverse(p: Params, x: Array, _axis: Array) -> Array:
    """Values of any type in the opposite order."""
    return np.flip(x, p.axes)


def reverse_sequences(p: SequenceParams, x: Array, lengths: Array) -> Array:
    """The first ``lengths[b]`` values of batch entry b in the opposite order, the others as they are.

    Args:
        p: the two axes.
        x: any type[...].
        lengths: int32 | int64[batch]; where negative nothing is reversed.
    """
    place = np.arange(x.shape[p.seq_dim])
    length = lengths.astype(np.int64)[:, np.newaxis]
    source = np.where(place < length, length - 1 - place, place)
    if p.seq_dim < p.batch_dim:
        source = source.T
    others = tuple(axis for axis in range(x.ndim) if axis not in (p.seq_dim, p.batch_dim))
    return np.take_along_axis(x, np.expand_dims(source, others), axis=p.seq_dim)


REVERSE_V2 = OpDef("REVERSE_V2", prepare, ("float32", "int8", "uint8", "int16", "int32", "int64", "bool", "float16", "bfloat16"), (2, 2))
REVERSE_SEQUENCE = OpDef("REVERSE_SEQUENCE", prepare_sequence, ("float32", "uint8", "int16", "int32", "int64"), (2, 2))
