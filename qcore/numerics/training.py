"""What training with quantization in sight computes: ranges, rounding, and the gradients that pass rounding by.

Everything is float32, in the order given here, since that is what the layers of ``qcore.qat`` have on every backend; they are tested
against these functions bit for bit. Compilers replace divisions by scalars and constants with products, so there are none. Equations (48)
to (51) of docs/quantization.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcore.errors import InputError
from qcore.numerics.affine import dequantize, fake_quantize_mask, quantize_by_reciprocal, reciprocal
from qcore.numerics.dtypes import element_type
from qcore.numerics.params import QuantParams
from qcore.numerics.real import as_real
from qcore.numerics.rounding import round_half_away, round_half_even
from qcore.numerics.weights import greatest_magnitude

NARROWEST = 1e-6
"""A tensor whose range is no wider than this holds nothing but 0, and gets a range of width 1.

Steps next to nothing would overflow the biases of what reads the tensor, and XNNPACK refuses products of more than 256 steps of their sum.
"""

SMALLEST_WEIGHT = 1e-30
"""A channel without any weight greater than this holds nothing but 0."""

FRACTIONS: Mapping[int, int] = MappingProxyType({8: 1024, 16: 128})
"""An average of fewer than half as many codes, of so many bits, is nearer to a tie than to its neighbour only if it is one."""

_INT8_MIN, _INT8_MAX = -128, 127
_INT16_MAX = 32767


def trained_params(low: ArrayLike, high: ArrayLike, bits: int = 8) -> QuantParams:
    """Parameters of an activation with a trained range, over all codes of int8 or int16; equation (48).

    8 bits, asymmetric: ``scale = (high - low) * (1 / 255)``, ``zero_point = clamp(round_half_away(-128 - low * (1 / scale)))``. 16 bits,
    symmetric: ``scale = max(-low, high) * (1 / 32767)``, and a zero point of 0. Of a range no wider than 1e-6, the width counts as 1.

    Args:
        low: float32 value, real units, at most 0.
        high: float32 value, real units, at least 0.
        bits: 8 or 16.

    Raises:
        InputError: another number of bits.
    """
    if bits not in (8, 16):
        raise InputError(f"trained_params: got {bits} bits, expected 8 or 16")
    least, greatest = as_real(low, np.float32), as_real(high, np.float32)
    width = np.maximum(-least, greatest) if bits == 16 else greatest - least
    width = np.atleast_1d(np.where(width > np.float32(NARROWEST), width, np.float32(1)))
    if bits == 16:
        return QuantParams(width * np.float32(1 / _INT16_MAX), np.zeros(1, np.int64), "int16")
    scale = width * np.float32(1 / (_INT8_MAX - _INT8_MIN))
    zero_point = round_half_away(np.float32(_INT8_MIN) - least * reciprocal(scale))
    return QuantParams(scale, np.clip(zero_point, _INT8_MIN, _INT8_MAX).astype(np.int64), "int8")


def kernel_params(kernel: ArrayLike, bits: int, axis: int) -> QuantParams:
    """Parameters of a trained kernel: per channel, symmetric, narrow; ``scale = max|w| * (1 / (2**(bits - 1) - 1))``; equation (48).

    The range is the kernel's own at every step, so nothing is clipped, and a kernel that was rounded so gives these parameters again.

    Args:
        kernel: float32[...], real units, finite.
        bits: 2 to 8. The codes of up to 4 bits are int4, others int8.
        axis: of the channels; negative ones count from the last.

    Raises:
        InputError: another number of bits.
    """
    if not 2 <= bits <= 8:
        raise InputError(f"kernel_params: got {bits} bits, expected 2 to 8")
    weights = as_real(kernel, np.float32)
    axis %= weights.ndim
    reach = greatest_magnitude(weights, axis)
    scale = np.where(reach > np.float32(SMALLEST_WEIGHT), reach, np.float32(1)) * np.float32(1 / (2 ** (bits - 1) - 1))
    return QuantParams(scale, np.zeros(1, np.int64), "int4" if bits <= 4 else "int8", axis, narrow_range=True)


def fake_quantize_by_reciprocal(x: ArrayLike, params: QuantParams) -> NDArray[np.float32]:
    """The real numbers that remain of x after ``quantize_by_reciprocal``; equation (49). ``fake_quantize`` differs at ties, by one step.

    Args:
        x: any real type[...], real units.
        params: fitting x's shape.

    Returns:
        float32[...], real units.
    """
    return dequantize(quantize_by_reciprocal(x, params), params)


def fake_quantize_gradient(
    upstream: ArrayLike, x: ArrayLike, params: QuantParams, rule: Literal["clipped", "straight_through"]
) -> NDArray[np.float32]:
    """The gradient with respect to x of a loss of fake-quantized x, as if rounding were the identity; equation (49).

    Args:
        upstream: float32[...], the gradient of the loss with respect to what fake quantization gave.
        x: float32[...], real units, of the same shape.
        params: fitting x's shape.
        rule: "clipped": 0 where x is out of range, whose ends are inside; for activations. "straight_through": the same everywhere; for
            kernels, whose greatest weight can lie outside their range by a rounding error.

    Returns:
        float32[...].
    """
    gradient = as_real(upstream, np.float32)
    return gradient if rule == "straight_through" else np.where(fake_quantize_mask(x, params), gradient, np.float32(0))


def average_codes(x: ArrayLike, params: QuantParams) -> NDArray[np.float32]:
    """Means of quantized numbers, rounded to the codes of their own parameters as AVERAGE_POOL_2D does: ties away from code 0; (51).

    Sums of float32 numbers that stand for codes are not exact, so means are first rounded to 1024ths of a step, or 128ths of one of 16
    bits, where ties are found.

    Args:
        x: float32[...], real units, means of fewer than 512 numbers each; of 16 bits fewer than 32, whose sums in float32 are near enough.
        params: per tensor, of the numbers.

    Returns:
        float32[...], real units.

    Source: tflite/kernels/internal/reference/integer_ops/pooling.h#AveragePool.
    """
    scale, zero_point = (part.astype(np.float32) for part in params.broadcast(np.shape(x)))
    codes = as_real(x, np.float32) * reciprocal(scale) + zero_point
    fractions = np.float32(FRACTIONS[element_type(params.dtype).bits])
    codes = round_half_even(np.asarray(codes * fractions)) / fractions
    return np.asarray((round_half_away(np.asarray(codes)) - zero_point) * scale, np.float32)


def moving_mean(mean: ArrayLike, batch: ArrayLike, seen: ArrayLike, decay: float = 0.99) -> NDArray[np.float32]:
    """One step of an observer: ``mean + max(1 - decay, 1 / (seen + 1)) * (batch - mean)``; equation (50).

    A plain mean of the first batches, then an exponential one. It starts from no value that it would have to forget.

    Args:
        mean: float32, what came of the batches so far; of none, any number.
        batch: float32, the new one's.
        seen: float32, how many there were before.
        decay: what the mean keeps at each step in the long run.
    """
    before = as_real(mean, np.float32)
    weight = np.maximum(np.float32(1.0 - decay), np.float32(1) / (as_real(seen, np.float32) + np.float32(1)))
    return np.asarray(before + weight * (as_real(batch, np.float32) - before), np.float32)
