"""Biases: integers in the scale of the products that they are added to, and the guard against a scale too small for them.

Equations (9) and (10) of docs/quantization.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcore.errors import InputError, QuantizationError
from qcore.numerics.affine import BELOW_2_63, reciprocal
from qcore.numerics.real import as_real
from qcore.numerics.rounding import round_half_away

_GUARDED_MAX = (2**31 - 1) // 2
"""Greatest magnitude of a guarded bias: half of int32, so that the products have room beside it."""


@dataclass(frozen=True, eq=False)
class QuantizedBias:
    """Codes of a bias, and the scales that go with them; zero points are 0.

    data: int32 or int64[channels].
    scale: float32[1 or channels], real units per step.
    filter_scale: float32[1 or channels], the filter's scales, raised where the guard had to.
    """

    data: NDArray[np.int32] | NDArray[np.int64]
    scale: NDArray[np.float32]
    filter_scale: NDArray[np.float32]


def quantize_bias(
    bias: ArrayLike, input_scale: float, filter_scale: ArrayLike, bits: Literal[32, 64] = 32, guard: bool = True
) -> QuantizedBias:
    """Quantize a bias in the scale ``float32(float64(input_scale) * float64(filter_scale))``.

    Codes are ``round_half_away(bias * reciprocal)``, reciprocal being ``float32(1 / float64(scale))`` and the product a float32,
    clamped to magnitudes up to 2**31 - 1, or 2**63 - 1024.

    The guard (32 bits): a channel whose bias takes more than 2**30 - 1 steps gets the bias scale at which it takes exactly that,
    and a filter scale raised to match. Such channels have next to no weights, so nothing is lost; without it the bias is clipped.

    Args:
        bias: float32[channels], real units.
        input_scale: float32 value, real units per step.
        filter_scale: float32[1 or channels], real units per step.
        bits: width of the codes; 64 for 16-bit activations.
        guard: raise scales that are too small, as the converter does for 8-bit activations.

    Raises:
        QuantizationError: a bias that is NaN or infinite, or a scale that is negative or not finite.
        InputError: shapes that do not fit, or another width.

    Source: tflite/converter/quantization/common/quantization_lib/tfl_quantization_driver.cc#SetBiasParamsWithAdjustments,
    quantization_utils.cc#GetUniformQuantizedTypeForBias there, tflite/tools/optimize/quantization_utils.cc#SymmetricBiasQuantize.
    """
    real, scale_in, filter_scales = _check("quantize_bias", bias, input_scale, filter_scale)
    if bits not in (32, 64):
        raise InputError(f"quantize_bias: got {bits} bits, expected 32 or 64")
    scale = (scale_in * filter_scales).astype(np.float32).astype(np.float64)
    if guard and bits == 32:
        magnitude = _reach(real, scale.size)
        with np.errstate(divide="ignore", invalid="ignore"):
            too_small = magnitude / scale > _GUARDED_MAX
        scale = np.where(too_small, magnitude / _GUARDED_MAX, scale)
        filter_scales = np.where(too_small, scale / scale_in, filter_scales)
    stored = scale.astype(np.float32)
    with np.errstate(over="ignore"):
        steps = round_half_away(np.multiply(real, reciprocal(stored)))
    limit = min(2 ** (bits - 1) - 1, BELOW_2_63)
    codes: NDArray[Any] = np.clip(steps.astype(np.float64), -limit, limit).astype(np.int32 if bits == 32 else np.int64)
    return QuantizedBias(codes, stored, filter_scales.astype(np.float32))


def guarded_filter_range(bias: ArrayLike, input_scale: float, filter_range: ArrayLike) -> NDArray[np.float32]:
    """The guard for 16-bit activations: greatest filter magnitudes, raised where the bias would pass half of int32.

    A channel with ``|bias| >= 0.5 * input_scale * filter_scale * (2**31 - 1)`` gets the range at which the two are equal.

    Args:
        bias: float32[channels], real units.
        input_scale: float32 value, real units per step, of the input's own calibrated range.
        filter_range: float32[1 or channels], real units, greatest magnitude of the filter's weights; its scale is a 127th.

    Returns:
        float32, like filter_range.

    Raises:
        QuantizationError: a bias that is NaN or infinite, or an input scale that is not positive and finite.
        InputError: shapes that do not fit.

    Source: tflite/tools/optimize/quantization_utils.cc#AdjustWeightsForBiasScale.
    """
    real, scale_in, ranges = _check("guarded_filter_range", bias, input_scale, filter_range)
    filter_scales = (ranges.astype(np.float32) / np.float32(127)).astype(np.float64)
    magnitude = _reach(real, ranges.size)
    int32_max = 2.0**31 - 1
    too_small = magnitude >= 0.5 * scale_in * filter_scales * int32_max
    raised = 2.0 * magnitude / int32_max * np.float64(np.float32(127) / np.float32(input_scale))
    return np.where(too_small, raised, ranges).astype(np.float32)


def _reach(bias: NDArray[np.float32], scales: int) -> NDArray[np.float64]:
    """Greatest magnitude of the bias for each scale."""
    magnitude = np.abs(bias).astype(np.float64)
    return magnitude if scales > 1 else np.asarray(magnitude.max(keepdims=True, initial=0))


def _check(
    what: str, bias: ArrayLike, input_scale: float, of_filter: ArrayLike
) -> tuple[NDArray[np.float32], np.float64, NDArray[np.float64]]:
    real, per_filter = as_real(bias, np.float32), np.atleast_1d(as_real(of_filter, np.float32)).astype(np.float64)
    if real.ndim != 1 or per_filter.shape not in ((1,), real.shape):
        raise InputError(f"{what}: got bias of shape {real.shape}, filter scales of {per_filter.shape}, expected one for each or one")
    if not np.isfinite(real).all():
        raise QuantizationError(f"{what}: got a bias of {real[~np.isfinite(real)][0]}, expected finite numbers")
    scale_in = np.float64(np.float32(input_scale))
    if not (np.isfinite(scale_in) and scale_in > 0 and np.isfinite(per_filter).all() and (per_filter >= 0).all()):
        raise QuantizationError(f"{what}: got scales {scale_in} and {per_filter}, expected finite ones, the input's positive")
    return real, scale_in, per_filter
