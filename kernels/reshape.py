"""RESHAPE, SQUEEZE and EXPAND_DIMS: the same values in the same order under another shape.

Outputs are views of the input; every element type will do.

Source (TensorFlow Lite 2.21; element types: LiteRT 2.3): tflite/kernels/reshape.cc, kernels/internal/reshape_utils.h#ResolveOutputShape,
tflite/kernels/squeeze.cc, tflite/kernels/expand_dims.cc.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qcore.kernels.common import (
    EVERY_TYPE,
    integers,
    normalize_axis,
    require_centred_int16,
    require_rank,
    require_same_quantization,
    require_same_type,
    require_shape,
    single_integer,
)
from qcore.kernels.opdef import Array, Node, OpDef, Shape, Step


@dataclass(frozen=True)
class Params:
    """shape: the output's."""

    shape: Shape


def infer_shape(node: Node, input: Shape, wanted: list[int]) -> Shape:
    """The shape that RESHAPE is asked for; its dimension of -1, if any, is the one that keeps the number of elements.

    For an input without elements, -1 becomes 0, unless another wanted dimension is 0 already: then it is what the other dimensions of
    both shapes give, zeros left out.
    """
    node.require(wanted.count(-1) <= 1 and min(wanted, default=0) >= -1, f"shape {wanted} has negative dimensions, expected one -1 at most")
    shape = list(wanted)
    if -1 in shape:
        known = [size for size in wanted if size != -1]
        if 0 in input and 0 not in known:
            missing = 0
        else:
            missing = math.prod(size for size in input if size) // math.prod(size for size in known if size)
        shape[shape.index(-1)] = missing
    node.require(math.prod(shape) == math.prod(input), f"input is {list(input)}, which has not the elements of shape {wanted}")
    return require_shape(node, shape)


def wanted_shape(node: Node) -> list[int]:
    """What RESHAPE is asked for: by the vector of int32 that is its second input, else by the option ``new_shape``.

    Legacy files write a scalar's shape as the option [0].
    """
    operand = node.optional_input(1)
    if operand is not None and operand.rank == 1 and operand.dtype == "int32":
        return integers(node, operand)
    option = [] if node.options["new_shape"] is None else [int(size) for size in node.options["new_shape"]]
    return [] if option == [0] else option


def prepare_reshape(node: Node) -> Step:
    """RESHAPE."""
    input = node.input(0)
    require_same_type(node, input, node.output)
    shape = infer_shape(node, input.shape, wanted_shape(node))
    return Step(reshape, Params(shape), (shape,), parts=(0,))


def prepare_squeeze(node: Node) -> Step:
    """SQUEEZE: dimensions of 1 go, those that are named or else all."""
    input = node.input(0)
    require_same_type(node, input, node.output)
    require_rank(node, input, 0, 8)
    option = node.options["squeeze_dims"]
    if option is None or len(option) == 0:
        axes = {axis for axis, size in enumerate(input.shape) if size == 1}
    else:
        axes = {normalize_axis(node, int(axis), input.rank) for axis in option}
    for axis in axes:
        node.require(input.shape[axis] == 1, f"axis {axis} of '{input.name}' {list(input.shape)} is to go, but is not 1")
    shape = tuple(size for axis, size in enumerate(input.shape) if axis not in axes)
    return Step(reshape, Params(shape), (shape,), parts=(0,))


def prepare_expand_dims(node: Node) -> Step:
    """EXPAND_DIMS: a dimension of 1 comes in."""
    input, output = node.input(0), node.output
    require_same_type(node, input, output)
    require_same_quantization(node, input, output)
    require_centred_int16(node, input)
    axis = normalize_axis(node, single_integer(node, node.input(1)), input.rank + 1)
    shape = require_shape(node, input.shape[:axis] + (1,) + input.shape[axis:])
    return Step(reshape, Params(shape), (shape,), parts=(0,))


def reshape(p: Params, x: Array, _shape: Array | None = None) -> Array:
    """The elements of x, any type and shape, in row-major order."""
    return x.reshape(p.shape)


RESHAPE = OpDef("RESHAPE", prepare_reshape, EVERY_TYPE, (1, 2))
SQUEEZE = OpDef("SQUEEZE", prepare_squeeze, EVERY_TYPE, (1, 1))
EXPAND_DIMS = OpDef("EXPAND_DIMS", prepare_expand_dims, EVERY_TYPE, (2, 2))
