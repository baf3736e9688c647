"""One call from a float tensor to codes and parameters: ``quantize_tensor``; equations (4), (8) and (39) of docs/quantization.md."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcore.errors import InputError, QuantizationError
from qcore.numerics.affine import dequantize, fake_quantize, quantize, quantize_by_reciprocal
from qcore.numerics.metrics import ErrorMetrics, error_metrics
from qcore.numerics.params import QuantParams, choose_params
from qcore.numerics.real import as_real

_CLIPPINGS = [percent / 100 for percent in range(100, 4, -1)]
"""The parts of the whole range that the "mse" method tries; the first of equally good ones is taken."""


@dataclass(frozen=True, eq=False)
class QuantizedTensor:
    """Codes, and how they stand for real numbers.

    data: codes[...] in the storage of params.dtype.
    params: fitting the shape of data.
    """

    data: NDArray[Any]
    params: QuantParams

    def dequantize(self) -> NDArray[np.float32]:
        """The real numbers that the codes stand for: float32[...]."""
        return dequantize(self.data, self.params)

    def error(self, x: ArrayLike) -> ErrorMetrics:
        """How far the codes are from x, the tensor that they were made of.

        Raises:
            InputError: x has another shape.
        """
        return error_metrics(x, self.dequantize())


def quantize_tensor(
    x: ArrayLike,
    dtype: str = "int8",
    axis: int | None = None,
    symmetric: bool = True,
    narrow_range: bool | None = None,
    block_size: int | None = None,
    method: Literal["minmax", "percentile", "mse"] = "minmax",
    percentile: float = 99.99,
    nan: Literal["raise", "ignore"] = "raise",
) -> QuantizedTensor:
    """Choose parameters for a float tensor, and quantize it with them.

    The defaults with an ``axis`` are TensorFlow Lite's weights: per channel, symmetric, narrow range. Symmetric codes are
    ``round_half_away(x * reciprocal)``, reciprocal being ``float32(1 / float64(scale))`` and the product a float32 (equation (8));
    asymmetric ones divide as ``quantize`` does (equation (2)).

    Args:
        x: any float type[...], real units, in any layout or byte order; taken as float32.
        dtype: integer type of the codes: "int8", "uint8", "int16", "int4", "uint4", "int2", ...
        axis: quantize each index of this axis on its own (per channel); None for one scale. Negative counts from the last.
        symmetric: zero point 0 (the middle code of unsigned types) instead of a range fitted at both ends.
        narrow_range: leave out the least code; None does where symmetric.
        block_size: quantize each run of this many elements along axis on its own. It must divide the axis. Scales then have x's
            shape with axis divided by block_size.
        method: range of each part of the tensor. "minmax": all of it. "percentile": symmetric, that percentile of |x|;
            asymmetric, that percentile and its complement; linearly interpolated. "mse": of the parts 1.00, 0.99, ..., 0.05
            of the whole range, the one whose dequantized codes have the least mean squared error; the widest of equals.
        percentile: for method "percentile", in (50, 100].
        nan: "raise" refuses NaN and infinities. "ignore" counts them as 0 when choosing the range; NaN becomes the zero point,
            infinities saturate.

    Raises:
        InputError: an argument that is wrong, or x is not made of real numbers.
        QuantizationError: NaN or infinity in x, under "raise".

    Source: tflite/converter/quantization/common/quantization_lib/quantization_utils.cc#QuantizeLegacy and
    tools/optimize/quantization_utils.cc#SymmetricPerChannelQuantizeValues.
    """
    real = as_real(x, np.float32)
    axis, block_size = _granularity(real.shape, axis, block_size)
    parts = _split(_finite(real, nan), axis, block_size)

    def fit(low: NDArray[Any], high: NDArray[Any]) -> QuantParams:
        return choose_params(low, high, dtype, symmetric, symmetric if narrow_range is None else narrow_range)

    if method == "minmax":
        fitted = fit(*_whole_range(parts))
    elif method == "percentile":
        fitted = fit(*_percentile_range(parts, percentile, symmetric))
    elif method == "mse":
        fitted = _least_error(parts, fit)
    else:
        raise InputError(f"quantize_tensor: got method {method!r}, expected 'minmax', 'percentile' or 'mse'")

    shape = (1,) if axis is None else _scale_shape(real.shape, axis, block_size)
    params = replace(
        fitted,
        scale=fitted.scale.reshape(shape),
        zero_point=fitted.zero_point.reshape(shape),
        quantized_dimension=axis,
        block_size=block_size,
    )
    return QuantizedTensor(quantize_by_reciprocal(real, params) if symmetric else quantize(real, params), params)


def _granularity(shape: tuple[int, ...], axis: int | None, block_size: int | None) -> tuple[int | None, int]:
    """The axis counted from the first, and the block size, 0 for none."""
    if axis is None:
        if block_size is not None:
            raise InputError("quantize_tensor: got a block_size without the axis that blocks lie along")
        return None, 0
    if not -len(shape) <= axis < len(shape):
        raise InputError(f"quantize_tensor: got axis {axis} for a tensor of shape {shape}")
    axis %= len(shape)
    if block_size is not None and (block_size <= 0 or shape[axis] % block_size):
        raise InputError(f"quantize_tensor: got block_size {block_size}, expected a divisor of the axis, {shape[axis]}")
    return axis, block_size or 0


def _scale_shape(shape: tuple[int, ...], axis: int, block_size: int) -> tuple[int, ...]:
    return (*shape[:axis], shape[axis] // block_size, *shape[axis + 1 :]) if block_size else (shape[axis],)


def _split(x: NDArray[np.float32], axis: int | None, block_size: int) -> NDArray[np.float32]:
    """float32[parts, elements]: what shares a scale, in the order of the scales."""
    if axis is None:
        return x.reshape(1, -1)
    if block_size:
        blocks = x.reshape(*_scale_shape(x.shape, axis, block_size)[: axis + 1], block_size, *x.shape[axis + 1 :])
        return np.moveaxis(blocks, axis + 1, -1).reshape(-1, block_size)
    return np.moveaxis(x, axis, 0).reshape(x.shape[axis], math.prod(x.shape[:axis] + x.shape[axis + 1 :]))


def _finite(x: NDArray[np.float32], nan: str) -> NDArray[np.float32]:
    """The tensor with 0 for NaN and infinities, unless they are refused."""
    if nan not in ("raise", "ignore"):
        raise InputError(f"quantize_tensor: got nan={nan!r}, expected 'raise' or 'ignore'")
    finite = np.isfinite(x)
    if finite.all():
        return x
    if nan == "raise":
        place = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise QuantizationError(
            f"quantize_tensor: got {np.count_nonzero(~finite)} values that are NaN or infinite as float32, the first, {x[place]}, "
            f"at {place}; pass nan='ignore' to choose the range without them"
        )
    return np.where(finite, x, np.float32(0))


def _whole_range(parts: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    return parts.min(axis=1, initial=0), parts.max(axis=1, initial=0)


def _percentile_range(parts: NDArray[np.float32], percentile: float, symmetric: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    if not 50 < percentile <= 100:
        raise InputError(f"quantize_tensor: got percentile {percentile}, expected more than 50, at most 100")
    if parts.size == 0:
        return _whole_range(parts)
    exact = parts.astype(np.float64)
    if symmetric:
        reach = np.percentile(np.abs(exact), percentile, axis=1)
        return -reach, reach
    low, high = np.percentile(exact, (100 - percentile, percentile), axis=1)
    return low, high


def _least_error(parts: NDArray[np.float32], fit: Callable[[NDArray[Any], NDArray[Any]], QuantParams]) -> QuantParams:
    low, high = (end.astype(np.float64) for end in _whole_range(parts))
    best, least = np.ones_like(low), np.full_like(low, np.inf)
    for part in _CLIPPINGS:
        error = np.square(parts - fake_quantize(parts, fit(low * part, high * part))).sum(axis=1, dtype=np.float64)
        best = np.where(error < least, part, best)
        least = np.minimum(error, least)
    return fit(low * best, high * best)
