"""PAD, PADV2 and MIRROR_PAD: a tensor made larger on either side of its axes, with one value or with its own mirror image.

PAD adds real zero, which is the output's zero point where values are quantized; PADV2 brings its value along. MIRROR_PAD adds the
input seen in a mirror, which stands on the outermost element (REFLECT) or just outside it (SYMMETRIC).

Source (TensorFlow Lite 2.21; element types: LiteRT 2.3): tflite/kernels/pad.cc, tflite/kernels/mirror_pad.cc.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from qcore.kernels.common import (
    integers,
    parameters,
    require_centred_int16,
    require_rank,
    require_same_quantization,
    require_same_type,
    require_shape,
    types_of_width,
)
from qcore.kernels.opdef import Array, Node, OpDef, Operand, Shape, Step

TYPES = ("float32", "float16", "bfloat16", "uint8", "int8", "int16", "int32", "int64", "bool")
QUANTIZED = ("int8", "uint8", "int16")
PADDINGS = ("int32", "int64", "int8", "int16", "bool")

Paddings = tuple[tuple[int, int], ...]
MIRRORS: dict[str, Literal["reflect", "symmetric"]] = {"REFLECT": "reflect", "SYMMETRIC": "symmetric"}


@dataclass(frozen=True)
class PadParams:
    """What PAD and PADV2 add.

    shape: the output's.
    inside: where the input lies in the output.
    zero: the value that stands for real zero.
    """

    shape: Shape
    inside: tuple[slice, ...]
    zero: int


@dataclass(frozen=True)
class MirrorParams:
    """What MIRROR_PAD adds: elements before and after along each axis, and the kind of mirror by NumPy's name."""

    paddings: Paddings
    mirror: Literal["reflect", "symmetric"]


def infer_shape(input: Shape, paddings: Paddings) -> Shape:
    """Each axis grows on both sides."""
    return tuple(before + size + after for size, (before, after) in zip(input, paddings, strict=True))


def read_paddings(node: Node, paddings: Operand, axes: int, types: tuple[str, ...]) -> Paddings:
    """(before, after) for each of so many axes."""
    node.require(paddings.shape == (axes, 2), f"'{paddings.name}' is {list(paddings.shape)}, expected [{axes}, 2]")
    values = integers(node, paddings, types)
    node.require(min(values, default=0) >= 0, f"'{paddings.name}' {values} holds a negative number")
    return tuple(zip(values[::2], values[1::2], strict=True))


def real_zero(tensor: Operand) -> int:
    """The value that stands for real zero: the zero point of int8, uint8 and int16, 0 in tensors of other types."""
    return parameters(tensor)[1] if tensor.dtype in QUANTIZED else 0


def pad_params(node: Node, input: Shape, paddings: Paddings, zero: int) -> PadParams:
    """What ``pad`` needs to know."""
    inside = tuple(slice(before, before + size) for size, (before, _) in zip(input, paddings, strict=True))
    return PadParams(require_shape(node, infer_shape(input, paddings)), inside, zero)


def prepare_pad(node: Node) -> Step:
    """PAD and PADV2."""
    input, output, value = node.input(0), node.output, node.optional_input(2)
    require_same_type(node, input, output)
    require_rank(node, input, 0, 5)
    if value is not None:
        require_same_type(node, input, value)
        node.require(all(size == 1 for size in value.shape), f"padding value '{value.name}' is {list(value.shape)}, expected one value")
        if output.dtype in QUANTIZED:
            require_same_quantization(node, value, output)
    params = pad_params(node, input.shape, read_paddings(node, node.input(1), input.rank, PADDINGS), real_zero(output))
    return Step(pad, params, (params.shape,))


def prepare_mirror_pad(node: Node) -> Step:
    """MIRROR_PAD; the mirror image is no longer than the input."""
    input, output, mode = node.input(0), node.output, node.options["mode"]
    require_same_type(node, input, output)
    if input.dtype in QUANTIZED:
        require_same_quantization(node, input, output)
    require_centred_int16(node, input)
    if mode not in MIRRORS:
        raise node.unsupported(f"mode {mode}, qcore has {', '.join(MIRRORS)}")
    paddings = read_paddings(node, node.input(1), input.rank, ("int32", "int64"))
    for axis, (size, padding) in enumerate(zip(input.shape, paddings, strict=True)):
        most = size - 1 if mode == "REFLECT" else size
        node.require(
            max(padding) <= most, f"paddings {list(padding)} along axis {axis}, at most {most} in mode {mode} for a size of {size}"
        )
    return Step(mirror_pad, MirrorParams(paddings, MIRRORS[mode]), (require_shape(node, infer_shape(input.shape, paddings)),))


def pad(p: PadParams, x: Array, _paddings: Array, value: Array | None = None) -> Array:
    """x, any type and shape, inside a larger tensor of one value."""
    out = np.full(p.shape, p.zero if value is None else value.reshape(()), x.dtype)
    out[p.inside] = x
    return out


def mirror_pad(p: MirrorParams, x: Array, _paddings: Array) -> Array:
    """x, any type and shape, continued by its mirror image along one axis after the other."""
    for axis, padding in enumerate(p.paddings):
        if any(padding):
            x = x.take(np.pad(np.arange(x.shape[axis]), padding, p.mirror), axis)
    return x


PAD = OpDef("PAD", prepare_pad, TYPES, (2, 3), notes="quantized tensors are padded with the output's zero point")
PADV2 = OpDef("PADV2", prepare_pad, TYPES, (2, 3))
MIRROR_PAD = OpDef("MIRROR_PAD", prepare_mirror_pad, types_of_width(8, 16, 32, 64), (2, 2))
