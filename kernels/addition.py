"""ADD, SUB, SQUARED_DIFFERENCE, ADD_N: sums and differences.

Quantized operands have scales of their own. Each is brought to a common one, twice the greater of both, in units of
``2**-left_shift``; the sum or difference is taken there, in int32, and brought to the output's scale::

    rescaled_i = round((quantized_i - zero_point_i) * 2**left_shift * scale_i / common)
    output     = output_zero_point + round((rescaled_1 + rescaled_2) * common / (2**left_shift * output_scale))

What the first rounding gives depends on the code alone, so it is a table. The legacy 16-bit form, for scales that are powers of
two, shifts one operand to the other's scale, which is the output's too. XNNPACK multiplies 8-bit codes by integers that have a power
of two in common, and rounds their sum once (docs/quantization.md, sum-of-products). The builtin ADD of operands of one shape is a
vector loop that rounds once where others round twice, at 2**-20 of a step or 2**-15: sums differ next to ties alone. (Its loops over
operands that broadcast are in parts; qcore takes none of these for vectors.)

Source (TensorFlow Lite 2.21): tflite/kernels/add.cc, sub.cc, squared_difference.cc, add_n.cc; kernels/internal/reference/add.h, sub.h;
kernels/internal/optimized/integer_ops/add.h, optimized_ops.h#AddElementwise; XNNPACK src/qs8-vadd/avx512skx-mul32-ld128.c.in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial, reduce

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import float32_activation_range, quantized_activation_range, require_same_type
from qcore.kernels.delegate import delegated, scale_ratio
from qcore.kernels.elementwise import Function, finite, operands, prepare_function, prepare_plain, require_scales, store
from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Operand, Shape, Step
from qcore.numerics.fixed_point import quantize_multiplier, rounding_divide_by_pot, saturating_rounding_doubling_high_mul
from qcore.numerics.lookup_table import all_codes, look_up
from qcore.numerics.powers import power_of_two
from qcore.numerics.shifting import RightRounding
from qcore.numerics.vector_loop import VectorLoop, along_memory
from qcore.numerics.xnnpack import common_multipliers

Requantize = Callable[[NDArray[np.int32]], NDArray[np.int32]]

LEFT_SHIFT = {"int8": 20, "uint8": 20, "int16": 15}
"""Bits that operands gain before they are rescaled: as many as keep their sum within int32."""

SQUARE_LEFT_SHIFT = 7
"""The same for a squared difference."""

VECTOR = {"int8": 16, "uint8": 8, "int16": 16}
"""Elements that the builtin kernels take at a time."""


@dataclass(frozen=True)
class Params:
    """How two quantized operands meet.

    rescaled1: int32[256 or 65536], the first operand's codes at the common scale, a table for ``look_up``.
    rescaled2: likewise for the second operand.
    combine: the sum or difference, of int32.
    requantize: from the common scale to the output's.
    input1, input2: the integers that the tables were made of, by name.
    """

    rescaled1: NDArray[np.int32]
    rescaled2: NDArray[np.int32]
    combine: Function
    requantize: Requantize
    output_zero_point: int
    activation_min: int
    activation_max: int
    input1: Mapping[str, int]
    input2: Mapping[str, int]


def prepare_add(node: Node) -> Step:
    """ADD."""
    if node.output.dtype in LEFT_SHIFT and (node.output.dtype != "int16" or node.output.is_quantized):
        return prepare_quantized(node, np.add)
    return prepare_plain(node, np.add)


def prepare_sub(node: Node) -> Step:
    """SUB; unlike ADD, it takes no int16 without quantization."""
    return prepare_quantized(node, np.subtract) if node.output.dtype in LEFT_SHIFT else prepare_plain(node, np.subtract)


def prepare_squared_difference(node: Node) -> Step:
    """SQUARED_DIFFERENCE."""
    return prepare_quantized(node, squared_difference) if node.output.dtype == "int8" else prepare_function(node, squared_difference)


def prepare_add_n(node: Node) -> Step:
    """ADD_N: inputs of one shape."""
    first = node.input(0)
    for index in range(1, len(node.inputs)):
        shape = node.input(index).shape
        node.require(shape == first.shape, f"input {index} has shape {list(shape)}, input 0 {list(first.shape)}, expected the same")
    return prepare_function(node, sum_in_order)


def prepare_quantized(node: Node, combine: Function) -> Step:
    """Quantized operands: ADD and SUB with a fused activation, SQUARED_DIFFERENCE without."""
    input1, input2, shape = operands(node)
    output = node.output
    require_same_type(node, input1, output)
    require_scales(node, input1, input2, output)
    if combine is not squared_difference and takes_sum(node):
        return prepare_delegated(node, combine, shape)
    right_shifts = legacy_shifts(node) if output.dtype == "int16" else None
    if right_shifts is None:
        left_shift, power = (SQUARE_LEFT_SHIFT, 2) if combine is squared_difference else (LEFT_SHIFT[output.dtype], 1)
        common = float(np.float32(2) * np.float32(max(input1.scale, input2.scale)))
        (rescaled1, integers1), (rescaled2, integers2) = (rescaled_codes(node, operand, common, left_shift) for operand in (input1, input2))
        factor = common**power / float(np.float32(1 << power * left_shift) * np.float32(output.scale))
        requantize: Requantize = any_factor(factor) if combine is np.subtract else factor_below_one(node, factor, output)
    else:
        rescaled1, rescaled2 = (rounding_divide_by_pot(all_codes("int16"), right_shift) for right_shift in right_shifts)
        integers1, integers2 = ({"right_shift": right_shift} for right_shift in right_shifts)
        requantize = unchanged
    activation = quantized_activation_range(node, node.options.get("fused_activation_function", "NONE"), output)
    params = Params(rescaled1, rescaled2, combine, requantize, output.zero_point, *activation, integers1, integers2)
    if node.arithmetic != "reference" and right_shifts is None and combine is np.add and input1.shape == input2.shape:
        rounded_once1, rounded_once2 = (codes_rounded_once(operand, common, left_shift) for operand in (input1, input2))
        vectors = replace(params, rescaled1=rounded_once1, rescaled2=rounded_once2)
        loop = VectorLoop(VECTOR[output.dtype], partial(add_rescaled, vectors), partial(add_rescaled, params))
        return Step(along_memory, loop, (shape,))
    return Step(add_rescaled, params, (shape,))


def codes_rounded_once(operand: Operand, common: float, left_shift: int) -> NDArray[np.int32]:
    """As ``rescaled_codes``, but with one rounding: bits that leave to the right are cut off, of uint8 after the product, else before."""
    multiplier, shift = quantize_multiplier(operand.scale / common)
    centred = all_codes(operand.dtype) - np.int32(operand.zero_point)
    if operand.dtype == "uint8":
        return saturating_rounding_doubling_high_mul(centred << left_shift, multiplier) >> -shift
    left = left_shift + shift
    return saturating_rounding_doubling_high_mul(centred << left if left >= 0 else centred >> -left, multiplier)


def takes_sum(node: Node) -> bool:
    """XNNPACK computes a quantized sum or difference: no scale is too far from the output's."""
    inputs, output = (node.input(0), node.input(1)), node.output
    return delegated(node, *inputs, output) and all(2**-10 <= scale_ratio(operand, output) < 2**8 for operand in inputs)


def prepare_delegated(node: Node, combine: Function, shape: Shape) -> Step:
    """XNNPACK's sum or difference."""
    inputs, output = (node.input(0), node.input(1)), node.output
    *multipliers, requantize = common_multipliers(scale_ratio(inputs[0], output), scale_ratio(inputs[1], output))
    rescaled1, rescaled2 = (
        (all_codes(operand.dtype) - np.int32(operand.zero_point)) * np.int32(multiplier)
        for operand, multiplier in zip(inputs, multipliers, strict=True)
    )
    integers1, integers2 = (
        {"zero_point": operand.zero_point, "multiplier": multiplier} for operand, multiplier in zip(inputs, multipliers, strict=True)
    )
    activation = float32_activation_range(node, node.options["fused_activation_function"], output)
    params = Params(rescaled1, rescaled2, combine, requantize, output.zero_point, *activation, integers1, integers2)
    return Step(add_rescaled, params, (shape,))


def legacy_shifts(node: Node) -> tuple[int, int] | None:
    """How far the codes of each int16 operand shift right to be at the output's scale; None where scales are not powers of two."""
    tensors = node.input(0), node.input(1), node.output
    for operand in tensors:
        node.require(operand.zero_point == 0, f"'{operand.name}' has zero point {operand.zero_point}, expected 0 for int16")
    exponent1, exponent2, output_exponent = (power_of_two(operand.scale) for operand in tensors)
    if not node.options["pot_scale_int16"] or exponent1 is None or exponent2 is None or output_exponent is None:
        return None
    shifts = output_exponent - exponent1, output_exponent - exponent2
    node.require(
        min(shifts) == 0 and max(shifts) <= 15,
        f"inputs have scales 2**{exponent1} and 2**{exponent2}, output 2**{output_exponent}, expected the output's to be that of one "
        "input, and the other input's at most 2**15 times finer",
    )
    return shifts


def rescaled_codes(node: Node, operand: Operand, common: float, left_shift: int) -> tuple[NDArray[np.int32], dict[str, int]]:
    """Every code at the common scale, in units of ``2**-left_shift``, and the integers that this takes."""
    rescale = factor_below_one(node, operand.scale / common, operand)
    codes = rescale((all_codes(operand.dtype) - np.int32(operand.zero_point)) << left_shift)
    return codes, {"zero_point": operand.zero_point, "left_shift": left_shift, "multiplier": rescale.multiplier, "shift": rescale.shift}


def factor_below_one(node: Node, factor: float, operand: Operand) -> RightRounding:
    """Multiplication by a factor that must be below 1, as TensorFlow Lite insists."""
    multiplier, shift = quantize_multiplier(factor)
    node.require(
        factor > 0 and shift <= 0,
        f"'{operand.name}' is rescaled by {factor}, expected more than 0 and less than 1: its scale is too far from the others",
    )
    return RightRounding(multiplier, shift)


def any_factor(factor: float) -> RightRounding:
    """Multiplication by any factor: SUB lets those above 1 pass, which its arithmetic cannot do."""
    return RightRounding(*quantize_multiplier(factor))


def squared_difference(x: Array, y: Array) -> Array:
    """``(x - y)**2`` in the type of x; integers wrap."""
    difference = np.subtract(x, y)
    return np.multiply(difference, difference)


def sum_in_order(*inputs: Array) -> Array:
    """The inputs' sum, in the order they come; integers wrap, floats beyond the greatest number become it."""
    return reduce(lambda total, x: finite(np.add(total, x)), inputs)


def unchanged(accumulator: NDArray[np.int32]) -> NDArray[np.int32]:
    """Operands at the output's scale already."""
    return accumulator


def add_rescaled(p: Params, x: Array, y: Array) -> Array:
    """Sum, difference or squared difference of quantized operands.

    Args:
        p: tables and factors.
        x: int8 | uint8 | int16[...].
        y: like x, broadcast with it.

    No int32 can overflow: rescaled codes are within 2**(bits + left_shift - 1), squared differences within 2**30.
    """
    accumulator = np.asarray(p.combine(look_up(p.rescaled1, x), look_up(p.rescaled2, y)))
    return store(p.requantize(accumulator), p.output_zero_point, p.activation_min, p.activation_max, x.dtype)


ADD = OpDef("ADD", prepare_add, ("float32", "int32", "int64", "int8", "uint8", "int16"), (2, 2))
SUB = OpDef(
    "SUB",
    prepare_sub,
    ("float32", "int32", "int64", "int8", "uint8", "int16"),
    (2, 2),
    notes="a quantized difference brought to an output scale some 2**19 times finer keeps its sign alone, as in TensorFlow Lite",
)
SQUARED_DIFFERENCE = OpDef("SQUARED_DIFFERENCE", prepare_squared_difference, ("float32", "int32", "int8"), (2, 2))
ADD_N = OpDef("ADD_N", prepare_add_n, ("float32", "int32"), (2, 2**31), tolerances={"float32": FLOAT_ORDER})
