"""SOFTMAX of 8-bit codes: fixed point (29), and float32 (46)."""

from __future__ import annotations

import math

import numpy as np

from qcore.analysis.explaining.case import Case, Derivation, Explainer, Real
from qcore.kernels import softmax
from qcore.kernels.opdef import Array
from qcore.numerics.derivation import Line, decimal, exactly, rounded
from qcore.numerics.fixed_point import rounding_divide_by_pot, saturating_rounding_doubling_high_mul
from qcore.numerics.fixed_point_functions import reciprocal


def row(case: Case) -> tuple[Array, int, list[Line]]:
    """The codes of the row, how far the element's lies below the greatest, and the lines so far."""
    codes = case.array(0)[case.element[:-1]].astype(np.int64)
    code, greatest = int(codes[case.element[-1]]), int(codes.max())
    lines = [
        Line("n", "codes in the row", len(codes)),
        Line("max", f"the greatest of them, at place {int(codes.argmax())}", greatest),
        Line("d", f"q1 - max = {code} - {greatest}", code - greatest, 29),
    ]
    return greatest - codes, greatest - code, lines


def explain_by_table(case: Case) -> Derivation:
    """The reference kernel's."""
    below, own, lines = row(case)
    differences, limits = case.params.differences, np.iinfo(case.params.storage)
    exponential = int(differences.exponential[own])
    total = int(np.clip(softmax.sum_of_exponentials(differences.exponential, below)[..., 0], 1, 2**32 - 1))
    mantissa, exponent = (int(part.reshape(())) for part in reciprocal(np.array([total], np.int64), softmax.SUM_BITS))
    share = int(saturating_rounding_doubling_high_mul(mantissa, exponential))
    steps = int(rounding_divide_by_pot(share, exponent + (31 - limits.bits)))
    lines += [
        Line("E", "exp of beta S1 d, from the table, in 2^-31", exponential, 29),
        Line("sum", "of the row's exponentials, each rounded to 2^-19", total, 29),
        Line("m", f"1 / sum = m * 2^-({exponent} + 31)", mantissa, 29),
        rounded("H", f"{exponential} * m / 2^31", exactly(exponential * mantissa) / (1 << 31), "up", 13),
        rounded("R", f"H / 2^{exponent + 31 - limits.bits}", exactly(share) / (1 << (exponent + 31 - limits.bits)), "away from zero", 14),
        Line("q", f"q_min + R = {limits.min} + {steps}, at most {limits.max}", min(steps + int(limits.min), int(limits.max)), 29),
    ]
    return Derivation(lines, (case.tensor("1", "input", case.node.input(0)),), real_share(case, below, own))


def explain_in_float32(case: Case) -> Derivation:
    """That of the other two arithmetics."""
    below, own, lines = row(case)
    p = case.params
    exponentials = p.exponential[below]
    total = softmax.sum_in_order(exponentials)[0]
    inverse = np.float32(1) / (total * p.scale)
    steps = exponentials[case.element[-1]] * inverse
    zero_point = 0 if p.storage == np.uint8 else p.zero_point
    limits = np.iinfo(p.storage)
    lines += [
        Line("E", "exp of beta S1 d, from the table, in float32", p.exponential[own], 46),
        Line("sum", "of the row's exponentials, one after the other", total, 46),
        Line("M", f"1 / (sum S3) = 1 / ({decimal(total)} * {decimal(p.scale)}) in float32", inverse, 46),
        Line("p", "E M in float32", steps, 46),
        rounded("R", "p to the nearest integer", exactly(steps), "away from zero", 46),
    ]
    if p.storage == np.uint8:
        lines[-1] = Line("R", "p + 1/2, cut off", int(np.trunc(steps + np.float32(0.5))), 46)
    code = min(max(int(lines[-1].value) + zero_point, int(limits.min)), int(limits.max))
    lines.append(Line("q", f"R + Z3 = {lines[-1].value} + {zero_point}, within [{limits.min}, {limits.max}]", code, 46))
    return Derivation(lines, (case.tensor("1", "input", case.node.input(0)),), real_share(case, below, own))


def real_share(case: Case, below: Array, own: int) -> Real | None:
    """The share in float64."""
    scale = case.tensor("1", "input", case.node.input(0)).scale
    if scale is None:
        return None
    step = float(scale) * case.node.options["beta"]
    total = math.fsum(math.exp(-step * int(d)) for d in below)
    return Real("exp(beta S1 d) / sum of exp(beta S1 d)", exactly(math.exp(-step * own) / total), approximate=True)


EXPLAINERS: dict[object, Explainer] = {
    softmax.softmax_by_table: explain_by_table,
    softmax.softmax_in_float32: explain_in_float32,
}
"""By kernel."""
