"""Quotients and comparisons of two codes."""

from __future__ import annotations

import numpy as np

from qcore.analysis.explaining.case import Case, Derivation, Explainer, Real, activation_bounds, clamped, real_value, scale_text
from qcore.analysis.explaining.elementwise import differences, operand
from qcore.kernels import comparison, division
from qcore.numerics.derivation import Line, exactly, rounded
from qcore.numerics.fixed_point import quantize_multiplier
from qcore.numerics.lookup_table import look_up
from qcore.numerics.shifting import rounding_divide_by_any_pot


def explain_quotient(case: Case) -> Derivation:
    """DIV of codes."""
    (first, a), (second, b) = operand(case, 0), operand(case, 1)
    p, lines = case.params, differences((first, a), (second, b))
    c1, c2 = (int(line.value) for line in lines)
    dividend = -c1 if c2 < 0 else c1
    headroom = int(division.leading_sign_bits(np.array([dividend], np.int32))[0])
    code = case.array(1)[case.aligned(1)]
    inverse, shift = int(look_up(p.inverse, code)), int(look_up(p.right_shift, code)) + headroom
    quotient = rounded(
        "Q", f"{dividend} * 2^{headroom} * i / 2^31, with the sign of c1 / c2", exactly((dividend << headroom) * inverse) / 2**31, "up", 13
    )
    scaled = rounded("H", f"Q * m / 2^31 = {quotient.value} * m / 2^31", exactly(int(quotient.value) * p.multiplier) / 2**31, "up", 13)
    steps = int(rounding_divide_by_any_pot(np.array(scaled.value, np.int32), np.array(shift, np.int32)))
    zero = ": what the iteration makes of zero" if c2 == 0 else ""
    lines += [
        Line("i", f"1 / |c2| in fixed point{zero}", inverse),
        quotient,
        *factor(case, first.scale, second.scale),
        scaled,
        Line("R", f"H / 2^{shift}, ties away from zero", steps, 14),
        clamped(steps, p.output_zero_point, p.activation_min, p.activation_max),
    ]
    divisor = real_value(second, b)
    real = Real("r1 / r2, each S (q - Z)", real_value(first, a) / divisor, bounds=activation_bounds(case.node)) if divisor else None
    return Derivation(lines, (first, second), real)


def factor(case: Case, first: np.float32 | None, second: np.float32 | None) -> list[Line]:
    """The factor of a quotient's scales, and its multiplier."""
    assert first is not None and second is not None and case.result.scale is not None
    value = first / (second * case.result.scale)
    multiplier, shift = quantize_multiplier(float(value))
    return [
        Line("M", f"S1 / (S2 S3) = {scale_text(first)} / ({scale_text(second, case.result.scale)}) in float32", value, 11),
        Line("m", f"M = m * 2^({int(shift)} - 31)", int(multiplier), 12),
    ]


def explain_comparison(case: Case) -> Derivation:
    """EQUAL and its like of codes: real values in steps of 1/256 are compared."""
    pairs = operand(case, 0), operand(case, 1)
    p, lines = case.params, differences(*pairs)
    for index, (tensor, table) in enumerate(zip(("1", "2"), (p.rescaled1, p.rescaled2), strict=True)):
        value = int(look_up(table, case.array(index)[case.aligned(index)]))
        lines.append(
            Line(
                f"x{tensor}",
                f"c{tensor} S{tensor} 2^{comparison.LEFT_SHIFT}, rounded: the real value in steps of 2^-{comparison.LEFT_SHIFT}",
                value,
            )
        )
    x1, x2 = (int(line.value) for line in lines[-2:])
    lines.append(Line("q", f"{case.node.operator} of x1 = {x1} and x2 = {x2}", bool(p.compare(x1, x2))))
    return Derivation(lines, tuple(tensor for tensor, _ in pairs))


EXPLAINERS: dict[object, Explainer] = {
    division.divide_quantized: explain_quotient,
    comparison.compare_rescaled: explain_comparison,
}
"""By kernel."""
