"""MAXIMUM, MINIMUM, POW, ATAN2: other functions of two numbers.

None looks at scales and zero points. MAXIMUM and MINIMUM of quantized operands compare codes, which is right where all three tensors
share scale and zero point, as the converter sees to.

POW with one exponent for a base of another shape, a whole number of 1 or more (or within 1e-5 of one), multiplies repeatedly: products
beyond the greatest float32 stay there, int32 ones wrap. Other powers of int32 are taken in float64, and become -2**31 beyond int32.

Source (TensorFlow Lite 2.21): tflite/kernels/maximum_minimum.cc, pow.cc, atan2.cc;
kernels/internal/optimized/optimized_ops.h#BroadcastPow4D.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from qcore.errors import InputError
from qcore.kernels.elementwise import finite, prepare_function, prepares
from qcore.kernels.opdef import FLOAT_FUNCTION, Array, Node, OpDef, Step
from qcore.numerics.casting import float_to_int32

NEAR_WHOLE = 1e-5


def prepare_pow(node: Node) -> Step:
    """POW."""
    return prepare_function(node, power_float if node.output.dtype == "float32" else partial(power_integer, node.where))


def prepare_atan2(node: Node) -> Step:
    """ATAN2: inputs of one shape."""
    y, x = node.input(0), node.input(1)
    node.require(y.shape == x.shape, f"inputs have shapes {list(y.shape)} and {list(x.shape)}, expected the same")
    return prepare_function(node, np.arctan2)


def maximum(x: Array, y: Array) -> Array:
    """``x if x > y else y``: where either is NaN, y."""
    return np.maximum(x, y) if x.dtype.kind in "iu" else np.where(x > y, x, y)


def minimum(x: Array, y: Array) -> Array:
    """``x if x < y else y``: where either is NaN, y."""
    return np.minimum(x, y) if x.dtype.kind in "iu" else np.where(x < y, x, y)


def power_float(x: Array, y: Array) -> Array:
    """``x ** y`` of float32[...]."""
    exponent = whole_exponent(x, y)
    return np.power(x, y) if exponent is None else repeated_product(x, exponent).reshape(np.broadcast_shapes(x.shape, y.shape))


def power_integer(where: str, x: Array, y: Array) -> Array:
    """``x ** y`` of int32[...].

    Raises:
        InputError: a negative exponent.
    """
    if (y < 0).any():
        raise InputError(f"{where}: exponent {y.min()} is negative, which int32 powers cannot have")
    exponent = whole_exponent(x, y)
    if exponent is None:
        return float_to_int32(np.rint(np.power(x, y, dtype=np.float64)))
    return repeated_product(x, exponent).reshape(np.broadcast_shapes(x.shape, y.shape))


def whole_exponent(x: Array, y: Array) -> int | None:
    """The whole number, 1 or more, that a single exponent is or is nearly; None where the power is no repeated product."""
    if y.size != 1 or x.shape == y.shape:
        return None
    exponent = y.reshape(())
    nearest = np.rint(exponent)
    whole = abs(exponent - nearest) < NEAR_WHOLE and 1 <= nearest < 2**31
    return int(nearest) if whole else None


def repeated_product(x: Array, exponent: int) -> Array:
    """``x ** exponent`` by squaring, most significant digit first; float products keep within the greatest numbers."""
    result = x
    for digit in f"{exponent:b}"[1:]:
        result = finite(np.multiply(result, result))
        if digit == "1":
            result = finite(np.multiply(x, result))
    return result


EXTREMA_TYPES = ("float32", "float16", "bfloat16", "int8", "uint8", "int16", "int32", "int64")
ATAN2_TOLERANCES: dict[str, Any] = dict.fromkeys(("float32", "float64", "float16", "bfloat16"), FLOAT_FUNCTION)

MAXIMUM = OpDef("MAXIMUM", prepares(maximum), EXTREMA_TYPES, (2, 2))
MINIMUM = OpDef("MINIMUM", prepares(minimum), EXTREMA_TYPES, (2, 2))
POW = OpDef("POW", prepare_pow, ("float32", "int32"), (2, 2), tolerances={"float32": FLOAT_FUNCTION})
ATAN2 = OpDef("ATAN2", prepare_atan2, tuple(ATAN2_TOLERANCES), (2, 2), tolerances=ATAN2_TOLERANCES)
