"""CONCATENATION and PACK: several tensors joined along an axis, an old one or a new one.

Values are moved as they are, except by CONCATENATION of uint8: an input whose scale or zero point differs from the output's is
requantized. That rule is of float32 and depends on the code alone, so that ``prepare`` writes it down as a table of 256 codes.

Source (TensorFlow Lite 2.21; element types: LiteRT 2.3): tflite/kernels/concatenation.cc, tflite/kernels/pack.cc,
kernels/internal/reference/concatenation.h#ConcatenationWithScaling.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from qcore.kernels.common import (
    INT32_MAX,
    normalize_axis,
    parameters,
    require_centred_int16,
    require_rank,
    require_same_quantization,
    require_same_type,
    require_shape,
)
from qcore.kernels.opdef import Array, Node, OpDef, Operand, Shape, Step
from qcore.numerics.rounding import round_half_away


@dataclass(frozen=True)
class Params:
    """How inputs are joined.

    axis: along which, counted from the front.
    tables: for each input uint8[256], the output's code for each of its codes; None where codes stay as they are.
    """

    axis: int
    tables: tuple[Array | None, ...] = ()


def infer_concatenation(shapes: list[Shape], axis: int) -> Shape:
    """Sizes along the axis add up."""
    first = shapes[0]
    return first[:axis] + (sum(shape[axis] for shape in shapes),) + first[axis + 1 :]


def infer_pack(shape: Shape, axis: int, count: int) -> Shape:
    """A new axis, as long as there are inputs."""
    return shape[:axis] + (count,) + shape[axis:]


def rescaling(node: Node, input: Operand, output: Operand) -> Array | None:
    """uint8[256]: the output's code for each code of the input; None where both tensors have one scale and zero point.

    ``round_half_away(code * ratio + offset) + output_zero_point``, saturated, where ``ratio = input_scale * (1 / output_scale)`` and
    ``offset = -input_zero_point * ratio``; all in float32.
    """
    (input_scale, input_zero_point), (output_scale, output_zero_point) = parameters(input), parameters(output)
    if (input_scale, input_zero_point) == (output_scale, output_zero_point):
        return None
    node.require(output_scale > 0, f"'{input.name}' is rescaled to '{output.name}', whose scale is {output_scale}, expected more than 0")
    ratio = np.float32(input_scale) * (np.float32(1) / np.float32(output_scale))
    node.require(bool(np.isfinite(ratio)), f"'{input.name}' has scale {input_scale}, '{output.name}' {output_scale}: too far apart")
    real = np.arange(256, dtype=np.float32) * ratio + np.float32(-input_zero_point) * ratio
    return np.clip(round_half_away(real).astype(np.float64) + output_zero_point, 0, 255).astype(np.uint8)


def prepare_concatenation(node: Node) -> Step:
    """CONCATENATION. Scalars, which TensorFlow Lite takes where they are constants, count as vectors of one."""
    inputs, output = [node.input(i) for i in range(len(node.inputs))], node.output
    first = inputs[0]
    activation = node.options["fused_activation_function"]
    if activation != "NONE":
        raise node.unsupported(f"fused activation {activation}, expected NONE")
    require_same_type(node, *inputs, output)
    shapes = [input.shape or (1,) for input in inputs]
    axis = normalize_axis(node, node.options["axis"], len(shapes[0]))
    for input, shape in zip(inputs, shapes, strict=True):
        require_rank(node, input, first.rank)
        node.require(
            shape[:axis] + shape[axis + 1 :] == shapes[0][:axis] + shapes[0][axis + 1 :],
            f"'{input.name}' is {list(input.shape)}, '{first.name}' {list(first.shape)}: they may differ along axis {axis} alone",
        )
    if output.dtype == "int8":
        for input in inputs:
            require_same_quantization(node, input, output)
    require_centred_int16(node, *inputs, output)
    tables = tuple(rescaling(node, input, output) if output.dtype == "uint8" else None for input in inputs)
    shape = require_shape(node, infer_concatenation(shapes, axis))
    parts: list[int | None] = [None] * len(inputs)
    if math.prod(shape[:axis]) == 1:
        starts = itertools.accumulate(map(math.prod, shapes), initial=0)
        parts = [start if table is None else None for start, table in zip(starts, tables, strict=False)]
    return Step(concatenate, Params(axis, tables), (shape,), parts=tuple(parts))


def prepare_pack(node: Node) -> Step:
    """PACK."""
    inputs, output = [node.input(i) for i in range(len(node.inputs))], node.output
    count, first = node.options["values_count"], inputs[0]
    node.require(count == len(inputs), f"values_count is {count}, there are {len(inputs)} inputs")
    require_same_type(node, *inputs, output)
    axis = normalize_axis(node, node.options["axis"], first.rank + 1)
    for input in inputs:
        node.require(
            input.shape == first.shape, f"'{input.name}' is {list(input.shape)}, '{first.name}' {list(first.shape)}, expected the same"
        )
        require_same_quantization(node, input, output)
    return Step(pack, Params(axis), (require_shape(node, infer_pack(first.shape, axis, count)),))


def concatenate(p: Params, *inputs: Array) -> Array:
    """Inputs one after the other along the axis; tensors of one type, of one shape but for that axis."""
    codes = [x if table is None else table.take(x) for x, table in zip(inputs, p.tables, strict=True)]
    return np.concatenate([np.atleast_1d(x) for x in codes], p.axis)


def pack(p: Params, *inputs: Array) -> Array:
    """Inputs side by side along a new axis; tensors of one type and shape."""
    return np.stack(inputs, p.axis)


CONCATENATION = OpDef(
    "CONCATENATION",
    prepare_concatenation,
    ("float32", "float16", "bfloat16", "uint8", "int8", "int16", "int32", "int64", "bool", "uint32", "int4"),
    (1, INT32_MAX),
    notes="uint8 inputs are requantized to the output's scale; int8 inputs must have it",
)
PACK = OpDef("PACK", prepare_pack, ("float32", "uint8", "int8", "int16", "int32", "int64", "uint32"), (1, INT32_MAX))
