"""Sums of products of codes: convolutions, dense layers and matrix products of integers.

Products, their sum, the bias, the accumulator: equation (22) of docs/quantization.md; then the requantization, as the kernel holds it.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from qcore.analysis.explaining import taps as meeting
from qcore.analysis.explaining.case import Case, Derivation, Explainer, Products, Real, activation_bounds, clamped
from qcore.analysis.explaining.requantization import at, derived, product_factor
from qcore.kernels import batch_matmul, conv, depthwise, fully_connected, transpose_conv
from qcore.kernels.weighted import QuantizedOutput, codes
from qcore.numerics.derivation import Line, exactly, wrapped
from qcore.numerics.fixed_point import Float32Rounding, Float64Rounding, HalfUpRounding, Requantizer

LARGEST = 3
"""Products that a summary names."""


def explain_convolution(case: Case) -> Derivation:
    """CONV_2D of integers."""
    return explain_sum(case, meeting.convolution(case), case.params.filter_zero_point, case.params.finish)


def explain_depthwise(case: Case) -> Derivation:
    """DEPTHWISE_CONV_2D of integers."""
    return explain_sum(case, meeting.depthwise(case), case.params.filter_zero_point, case.params.finish)


def explain_transposed(case: Case) -> Derivation:
    """TRANSPOSE_CONV of integers."""
    return explain_sum(case, meeting.transposed_convolution(case), case.params.filter_zero_point, case.params.finish)


def explain_dense(case: Case) -> Derivation:
    """FULLY_CONNECTED of integers."""
    return explain_sum(case, meeting.dense(case), case.params.filter_zero_point, case.params.output)


def explain_matmul(case: Case) -> Derivation:
    """BATCH_MATMUL of integers."""
    return explain_sum(case, meeting.batch_matmul(case), case.params.y_zero_point, case.params.output)


def explain_sum(case: Case, taps: meeting.Taps, filter_zero_point: int, output: QuantizedOutput | None) -> Derivation:
    """The sum of what meets in an output, and its code; output: None where the sum itself is the output."""
    x, filter, bias = taps.arrays(case)
    if case.node.operator in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        filter = codes(filter, x.dtype)
    input_zero_point = case.params.x_zero_point if case.node.operator == "BATCH_MATMUL" else case.params.input_zero_point
    q1, q2 = (array[tuple(places.T)].astype(np.int64) for array, places in ((x, taps.input), (filter, taps.filter)))
    w = q2 - filter_zero_point
    products = Products(taps.input, taps.filter, q1 - input_zero_point, w)
    lines = [
        Line("n", taps.text, len(q1)),
        *summary(products),
        Line("A", f"sum of q1 * (q2 - {filter_zero_point})" if filter_zero_point else "sum of q1 * q2", int(q1 @ w), 22),
    ]
    total = int(q1 @ w) - input_zero_point * int(w.sum())
    if input_zero_point:
        lines.append(Line("B", f"- Z1 * sum of q2 = -({input_zero_point}) * {int(w.sum())}", total - int(q1 @ w), 22))
    added = None if bias is None else int(bias.reshape(-1)[taps.channel])
    if added is not None:
        lines.append(Line("b", f"bias of channel {taps.channel}", added, 9))
    bits = 32 if output is None else 8 * output.accumulator.itemsize
    accumulator = total + (added or 0)
    parts = " + ".join(line.symbol for line in lines if line.symbol in "ABb")
    lines.append(Line("x", f"{parts}, {headroom(accumulator, bits)}", accumulator, 22))
    if wrapped(accumulator, bits) != accumulator:
        accumulator = wrapped(accumulator, bits)
        lines.append(Line("x'", f"int{bits} wraps", accumulator))
    tensors = taps.tensors(case)
    if output is None:
        return Derivation(lines, tensors, products=products)
    lines += requantized(case, taps, output, accumulator)
    return Derivation(lines, tensors, real_sum(case, taps, total, added), products)


def summary(products: Products) -> list[Line]:
    """How many products are positive and how many negative, what they add up to, and the greatest of each."""
    values = products.values
    lines = []
    for symbol, sign in (("P+", 1), ("P-", -1)):
        chosen = np.flatnonzero(values * sign > 0)
        largest = chosen[np.argsort(-np.abs(values[chosen]), kind="stable")][:LARGEST]
        named = [f"{products.input_values[i]} * {products.filter_values[i]}" for i in largest] + ["..."] * (len(chosen) > LARGEST)
        what = f"{len(chosen)} {'positive' if sign > 0 else 'negative'} (q1 - Z1)(q2 - Z2)"
        lines.append(Line(symbol, what + (": " + ", ".join(named) if named else ""), values[chosen].sum().item()))
    return lines


def headroom(accumulator: int, bits: int) -> str:
    """How far an accumulator is from the end of its type."""
    left = bits - 1 - math.log2(max(abs(accumulator), 1))
    return f"{left:.1f} bits of int{bits} to spare"


def requantized(case: Case, taps: meeting.Taps, output: QuantizedOutput, accumulator: int) -> list[Line]:
    """From the accumulator to the code."""
    requantize, channel = at(output.requantize, case.element, case.shape)
    assert isinstance(requantize, Requantizer)
    factor = product_factor(taps.tensors(case), case.result, precision(case, requantize))
    lines = derived(requantize, accumulator, factor, channel)
    return [*lines, clamped(int(lines[-1].value), output.zero_point, output.activation_min, output.activation_max)]


def precision(case: Case, requantize: Requantizer) -> str:
    """That in which the kernel takes the real multiplier."""
    if isinstance(requantize, Float32Rounding):
        return "float32"
    if isinstance(requantize, Float64Rounding):
        return "float64"
    operator, quantization = case.node.operator, case.node.input(1).quantization
    if operator == "FULLY_CONNECTED":
        one_scale = quantization is not None and quantization.scale.size == 1
        return "mixed" if one_scale and isinstance(requantize, HalfUpRounding) else "float64"
    legacy = case.node.output.dtype == "uint8"
    return "mixed" if operator == "BATCH_MATMUL" or legacy else "float64"


def real_sum(case: Case, taps: meeting.Taps, total: int, added: int | None) -> Real:
    """The element in real numbers."""
    tensors = taps.tensors(case)
    s1, s2 = (Fraction(0) if tensor.scale is None else exactly(tensor.scale) for tensor in tensors[:2])
    formula, value = f"S1 S2 * {total}", s1 * s2 * total
    if added is not None:
        scale = tensors[2].scale
        formula += f" + S1 S2 * {added}" if scale is None else f" + Sb * {added}"
        value += added * (s1 * s2 if scale is None else exactly(scale))
    return Real(formula, value, bounds=activation_bounds(case.node))


EXPLAINERS: dict[object, Explainer] = {
    conv.convolve_quantized: explain_convolution,
    depthwise.convolve_quantized: explain_depthwise,
    transpose_conv.convolve_quantized: explain_transposed,
    fully_connected.integer: explain_dense,
    batch_matmul.integer: explain_matmul,
}
"""By kernel."""
