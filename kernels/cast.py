"""CAST and BITCAST: the same numbers in another type, or the same bits.

Integers wrap. Complex numbers lose their imaginary part, floating-point ones their fraction on the way to integers. What then lies
outside the type is up to the compiler in TensorFlow Lite; here it is what its loops give all elements but the last few on x86-64:

* float32 saturates to int32, int16 and uint8; NaN becomes the greatest int32, else 0;
* every other pair goes through the processor's conversion to int32 (int64 for int64 and uint32), which gives the least integer for
  all that does not fit, NaN included; from there real numbers saturate to 8 and 16 bits, complex ones wrap.

Types of 2 and 4 bits are cast from and to float32 only, and saturate.

Source (TensorFlow Lite 2.21): tflite/kernels/cast.cc, bitcast.cc.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from qcore.kernels.opdef import Array, Node, OpDef, Shape, Step
from qcore.numerics.casting import float_to_int32
from qcore.numerics.dtypes import ELEMENT_TYPES

HALF_FLOATS = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
PACKED = ("int2", "int4", "uint4")
CAST_TYPES = (
    *("float32", "float16", "bfloat16", "float64", "complex64", "bool"),
    *("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"),
)
BITCAST_TYPES = tuple(t.name for t in ELEMENT_TYPES.values() if t.bits >= 8 and t.storage is not None)


@dataclass(frozen=True)
class CastParams:
    """The type to end in."""

    storage: np.dtype[Any]


@dataclass(frozen=True)
class PackedParams:
    """Range and storage of a type narrower than a byte."""

    quantized_min: int
    quantized_max: int
    storage: np.dtype[Any]


@dataclass(frozen=True)
class BitcastParams:
    """The type to end in, and the shape."""

    storage: np.dtype[Any]
    shape: Shape


def infer_bitcast_shape(node: Node) -> Shape:
    """The input's shape; a wider input gains a last dimension of the ratio, a narrower one loses it."""
    input, output = node.input(0), node.output
    size, output_size = input.storage.itemsize, output.storage.itemsize
    if size > output_size:
        return *input.shape, size // output_size
    if size < output_size:
        ratio = output_size // size
        node.require(
            input.rank > 0 and input.shape[-1] == ratio,
            f"input {input.dtype}{list(input.shape)} cannot become {output.dtype}, expected a last dimension of {ratio}",
        )
        return input.shape[:-1]
    return input.shape


def prepare_cast(node: Node) -> Step:
    """CAST."""
    input, output = node.input(0), node.output
    types = (*CAST_TYPES, *PACKED) if input.dtype == "float32" else ("float32",) if input.dtype in PACKED else CAST_TYPES
    if output.dtype not in types:
        raise node.unsupported(f"output is {output.dtype}, qcore has {', '.join(types)} for {input.dtype} input")
    if output.dtype in PACKED:
        type = output.type
        return Step(cast_to_packed, PackedParams(type.quantized_min, type.quantized_max, output.storage), (input.shape,))
    return Step(cast, CastParams(output.storage), (input.shape,))


def prepare_bitcast(node: Node) -> Step:
    """BITCAST."""
    if node.output.dtype not in BITCAST_TYPES:
        raise node.unsupported(f"output is {node.output.dtype}, qcore has {', '.join(BITCAST_TYPES)}")
    shape = infer_bitcast_shape(node)
    return Step(bitcast, BitcastParams(node.output.storage, shape), (shape,))


def cast(p: CastParams, x: Array) -> Array:
    """Numbers of any type in another; half-width floats are reached by way of float32."""
    real = x.real if x.dtype.kind == "c" and p.storage.kind != "c" else x
    if p.storage in HALF_FLOATS:
        return real.astype(np.float32).astype(p.storage)
    if p.storage.kind in "iu" and x.dtype.kind not in "iub":
        return to_integers(real, p.storage, wraps=x.dtype.kind == "c")
    return real.astype(p.storage)


def to_integers(x: Array, storage: np.dtype[Any], wraps: bool) -> Array:
    """Whole part of real numbers as integers; see the top of this file for what does not fit."""
    limits = np.iinfo(storage)
    wide: Array = x.astype(np.float64)
    if not wraps and x.dtype == np.float32 and storage in (np.int32, np.int16, np.uint8):
        wide = np.where(np.isnan(wide), limits.max if storage == np.int32 else 0, wide)
        return np.clip(wide, limits.min, limits.max).astype(storage)
    if storage.itemsize == 8 or storage == np.uint32:
        fits = (wide >= -(2.0**63)) & (wide < 2.0**63)
        return np.where(fits, wide, -(2.0**63)).astype(np.int64).astype(storage)
    whole = float_to_int32(wide)
    return (whole if wraps else np.clip(whole, limits.min, limits.max)).astype(storage)


def cast_to_packed(p: PackedParams, x: Array) -> Array:
    """Whole part of float32[...], saturated; NaN becomes the greatest code."""
    return np.fmax(np.fmin(x, np.float32(p.quantized_max)), np.float32(p.quantized_min)).astype(p.storage)


def bitcast(p: BitcastParams, x: Array) -> Array:
    """The bytes of an array as numbers of another type."""
    return np.ascontiguousarray(x).reshape(-1).view(p.storage).reshape(p.shape)


CAST = OpDef("CAST", prepare_cast, (*CAST_TYPES, *PACKED), (1, 1))
BITCAST = OpDef("BITCAST", prepare_bitcast, BITCAST_TYPES, (1, 1))
