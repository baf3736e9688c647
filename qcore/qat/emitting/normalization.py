"""Layers that scale and shift: by fixed numbers, learned ones, or the input's own statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from qcore.kernels.opdef import Array
from qcore.qat.emitting.emitter import Emitter, Value


def affine(e: Emitter, x: Value, factor: Array, offset: Array) -> Value:
    """Adds a MUL and an ADD, those that change anything; TensorFlow's converter leaves out the others, too."""
    x = e.op("MUL", x, factor) if (factor != 1).any() else x
    return e.op("ADD", x, offset) if offset.any() else x


def normalize(
    e: Emitter, x: Value, axis: int, mean: Array, variance: Array, offset: Array | None, scale: Array | None, epsilon: float
) -> Value:
    """Adds what batch normalization computes with known statistics: ``(x - mean) / sqrt(variance + epsilon) * scale + offset``."""
    factor = np.float32(1) / np.sqrt(variance + np.float32(epsilon))
    factor = factor if scale is None else factor * scale
    shift = -mean * factor if offset is None else offset - mean * factor
    shape = [-1 if i == axis % x.rank else 1 for i in range(x.rank)]
    shape = [-1] if axis % x.rank == x.rank - 1 else shape
    return affine(e, x, factor.reshape(shape), shift.reshape(shape))


def batch_normalization(e: Emitter, layer: Any, x: Value) -> Value:
    """BatchNormalization with its moving statistics."""
    offset = e.array(layer.beta) if layer.center else None
    scale = e.array(layer.gamma) if layer.scale else None
    return normalize(e, e.real(x), layer.axis, e.array(layer.moving_mean), e.array(layer.moving_variance), offset, scale, layer.epsilon)


def rescaling(e: Emitter, layer: Any, x: Value) -> Value:
    """Rescaling."""
    return affine(e, e.real(x), np.asarray(layer.scale, np.float32), np.asarray(layer.offset, np.float32))


def normalization(e: Emitter, layer: Any, x: Value) -> Value:
    """Normalization by the statistics that it adapted to."""
    if layer.mean is None:
        raise e.refusal("has no statistics yet: call adapt first")
    mean, deviation = e.array(layer.mean), np.maximum(np.sqrt(e.array(layer.variance)), np.float32(1e-7))
    if layer.invert:
        return affine(e, e.real(x), deviation, mean)
    y = e.op("SUB", e.real(x), mean) if mean.any() else e.real(x)
    return affine(e, y, 1 / deviation, np.zeros(1))


def standardize(e: Emitter, x: Value, axes: list[int], scale: Array | None, offset: Array | None, epsilon: float) -> Value:
    """Adds ``(x - mean) / sqrt(variance + epsilon) * scale + offset`` with the mean and variance along these axes."""
    mean = e.op("MEAN", x, axes, keep_dims=True)
    centred = e.op("SUB", x, mean)
    variance = e.op("MEAN", squared_difference(e, x, mean), axes, keep_dims=True)
    return _scaled(e, centred, variance, scale, offset, epsilon)


def squared_difference(e: Emitter, x: Value, mean: Value) -> Value:
    """Adds a SQUARED_DIFFERENCE; its kernels broadcast at most 4 dimensions, and end the process at more."""
    return e.op("SQUARED_DIFFERENCE", x, mean) if x.rank <= 4 else e.op("SQUARE", e.op("SUB", x, mean))


def divide_by_size(e: Emitter, x: Value, axes: list[int], scale: Array | None, epsilon: float) -> Value:
    """Adds ``x / sqrt(mean of x * x + epsilon) * scale`` with the mean along these axes."""
    return _scaled(e, x, e.op("MEAN", e.op("SQUARE", x), axes, keep_dims=True), scale, None, epsilon)


def _scaled(e: Emitter, x: Value, square: Value, scale: Array | None, offset: Array | None, epsilon: float) -> Value:
    y = e.op("MUL", x, e.op("RSQRT", e.op("ADD", square, float(epsilon))))
    y = y if scale is None else e.op("MUL", y, scale)
    return y if offset is None else e.op("ADD", y, offset)


def axes_of(axis: Any, rank: int) -> list[int]:
    """The axes that one number or several name, in order."""
    return sorted(i % rank for i in ([axis] if isinstance(axis, int) else axis))


def along(values: Any, axes: list[int], x: Value, e: Emitter) -> Array | None:
    """A variable with one value for each element along these axes, in a shape that meets x; None of no variable."""
    if values is None:
        return None
    return e.array(values).reshape([size if i in axes else 1 for i, size in enumerate(x.shape)])


def layer_normalization(e: Emitter, layer: Any, x: Value) -> Value:
    """LayerNormalization."""
    axes, x = axes_of(layer.axis, x.rank), e.real(x)
    if layer.rms_scaling:
        raise e.refusal("rms_scaling=True, expected RMSNormalization in its place")
    return standardize(e, x, axes, along(layer.gamma, axes, x, e), along(layer.beta, axes, x, e), layer.epsilon)


def group_normalization(e: Emitter, layer: Any, x: Value) -> Value:
    """GroupNormalization: standardized by the statistics of each group of channels, which are the first or last dimension of a sample."""
    axis, x = layer.axis % x.rank, e.real(x)
    if axis not in (1, x.rank - 1):
        raise e.refusal(f"axis is {layer.axis}, expected 1 or {x.rank - 1}")
    groups, size = layer.groups, x.shape[axis] // layer.groups
    # 4 dimensions, which all kernels broadcast.
    shape = [x.shape[0], -1, groups, size] if axis > 1 else [x.shape[0], groups, size, -1]
    channels = [1, 1, groups, size] if axis > 1 else [1, groups, size, 1]
    axes = [1, 3] if axis > 1 else [2, 3]
    scale, offset = (None if values is None else e.array(values).reshape(channels) for values in (layer.gamma, layer.beta))
    return e.reshape(standardize(e, e.reshape(x, shape), axes, scale, offset, layer.epsilon), x.shape)


def rms_normalization(e: Emitter, layer: Any, x: Value) -> Value:
    """RMSNormalization."""
    axes, x = axes_of(layer.axis, x.rank), e.real(x)
    return divide_by_size(e, x, axes, along(layer.scale, axes, x, e), layer.epsilon)


def unit_normalization(e: Emitter, layer: Any, x: Value) -> Value:
    """UnitNormalization: divided by the Euclidean norm."""
    return divide_by_norm(e, e.real(x), axes_of(layer.axis, x.rank), 1e-12)


def divide_by_norm(e: Emitter, x: Value, axes: list[int], epsilon: float) -> Value:
    """Adds ``x / max(norm, epsilon)`` with the Euclidean norm along these axes."""
    norm = e.op("RSQRT", e.op("SUM", e.op("SQUARE", x), axes, keep_dims=True))
    return e.op("MUL", x, e.op("MINIMUM", norm, 1 / epsilon))
