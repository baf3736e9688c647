"""L2_NORMALIZATION and LOCAL_RESPONSE_NORMALIZATION: each value over the size of its neighbours along the last axis.

    l2_normalization(x)_i = x_i / sqrt(sum_j x_j**2)                                          j over the whole row
    local_response(x)_i   = x_i / (bias + alpha * sum_j x_j**2)**beta                         j from i - radius to i + radius

Quantized, L2_NORMALIZATION needs no scale, which divides out: it multiplies the centred codes by the inverse root of the sum of their
squares (qcore.numerics.fixed_point_functions). The output's steps are 1/128.

Source (TensorFlow Lite 2.21): tflite/kernels/l2norm.cc, local_response_norm.cc; kernels/internal/reference/l2normalization.h;
kernels/internal/reference/integer_ops/l2normalization.h. The reference kernel of LOCAL_RESPONSE_NORMALIZATION leaves out the window's
upper end; the optimized one, and qcore, do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qcore.kernels.common import require_rank, require_same_type
from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Step
from qcore.numerics.fixed_point import rounding_divide_by_pot, saturating_rounding_doubling_high_mul
from qcore.numerics.fixed_point_functions import inverse_sqrt_multiplier

LEAST_NORM = np.float32(1e-6)
OUTPUT_BITS = 7
"""The output's steps are ``2**-7``."""


@dataclass(frozen=True)
class L2Params:
    """The code of real 0 at the input, and at the output."""

    input_zero_point: int
    output_zero_point: int


@dataclass(frozen=True)
class LocalParams:
    """Reach of the window to either side, and the constants of the formula."""

    radius: int
    bias: np.float32
    alpha: np.float32
    beta: np.float32


def prepare_l2(node: Node) -> Step:
    """L2_NORMALIZATION: quantized, the output's scale is 1/128 and its zero point the middle code."""
    input, output = node.input(0), node.output
    require_same_type(node, input, output)
    require_rank(node, input, 1, 4)
    if node.options["fused_activation_function"] != "NONE":
        raise node.unsupported(f"fused activation {node.options['fused_activation_function']}, qcore has NONE")
    shapes = (input.shape,)
    if input.dtype == "float32":
        return Step(l2_float, None, shapes)
    middle = 0 if input.dtype == "int8" else 128
    node.require(
        output.scale == 1 / 128 and output.zero_point == middle,
        f"output has scale {output.scale} and zero point {output.zero_point}, expected 1/128 and {middle}",
    )
    return Step(l2_int8 if input.dtype == "int8" else l2_uint8, L2Params(input.zero_point, middle), shapes)


def prepare_local_response(node: Node) -> Step:
    """LOCAL_RESPONSE_NORMALIZATION."""
    input, options = node.input(0), node.options
    require_same_type(node, input, node.output)
    require_rank(node, input, 4)
    radius = options["radius"]
    node.require(radius >= 0, f"radius is {radius}, expected 0 or more")
    constants = (np.float32(options[name]) for name in ("bias", "alpha", "beta"))
    return Step(local_response, LocalParams(min(radius, input.shape[-1]), *constants), (input.shape,))


def l2_float(_: None, x: Array) -> Array:
    """Float32[..., depth] over its norm, or over 1e-6 where that is more."""
    norm: Array = np.sqrt((x * x).sum(axis=-1, keepdims=True))
    return x / np.maximum(norm, LEAST_NORM)


def centred_and_inverse(p: L2Params, x: Array) -> tuple[Array, Array, Array]:
    """Centred codes, and the multiplier and shift of each row's inverse norm.

    The int32 sum of squares is exact for rows of up to 33025 codes; it wraps beyond, and a negative one counts as 1.
    """
    centred = np.subtract(x, p.input_zero_point, dtype=np.int32)
    squares = (centred * centred).sum(axis=-1, keepdims=True, dtype=np.int32)
    return centred, *inverse_sqrt_multiplier(squares)


def l2_int8(p: L2Params, x: Array) -> Array:
    """Int8[..., depth] over its norm: the multiplier's shift is 7 less, so that the product comes out in steps of 1/128."""
    centred, multiplier, shift = centred_and_inverse(p, x)
    shift = shift + OUTPUT_BITS
    high = saturating_rounding_doubling_high_mul(centred << np.maximum(shift, 0), multiplier)
    return np.clip(rounding_divide_by_pot(high, np.maximum(-shift, 0)), -128, 127).astype(np.int8)


def l2_uint8(p: L2Params, x: Array) -> Array:
    """Uint8[..., depth] over its norm: the codes are multiplied by 128 first, which keeps more of their digits."""
    centred, multiplier, shift = centred_and_inverse(p, x)
    high = saturating_rounding_doubling_high_mul(centred << OUTPUT_BITS, multiplier)
    codes: Array = rounding_divide_by_pot(high, -shift) + np.int32(p.output_zero_point)
    return np.clip(codes, 0, 255).astype(np.uint8)


def window_sums(x: Array, radius: int) -> Array:
    """Sums over ``2 * radius + 1`` neighbours along the last axis, missing ones counting as 0.

    Sums over 1, 2, 4, ... neighbours are made one from the other, and those that make up the width are added.
    """
    depth, width = x.shape[-1], 2 * radius + 1
    sums = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(radius, radius)])
    total = np.zeros_like(x)
    start, length = 0, 1
    while length <= width:
        if width & length:
            total += sums[..., start : start + depth]
            start += length
        sums = sums[..., :-length] + sums[..., length:]
        length *= 2
    return total


def local_response(p: LocalParams, x: Array) -> Array:
    """Float32[batch, height, width, channels] over a power of the window's sum of squares."""
    factor: Array = np.power(p.bias + p.alpha * window_sums(x * x, p.radius), -p.beta)
    return x * factor


L2_NORMALIZATION = OpDef("L2_NORMALIZATION", prepare_l2, ("float32", "int8", "uint8"), (1, 1), tolerances={"float32": FLOAT_ORDER})
LOCAL_RESPONSE_NORMALIZATION = OpDef(
    "LOCAL_RESPONSE_NORMALIZATION",
    prepare_local_response,
    ("float32",),
    (1, 1),
    tolerances={"float32": FLOAT_ORDER},
    notes="TensorFlow Lite's reference kernel leaves out the upper end of the window; qcore follows its optimized one.",
)
