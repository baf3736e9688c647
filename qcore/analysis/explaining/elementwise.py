"""Each element by itself: sums and products of codes, codes at another scale, slopes and clamps; real numbers to codes and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from qcore.analysis.explaining.case import (
    Case,
    Derivation,
    Explainer,
    Real,
    Tensor,
    activation_bounds,
    centred,
    clamped,
    real_value,
)
from qcore.analysis.explaining.requantization import Factor, at, derived, product_factor
from qcore.kernels import addition, conversion, multiplication, rectifier
from qcore.kernels.common import float_activation_range
from qcore.numerics.derivation import Line, decimal, exactly, rounded
from qcore.numerics.fixed_point import DoubleRounding, Requantizer
from qcore.numerics.lookup_table import look_up


def operand(case: Case, index: int) -> tuple[Tensor, int]:
    """An input that broadcasts, and its code at the element."""
    place = case.aligned(index)
    role = "input" if index == 0 else "second input"
    return case.tensor(str(index + 1), role, case.node.input(index), place), int(case.array(index)[place])


def differences(*operands: tuple[Tensor, int]) -> list[Line]:
    """Codes less their zero points."""
    return [centred(tensor.number, code, tensor.zero_point or 0) for tensor, code in operands]


def explain_product(case: Case) -> Derivation:
    """MUL of codes."""
    (first, a), (second, b) = operand(case, 0), operand(case, 1)
    p, lines = case.params, differences((first, a), (second, b))
    c1, c2 = (int(line.value) for line in lines)
    lines.append(Line("x", f"c1 c2 = {c1} * {c2}", c1 * c2, 27))
    lines += derived(p.requantize, c1 * c2, product_factor((first, second), case.result, "float32"), 0)
    lines.append(clamped(int(lines[-1].value), p.output_zero_point, p.activation_min, p.activation_max))
    value = real_value(first, a) * real_value(second, b)
    return Derivation(lines, (first, second), Real("r1 r2, each S (q - Z)", value, bounds=activation_bounds(case.node)))


def explain_sum(case: Case) -> Derivation:
    """ADD, SUB and SQUARED_DIFFERENCE of codes."""
    (first, a), (second, b) = operand(case, 0), operand(case, 1)
    p, lines = case.params, differences((first, a), (second, b))
    for index, tensor, table, integers in ((0, first, p.rescaled1, p.input1), (1, second, p.rescaled2, p.input2)):
        value = int(look_up(table, case.array(index)[case.aligned(index)]))
        equation = 42 if case.node.arithmetic == "xnnpack" and "left_shift" not in integers else 26
        lines.append(Line(f"x{tensor.number}", rescaling_text(tensor.number, integers), value, equation))
    x1, x2 = (int(line.value) for line in lines[-2:])
    sign = "+" if p.combine is np.add else "-"
    squared = p.combine is addition.squared_difference
    total = (x1 - x2) ** 2 if squared else x1 + x2 if p.combine is np.add else x1 - x2
    lines.append(Line("x", f"(x1 - x2)^2 = ({x1} - {x2})^2" if squared else f"x1 {sign} x2 = {x1} {sign} {x2}", total, 26))
    if p.requantize is addition.unchanged:
        lines.append(Line("R", "x: the scale is the output's", total))
    else:
        lines += [*common_factor(case, 2 if squared else 1), *p.requantize.derive(total)]
    lines.append(clamped(int(lines[-1].value), p.output_zero_point, p.activation_min, p.activation_max))
    r1, r2 = real_value(first, a), real_value(second, b)
    real = (r1 - r2) * (r1 - r2) if squared else r1 + r2 if p.combine is np.add else r1 - r2
    formula = f"({decimal(r1)} - {decimal(r2)})^2" if squared else f"{decimal(r1)} {sign} {decimal(r2)}"
    return Derivation(lines, (first, second), Real(f"r1 {sign} r2: {formula}", real, bounds=activation_bounds(case.node)))


def common_factor(case: Case, power: int) -> list[Line]:
    """The factor from a common scale to the output's, where there is one."""
    shift = case.params.input1.get("left_shift")
    if shift is None:
        return []
    common = np.float32(2) * max(np.float32(case.node.input(i).scale) for i in (0, 1))
    below = np.float32(1 << power * shift) * np.float32(case.node.output.scale)
    squared = "^2" if power == 2 else ""
    text = f"T{squared} / (2^{power * shift} S3), T = 2 max(S1, S2) = {decimal(common)}"
    return [Line("M", text, float(common) ** power / float(below), 26)]


def rescaling_text(number: str, integers: Mapping[str, int]) -> str:
    """How an operand of a sum is brought to the common scale."""
    if "right_shift" in integers:
        return f"q{number} / 2^{integers['right_shift']}, ties away from zero"
    if "left_shift" in integers:
        m, s = integers["multiplier"], integers["shift"]
        return f"c{number} 2^{integers['left_shift']} * {m} * 2^({s} - 31), rounded"
    return f"c{number} * {integers['multiplier']}"


def explain_rescaling(case: Case) -> Derivation:
    """QUANTIZE of codes."""
    tensor, code = operand(case, 0)
    p, lines = case.params, differences((tensor, code))
    lines += rescaled(case, p.requantize, tensor, int(lines[-1].value))
    limits = np.iinfo(p.storage)
    lines.append(clamped(int(lines[-1].value), p.output_zero_point, int(limits.min), int(limits.max), 28))
    return Derivation(lines, (tensor,), Real("S1 (q1 - Z1)", real_value(tensor, code)))


def rescaled(case: Case, requantize: Requantizer, tensor: Tensor, accumulator: int, *others: np.float32) -> list[Line]:
    """A code, or a product with one, at the output's scale: the factor of scales, and the steps of the requantization."""
    output = case.result
    if tensor.scale is None or output.scale is None:
        return requantize.derive(accumulator)
    wide = case.node.operator == "QUANTIZE" and isinstance(requantize, DoubleRounding)
    factor = Factor((tensor.scale, *others), output.scale, "float64" if wide else "float32")
    return [factor.line, *requantize.derive(accumulator)]


def explain_clamp(case: Case) -> Derivation:
    """RELU and its like."""
    tensor, code = operand(case, 0)
    p, lines = case.params, differences((tensor, code))
    lines += rescaled(case, p.requantize, tensor, int(lines[-1].value))
    lines.append(clamped(int(lines[-1].value), p.output_zero_point, p.activation_min, p.activation_max))
    bounds = float_activation_range(case.node, case.node.operator)
    return Derivation(lines, (tensor,), Real("S1 (q1 - Z1)", real_value(tensor, code), bounds=bounds))


def explain_slope(case: Case) -> Derivation:
    """LEAKY_RELU and PRELU."""
    tensor, code = operand(case, 0)
    p, lines = case.params, differences((tensor, code))
    centre, value = int(lines[-1].value), real_value(tensor, code)
    tensors: tuple[Tensor, ...] = (tensor,)
    if case.node.operator == "PRELU":
        alpha, alpha_code = operand(case, 1)
        tensors, slope = (tensor, alpha), real_value(alpha, alpha_code)
        product, others = centre * (alpha_code - (alpha.zero_point or 0)), (alpha.scale or np.float32(0),)
    else:
        slope, product, others = exactly(np.float32(case.node.options["alpha"])), centre, (np.float32(case.node.options["alpha"]),)
    if centre >= 0:
        lines += rescaled(case, p.identity, tensor, centre)
    else:
        if product != centre:
            lines.append(Line("x", f"c1 (q2 - Z2) = {product}", product))
        lines += rescaled(case, p.alpha, tensor, product, *others)
        value *= slope
    lines.append(clamped(int(lines[-1].value), p.output_zero_point, p.output_min, p.output_max))
    return Derivation(lines, tensors, Real("S1 (q1 - Z1)" + ("" if centre >= 0 else " * slope"), value))


def explain_quantization(case: Case) -> Derivation:
    """QUANTIZE of real numbers."""
    x, output, p = case.array(0)[case.element], case.result, case.params
    scale = np.float32(0) if output.scale is None else output.scale
    zero_point = output.zero_point or 0
    quotient, ties, text = steps(p.steps, x, scale, case)
    lines = [Line("x", "the input's element", x), Line("p", text, quotient, 44 if ties == "to even" else 2)]
    given = int(np.clip(np.int64(case.value), p.quantized_min, p.quantized_max))
    if not np.isfinite(quotient) or abs(float(quotient)) >= 2**31:
        lines.append(Line("q", "beyond int32, or no number", given))
        return Derivation(lines, (case.tensor("1", "input", case.node.input(0)),))
    lines.append(rounded("R", "p to the nearest integer", exactly(quotient), ties, 3))
    found = clamped(int(lines[-1].value), zero_point, p.quantized_min, p.quantized_max, 2)
    lines.append(found)
    return Derivation(lines, (case.tensor("1", "input", case.node.input(0)),), Real("the input's element", exactly(x)))


def steps(function: Any, x: Any, scale: np.float32, case: Case) -> tuple[Any, Any, str]:
    """The number of steps before it is rounded, where its ties go, and how it comes about."""
    if function.func.__name__ == "along_memory":
        function, _ = at(function, case.element, case.shape)
    with np.errstate(all="ignore"):
        if function.func is conversion.divide:
            return x / scale, "away from zero", f"x / S3 = {decimal(x)} / {decimal(scale)} in float32"
        if function.func is conversion.divide_in_float64:
            return np.float64(x) / np.float64(scale), "away from zero", f"x / S3 = {decimal(x)} / {decimal(scale)} in float64"
        (inverse,) = function.args
        return x * inverse, "to even", f"x * f32(1 / S3) = {decimal(x)} * {decimal(inverse)} in float32"


def explain_dequantization(case: Case) -> Derivation:
    """DEQUANTIZE."""
    code = case.array(0)[case.element]
    tensor = case.tensor("1", "input", case.node.input(0), case.element)
    lines = [centred("1", int(code), tensor.zero_point or 0)]
    lines.append(Line("r", f"S1 c1 = {decimal(tensor.scale)} * {lines[0].value} in float32", case.value, 1))
    return Derivation(lines, (tensor,), Real("S1 (q1 - Z1)", real_value(tensor, int(code))))


def explain_moved(case: Case) -> Derivation:
    """DEQUANTIZE in a vector loop."""
    code, p = case.array(0)[case.element], case.params
    tensor = case.tensor("1", "input", case.node.input(0), case.element)
    product = np.float32(code) * np.float32(p.scale)
    lines = [
        Line("p", f"S1 q1 = {decimal(tensor.scale)} * {int(code)} in float32", product, 44),
        Line("r", f"p + f32(-Z1 S1) = {decimal(product)} + {decimal(p.offset)} in float32", product + p.offset, 44),
    ]
    return Derivation(lines, (tensor,), Real("S1 (q1 - Z1)", real_value(tensor, int(code))))


EXPLAINERS: dict[object, Explainer] = {
    addition.add_rescaled: explain_sum,
    multiplication.multiply: explain_product,
    conversion.rescale: explain_rescaling,
    conversion.quantize: explain_quantization,
    conversion.dequantize: explain_dequantization,
    conversion.scale_and_move: explain_moved,
    rectifier.clamp_quantized: explain_clamp,
    rectifier.leaky_quantized: explain_slope,
    rectifier.prelu_quantized: explain_slope,
}
"""By kernel."""
