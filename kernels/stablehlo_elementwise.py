"""STABLEHLO_ADD, _MULTIPLY, _MAXIMUM, _MINIMUM, _AND, _SHIFT_LEFT: functions of two tensors of one shape, element by element.

Integers wrap; booleans are added by or and multiplied by and. Where either number is NaN, MAXIMUM and MINIMUM give the first. A shift by
less than 0 or more than the type's width gives 0; there TensorFlow Lite's answer depends on where the element stands.

Source (TensorFlow Lite 2.21): tflite/kernels/stablehlo_elementwise.h, stablehlo_shift_left.cc.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from qcore.kernels.arithmetic import maximum, minimum
from qcore.kernels.elementwise import Function, prepare_function
from qcore.kernels.opdef import Array, Node, OpDef, Step

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")
NUMBERS = ("float16", "float32", "float64", *INTEGERS)


def prepare(node: Node, function: Function) -> Step:
    """One of the functions."""
    first, second = node.input(0), node.input(1)
    node.require(first.shape == second.shape, f"inputs have shapes {list(first.shape)} and {list(second.shape)}, expected the same")
    return prepare_function(node, function)


def prepares(function: Function) -> Callable[[Node], Step]:
    """The ``prepare`` of an operator that is this function and nothing else."""
    return partial(prepare, function=function)


def greater(x: Array, y: Array) -> Array:
    """``y if y > x else x``."""
    return maximum(y, x)


def less(x: Array, y: Array) -> Array:
    """``y if y < x else x``."""
    return minimum(y, x)


STABLEHLO_ADD = OpDef("STABLEHLO_ADD", prepares(np.add), NUMBERS, (2, 2))
STABLEHLO_MULTIPLY = OpDef("STABLEHLO_MULTIPLY", prepares(np.multiply), NUMBERS, (2, 2))
STABLEHLO_MAXIMUM = OpDef("STABLEHLO_MAXIMUM", prepares(greater), NUMBERS, (2, 2))
STABLEHLO_MINIMUM = OpDef("STABLEHLO_MINIMUM", prepares(less), NUMBERS, (2, 2))
STABLEHLO_AND = OpDef("STABLEHLO_AND", prepares(np.bitwise_and), INTEGERS, (2, 2))
STABLEHLO_SHIFT_LEFT = OpDef("STABLEHLO_SHIFT_LEFT", prepares(np.left_shift), ("int8", "int16", "int32"), (2, 2))
