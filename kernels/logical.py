"""LOGICAL_AND, LOGICAL_OR, LOGICAL_NOT, BITWISE_XOR, RIGHT_SHIFT: functions of truth values and of bits.

Source (TensorFlow Lite 2.21): tflite/kernels/logical.cc, elementwise.cc, bitwise_xor.cc, right_shift.cc.
"""

from __future__ import annotations

import numpy as np

from qcore.kernels.elementwise import prepares
from qcore.kernels.opdef import Array, OpDef


def right_shift(x: Array, y: Array) -> Array:
    """``x >> y``, which keeps the sign; shifts are cut to [0, bits of the type - 1]."""
    shifted: Array = np.right_shift(x, np.clip(y, 0, 8 * x.dtype.itemsize - 1))
    return shifted


INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32")

LOGICAL_AND = OpDef("LOGICAL_AND", prepares(np.logical_and), ("bool",), (2, 2))
LOGICAL_OR = OpDef("LOGICAL_OR", prepares(np.logical_or), ("bool",), (2, 2))
LOGICAL_NOT = OpDef("LOGICAL_NOT", prepares(np.logical_not), ("bool",), (1, 1))
BITWISE_XOR = OpDef("BITWISE_XOR", prepares(np.bitwise_xor), INTEGERS, (2, 2))
RIGHT_SHIFT = OpDef("RIGHT_SHIFT", prepares(right_shift), INTEGERS, (2, 2))
