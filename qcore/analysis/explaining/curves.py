"""Functions of one code: the code, its real value, the function, the code of that; tables and what stands in their place.

The function is the kernel's own, called for this one number. Equations (31), (32) and (43) of docs/quantization.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from qcore.analysis.explaining.case import Case, Derivation, Explainer, Real, Tensor, centred, clamped, real_value
from qcore.kernels import activation, unary
from qcore.kernels.delegate import delegated
from qcore.numerics.derivation import Line, decimal, exactly, rounded
from qcore.numerics.dtypes import element_type
from qcore.numerics.fixed_point_functions import Width
from qcore.numerics.lookup_table import Transform, in_float64, look_up, sampled_table

ROUNDED_WITH_ZERO_POINT = ("ELU", "LOGISTIC", "TANH")
"""Operators whose tables XNNPACK makes by (43)."""

LINE = 128
"""Codes from one sample of a 16-bit table to the next."""

EXACT: dict[str, Callable[[float], float]] = {
    "ELU": lambda x: x if x >= 0 else math.expm1(x),
    "GELU": lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
    "LOGISTIC": lambda x: 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x)),
    "TANH": math.tanh,
    "EXP": math.exp,
    "LOG": math.log,
    "SQRT": math.sqrt,
    "RSQRT": lambda x: 1 / math.sqrt(x),
    "HARD_SWISH": lambda x: x * min(max(x + 3, 0), 6) / 6,
    "ABS": abs,
}
"""The functions, in float64."""


def curve(case: Case) -> Transform | None:
    """The kernel's own function of real values; None where its table is not made of one."""
    operator, node = case.node.operator, case.node
    if operator == "LOGISTIC" and by_xnnpack(case):
        return activation.logistic_rounded_once
    curves: dict[str, Transform] = {
        "ELU": activation.elu,
        "GELU": activation.gelu_by_tanh if node.options.get("approximate") else activation.gelu,
        "LOGISTIC": activation.logistic,
        "TANH": activation.tanh,
        "EXP": in_float64(np.exp),
    }
    return curves.get(operator)


def by_xnnpack(case: Case) -> bool:
    """XNNPACK made the table."""
    return case.node.operator in ROUNDED_WITH_ZERO_POINT and delegated(case.node, case.node.input(0), case.node.output)


def start(case: Case) -> tuple[Tensor, int, list[Line]]:
    """The input's part and code, and that less its zero point."""
    tensor, code = case.tensor("1", "input", case.node.input(0)), int(case.array(0)[case.element])
    return tensor, code, [centred("1", code, tensor.zero_point or 0)]


def explain_table(case: Case) -> Derivation:
    """A look-up."""
    tensor, code, lines = start(case)
    function = curve(case)
    if function is None:
        lines.append(Line("q", f"entry of code {code} in the table of {case.node.operator}", int(case.value), 31))
    elif tensor.dtype == "int16":
        lines += interpolation(case, function, tensor, code)
    else:
        lines += entry(case, function, tensor, int(lines[0].value))
    return Derivation(lines, (tensor,), real_curve(case, tensor, code))


def entry(case: Case, function: Transform, tensor: Tensor, centre: int) -> list[Line]:
    """An entry of an 8-bit table: (31), or (43)."""
    output = case.result
    assert tensor.scale is not None and output.scale is not None and output.zero_point is not None
    real, inverse = np.float32(tensor.scale) * np.float32(centre), np.float32(1) / np.float32(output.scale)
    value = evaluated(function, real)
    steps = value * inverse
    lines = [
        Line("r1", f"S1 c1 = {decimal(tensor.scale)} * {centre} in float32", real, 1),
        Line("f", f"{case.node.operator} of r1, in float32", value, 31),
    ]
    limits = element_type(output.dtype)
    if by_xnnpack(case):
        moved = steps + np.float32(output.zero_point)
        lines.append(Line("p", f"f * f32(1 / S3) + Z3 = {decimal(steps)} + {output.zero_point} in float32", moved, 43))
        code = rounded("R", "p to the nearest integer", exactly(moved), "away from zero", 43)
        kept = min(max(int(code.value), limits.quantized_min), limits.quantized_max)
        return [*lines, code, Line("q", f"R within [{limits.quantized_min}, {limits.quantized_max}]", kept, 43)]
    lines.append(Line("p", f"f * f32(1 / S3) = {decimal(value)} * {decimal(inverse)} in float32", steps, 31))
    if not np.isfinite(steps):
        return [*lines, Line("q", "saturated", int(case.value), 31)]
    lines.append(rounded("R", "p to the nearest integer", exactly(steps), "away from zero", 31))
    return [*lines, clamped(int(lines[-1].value), output.zero_point, limits.quantized_min, limits.quantized_max, 31)]


def evaluated(function: Transform, x: Any) -> Any:
    """A function of arrays, of one number."""
    with np.errstate(all="ignore"):
        return function(np.array([x]))[0]


def interpolation(case: Case, function: Transform, tensor: Tensor, code: int) -> list[Line]:
    """A code between two samples of a 16-bit table: (32)."""
    output = case.result
    assert tensor.scale is not None and output.scale is not None
    samples = sampled_table(function, float(tensor.scale), tensor.zero_point or 0, float(output.scale), output.zero_point or 0)
    i, j = divmod(code + (1 << 15), LINE)
    low, high = int(samples[i]), int(samples[i + 1])
    middle = rounded("d", f"(T' - T) * j / 2^7 = ({high} - {low}) * {j} / 2^7", exactly((high - low) * j) / LINE, "up", 32)
    return [
        Line("i", f"(q1 + 2^15) / {LINE} = {code + (1 << 15)} / {LINE}: number of the sample", i, 32),
        Line("j", "what that leaves: how far from it", j, 32),
        Line("T", f"sample {i} of {case.node.operator}", low, 32),
        Line("T'", f"sample {i + 1}", high, 32),
        middle,
        Line("q", f"T + d = {low} + {middle.value}", low + int(middle.value), 32),
    ]


def real_curve(case: Case, tensor: Tensor, code: int) -> Real | None:
    """The function of the real value; None outside of where it is defined, and where it stands for no real number."""
    if tensor.scale is None or case.node.operator not in EXACT:
        return None
    value = real_value(tensor, code)
    try:
        result = exactly(EXACT[case.node.operator](float(value)))
    except (ArithmeticError, ValueError):
        return None
    return Real(f"{case.node.operator} of S1 (q1 - Z1) = {decimal(value)}", result, approximate=case.node.operator != "ABS")


def explain_lines(case: Case) -> Derivation:
    """LOGISTIC and TANH of 16 bits, by straight lines between samples of the logistic function."""
    tensor, code, lines = start(case)
    p, logistic = case.params, case.node.operator == "LOGISTIC"
    bits, greatest = (9, 0x7FFF << 10) if logistic else (8, 0xFFFF << 8)
    half = (1 << p.shift) >> 1
    moved = int((np.int32(code) * np.array([p.multiplier], np.int32) + np.int32(half))[0] >> p.shift)
    negative, values = activation.lines(p, np.array([code], np.int16), bits, greatest)
    index = min(abs(moved) >> bits, 255)
    lines += [
        Line("x", f"q1 * {p.multiplier} / 2^{p.shift}, in steps of 1/12288", moved),
        Line("i", f"|x| / 2^{bits}: number of the sample, at most 255", index),
        Line("j", f"|x| mod 2^{bits}: how far from it", abs(moved) & ((1 << bits) - 1)),
        Line("v", f"the line from sample {int(p.samples[index])}, in 2^-{16 + bits}", int(values[0])),
        Line("q", "of the negative" if negative[0] else "v rounded to 15 bits", int(case.value)),
    ]
    return Derivation(lines, (tensor,), real_curve(case, tensor, code))


def explain_fixed_point(case: Case) -> Derivation:
    """LOGISTIC and TANH of 16 bits in fixed point."""
    tensor, code, lines = start(case)
    shifted = int(Width(16).scale_up(np.array(code, np.int64), case.params.left_shift))
    lines.append(Line("x", f"q1 * 2^{case.params.left_shift} in Q3, saturating", shifted))
    lines.append(Line("q", f"{case.node.operator} in 16-bit fixed point", int(case.params.function(np.array([shifted]), 3, 16)[0])))
    return Derivation(lines, (tensor,), real_curve(case, tensor, code))


def explain_hard_swish(case: Case) -> Derivation:
    """HARD_SWISH of 8 bits, in 16-bit fixed point."""
    tensor, code, lines = start(case)
    p, width, fine = case.params, Width(16), 128 * int(lines[0].value)

    def number(x: Any) -> int:
        return int(np.asarray(x))

    wide = np.array(fine, np.int64)
    scaled, left = number(width.multiply(wide, p.output_multiplier)), p.reluish_shift
    gated = width.multiply(width.scale_up(wide, left - 1) if left > 0 else wide, p.reluish_multiplier)
    reluish = number(width.scale_up(gated, 1) if left > 0 else width.scale_down(gated, -left))
    gate = (reluish + (1 << 15)) >> 1
    product = math.trunc(exactly(gate * scaled) / (1 << 15))
    steps = number(width.scale_down(np.array(product, np.int64), -p.output_shift))
    limits = element_type(case.result.dtype)
    lines += [
        Line("x", f"128 c1 = 128 * {lines[0].value}", fine),
        Line("y", f"x * {p.output_multiplier} / 2^15, to nearest: in output steps but for 2^{p.output_shift}", scaled),
        Line("g", f"x * {p.reluish_multiplier} * 2^({left} - 15), saturating: -2^15 at real -3, 2^15 at 3", reluish),
        Line("g'", f"(g + 2^15) / 2 = ({reluish} + 2^15) / 2: the gate", gate),
        Line("t", f"g' y / 2^15 = {gate} * {scaled} / 2^15, cut off towards zero", product),
        Line("R", f"t * 2^{p.output_shift}, ties away from zero", steps),
        clamped(steps, p.output_zero_point, limits.quantized_min, limits.quantized_max),
    ]
    return Derivation(lines, (tensor,), real_curve(case, tensor, code))


EXPLAINERS: dict[object, Explainer] = {
    look_up: explain_table,
    unary.look_up_in_domain: explain_table,
    activation.logistic_by_lines: explain_lines,
    activation.tanh_by_lines: explain_lines,
    activation.in_sixteen_bits: explain_fixed_point,
    activation.hard_swish_quantized: explain_hard_swish,
}
"""By kernel."""
