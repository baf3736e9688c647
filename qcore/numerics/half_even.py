"""The rules of litert-quantizer (formerly ai-edge-quantizer): everything in float32, and ties to even.

The table of conventions in docs/conversion.md says where they part from TensorFlow's converter.

Source: litert_quantizer/algorithms/uniform_quantize/uniform_quantize_tensor.py, release 0.11.0; the functions are named below.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcore.errors import InputError, QuantizationError
from qcore.numerics.dtypes import element_type
from qcore.numerics.float16 import to_bfloat16, to_float16
from qcore.numerics.params import QuantParams, quantized_type
from qcore.numerics.real import as_real
from qcore.numerics.rounding import round_half_even
from qcore.numerics.tensor import QuantizedTensor

LEAST_RANGE = np.float32(1e-9)
"""What a scale is at least made of, so that none is zero. It widens no range."""

LEAST_BLOCK_SCALE = np.float32(2.0**-24)
"""The least positive float16: a scale of 0, which litert-quantizer gives blocks without weights, is one that runtimes refuse."""

_NARROW_BITS = 8
"""Symmetric types of so many bits or more leave out the least code; narrower ones cannot spare it."""

_INT32_MAX = 2**31 - 1


def choose_half_even_params(rmin: ArrayLike, rmax: ArrayLike, dtype: str = "int8", symmetric: bool = False, axis: int = 0) -> QuantParams:
    """Scale and zero point for a range of real values, widened to contain 0.

    Asymmetric: ``scale = (rmax - rmin) / codes`` and ``zero_point = even(quantized_min - rmin / scale)``, each operation in float32.
    Symmetric: ``scale = max(-rmin, rmax) / quantized_max`` and a zero point of 0; the least code is left out of types of 8 bits and
    more. What is divided is at least 1e-9.

    Args:
        rmin: float32 or float32[channels], real units, the lower ends.
        rmax: likewise, the upper ends. Arrays give per-channel parameters.
        dtype: an integer element type, signed if symmetric.
        symmetric: centre the range on zero.
        axis: quantized_dimension of per-channel parameters.

    Raises:
        QuantizationError: a range that is NaN, infinite, too wide or upside down.
        InputError: a type without codes.

    Source: #tensor_zp_scale_from_min_max.
    """
    kind = quantized_type(dtype)
    low, high = np.broadcast_arrays(as_real(rmin, np.float32), as_real(rmax, np.float32))
    if not (np.isfinite(low) & np.isfinite(high) & (low <= high)).all():
        raise QuantizationError(f"range: got {np.min(low)} to {np.max(high)}, expected finite numbers, the lower first")
    low, high = np.minimum(low, np.float32(0)), np.maximum(high, np.float32(0))
    with np.errstate(over="ignore"):
        if symmetric:
            scale = np.maximum(np.maximum(-low, high), LEAST_RANGE) / np.float32(kind.quantized_max)
            zero_point = np.zeros_like(scale)
        else:
            scale = np.maximum(high - low, LEAST_RANGE) / np.float32(kind.quantized_max - kind.quantized_min)
            zero_point = np.clip(round_half_even(kind.quantized_min - low / scale), kind.quantized_min, kind.quantized_max)
    narrow = symmetric and kind.bits >= _NARROW_BITS
    return QuantParams(scale, zero_point.astype(np.int64), dtype, axis if low.ndim else None, narrow_range=narrow)


def quantize_half_even(x: ArrayLike, params: QuantParams) -> NDArray[Any]:
    """Codes of real numbers: ``clamp(even(f32(f32(x / scale) + zero_point)))``.

    The zero point is added before the rounding, as a float32. Infinities saturate; NaN becomes the zero point.

    Args:
        x: any real type[...], real units; taken as float32.
        params: of up to 16 bits, fitting x's shape.

    Returns:
        Codes[...] in the storage of params.dtype.

    Raises:
        QuantizationError: params are for another shape.
        InputError: x is not made of real numbers.

    Source: #uniform_quantize.
    """
    real = as_real(x, np.float32)
    scale, zero_point = params.broadcast(real.shape)
    with np.errstate(over="ignore"):
        steps = np.asarray(real / scale + zero_point.astype(np.float32))
    codes = np.clip(round_half_even(steps), params.quantized_min, params.quantized_max)
    return np.where(np.isnan(codes), zero_point, codes).astype(element_type(params.dtype).storage)


def quantize_blocks_half_even(x: ArrayLike, block_size: int, dtype: str = "int4") -> QuantizedTensor:
    """Rows in blocks of elements that share a scale, a number that bfloat16 and float16 both have.

    Args:
        x: float32[rows, columns], real units.
        block_size: a divisor of columns.
        dtype: a signed integer type.

    Raises:
        QuantizationError: x is NaN or infinite.
        InputError: x has another number of dimensions, or block_size does not divide its rows.

    Source: #tensor_zp_scale_from_min_max, #reshape_data_for_blockwise.
    """
    real = as_real(x, np.float32)
    if real.ndim != 2 or block_size <= 0 or real.shape[1] % block_size:
        raise InputError(f"blocks: got shape {real.shape}, expected rows that blocks of {block_size} divide")
    blocks = real.reshape(real.shape[0], -1, block_size)
    low, high = blocks.min(axis=2, initial=0), blocks.max(axis=2, initial=0)
    fitted = choose_half_even_params(low.ravel(), high.ravel(), dtype, symmetric=True)
    scale = np.maximum(to_float16(to_bfloat16(fitted.scale)).astype(np.float32), LEAST_BLOCK_SCALE)
    zero_point = np.zeros(1, np.int64)
    params = replace(fitted, scale=scale.reshape(low.shape), zero_point=zero_point, quantized_dimension=1, block_size=block_size)
    return QuantizedTensor(quantize_half_even(real, params), params)


def quantize_bias_half_even(
    bias: ArrayLike,
    input_scale: float,
    filter_scale: ArrayLike,
    bits: Literal[32, 64] = 32,
    precision: Literal["float32", "float64"] = "float32",
) -> QuantizedTensor:
    """A bias in the scale ``input_scale * filter_scale``, whatever becomes of it: ``even(bias / scale)``.

    Nothing guards a channel with so small a scale that its bias would not fit, and 64-bit codes are no greater than 32-bit ones.
    litert-quantizer lets such codes pass the greatest int32 in float32, and the processor converts them: to -2**31 on x86-64, to
    2**31 - 1 on ARM. Here they are clamped to magnitudes up to 2**31 - 1.

    Args:
        bias: float32[channels], real units.
        input_scale: float32 value, real units per step.
        filter_scale: float32[1 or channels], real units per step.
        bits: width of the codes; 64 for 16-bit activations.
        precision: of the scale that divides and of the quotient. The scale that a file keeps is a float32 in any case.

    Raises:
        QuantizationError: a bias that is NaN or infinite.
        InputError: shapes that do not fit.

    Source: #symmetric_quantize_bias_tensor.
    """
    kind = np.dtype(precision)
    real, of_filter = as_real(bias, np.float32), np.atleast_1d(as_real(filter_scale, np.float32))
    if real.ndim != 1 or of_filter.shape not in ((1,), real.shape):
        raise InputError(f"bias: got shape {real.shape}, filter scales of {of_filter.shape}, expected one for each or one")
    if not np.isfinite(real).all():
        raise QuantizationError(f"bias: got {real[~np.isfinite(real)][0]}, expected finite numbers")
    scale = of_filter.astype(kind) * kind.type(input_scale)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        steps = round_half_even(real.astype(kind) / scale).astype(np.float64)
    params = QuantParams(scale.astype(np.float32), np.zeros(1, np.int64), f"int{bits}", 0 if scale.size > 1 else None)
    return QuantizedTensor(np.clip(np.nan_to_num(steps), -_INT32_MAX, _INT32_MAX).astype(f"int{bits}"), params)
