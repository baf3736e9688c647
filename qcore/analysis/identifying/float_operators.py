"""Kernels of float32 operators that sum in a given order and call given functions, with the parameters of qcore's own beside them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qcore.kernels import conv, delegate_functions, delegate_sums, fully_connected, pool, resize, transpose_conv
from qcore.kernels.delegate import flushed
from qcore.kernels.opdef import Array
from qcore.kernels.reduce import Reduction
from qcore.kernels.weighted import RealOutput

Reals = NDArray[np.float32]
Curve = Callable[[Reals], Reals]
Sums = Callable[[Reals], Reals]
"""float32[rows] of float32[rows, depth]."""
Products = Callable[[Reals, Reals, Reals | None], Reals]
"""float32[..., rows, channels] of float32[..., rows, depth], float32[..., channels, depth] and a bias float32[..., 1, channels]."""


def in_turn(x: Reals, filter: Reals, bias: Reals | None = None) -> Reals:
    """Products of the reference kernels: each one and each sum rounded, and the bias last."""
    total = np.zeros((*np.broadcast_shapes(x.shape[:-2], filter.shape[:-2]), x.shape[-2], filter.shape[-2]), np.float32)
    for tile, columns, lines in delegate_sums.tiles(total, x, filter):
        sums, product = np.zeros_like(total[tile]), np.empty_like(total[tile])
        for column, line in zip(columns, lines, strict=True):
            sums += np.multiply(column, line, out=product)
        total[tile] = sums
    return total if bias is None else total + bias


@dataclass(frozen=True)
class Ordered:
    """A convolution of floats.

    by_columns: the taps of a window are taken column by column, not row by row.
    """

    geometry: conv.Geometry
    finish: RealOutput
    products: Products
    by_columns: bool = False


def convolve(p: Ordered, x: Array, filter: Array, bias: Array | None = None) -> Array:
    """As ``conv.convolve_real``."""
    g, output = p.geometry, np.empty(p.geometry.output, np.float32)
    matrix = in_taps_order(p, g.matrix(filter))
    of_groups = None if bias is None else bias.reshape(g.groups, 1, -1)
    for tile, windows in conv.tiles_of_windows(g, x, 0, x.dtype):
        total = p.products(in_taps_order(p, windows), matrix, of_groups)
        output[tile.place] = p.finish(conv.channels_last(total, output[tile.place]), None)
    return output


def in_taps_order(p: Ordered, windows: Reals) -> Reals:
    """Windows [groups, outputs, depth] with their taps as they are taken."""
    if not p.by_columns:
        return windows
    taps = windows.reshape(*windows.shape[:2], p.geometry.height.size, p.geometry.width.size, -1)
    return taps.swapaxes(2, 3).reshape(windows.shape)


def convolve_channels(p: Ordered, x: Array, filter: Array, bias: Array | None = None) -> Array:
    """As ``depthwise.convolve_real``: every input channel is a group of its own."""
    return convolve(p, x, filter.transpose(3, 1, 2, 0), bias)


def dense(p: tuple[fully_connected.FloatParams, Products], input: Array, filter: Array, bias: Array | None = None) -> Array:
    """As ``fully_connected.real``."""
    params, products = p
    total = products(params.rows.of(input), filter, None if bias is None else bias.reshape(1, -1))
    return params.output(total, None).reshape(params.rows.shape)


def blockwise(p: tuple[fully_connected.BlockwiseParams, Array, Reals], input: Array, filter: Array, bias: Array | None = None) -> Array:
    """As ``fully_connected.blockwise``, by the builtin kernel: each block's integers are summed, then scaled, and added up in turn.

    p: how the input is quantized, and what follows; the filter's codes; the scale of each block.
    """
    params, codes, scale = p
    rows, zero_points = params.rows.of(input), np.zeros(len(scale), np.float32)
    quantized, row_scale, zero_point = params.by.quantize(rows)
    total = np.zeros((len(rows), len(scale)), np.float32)
    size = codes.shape[1] // scale.shape[1]
    for block, factor in enumerate(scale.T):
        along = slice(block * size, (block + 1) * size)
        integers = codes[:, along].astype(np.float64)
        total += (quantized[:, along] @ integers.T).astype(np.float32) * factor
        zero_points += factor * integers.sum(axis=1).astype(np.float32)
    total -= zero_point[:, np.newaxis].astype(np.float32) * zero_points
    return params.output(total * row_scale[:, np.newaxis], bias).reshape(params.rows.shape)


def matrix_products(p: tuple[bool, bool, Products], x: Array, y: Array) -> Array:
    """As ``batch_matmul.real``."""
    adj_x, adj_y, products = p
    return products(x.swapaxes(-1, -2) if adj_x else x, y if adj_y else y.swapaxes(-1, -2), None)


def transposed_in_turn(p: transpose_conv.RealParams, shape: Array, filter: Array, x: Array, bias: Array | None = None) -> Array:
    """As ``transpose_conv.convolve_real``, by the reference kernel: inputs in the order of memory, which meet the last tap first."""
    total = np.zeros(p.geometry.output, np.float32)
    for ky, from_rows, to_rows in reversed([*p.geometry.height.taps()]):
        for kx, from_columns, to_columns in reversed([*p.geometry.width.taps()]):
            for k in range(x.shape[3]):
                total[:, to_rows, to_columns] += x[:, from_rows, from_columns, k : k + 1] * filter[:, ky, kx, k]
    return p.finish(total, bias)


def transposed(p: transpose_conv.RealParams, shape: Array, filter: Array, x: Array, bias: Array | None = None) -> Array:
    """The same by XNNPACK: each output's taps from the first on, in fused steps from the bias on."""
    total = np.zeros(p.geometry.output, np.float32)
    total += 0 if bias is None else bias.reshape(-1)
    for ky, from_rows, to_rows in p.geometry.height.taps():
        for kx, from_columns, to_columns in p.geometry.width.taps():
            reached = total[:, to_rows, to_columns]
            for k in range(x.shape[3]):
                reached[...] = delegate_sums.fused(x[:, from_rows, from_columns, k : k + 1], filter[:, ky, kx, k], reached)
    return p.finish(total, None)


def softmax(p: tuple[np.float32, Curve, Sums, bool], x: Array) -> Array:
    """As ``softmax.softmax_float``.

    p: the factor of the exponent; exp; sums of rows; whether rows are divided by their sum, rather than multiplied by one over it.
    """
    beta, exp, sums, divides = p
    rows = x.reshape(-1, x.shape[-1])
    exponentials = exp((rows - rows.max(axis=1, keepdims=True)) * beta)
    total = sums(exponentials)[:, np.newaxis]
    return (exponentials / total if divides else exponentials * (np.float32(1) / total)).reshape(x.shape)


def flushed_softmax(p: tuple[np.float32, Curve, Sums, bool], x: Array) -> Array:
    """The same, by XNNPACK."""
    return flushed(partial(softmax, p), x)


def log_softmax(p: tuple[Curve, Sums, Curve], x: Array) -> Array:
    """As ``softmax.log_softmax_float``; p: exp, sums of rows, log."""
    exp, sums, log = p
    rows = x.reshape(-1, x.shape[-1])
    centred = rows - rows.max(axis=1, keepdims=True)
    logarithms: Reals = centred - log(sums(exp(centred)))[:, np.newaxis]
    return logarithms.reshape(x.shape)


def attention(scale: np.float32, queries: Array, keys: Array, values: Array, mask: Array | None = None) -> Array:
    """Scaled dot-product attention by XNNPACK.

    queries: float32[batch, rows, heads, depth]; keys, values: of heads that the queries' are a multiple of.
    """
    heads = queries.shape[2] // keys.shape[2]
    q, k, v = (x.transpose(0, 2, 1, 3) for x in (queries * scale, keys.repeat(heads, axis=2), values.repeat(heads, axis=2)))
    logits = delegate_sums.products(q, k)
    p = np.float32(1), delegate_functions.exp_below_zero, delegate_sums.sums_of_exponentials, False
    shares = flushed_softmax(p, logits if mask is None else mask + logits)
    return delegate_sums.products(shares, v.swapaxes(2, 3)).transpose(0, 2, 1, 3)


def flat(function: Curve, x: Array) -> Array:
    """A function of x as one row, in the order of memory."""
    return function(x.reshape(-1)).reshape(x.shape)


def row_by_row(sums: Sums, rows: Reals) -> Reals:
    """Sums of rows, each by itself."""
    return np.concatenate([sums(row[np.newaxis]) for row in rows])


def sums_in_turn(rows: Reals) -> Reals:
    """Each row's values one after the other."""
    sums: Reals = np.add.accumulate(rows, axis=1)[:, -1]
    return sums


def window_averages(p: pool.Params, x: Array) -> Array:
    """As ``pool.average_float``, by XNNPACK: windows column by column, and sums multiplied by one over the number of pixels."""
    shape = len(x), p.height.output, p.width.output, x.shape[3]
    pixels = np.zeros((p.width.size * p.height.size, *shape), np.float32)
    for kx, columns, input_columns in p.width.taps():
        for ky, rows, input_rows in p.height.taps():
            pixels[kx * p.height.size + ky][:, rows, columns] = x[:, input_rows, input_columns]
    average = delegate_sums.window_sums(pixels) * (np.float32(1) / pool.window_counts(p).astype(np.float32))
    return average.clip(np.float32(p.activation_min), np.float32(p.activation_max))


def mean_of_rows(p: tuple[Reduction, Sums], x: Array, _axis: Array) -> Array:
    """As ``mean.mean_of_rows``."""
    what, sums = p
    return (sums(x.reshape(-1, what.count)) / np.float32(what.count)).reshape(what.output)


def reduce_in_groups(p: tuple[Reduction, np.float32], x: Array, _axis: Array) -> Array:
    """As ``mean.sum_float`` and ``mean.mean_float``, by XNNPACK.

    Axes that lie side by side are one. The innermost of those that are reduced is summed alone, the sum is multiplied by the factor,
    and what comes of this for the others is added up in turn; of rows, in a fused step.

    p: what is reduced; the factor.
    """
    what, factor = p
    runs = [
        (reduced, math.prod(x.shape[axis] for axis in run)) for reduced, run in itertools.groupby(range(x.ndim), what.axes.__contains__)
    ]
    values = x.reshape([size for _, size in runs])
    *outer, inner = (i for i, (reduced, _) in enumerate(runs) if reduced)
    kept = [i for i, (reduced, _) in enumerate(runs) if not reduced]
    of_rows = inner == len(runs) - 1
    ordered = values.transpose(*outer, *kept, inner) if of_rows else values.transpose(*outer, inner, *kept)
    terms = ordered.reshape(math.prod(runs[i][1] for i in outer), *([-1, runs[inner][1]] if of_rows else [runs[inner][1], -1]))
    total = np.zeros(math.prod(what.output), np.float32)
    for term in terms:
        total = delegate_sums.fused(delegate_sums.row_sums(term), factor, total) if of_rows else total + sums_in_turn(term.T) * factor
    return total.reshape(what.output)


Weights = tuple[Reals, Reals, Reals, Reals]


def corners(taps: tuple[resize.Taps, resize.Taps], x: Array) -> Weights:
    """The four pixels that each output is a mean of: upper left, upper right, lower left, lower right."""
    height, width = taps
    upper, lower = x.take(height.lower, axis=1), x.take(height.upper, axis=1)
    return (
        upper.take(width.lower, axis=2),
        upper.take(width.upper, axis=2),
        lower.take(width.lower, axis=2),
        lower.take(width.upper, axis=2),
    )


def axis_weights(taps: tuple[resize.Taps, resize.Taps]) -> Weights:
    """Weights of the upper and the lower row, and of the left and the right column, for [batch, rows, columns, channels]."""
    height, width = taps
    rows = (weight[:, np.newaxis, np.newaxis] for weight in (height.lower_weight, height.upper_weight))
    columns = (weight[:, np.newaxis] for weight in (width.lower_weight, width.upper_weight))
    return (*rows, *columns)  # type: ignore[return-value]


def resize_by_corners(p: resize.Params, x: Array, _size: Array) -> Array:
    """As ``resize.bilinear``, by the reference kernel: each pixel is weighed by its row, then by its column; column by column."""
    taps = resize.float_taps(p.height), resize.float_taps(p.width)
    (a, b, c, d), (top, bottom, left, right) = corners(taps, x), axis_weights(taps)
    mean: Reals = a * top * left + c * bottom * left + b * top * right + d * bottom * right
    return mean


def resize_by_weights(p: resize.Params, x: Array, _size: Array) -> Array:
    """As ``resize.bilinear``, by the builtin kernel: each pixel by the product of both weights, row by row."""
    taps = resize.float_taps(p.height), resize.float_taps(p.width)
    (a, b, c, d), (top, bottom, left, right) = corners(taps, x), axis_weights(taps)
    return a * (top * left) + b * (top * right) + c * (bottom * left) + d * (bottom * right)


def resize_doubled(p: resize.Params, x: Array, _size: Array) -> Array:
    """The same, where height and width are doubled: means of two pixels, and of two such means."""
    below, beside = np.concatenate([x[:, 1:], x[:, -1:]], axis=1), np.concatenate([x[:, :, 1:], x[:, :, -1:]], axis=2)
    across = np.concatenate([below[:, :, 1:], below[:, :, -1:]], axis=2)
    half, out = np.float32(0.5), np.empty(p.output, np.float32)
    out[:, ::2, ::2] = x
    out[:, ::2, 1::2] = (x + beside) * half
    out[:, 1::2, ::2] = (x + below) * half
    out[:, 1::2, 1::2] = ((x + below) * half + (beside + across) * half) * half
    return out


def resize_by_differences(p: resize.Params, x: Array, _size: Array) -> Array:
    """As ``resize.bilinear``, by XNNPACK: a part of the difference of two pixels is added to the first."""
    taps = resize.delegate_taps(p.height), resize.delegate_taps(p.width)
    (a, b, c, d), (_, bottom, _, right) = corners(taps, x), axis_weights(taps)
    upper, lower = a + (b - a) * right, c + (d - c) * right
    return upper + (lower - upper) * bottom
