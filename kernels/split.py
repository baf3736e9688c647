"""SPLIT, SPLIT_V and UNPACK: a tensor cut along an axis, into equal parts, into parts of given sizes, or into slices without that axis.

Values are moved as they are; outputs are views of the input.

Source (TensorFlow Lite 2.21; element types: LiteRT 2.3): tflite/kernels/split.cc, tflite/kernels/split_v.cc, tflite/kernels/unpack.cc.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from qcore.kernels.common import INT32_MAX, integers, normalize_axis, require_same_quantization, require_same_type, single_integer
from qcore.kernels.opdef import Array, Node, OpDef, Operand, Shape, Step

TYPES = ("float32", "uint8", "int8", "int16", "int32", "int64")


@dataclass(frozen=True)
class Params:
    """How the input is cut.

    axis: counted from the front.
    ends: where each part but the last ends along the axis.
    """

    axis: int
    ends: tuple[int, ...] = ()


def infer_split(input: Shape, axis: int, sizes: list[int]) -> tuple[Shape, ...]:
    """One shape for each part."""
    return tuple(input[:axis] + (size,) + input[axis + 1 :] for size in sizes)


def infer_unpack(input: Shape, axis: int) -> tuple[Shape, ...]:
    """As many tensors without the axis as it is long."""
    return (input[:axis] + input[axis + 1 :],) * input[axis]


def prepare_sizes(node: Node, kernel: Callable[..., Any], input: Operand, axis: int, sizes: list[int]) -> Step:
    """Cut into parts of these sizes, which add up to the length of the axis."""
    require_same_type(node, input, *node.outputs)
    return Step(kernel, Params(axis, tuple(itertools.accumulate(sizes[:-1]))), infer_split(input.shape, axis, sizes))


def require_outputs(node: Node, option: str) -> None:
    """Refuse the model unless it has as many outputs as the option says."""
    count = node.options[option]
    node.require(count == len(node.outputs), f"{option} is {count}, there are {len(node.outputs)} outputs")


def prepare_split(node: Node) -> Step:
    """SPLIT."""
    input, count = node.input(1), len(node.outputs)
    require_outputs(node, "num_splits")
    axis = normalize_axis(node, single_integer(node, node.input(0)), input.rank)
    length = input.shape[axis]
    node.require(length % count == 0, f"axis {axis} of '{input.name}' is {length} long, which {count} outputs cannot share evenly")
    return prepare_sizes(node, split, input, axis, [length // count] * count)


def prepare_split_v(node: Node) -> Step:
    """SPLIT_V; a size of -1 is what the others leave."""
    input, count = node.input(0), len(node.outputs)
    require_outputs(node, "num_splits")
    sizes = node.input(1)
    node.require(sizes.shape == (count,), f"sizes '{sizes.name}' are {list(sizes.shape)}, expected [{count}]")
    axis = normalize_axis(node, single_integer(node, node.input(2)), input.rank)
    length, parts = input.shape[axis], integers(node, sizes)
    given = sum(size for size in parts if size != -1)
    if parts.count(-1) == 1:
        parts[parts.index(-1)] = length - given
    node.require(
        min(parts) >= 0 and sum(parts) == length, f"sizes {integers(node, sizes)} do not share axis {axis} of '{input.name}', {length} long"
    )
    return prepare_sizes(node, split_v, input, axis, parts)


def prepare_unpack(node: Node) -> Step:
    """UNPACK."""
    input = node.input(0)
    require_outputs(node, "num")
    require_same_type(node, input, *node.outputs)
    axis = normalize_axis(node, node.options["axis"], input.rank)
    length = input.shape[axis]
    node.require(length == len(node.outputs), f"axis {axis} of '{input.name}' is {length} long, there are {len(node.outputs)} outputs")
    node.require(0 not in input.shape, f"'{input.name}' {list(input.shape)} is empty")
    for output in node.outputs:
        require_same_quantization(node, input, output)
    return Step(unpack, Params(axis), infer_unpack(input.shape, axis))


def split(p: Params, _axis: Array, x: Array) -> tuple[Array, ...]:
    """Parts of x in order."""
    return tuple(np.split(x, p.ends, p.axis))


def split_v(p: Params, x: Array, _sizes: Array, _axis: Array) -> tuple[Array, ...]:
    """Parts of x in order."""
    return tuple(np.split(x, p.ends, p.axis))


def unpack(p: Params, x: Array) -> tuple[Array, ...]:
    """Slices of x in order."""
    slices = np.moveaxis(x, p.axis, 0)
    return tuple(slices[i, ...] for i in range(len(slices)))


SPLIT = OpDef("SPLIT", prepare_split, TYPES, (2, 2), (1, INT32_MAX), principal=1)
SPLIT_V = OpDef("SPLIT_V", prepare_split_v, TYPES, (3, 3), (1, INT32_MAX))
UNPACK = OpDef(
    "UNPACK", prepare_unpack, ("float32", "float16", "bfloat16", "uint8", "int8", "int16", "int32", "bool"), (1, 1), (1, INT32_MAX)
)
