"""Weighted operators of floats: dynamic range, whose integer sums are exact, and float32, whose sums depend on their order.

Dynamic range is equation (35) of docs/quantization.md. Of float32 the exact sum is given; the kernel's may differ by the rounding of its
terms and partial sums, which is what it is checked to be.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from qcore.analysis.explaining import taps as meeting
from qcore.analysis.explaining.case import Case, Derivation, Explainer, Products
from qcore.analysis.explaining.taps import Taps
from qcore.analysis.explaining.weighted import summary
from qcore.kernels import batch_matmul, conv, conv3d, depthwise, fully_connected, transpose_conv
from qcore.kernels.hybrid import QuantizedRows
from qcore.kernels.opdef import Array
from qcore.kernels.weighted import RealOutput
from qcore.numerics.derivation import Line, decimal

FLOAT32_ROUNDING = 2.0**-24
"""The relative error of a float32 operation at most."""


def explain_hybrid(meet: Callable[[Case], Taps], case: Case) -> Derivation:
    """Rows of floats, each quantized by its own range, with a filter of integers."""
    taps = meet(case)
    x, filter, bias = taps.arrays(case)
    p = case.params
    codes, scales, zero_points = quantized_input(case, x)
    scale, zero_point = scales[taps.row], int(zero_points[taps.row])
    q1, q2 = (array[tuple(places.T)].astype(np.int64) for array, places in ((codes, taps.input), (signed(filter), taps.filter)))
    products = Products(taps.input, taps.filter, q1 - zero_point, q2)
    total = int(products.values.sum())
    lines = [
        Line("S1", f"scale of row {taps.row} of the input, by its own range", scale),
        Line("Z1", f"zero point of row {taps.row}", zero_point),
        Line("n", taps.text, len(q1)),
        *summary(products),
        Line("A", "sum of q1 * q2", int(q1 @ q2), 35),
        Line("x", f"A - Z1 * sum of q2 = {int(q1 @ q2)} - {zero_point} * {int(q2.sum())}", total, 35),
    ]
    of_filter = p.y_scale if isinstance(p, batch_matmul.HybridParams) else p.filter_scale
    channels = case.shape[-1]
    sums = np.zeros((1, channels), np.int64)
    sums[0, case.element[-1]] = total
    real = p.by.real_values(sums, scale.reshape(1), of_filter)
    s2 = of_filter[taps.channel if of_filter.size > 1 else 0]
    value = real[0, case.element[-1]]
    lines.append(Line("y", f"S1 S2 x = {decimal(scale)} * {decimal(s2)} * {total} in {real.dtype.name}", value, 35))
    return Derivation([*lines, *finished(case, real, bias)], taps.tensors(case), products=products)


def explain_blockwise(case: Case) -> Derivation:
    """FULLY_CONNECTED with a filter of blocks: codes of the input with real weights, summed in float32."""
    taps, p = meeting.dense(case), case.params
    x, _, bias = taps.arrays(case)
    codes, scales, zero_points = quantized_input(case, x)
    scale, zero_point = scales[taps.row], int(zero_points[taps.row])
    places = tuple(taps.input.T)
    products = Products(
        taps.input, taps.filter, (codes[places].astype(np.int64) - zero_point).astype(np.float32), p.filter[tuple(taps.filter.T)]
    )
    added = 0.0 if bias is None else float(bias.reshape(-1)[taps.channel])
    values = products.values * float(scale)
    total = exact_sum([*values.tolist(), added])
    near = min(max(total, float(p.output.activation_min)), float(p.output.activation_max))
    lines = [
        Line("S1", f"scale of row {taps.row} of the input, by its own range", scale),
        Line("Z1", f"zero point of row {taps.row}", zero_point),
        Line("n", taps.text, len(values)),
        *summary(products),
        Line("y", "S1 * the exact sum" + ("" if bias is None else f" + b = {decimal(added)}") + ", rounded to float64", total),
        Line("r", f"{case.kernel_name} in float32, in an order of its own: off by {float(case.value) - near:.3g}", case.value),
    ]
    allowed = (len(values) + 4) * FLOAT32_ROUNDING * (float(np.abs(values).sum()) + abs(added)) * 2 + 1e-37
    return Derivation(lines, taps.tensors(case), products=products, expected=near, close=allowed)


def signed(filter: Array) -> Array:
    """The filter's codes; files older than the type int8 call them uint8."""
    return filter.view(np.int8) if filter.dtype == np.uint8 else filter


def quantized_input(case: Case, x: Array) -> tuple[Array, Array, Array]:
    """The input as the kernel quantizes it: codes in its own shape, scales and zero points row by row."""
    p = case.params
    swapped = isinstance(p, batch_matmul.HybridParams) and p.adj_x
    if isinstance(p, batch_matmul.HybridParams):
        rows = x.swapaxes(-1, -2) if swapped else x
    elif isinstance(p, fully_connected.HybridParams | fully_connected.BlockwiseParams):
        rows = p.rows.of(x)
    else:
        rows = x.reshape(-1, x.shape[3]) if case.kernel is conv.convolve_pixels else x.reshape(len(x), -1)
    quantized: QuantizedRows = p.by.quantize(rows)
    codes = quantized.codes.swapaxes(-1, -2) if swapped else quantized.codes.reshape(x.shape)
    return codes, quantized.scale.reshape(-1), quantized.zero_point.reshape(-1)


def ending(case: Case) -> RealOutput | None:
    """What adds bias and fused activation; None where the operator has neither."""
    return getattr(case.params, "finish", None) or getattr(case.params, "output", None)


def finished(case: Case, real: Array, bias: Array | None) -> list[Line]:
    """Bias and fused activation, as the kernel adds them."""
    finish = ending(case)
    if finish is None:
        return [Line("r", "in float32", np.float32(real[0, case.element[-1]]))]
    ended = finish(real.copy(), bias)[0, case.element[-1]]
    added = "" if bias is None else f" + b = {decimal(bias.reshape(-1)[case.element[-1]])}"
    low, high = finish.activation_min, finish.activation_max
    within = "" if np.isinf(low) and np.isinf(high) else f", within [{low:g}, {high:g}]"
    return [Line("r", f"y{added}{within}, in float32", ended)]


def explain_float(meet: Callable[[Case], Taps], case: Case) -> Derivation:
    """Floats: the exact sum."""
    taps = meet(case)
    x, filter, bias = taps.arrays(case)
    a, b = (array[tuple(places.T)].astype(np.float32) for array, places in ((x, taps.input), (filter, taps.filter)))
    products = Products(taps.input, taps.filter, a, b)
    values = products.values
    lines = [Line("n", taps.text, len(a)), *summary(products)]
    added = 0.0 if bias is None else float(bias.reshape(-1)[taps.channel])
    if bias is not None:
        lines.append(Line("b", f"bias of channel {taps.channel}", added))
    total = exact_sum([*values.tolist(), added])
    lines.append(Line("y", "the exact sum, rounded to float64", total))
    finish = ending(case)
    if finish is not None and not (np.isinf(finish.activation_min) and np.isinf(finish.activation_max)):
        total = min(max(total, float(finish.activation_min)), float(finish.activation_max))
        lines.append(Line("y'", f"within [{finish.activation_min:g}, {finish.activation_max:g}]", total))
    off = float(case.value) - total
    lines.append(Line("r", f"{case.kernel_name} in float32, in an order of its own: off by {off:.3g}", case.value))
    magnitude = float(np.abs(values).sum()) + abs(added)
    allowed = (len(values) + 2) * FLOAT32_ROUNDING * magnitude * 2 + 1e-37
    return Derivation(lines, taps.tensors(case), products=products, expected=total, close=allowed)


def exact_sum(values: list[float]) -> float:
    """The sum rounded once; NaN or infinite where it is neither finite nor defined."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        return float(np.sum(values))


def _hybrid(meet: Callable[[Case], Taps]) -> Explainer:
    return partial(explain_hybrid, meet)


def _float(meet: Callable[[Case], Taps]) -> Explainer:
    return partial(explain_float, meet)


EXPLAINERS: dict[object, Explainer] = {
    conv.convolve_hybrid: _hybrid(meeting.convolution),
    conv.convolve_pixels: _hybrid(meeting.pointwise_convolution),
    depthwise.convolve_hybrid: _hybrid(meeting.depthwise),
    transpose_conv.convolve_hybrid: _hybrid(meeting.transposed_convolution),
    fully_connected.hybrid: _hybrid(meeting.dense),
    fully_connected.blockwise: explain_blockwise,
    batch_matmul.hybrid: _hybrid(meeting.batch_matmul),
    conv.convolve_real: _float(meeting.convolution),
    conv.convolve_in_order: _float(meeting.convolution),
    depthwise.convolve_real: _float(meeting.depthwise),
    transpose_conv.convolve_real: _float(meeting.transposed_convolution),
    conv3d.convolve: _float(meeting.convolution_3d),
    conv3d.convolve_transposed: _float(meeting.transposed_convolution_3d),
    fully_connected.real: _float(meeting.dense),
    batch_matmul.real: _float(meeting.batch_matmul),
    batch_matmul.real_in_turn: _float(meeting.batch_matmul),
}
"""By kernel."""
