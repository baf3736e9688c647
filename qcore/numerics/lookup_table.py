"""Functions of one code as tables: every code of 8 bits, or 513 samples with straight lines between them for 16 bits.

TensorFlow Lite evaluates most functions of one quantized tensor this way. A table is part of the meaning, not a shortcut: with 16
bits the straight lines stray from the function by thousands of steps where it is steep.

A ``transform`` is the real function: an array of real values in, an array of the same shape and type out. Elementary functions are
best evaluated ``in_float64``: rounded once, they are what the C library's float32 functions give but for very few values.

>>> table = lookup_table("int8", in_float64(np.exp), 0.1, 0, 0.05, -128)
>>> look_up(table, np.array([-20, 0, 20], np.int8))
array([-125, -108,   20], dtype=int8)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.numerics.casting import float_to_int32
from qcore.numerics.rounding import round_half_away

Transform = Callable[[NDArray[Any]], NDArray[Any]]

STEPS = 512
"""Straight lines in a 16-bit table; each spans 128 codes."""


def lookup_table(
    dtype: str,
    transform: Transform,
    input_scale: float,
    input_zero_point: int,
    output_scale: float,
    output_zero_point: int,
) -> NDArray[Any]:
    """The function of every code, for ``look_up``: ``direct_table`` for int8 and uint8, ``interpolated(sampled_table)`` for int16."""
    if dtype == "int16":
        return interpolated(sampled_table(transform, input_scale, input_zero_point, output_scale, output_zero_point))
    return direct_table(dtype, transform, input_scale, input_zero_point, output_scale, output_zero_point)


def look_up(table: NDArray[Any], codes: NDArray[Any]) -> NDArray[Any]:
    """The table's value for each code.

    Args:
        table: T[256] or T[65536], in the order of the codes' bits taken as unsigned: 0, 1, ..., 127, -128, ..., -1.
        codes: int8 | uint8[...], or int16[...] for the longer table.

    Returns:
        T[...], shaped like codes.
    """
    return np.asarray(np.take(table, codes.view(np.uint8 if table.size == 256 else np.uint16)))


def all_codes(dtype: str) -> NDArray[np.int32]:
    """Every code of an 8-bit or 16-bit type, in the order of tables: 0, 1, ..., 127, -128, ..., -1 for int8."""
    unsigned = np.dtype(f"u{np.dtype(dtype).itemsize}")
    return np.arange(1 << 8 * unsigned.itemsize).astype(unsigned).view(dtype).astype(np.int32)


def real_values(dtype: str, scale: float, zero_point: int) -> NDArray[np.float32]:
    """``scale * (code - zero_point)`` of every code, rounded to float32, in the order of tables."""
    return np.float32(scale) * (all_codes(dtype) - np.int32(zero_point)).astype(np.float32)


def in_float64(function: Transform) -> Transform:
    """The float32 function that evaluates in float64 and rounds once."""
    return lambda x: function(x.astype(np.float64)).astype(x.dtype)


def direct_table(
    dtype: str,
    transform: Transform,
    input_scale: float,
    input_zero_point: int,
    output_scale: float,
    output_zero_point: int,
) -> NDArray[Any]:
    """``clamp(round_half_away(transform(real) * (1 / output_scale)) + output_zero_point)`` of every code; all in float32.

    Args:
        dtype: "int8" or "uint8", type of the input's and the output's codes.
        transform: float32[256] to float32[256].
        input_scale: real units per step, a float32 value.
        input_zero_point: code.
        output_scale: real units per step, a float32 value.
        output_zero_point: code.

    Returns:
        dtype[256] in the order of the codes' bits taken as unsigned.

    Source: tflite/kernels/internal/common.h#LUTPopulateInt8.
    """
    limits = np.iinfo(dtype)
    with np.errstate(all="ignore"):
        function = transform(real_values(dtype, input_scale, input_zero_point))
        quantized = round_half_away(function * (np.float32(1) / np.float32(output_scale))) + np.float32(output_zero_point)
    saturated: NDArray[Any] = np.fmax(np.fmin(quantized, limits.max), limits.min)
    return saturated.astype(dtype)


def sampled_table(
    transform: Transform,
    input_scale: float,
    input_zero_point: int,
    output_scale: float,
    output_zero_point: int,
    precision: type[np.floating[Any]] = np.float32,
) -> NDArray[np.int16]:
    """Samples of a function, 128 codes apart, each moved to halve the error of its straight line at the middle.

    The output's zero point only sets the range that the steps are derived from; the samples are ``transform(real) / step`` without
    it, so callers use tables of 16 bits with zero points of 0.

    Args:
        transform: precision[...] to the same.
        input_scale: real units per step.
        input_zero_point: code.
        output_scale: real units per step.
        output_zero_point: code.
        precision: float32, or float64 for the tables within SOFTMAX; every operation rounds to it.

    Returns:
        int16[513]: samples at codes -32768, -32640, ..., 32640 and the last code, 32767. NaN becomes 0.

    Source: tflite/kernels/internal/common.h#LUTPopulateInt16.
    """
    limits = np.iinfo(np.int16)
    two, scale_in, scale_out = precision(2), precision(input_scale), precision(output_scale)
    with np.errstate(all="ignore"):
        input_min, input_max = (scale_in * precision(edge - input_zero_point) for edge in (limits.min, limits.max))
        output_min, output_max = (scale_out * precision(edge - output_zero_point) for edge in (limits.min, limits.max))
        step = (input_max - input_min) / precision(STEPS)
        inverse_scale = precision(1 << 16) / (output_max - output_min)

        starts = input_min + np.arange(STEPS + 1, dtype=precision) * step
        at_starts = transform(starts) * inverse_scale
        at_middles = transform(starts[:-1] + step / two) * inverse_scale
        at_end = transform(np.array([input_max])) * inverse_scale

        samples = round_half_away(at_starts[:-1])
        line_middles = round_half_away((at_starts[1:] + samples) / two)
        corrections = round_half_away((line_middles - round_half_away(at_middles)) / two)
        table = np.concatenate([samples - corrections, round_half_away(at_end)])
        return float_to_int32(np.clip(table, precision(limits.min), precision(limits.max))).astype(np.int16)


def interpolated(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """The straight lines between samples, at every code.

    ``base + ((slope * offset + 64) >> 7)``, ties up, where offset is the code's distance from its sample, 0 to 127. The slope wraps
    to int16, and so does the sum.

    Args:
        samples: int16[513], see ``sampled_table``.

    Returns:
        int16[65536] in the order of the codes' bits taken as unsigned.

    Source: tflite/kernels/internal/common.h#LUTLookup(int16_t, ...).
    """
    base = samples[:-1].astype(np.int32)
    slope = (samples[1:] - samples[:-1]).astype(np.int32)
    offset = np.arange(128, dtype=np.int32)
    ascending = base[:, np.newaxis] + ((slope[:, np.newaxis] * offset + 64) >> 7)
    return np.roll(ascending.astype(np.int16).reshape(-1), 1 << 15)
