"""TILE, BROADCAST_TO, BROADCAST_ARGS, FILL and RANGE: values repeated, and values counted up.

Source (TensorFlow Lite 2.21; element types: LiteRT 2.3): tflite/kernels/tile.cc, tflite/kernels/broadcast_to.cc,
tflite/kernels/broadcast_args.cc, kernels/internal/reference/broadcast_args.h, tflite/kernels/fill.cc, tflite/kernels/range.cc.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qcore.errors import ModelError
from qcore.kernels.common import (
    INT32_MAX,
    integers,
    read_shape,
    require_centred_int16,
    require_rank,
    require_same_quantization,
    require_same_type,
    require_shape,
    types_of_width,
)
from qcore.kernels.opdef import Array, Node, OpDef, Shape, Step


@dataclass(frozen=True)
class TileParams:
    """repeats: how often the input comes along each axis."""

    repeats: tuple[int, ...]


@dataclass(frozen=True)
class BroadcastParams:
    """shape: the output's."""

    shape: Shape


@dataclass(frozen=True)
class BroadcastArgsParams:
    """where: how a message names the operator."""

    where: str


@dataclass(frozen=True)
class RangeParams:
    """start, delta: scalars of the output's type; count: how many values there are."""

    start: Array
    delta: Array
    count: int


def infer_tile(input: Shape, repeats: tuple[int, ...]) -> Shape:
    """Sizes times repeats."""
    return tuple(size * repeat for size, repeat in zip(input, repeats, strict=True))


def infer_range(node: Node, start: Array, limit: Array, delta: Array) -> int:
    """How many values lie from start on, before limit; the quotient is rounded in float32 where the values are float32."""
    towards = (delta > 0 and start <= limit) or (delta < 0 and start >= limit)
    node.require(bool(towards), f"start {start}, limit {limit}, delta {delta}: delta does not lead from start to limit")
    if start.dtype == np.float32:
        quotient = float(np.abs((limit - start) / delta))
        count = math.ceil(quotient) if math.isfinite(quotient) else INT32_MAX + 1
    else:
        count = -((int(start) - int(limit)) // int(delta))
    node.require(count <= INT32_MAX, f"start {start}, limit {limit}, delta {delta} give more than {INT32_MAX} values")
    return count


def prepare_tile(node: Node) -> Step:
    """TILE."""
    input, multiples = node.input(0), node.input(1)
    require_same_type(node, input, node.output)
    repeats = tuple(integers(node, multiples))
    node.require(len(repeats) == input.rank, f"multiples '{multiples.name}' are {list(multiples.shape)}, expected {input.rank} values")
    node.require(min(repeats, default=0) >= 0, f"multiples {list(repeats)} hold a negative one")
    return Step(tile, TileParams(repeats), (require_shape(node, infer_tile(input.shape, repeats)),))


def prepare_broadcast_to(node: Node) -> Step:
    """BROADCAST_TO."""
    input = node.input(0)
    require_same_type(node, input, node.output)
    shape = read_shape(node, node.input(1))
    aligned = shape[max(0, len(shape) - input.rank) :]
    fits = len(aligned) == input.rank and all(size in (1, wanted) for size, wanted in zip(input.shape, aligned, strict=True))
    node.require(fits, f"'{input.name}' {list(input.shape)} cannot be broadcast to {list(shape)}")
    return Step(broadcast_to, BroadcastParams(shape), (shape,))


def prepare_fill(node: Node) -> Step:
    """FILL."""
    value, output = node.input(1), node.output
    require_same_type(node, value, output)
    require_rank(node, value, 0)
    require_same_quantization(node, value, output)
    require_centred_int16(node, value)
    shape = read_shape(node, node.input(0))
    return Step(fill, BroadcastParams(shape), (shape,))


def prepare_broadcast_args(node: Node) -> Step:
    """BROADCAST_ARGS."""
    first, second = node.input(0), node.input(1)
    require_same_type(node, first, second, node.output)
    for operand in (first, second):
        require_rank(node, operand, 1)
    return Step(broadcast_args, BroadcastArgsParams(node.where), ((max(first.shape[0], second.shape[0]),),))


def prepare_range(node: Node) -> Step:
    """RANGE."""
    operands = [node.input(i) for i in range(3)]
    require_same_type(node, *operands, node.output)
    for operand in operands:
        require_rank(node, operand, 0)
    start, limit, delta = (operand.value[()] for operand in operands)
    count = infer_range(node, start, limit, delta)
    return Step(count_up, RangeParams(start, delta, count), ((count,),))


def tile(p: TileParams, x: Array, _multiples: Array) -> Array:
    """Copies of x, any type and shape, set side by side along every axis."""
    return np.tile(x, p.repeats)


def broadcast_to(p: BroadcastParams, x: Array, _shape: Array) -> Array:
    """Copies of x, any type and shape, along its axes of 1 and along new axes in front."""
    return np.broadcast_to(x, p.shape).copy()


def fill(p: BroadcastParams, _shape: Array, value: Array) -> Array:
    """A tensor of one value, which is a scalar of any type."""
    return np.broadcast_to(value, p.shape).copy()


def broadcast_args(p: BroadcastArgsParams, first: Array, second: Array) -> Array:
    """The shape that two shapes, int32 | int64[rank], broadcast to.

    Raises:
        ModelError: they do not.
    """
    rank = max(len(first), len(second))
    a, b = (np.concatenate([np.ones(rank - len(shape), shape.dtype), shape]) for shape in (first, second))
    if not ((a == 1) | (b == 1) | (a == b)).all():
        raise ModelError(f"{p.where}: shapes {first.tolist()} and {second.tolist()} cannot be broadcast together")
    return np.where(a == 1, b, a)


def count_up(p: RangeParams, *_: Array) -> Array:
    """start, start + delta, ...: each value is the one before plus delta, rounded in its own type; integers wrap."""
    values = np.full(p.count, p.delta)
    values[:1] = p.start
    return np.add.accumulate(values, dtype=values.dtype)


TILE = OpDef("TILE", prepare_tile, ("string", *types_of_width(8, 16, 32, 64)), (2, 2))
BROADCAST_TO = OpDef("BROADCAST_TO", prepare_broadcast_to, types_of_width(8, 16, 32, 64, 128), (2, 2))
BROADCAST_ARGS = OpDef("BROADCAST_ARGS", prepare_broadcast_args, ("int32", "int64"), (2, 2))
FILL = OpDef("FILL", prepare_fill, ("string", *types_of_width(8, 16, 32, 64)), (2, 2), principal=1)
RANGE = OpDef("RANGE", prepare_range, ("float32", "int32", "int64"), (3, 3))
