"""EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL.

Quantized operands have scales of their own. Both are brought to real numbers in fixed point, in units of 2**-8::

    rescaled = round((quantized - zero_point) * 2**8 * scale)

and these are compared: operands within such a unit of each other may compare as equal. What a code gives is a table. A scale above 1
leaves nothing but the sign (see ``qcore.numerics.shifting``). EQUAL and NOT_EQUAL of int16 do the same where the first operand is
quantized; the other four compare int16 codes as they are.

Source (TensorFlow Lite 2.21): tflite/kernels/comparisons.cc; kernels/internal/reference/comparisons.h, string_comparisons.h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.elementwise import operands, require_scales
from qcore.kernels.opdef import Array, Node, OpDef, Operand, Step
from qcore.numerics.fixed_point import quantize_multiplier
from qcore.numerics.lookup_table import all_codes, look_up
from qcore.numerics.shifting import RightRounding

LEFT_SHIFT = 8


@dataclass(frozen=True)
class Params:
    """A comparison of quantized operands.

    rescaled1: int32[256 or 65536], the first operand's codes in real units of 2**-8, a table for ``look_up``.
    rescaled2: likewise for the second operand.
    """

    compare: np.ufunc
    rescaled1: NDArray[np.int32]
    rescaled2: NDArray[np.int32]


def prepare(node: Node, compare: np.ufunc, rescales: tuple[str, ...]) -> Step:
    """A comparison; the types in rescales are compared by their real values where they are quantized."""
    input1, input2, shape = operands(node)
    node.require(node.output.dtype == "bool", f"output is {node.output.dtype}, expected bool")
    if input1.dtype not in rescales or (input1.dtype == "int16" and not input1.is_quantized):
        return Step(compare_plain, compare, (shape,))
    require_scales(node, input1, input2)
    return Step(compare_rescaled, Params(compare, rescaled_codes(node, input1), rescaled_codes(node, input2)), (shape,))


def rescaled_codes(node: Node, operand: Operand) -> NDArray[np.int32]:
    """Every code in real units of 2**-8."""
    node.require(operand.scale != 1, f"'{operand.name}' has scale 1, expected any other: TensorFlow Lite aborts on it")
    rescale = RightRounding(*quantize_multiplier(operand.scale))
    return rescale((all_codes(operand.dtype) - np.int32(operand.zero_point)) << LEFT_SHIFT)


def compare_plain(compare: np.ufunc, x: Array, y: Array) -> Array:
    """Compare numbers, truth values or strings as they are."""
    return np.asarray(compare(x, y), np.bool_)


def compare_rescaled(p: Params, x: Array, y: Array) -> Array:
    """Compare int8 | uint8 | int16[...] by real values; y is like x, broadcast with it."""
    return np.asarray(p.compare(look_up(p.rescaled1, x), look_up(p.rescaled2, y)))


EIGHT_BITS = ("int8", "uint8")
NUMBERS = ("float32", "float16", "int16", "int32", "int64", *EIGHT_BITS)


def equality(compare: np.ufunc) -> Callable[[Node], Step]:
    """EQUAL or NOT_EQUAL."""
    return partial(prepare, compare=compare, rescales=(*EIGHT_BITS, "int16"))


def order(compare: np.ufunc) -> Callable[[Node], Step]:
    """The other four."""
    return partial(prepare, compare=compare, rescales=EIGHT_BITS)


EQUAL = OpDef("EQUAL", equality(np.equal), (*NUMBERS, "bool", "string"), (2, 2))
NOT_EQUAL = OpDef("NOT_EQUAL", equality(np.not_equal), (*NUMBERS, "bool", "string"), (2, 2))
LESS = OpDef("LESS", order(np.less), (*NUMBERS, "bfloat16"), (2, 2))
LESS_EQUAL = OpDef("LESS_EQUAL", order(np.less_equal), NUMBERS, (2, 2))
GREATER = OpDef("GREATER", order(np.greater), (*NUMBERS, "bfloat16"), (2, 2))
GREATER_EQUAL = OpDef("GREATER_EQUAL", order(np.greater_equal), NUMBERS, (2, 2))
