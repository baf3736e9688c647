"""SPACE_TO_DEPTH, DEPTH_TO_SPACE, SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: blocks of pixels moved into channels or the batch, and back.

Tensors are NHWC; the operators on the batch take one axis of space or two. In a block of h rows and w columns, the pixel in row i and
column j goes to channels ``(i * w + j) * channels + c``, or to the batch ``(i * w + j) * batch + b``. Values are moved as they are;
what SPACE_TO_BATCH_ND pads with is real zero.

Source (TensorFlow Lite 2.21; element types: LiteRT 2.3): tflite/kernels/space_to_depth.cc, tflite/kernels/depth_to_space.cc,
tflite/kernels/space_to_batch_nd.cc, tflite/kernels/batch_to_space_nd.cc, and the files of the same names in kernels/internal/reference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qcore.kernels.common import (
    integers,
    require_centred_int16,
    require_rank,
    require_same_quantization,
    require_same_type,
    require_shape,
    types_of_width,
)
from qcore.kernels.opdef import Array, Node, OpDef, Shape, Step
from qcore.kernels.pad import QUANTIZED, Paddings, PadParams, pad, pad_params, read_paddings, real_zero

DEPTH_TYPES = ("float32", "uint8", "int8", "int32", "int64")
BATCH_TYPES = types_of_width(8, 16, 32, 64)


@dataclass(frozen=True)
class DepthParams:
    """block: rows, and columns, of a block; shape: the output's."""

    block: int
    shape: Shape


@dataclass(frozen=True)
class SpaceToBatchParams:
    """block: its size along each axis of space; padding: what is added first; shape: the output's."""

    block: tuple[int, ...]
    padding: PadParams
    shape: Shape


@dataclass(frozen=True)
class BatchToSpaceParams:
    """block: its size along each axis of space; whole: the output's shape before it is cropped; inside: what is left of it."""

    block: tuple[int, ...]
    whole: Shape
    inside: tuple[slice, ...]


def infer_space_to_depth(input: Shape, block: int) -> Shape:
    """A pixel for each block."""
    return input[0], input[1] // block, input[2] // block, input[3] * block * block


def infer_depth_to_space(input: Shape, block: int) -> Shape:
    """A block for each pixel."""
    return input[0], input[1] * block, input[2] * block, input[3] // block // block


def infer_space_to_batch(padded: Shape, block: tuple[int, ...]) -> Shape:
    """A pixel for each block."""
    space = tuple(size // each for size, each in zip(padded[1:-1], block, strict=True))
    return padded[0] * math.prod(block), *space, padded[-1]


def infer_batch_to_space(input: Shape, block: tuple[int, ...]) -> Shape:
    """A block for each pixel; before cropping."""
    space = tuple(size * each for size, each in zip(input[1:-1], block, strict=True))
    return input[0] // math.prod(block), *space, input[-1]


def depth_block(node: Node) -> int:
    """The block size of the operators on channels, after the checks that they share."""
    block: int = node.options["block_size"]
    require_same_type(node, node.input(0), node.output)
    require_rank(node, node.input(0), 4)
    node.require(block > 0, f"block_size is {block}, expected at least 1")
    return block


def prepare_space_to_depth(node: Node) -> Step:
    """SPACE_TO_DEPTH."""
    input, block = node.input(0).shape, depth_block(node)
    node.require(input[1] % block == 0 and input[2] % block == 0, f"input {list(input)} does not divide into blocks of {block} x {block}")
    shape = require_shape(node, infer_space_to_depth(input, block))
    return Step(space_to_depth, DepthParams(block, shape), (shape,))


def prepare_depth_to_space(node: Node) -> Step:
    """DEPTH_TO_SPACE."""
    input, block = node.input(0).shape, depth_block(node)
    node.require(input[3] % (block * block) == 0, f"{input[3]} channels do not divide into blocks of {block} x {block}")
    shape = require_shape(node, infer_depth_to_space(input, block))
    return Step(depth_to_space, DepthParams(block, shape), (shape,))


def batch_block(node: Node) -> tuple[tuple[int, ...], Paddings]:
    """Block sizes and margins of the operators on the batch, after the checks that they share."""
    input, output, sizes = node.input(0), node.output, node.input(1)
    require_same_type(node, input, output)
    require_rank(node, input, 3, 4)
    if input.dtype in QUANTIZED:
        require_same_quantization(node, input, output)
    require_centred_int16(node, input)
    axes = input.rank - 2
    block = tuple(integers(node, sizes, ("int32",)))
    node.require(sizes.shape == (axes,), f"'{sizes.name}' is {list(sizes.shape)}, expected [{axes}]")
    node.require(min(block) > 0, f"block sizes {list(block)}, expected at least 1")
    return block, read_paddings(node, node.input(2), axes, ("int32",))


def prepare_space_to_batch(node: Node) -> Step:
    """SPACE_TO_BATCH_ND."""
    input, (block, paddings) = node.input(0).shape, batch_block(node)
    padding = pad_params(node, input, ((0, 0), *paddings, (0, 0)), real_zero(node.output))
    padded = padding.shape
    for size, each in zip(padded[1:-1], block, strict=True):
        node.require(size % each == 0, f"padded input {list(padded)} does not divide into blocks of {list(block)}")
    shape = require_shape(node, infer_space_to_batch(padded, block))
    return Step(space_to_batch, SpaceToBatchParams(block, padding, shape), (shape,))


def prepare_batch_to_space(node: Node) -> Step:
    """BATCH_TO_SPACE_ND."""
    input, (block, crops) = node.input(0).shape, batch_block(node)
    node.require(input[0] % math.prod(block) == 0, f"a batch of {input[0]} does not divide into blocks of {list(block)}")
    whole = require_shape(node, infer_batch_to_space(input, block))
    for size, crop in zip(whole[1:-1], crops, strict=True):
        node.require(sum(crop) <= size, f"crops {list(crop)} take more than there is, {size}")
    inside = tuple(slice(before, size - after) for size, (before, after) in zip(whole[1:-1], crops, strict=True))
    shape = (whole[0], *(part.stop - part.start for part in inside), whole[-1])
    return Step(batch_to_space, BatchToSpaceParams(block, whole, (slice(None), *inside)), (shape,))


def space_to_depth(p: DepthParams, x: Array) -> Array:
    """x: any type[batch, height, width, channels]."""
    batch, height, width, _ = p.shape
    blocks = x.reshape(batch, height, p.block, width, p.block, x.shape[3])
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(p.shape)


def depth_to_space(p: DepthParams, x: Array) -> Array:
    """x: any type[batch, height, width, channels]."""
    blocks = x.reshape(*x.shape[:3], p.block, p.block, p.shape[3])
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(p.shape)


def space_to_batch(p: SpaceToBatchParams, x: Array, _block: Array, paddings: Array) -> Array:
    """x: any type[batch, *space, channels]."""
    axes = len(p.block)
    split = [size for pair in zip(p.shape[1:-1], p.block, strict=True) for size in pair]
    blocks = pad(p.padding, x, paddings).reshape(x.shape[0], *split, x.shape[-1])
    order = (*range(2, 2 * axes + 1, 2), 0, *range(1, 2 * axes + 1, 2), 2 * axes + 1)
    return blocks.transpose(order).reshape(p.shape)


def batch_to_space(p: BatchToSpaceParams, x: Array, _block: Array, _crops: Array) -> Array:
    """x: any type[batch, *space, channels]."""
    axes = len(p.block)
    blocks = x.reshape(*p.block, p.whole[0], *x.shape[1:])
    order = (axes, *(place for axis in range(axes) for place in (axes + 1 + axis, axis)), 2 * axes + 1)
    cropped: Array = blocks.transpose(order).reshape(p.whole)[p.inside]
    return cropped


SPACE_TO_DEPTH = OpDef("SPACE_TO_DEPTH", prepare_space_to_depth, DEPTH_TYPES, (1, 1))
DEPTH_TO_SPACE = OpDef("DEPTH_TO_SPACE", prepare_depth_to_space, DEPTH_TYPES, (1, 1))
SPACE_TO_BATCH_ND = OpDef("SPACE_TO_BATCH_ND", prepare_space_to_batch, BATCH_TYPES, (3, 3))
BATCH_TO_SPACE_ND = OpDef("BATCH_TO_SPACE_ND", prepare_batch_to_space, BATCH_TYPES, (3, 3))
