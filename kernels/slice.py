"""SLICE and STRIDED_SLICE: part of a tensor, along each axis every stride-th element from a beginning to an end.

Values are moved as they are; outputs are views of the input.

STRIDED_SLICE has vectors of begin, end and stride, whose entries stand for the input's axes in order. Bit i of a mask is about entry i:
``begin_mask`` and ``end_mask`` leave that bound away, ``shrink_axis_mask`` takes the one element at begin and drops the axis,
``new_axis_mask`` stands for a new axis of 1, ``ellipsis_mask`` for as many whole axes as the other entries leave over. Axes that no
entry stands for are taken whole. Positions below 0 count from the end of the axis; positions beyond either end of it are clamped.

TensorFlow Lite departs from TensorFlow in three ways, which are kept: an ellipsis stands for one axis at least, entries after the last
axis are ignored, and a begin that is clamped to the first element may be one to shrink to.

Source (TensorFlow Lite 2.21; element types: LiteRT 2.3): tflite/kernels/slice.cc, tflite/kernels/strided_slice.cc,
kernels/internal/reference/strided_slice.h#StartForAxis, #EndForAxis.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import EllipsisType

from qcore.kernels.common import integers, require_rank, require_same_type, require_shape, types_of_width
from qcore.kernels.opdef import Array, Node, OpDef, Shape, Step

Index = tuple[slice | int | EllipsisType | None, ...]


@dataclass(frozen=True)
class Params:
    """index: what is taken, as NumPy indexes; it ends in an ellipsis, so that even one element is an array."""

    index: Index


def infer_slice(node: Node, input: Shape, begin: list[int], size: list[int]) -> Shape:
    """The sizes asked for; -1 stands for all from begin on."""
    shape = []
    for axis, (length, first, count) in enumerate(zip(input, begin, size, strict=True)):
        taken = length - first if count == -1 else count
        node.require(
            first >= 0 and taken >= 0 and first + taken <= length,
            f"begin {first} and size {count} reach out of axis {axis}, which is {length} long",
        )
        shape.append(taken)
    return tuple(shape)


def infer_strided_slice(node: Node, input: Shape, begin: list[int], end: list[int], strides: list[int]) -> tuple[Index, Shape]:
    """What is taken, and its shape."""
    options, rank, count = node.options, len(input), len(begin)
    ellipses = [entry for entry in range(count) if options["ellipsis_mask"] >> entry & 1]
    new_axes = [entry for entry in range(count) if options["new_axis_mask"] >> entry & 1 and entry not in ellipses]
    node.require(len(ellipses) <= 1, f"entries {ellipses} are ellipses, expected one at most")
    node.require(not options["offset"] or (count == rank and not ellipses + new_axes), "offset needs an entry for every axis")
    whole = max(1, rank + len(new_axes) + 1 - count)
    index: list[slice | int | EllipsisType | None] = []
    shape: list[int] = []
    axis = 0
    for entry in range(count):
        if len(index) == rank + len(new_axes):
            break
        if entry in new_axes:
            index.append(None)
            shape.append(1)
            continue
        axes = whole if entry in ellipses else 1
        node.require(axis + axes <= rank, f"entry {entry} stands for axis {axis}, the input has {rank} axes")
        if entry in ellipses:
            index += [slice(None)] * axes
            shape += input[axis : axis + axes]
        else:
            taken = positions(node, entry, input[axis], begin[entry], end[entry], strides[entry])
            if options["shrink_axis_mask"] >> entry & 1:
                index.append(taken.start)
            else:
                index.append(slice(taken.start, taken.stop if taken.stop >= 0 else None, taken.step) if taken else slice(0, 0))
                shape.append(len(taken))
        axis += axes
    return (*index, ...), require_shape(node, (*shape, *input[axis:]))


def positions(node: Node, entry: int, size: int, begin: int, end: int, stride: int) -> range:
    """What an entry takes of an axis of that size."""
    options = node.options
    node.require(stride != 0, f"stride of entry {entry} is 0")
    low, high = (0, size) if stride > 0 else (-1, size - 1)
    whole = (low, high) if stride > 0 else (high, low)

    def clamped(position: int) -> int:
        return min(max(position + size if position < 0 else position, low), high)

    first = whole[0] if options["begin_mask"] >> entry & 1 else clamped(begin)
    if options["shrink_axis_mask"] >> entry & 1:
        node.require(stride > 0 and first < size, f"entry {entry} takes element {begin} at stride {stride}, the axis is {size} long")
        return range(first, first + 1)
    last = whole[1] if options["end_mask"] >> entry & 1 else clamped(end + first if options["offset"] else end)
    taken = range(first, last, stride)
    if options["offset"]:
        node.require(len(taken) == len(range(0, end, stride)), f"entry {entry} takes {end} from {begin} on, the axis is {size} long")
    return taken


def prepare_slice(node: Node) -> Step:
    """SLICE."""
    input, begin, size = node.input(0), node.input(1), node.input(2)
    require_same_type(node, input, node.output)
    firsts, sizes = integers(node, begin), integers(node, size)
    # Only now: until their values are known, a file may leave the lengths of begin and size open too.
    for operand in (begin, size):
        node.require(operand.shape == (input.rank,), f"'{operand.name}' is {list(operand.shape)}, expected [{input.rank}]")
    shape = infer_slice(node, input.shape, firsts, sizes)
    index = [slice(first, first + count) for first, count in zip(firsts, shape, strict=True)]
    return Step(take, Params((*index, ...)), (shape,))


def prepare_strided_slice(node: Node) -> Step:
    """STRIDED_SLICE."""
    input, vectors = node.input(0), [node.input(i) for i in (1, 2, 3)]
    require_same_type(node, input, node.output)
    for vector in vectors:
        require_rank(node, vector, 1)
        node.require(vector.shape == vectors[0].shape, f"'{vector.name}' has {vector.shape[0]} entries, begin {vectors[0].shape[0]}")
    node.require(vectors[0].shape[0] <= 31, f"has {vectors[0].shape[0]} entries, at most 31 are supported")
    begin, end, strides = (integers(node, vector, ("int32",)) for vector in vectors)
    index, shape = infer_strided_slice(node, input.shape, begin, end, strides)
    return Step(take, Params(index), (shape,))


def take(p: Params, x: Array, *_: Array) -> Array:
    """Part of x, any type and shape."""
    return x[p.index]


SLICE = OpDef("SLICE", prepare_slice, ("string", *types_of_width(4, 8, 16, 32, 64)), (3, 3))
STRIDED_SLICE = OpDef("STRIDED_SLICE", prepare_strided_slice, ("string", *types_of_width(8, 16, 32, 64)), (4, 4))
