"""How integers stand for real numbers, and how scale and zero point are chosen from a range.

Equations (1), (4) to (6) and (39) of docs/quantization.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcore.errors import InputError, QuantizationError
from qcore.numerics.dtypes import ElementType, element_type
from qcore.numerics.real import as_real
from qcore.numerics.rounding import round_half_away

SMALLEST_HALF_RANGE = 5e-7
"""A range no wider than twice this is widened to contain [-5e-7, 5e-7], so that no scale is zero."""


@dataclass(frozen=True, eq=False)
class QuantParams:
    """``real = scale * (quantized - zero_point)``, per tensor, per channel or blockwise.

    scale: float32, real units per step, finite and not negative; a part whose scale is 0 holds nothing but 0. Shape [1] per
        tensor, [channels] per channel; blockwise the tensor's own shape with quantized_dimension divided by block_size: one
        scale for each run of block_size elements.
    zero_point: int64, like scale (one value serves all); codes of the type, but 0 for int64.
    dtype: element type of the codes ("int8", "uint4", ...).
    quantized_dimension: the axis that the scales run along; None per tensor.
    block_size: elements along quantized_dimension that share a scale; 0 where not blockwise.
    narrow_range: the least code is left out, which makes a signed type symmetric: [-127, 127].

    Raises:
        QuantizationError: values that no tensor could be quantized with.
        InputError: a type without codes.
    """

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    dtype: str = "int8"
    quantized_dimension: int | None = None
    block_size: int = 0
    narrow_range: bool = False

    def __post_init__(self) -> None:
        kind = quantized_type(self.dtype)
        scale = np.atleast_1d(as_real(self.scale, np.float32))
        zero_point = np.atleast_1d(np.asarray(self.zero_point))
        if not np.issubdtype(zero_point.dtype, np.integer):
            raise QuantizationError(f"zero_point: got {zero_point.dtype} values, expected integers")
        if zero_point.shape not in ((1,), scale.shape):
            raise QuantizationError(f"zero_point: got shape {zero_point.shape}, expected that of scale, {scale.shape}")
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "zero_point", np.broadcast_to(zero_point.astype(np.int64), scale.shape))
        unusable = ~(np.isfinite(scale) & (scale >= 0))
        if scale.size == 0 or unusable.any():
            raise QuantizationError(f"scale: got {scale[unusable][:1]}, expected at least one, all finite and not negative")
        least, greatest = (kind.quantized_min, kind.quantized_max) if kind.bits < 64 else (0, 0)
        if (zero_point < least).any() or (zero_point > greatest).any():
            raise QuantizationError(
                f"zero_point: got {zero_point.min()} to {zero_point.max()}, expected {least} to {greatest} for {self.dtype}"
            )
        if self.quantized_dimension is None:
            if scale.shape != (1,) or self.block_size:
                raise QuantizationError(f"scale: got shape {scale.shape} without a quantized_dimension, expected one scale")
        elif self.quantized_dimension < 0 or self.block_size < 0:
            raise QuantizationError(
                f"quantized_dimension, block_size: got {self.quantized_dimension}, {self.block_size}, expected 0 or more"
            )
        elif scale.ndim != 1 and not self.block_size:
            raise QuantizationError(f"scale: got shape {scale.shape}, expected one dimension unless blockwise")

    @property
    def per_tensor(self) -> bool:
        """One scale for the whole tensor."""
        return self.scale.size == 1

    @property
    def quantized_min(self) -> int:
        """Least code in use."""
        return element_type(self.dtype).quantized_min + self.narrow_range

    @property
    def quantized_max(self) -> int:
        """Greatest code in use."""
        return element_type(self.dtype).quantized_max

    def single(self) -> tuple[float, int]:
        """The scale (a float32 value) and the zero point of a tensor that has one of each.

        Raises:
            QuantizationError: there are several.
        """
        if not self.per_tensor:
            raise QuantizationError(f"quantization: got {self.scale.size} scales, expected one for the whole tensor")
        return float(self.scale.flat[0]), int(self.zero_point.flat[0])

    def broadcast(self, shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scale and zero point in shapes that broadcast over a tensor: no dimensions per tensor.

        Args:
            shape: the tensor's.

        Raises:
            QuantizationError: these parameters are not for a tensor of that shape.
        """
        if self.per_tensor:
            return self.scale.reshape(()), self.zero_point.reshape(())
        axis = self.quantized_dimension
        assert axis is not None
        if axis < len(shape) and self.block_size:
            blocks = (*shape[:axis], shape[axis] // self.block_size, *shape[axis + 1 :])
            if self.scale.shape == blocks and shape[axis] % self.block_size == 0:
                return np.repeat(self.scale, self.block_size, axis), np.repeat(self.zero_point, self.block_size, axis)
        elif axis < len(shape) and self.scale.size == shape[axis]:
            along = (-1, *(1,) * (len(shape) - axis - 1))
            return self.scale.reshape(along), self.zero_point.reshape(along)
        raise QuantizationError(
            f"quantization: got scale of shape {self.scale.shape} along dimension {axis}"
            f"{f' in blocks of {self.block_size}' if self.block_size else ''} for a tensor of shape {shape}"
        )


def choose_params(
    rmin: ArrayLike,
    rmax: ArrayLike,
    dtype: str = "int8",
    symmetric: bool = False,
    narrow_range: bool = False,
    *,
    axis: int = 0,
    precision: Literal["float64", "float32"] = "float64",
) -> QuantParams:
    """Scale and zero point for a range of real values; equations (4) to (6).

    The range is first widened to contain 0 and, where it is no wider than 1e-6, [-5e-7, 5e-7]. Asymmetric: the scale spreads the
    range over all codes, and the zero point is nudged to the nearest code (ties away from zero), which moves the range by up to
    half a step. Symmetric: the scale maps the greater magnitude to the greatest code; the zero point is 0, or the middle code of
    an unsigned type (128).

    Args:
        rmin: float or float[channels], real units, the lower ends.
        rmax: float or float[channels], real units, the upper ends. Arrays give per-channel parameters.
        dtype: an integer element type.
        symmetric: centre the range on zero.
        narrow_range: leave out the least code.
        axis: quantized_dimension of per-channel parameters.
        precision: of the asymmetric rule. "float64" computes in double and takes the zero point from the end of the range whose
            terms are smaller: TensorFlow Lite at run time, fake quantization, quantization-aware training. "float32" takes the
            scale in float32 and the zero point from rmin: activations in full-integer post-training quantization.

    Raises:
        QuantizationError: a range that is NaN, infinite or upside down.
        InputError: a type without codes, or ranges of more than one dimension.

    Source: "float64": tflite/kernels/internal/quantization_util.h#ChooseQuantizationParams. "float32" and the widening:
    tflite/converter/quantization/common/quantization_lib/quantization_utils.cc#DownCastScale and #ExpandVerySmallRange.
    """
    kind = quantized_type(dtype)
    low, high = np.broadcast_arrays(as_real(rmin, np.float64), as_real(rmax, np.float64))
    if low.ndim > 1:
        raise InputError(f"choose_params: got ranges of shape {low.shape}, expected one number or one per channel")
    bad = ~(np.isfinite(low) & np.isfinite(high) & (low <= high))
    if bad.any():
        raise QuantizationError(f"choose_params: got range [{low[bad][0]}, {high[bad][0]}], expected finite numbers, the lower first")
    low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    tiny = high - low <= 2 * SMALLEST_HALF_RANGE
    low = np.where(tiny, np.minimum(low, -SMALLEST_HALF_RANGE), low)
    high = np.where(tiny, np.maximum(high, SMALLEST_HALF_RANGE), high)
    quantized_min, quantized_max = kind.quantized_min + narrow_range, kind.quantized_max
    if symmetric:
        middle = 0 if kind.signed else 1 << (kind.bits - 1)
        scale = (np.maximum(-low, high) / (quantized_max - middle)).astype(np.float32)
        zero_point = np.full(scale.shape, middle, np.int64)
    elif precision == "float32":
        scale, zero_point = _nudge_float32(low, high, quantized_min, quantized_max)
    else:
        scale, zero_point = _nudge_float64(low, high, quantized_min, quantized_max)
    return QuantParams(scale, zero_point, dtype, axis if low.ndim else None, narrow_range=narrow_range)


def symmetric_params(reach: ArrayLike, dtype: str = "int8", axis: int | None = None) -> QuantParams:
    """Parameters of a narrow range whose greatest code stands for a given magnitude; equation (4), but nothing is widened.

    Args:
        reach: float32[] or float32[channels], real units, not negative. A reach of 0 has a scale of 0.
        dtype: a signed integer type.
        axis: quantized_dimension of per-channel parameters.

    Raises:
        QuantizationError: a reach that is negative, NaN or infinite.

    Source: tflite/tools/optimize/quantization_utils.cc#GetSymmetricQuantizationParams and #SymmetricPerChannelQuantization.
    """
    scale = np.atleast_1d(as_real(reach, np.float32)) / np.float32(quantized_type(dtype).quantized_max)
    return QuantParams(scale, np.zeros(1, np.int64), dtype, axis, narrow_range=True)


def quantized_type(dtype: str) -> ElementType:
    """The element type of that name.

    Raises:
        InputError: its elements are not integers that stand for real numbers.
    """
    kind = element_type(dtype)
    if not kind.quantized:
        raise InputError(f"dtype: got {dtype!r}, expected an integer type such as 'int8'")
    return kind


def _nudge_float64(
    low: NDArray[np.float64], high: NDArray[np.float64], quantized_min: int, quantized_max: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    scale = (high - low) / (quantized_max - quantized_min)
    low_steps, high_steps = low / scale, high / scale
    # Both ends give the zero point; the end whose terms are smaller gives it with the smaller rounding error.
    from_low = abs(quantized_min) + np.abs(low_steps) < abs(quantized_max) + np.abs(high_steps)
    zero_point = round_half_away(np.where(from_low, quantized_min - low_steps, quantized_max - high_steps))
    return scale.astype(np.float32), np.clip(zero_point, quantized_min, quantized_max).astype(np.int64)


def _nudge_float32(
    low: NDArray[np.float64], high: NDArray[np.float64], quantized_min: int, quantized_max: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    scale = (high.astype(np.float32) - low.astype(np.float32)) / np.float32(quantized_max - quantized_min)
    zero_point = round_half_away((quantized_min - low / scale.astype(np.float64)).astype(np.float32))
    return scale, np.clip(zero_point, quantized_min, quantized_max).astype(np.int64)
