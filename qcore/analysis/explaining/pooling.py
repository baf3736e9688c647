"""Windows and axes that become one number: pools, means, sums, extremes."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from qcore.analysis.explaining.case import (
    Case,
    Derivation,
    Explainer,
    Real,
    activation_bounds,
    place_text,
    real_value,
    scale_text,
)
from qcore.analysis.explaining.requantization import Factor, at
from qcore.analysis.explaining.taps import along
from qcore.errors import InternalError
from qcore.kernels import mean, pool, reduce
from qcore.kernels.opdef import Array
from qcore.numerics.derivation import Line, Value, decimal, exactly, rounded, wrapped
from qcore.numerics.fixed_point import Requantizer

LARGEST = 6
"""Values that a summary names."""


Box = tuple[slice, ...]
"""Part of the input: a range along each axis."""


def window(case: Case) -> Box:
    """The inputs in the window of a pool."""
    batch, y, x, channel = case.element
    (_, rows), (_, columns) = along(case.params.height, y), along(case.params.width, x)
    return one(batch), slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1), one(channel)


def one(place: int) -> slice:
    """A range of one place."""
    return slice(place, place + 1)


def reduced(case: Case) -> Box:
    """The inputs that a reduction makes one of."""
    what: reduce.Reduction = case.params if isinstance(case.params, reduce.Reduction) else case.params.reduction
    kept = [axis for axis in range(case.array(0).ndim) if axis not in what.axes]
    places = case.element if len(case.element) == len(kept) else [case.element[axis] for axis in kept]
    fixed = dict(zip(kept, places, strict=True))
    return tuple(one(fixed[axis]) if axis in fixed else slice(0, size) for axis, size in enumerate(case.array(0).shape))


def taken(case: Case, box: Box) -> Array:
    """The inputs' elements there, one after the other."""
    return np.asarray(case.array(0)[box].reshape(-1))


def count_line(values: Array, what: str) -> Line:
    """How many values there are, and the first of them."""
    named = ", ".join(decimal(value) for value in values[:LARGEST]) + (", ..." if len(values) > LARGEST else "")
    return Line("n", f"{what}: {named}", len(values))


def explain_average(case: Case) -> Derivation:
    """AVERAGE_POOL_2D of codes."""
    values = taken(case, window(case)).astype(np.int64)
    total, tensor, p = int(values.sum()), case.tensor("1", "input", case.node.input(0)), case.params
    lines = [count_line(values, "codes in the window, without padding"), *averaged(total, len(values))]
    code = min(max(int(lines[-1].value), p.activation_min), p.activation_max)
    lines.append(Line("q", f"R within [{p.activation_min}, {p.activation_max}]", code, 24))
    return Derivation(lines, (tensor,), real_mean(case, values, len(values), activation_bounds(case.node)))


def averaged(total: int, count: int) -> list[Line]:
    """A sum in int32 over its count, rounded as the kernel does it: half the count is added, and the quotient cut off."""
    kept = wrapped(total, 32)
    lines = [Line("A", "sum of q1", total, 24)]
    if kept != total:
        lines.append(Line("A'", "int32 wraps", kept))
    half = count // 2 if kept > 0 else -(count // 2)
    dividend = wrapped(kept + half, 32)
    if dividend == kept + half:
        return [*lines, rounded("R", f"{lines[-1].symbol} / n = {kept} / {count}", Fraction(kept, count), "away from zero", 24)]
    lines.append(Line("d", f"{lines[-1].symbol} + ({half}), half of n, int32 wraps", dividend))
    return [*lines, Line("R", f"d / n = {dividend} / {count}, cut off towards zero", math.trunc(Fraction(dividend, count)), 24)]


def real_mean(case: Case, values: Array, count: int, bounds: tuple[float, float] = (-math.inf, math.inf)) -> Real | None:
    """The sum of codes, over a count, in real numbers; None where they stand for none."""
    tensor = case.tensor("1", "input", case.node.input(0))
    if tensor.scale is None or tensor.zero_point is None:
        return None
    total = int(values.sum()) - len(values) * tensor.zero_point
    formula = f"S1 * sum of (q1 - Z1) = {scale_text(tensor.scale)} * {total}" + (f" / {count}" if count != 1 else "")
    return Real(formula, exactly(tensor.scale) * total / count, bounds=bounds)


def explain_average_float(case: Case) -> Derivation:
    """AVERAGE_POOL_2D of floats."""
    values = taken(case, window(case))
    low, high = case.params.activation_min, case.params.activation_max
    return float_sum(case, values, len(values), "values in the window, without padding", (low, high))


def float_sum(case: Case, values: Array, count: int, what: str, bounds: tuple[float, float] = (-math.inf, math.inf)) -> Derivation:
    """A sum of floats over a count: the exact one, and the kernel's."""
    wide = values.astype(np.float64)
    with np.errstate(all="ignore"):
        total = math.fsum(wide.tolist()) / count if np.isfinite(wide).all() and count else float(np.sum(wide) / np.float64(count))
    near = min(max(total, bounds[0]), bounds[1])
    lines = [
        count_line(values, what),
        Line("y", "their exact sum, rounded to float64" + (f", / {count}" if count != 1 else ""), total),
        Line("r", f"{case.kernel_name} in float32, in an order of its own: off by {float(case.value) - near:.3g}", case.value),
    ]
    close = (len(values) + 3) * 2.0**-23 * float(np.abs(wide).sum()) / max(count, 1) + 1e-37
    return Derivation(lines, (case.tensor("1", "input", case.node.input(0)),), expected=near, close=close)


def explain_root_mean_square(case: Case) -> Derivation:
    """L2_POOL_2D."""
    values, p = taken(case, window(case)), case.params
    mean = math.fsum((values.astype(np.float64) ** 2).tolist()) / len(values)
    near = min(max(math.sqrt(mean), p.activation_min), p.activation_max)
    lines = [
        count_line(values, "values in the window, without padding"),
        Line("y", "the exact root of the mean of their squares, rounded to float64", math.sqrt(mean)),
        Line("r", f"{case.kernel_name} in float32, in an order of its own: off by {float(case.value) - near:.3g}", case.value),
    ]
    close = (len(values) + 4) * 2.0**-23 * math.sqrt(mean) + 1e-19
    return Derivation(lines, (case.tensor("1", "input", case.node.input(0)),), expected=near, close=close)


def explain_maximum(case: Case) -> Derivation:
    """MAX_POOL_2D."""
    low, high = case.params.activation_min, case.params.activation_max
    return extreme(case, window(case), "greatest", (low, high), "in the window")


def extreme(case: Case, box: Box, which: str, bounds: tuple[float, float], where: str) -> Derivation:
    """The greatest or least of some inputs."""
    values, tensor = taken(case, box), case.tensor("1", "input", case.node.input(0))
    if len(values) == 0:
        return Derivation([Line("n", f"values {where}", 0), Line("q", "what it starts from", case.value)], (tensor,))
    best = int(np.argmax(values) if which == "greatest" else np.argmin(values))
    inside = np.unravel_index(best, case.array(0)[box].shape)
    place = tuple(int(i) + axis.start for i, axis in zip(inside, box, strict=True))
    lines = [count_line(values, f"values {where}"), Line("m", f"the {which}, input {place_text(place)}", plain(values[best]))]
    if bounds != (-math.inf, math.inf):
        lines.append(Line("q", f"within [{plain(bounds[0])}, {plain(bounds[1])}]", case.value))
    elif values[best] != case.value:
        lines.append(Line("q", f"{case.kernel_name} starts from it, and takes no NaN", case.value))
    real = None
    if tensor.scale is not None:
        real = Real(f"S1 (q1 - Z1) of the {which}", real_value(tensor, int(values[best])), bounds=activation_bounds(case.node))
    return Derivation(lines, (tensor,), real)


def plain(value: Any) -> Value:
    """A NumPy integer as an int."""
    return int(value) if np.asarray(value).dtype.kind in "iub" else value


def explain_fold(case: Case) -> Derivation:
    """REDUCE_MAX and REDUCE_MIN; of other folds the values."""
    combine = case.params.combine
    if combine in (np.fmax, np.fmin):
        return extreme(case, reduced(case), "greatest" if combine is np.fmax else "least", (-math.inf, math.inf), "along the axes")
    values, tensor = taken(case, reduced(case)), case.tensor("1", "input", case.node.input(0))
    return Derivation([count_line(values, "values along the axes"), Line("q", f"{combine.__name__} of them", plain(case.value))], (tensor,))


def explain_sum(case: Case) -> Derivation:
    """MEAN and SUM of codes."""
    values, p = taken(case, reduced(case)).astype(np.int64), case.params
    tensor = case.tensor("1", "input", case.node.input(0))
    if p.reduction.count == 0:
        return Derivation([Line("n", "values along the axes", 0), Line("q", "code 0, without values", case.value)], (tensor,))
    total = int(values.sum())
    lines = [count_line(values, "codes along the axes"), Line("A", "sum of q1", total)]
    accumulator = total - p.subtracted
    if p.subtracted:
        lines.append(Line("x", f"A - n Z1 = {total} - {p.subtracted}", accumulator, 25))
    if wrapped(accumulator, 32) != accumulator:
        accumulator = wrapped(accumulator, 32)
        lines.append(Line("x'", "int32 wraps", accumulator))
    requantize, place = at(p.requantize, case.element, case.shape)
    lines += scale_lines(case, requantize)
    lines += requantize.derive(accumulator, place) if isinstance(requantize, Requantizer) else in_float32(requantize, accumulator)
    steps = int(lines[-1].value)
    code = min(max(steps + p.added, p.quantized_min), p.quantized_max)
    added = f"R + Z3 = {steps} + {p.added}" if p.added == case.node.output.zero_point else f"R + {p.added}, Z3 less Z1 S1 / S3 rounded"
    within = f"{added if p.added else 'R'}, within [{p.quantized_min}, {p.quantized_max}]"
    lines.append(Line("q", within, code, 25 if p.subtracted else 45))
    count = len(values) if case.node.operator == "MEAN" else 1
    return Derivation(lines, (tensor,), real_mean(case, values, count))


def scale_lines(case: Case, requantize: Any) -> list[Line]:
    """The factor of the scales, before the division by the count is folded in."""
    input, output = case.tensor("1", "input", case.node.input(0)), case.result
    if not isinstance(requantize, Requantizer) or input.scale is None or output.scale is None:
        return []
    quotient = Factor((input.scale,), output.scale, "float64")
    folded = "; m and s hold it divided by n" if case.node.operator == "MEAN" else ""
    return [Line("M", quotient.line.formula + folded, quotient.value, 25)]


def in_float32(requantize: Any, total: int) -> list[Line]:
    """A sum of codes brought to output steps in float32: (45)."""
    if isinstance(requantize, mean.Float32Sum):
        factor, offset = requantize.scale, requantize.bias
    elif isinstance(requantize, mean.Float32Codes):
        factor, offset = requantize.factor, requantize.offset
    else:
        raise InternalError(f"explain: {requantize} is no requantization that it knows")
    moved = np.float32(total) * factor + offset
    lines = [
        Line("M", "S1 / S3, of a mean / n, in float32", factor, 45),
        Line("p", f"A * M + {decimal(offset)} = {total} * {decimal(factor)} + {decimal(offset)} in float32", moved, 45),
    ]
    given = int(np.asarray(requantize(np.array([total], np.int32)))[0])
    if not np.isfinite(moved):
        return [*lines, Line("R", "saturated", given)]
    found = rounded("R", "p to the nearest integer", exactly(moved), "away from zero", 45)
    return [*lines, found] if given == found.value else [*lines, found, Line("R'", "saturated", given)]


def explain_mean_integer(case: Case) -> Derivation:
    """MEAN of plain integers."""
    values, tensor = taken(case, reduced(case)), case.tensor("1", "input", case.node.input(0))
    total = int(values.sum(dtype=np.int64))
    cut = Line("q", f"A / n = {total} / {len(values)}, cut off towards zero", plain(case.value))
    return Derivation([count_line(values, "values along the axes"), Line("A", "their sum", total), cut], (tensor,))


def explain_sum_float(case: Case) -> Derivation:
    """SUM and MEAN of floats."""
    values = taken(case, reduced(case))
    return float_sum(case, values, len(values) if case.node.operator == "MEAN" else 1, "values along the axes")


EXPLAINERS: dict[object, Explainer] = {
    pool.average_quantized: explain_average,
    pool.average_float: explain_average_float,
    pool.maximum: explain_maximum,
    pool.l2_float: explain_root_mean_square,
    reduce.fold: explain_fold,
    mean.sum_quantized: explain_sum,
    mean.mean_integer: explain_mean_integer,
    mean.sum_float: explain_sum_float,
    mean.mean_float: explain_sum_float,
    mean.mean_of_rows: explain_sum_float,
}
"""By kernel."""
