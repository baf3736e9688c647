"""RESIZE_BILINEAR: the means of four pixels."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from qcore.analysis.explaining.case import Case, Derivation, Real, place_text, real_value
from qcore.kernels import resize
from qcore.numerics.derivation import Line, exactly, rounded


def explain_bilinear(case: Case) -> Derivation:
    """Codes, or floats."""
    p, x = case.params, case.array(0)
    batch, y, column, channel = case.element
    kernel: Any = case.kernel
    uint8 = kernel.func is resize.bilinear_uint8
    scheme: Any = resize.Scheme(resize.float_taps) if uint8 else kernel.args[0]
    height, width = scheme.taps(p.height), scheme.taps(p.width)
    tensor = case.tensor("1", "input", case.node.input(0))
    lines, total = [], Fraction(0)
    for row, of_row in ((height.lower[y], height.lower_weight[y]), (height.upper[y], height.upper_weight[y])):
        for at, of_column in ((width.lower[column], width.lower_weight[column]), (width.upper[column], width.upper_weight[column])):
            place = batch, int(row), int(at), channel
            weight = exactly(of_row) * exactly(of_column)
            total += weight * exactly(x[place])
            lines.append(Line("q1", f"input {place_text(place)}, of weight {of_row} * {of_column}", x[place].item()))
    if scheme.round_in_place is not None:
        how: dict[str, Any] = scheme.round_in_place.keywords
        lines.append(Line("x", "weighted sum", int(total)))
        exact_mean = total / (1 << how["exponent"])
        lines.append(rounded("q", f"x / 2^{how['exponent']}", exact_mean, "away from zero" if how["ties"] == "away" else "up"))
        return Derivation(lines, (tensor,), real_mean(case))
    exact = float(total)
    lines.append(Line("y", "the exact weighted sum, rounded to float64", exact))
    cut = "plus 1/2, cut off" if uint8 else "as it is"
    lines.append(Line("r", f"{case.kernel_name} in float32, {cut}", case.value))
    if uint8:
        return Derivation(lines, (tensor,), real_mean(case))
    size = max(abs(float(pixel.value)) for pixel in lines[:4])
    return Derivation(lines, (tensor,), expected=exact, close=8 * 2.0**-23 * size + 1e-37)


def real_mean(case: Case) -> Real | None:
    """The mean in real numbers, of places that are rational."""
    tensor = case.tensor("1", "input", case.node.input(0))
    if tensor.scale is None:
        return None
    p, x = case.params, case.array(0)
    batch, y, column, channel = case.element
    total = Fraction(0)
    for row, of_row in neighbours(p.height, y):
        for at, of_column in neighbours(p.width, column):
            total += of_row * of_column * real_value(tensor, int(x[batch, row, at, channel]))
    return Real("the mean of S1 (q1 - Z1), weights being rational numbers", total)


def neighbours(axis: resize.Axis, output: int) -> list[tuple[int, Fraction]]:
    """The inputs on both sides of an output's place, and how much of each."""
    centre = Fraction(1, 2) if axis.half_pixel_centers else Fraction(0)
    place = min(max((output + centre) * Fraction(*axis.ratio) - centre, Fraction(0)), Fraction(axis.input - 1))
    lower = math.floor(place)
    return [(lower, 1 - (place - lower)), (min(lower + 1, axis.input - 1), place - lower)]
