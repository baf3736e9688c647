"""Pooling layers: over windows, and over all of an image or sequence."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from qcore.qat.emitting.emitter import Emitter, Value
from qcore.qat.emitting.layout import Emit, channels_last
from qcore.qat.emitting.weighted import as_image, as_sequence, two


def pool(e: Emitter, name: str, x: Value, size: Any, strides: Any, padding: str) -> Value:
    """Adds a pooling operator over windows of an image or sequence."""
    (height, width), (stride_h, stride_w) = two(size), two(strides)
    window: dict[str, Any] = {"filter_height": height, "filter_width": width, "stride_h": stride_h, "stride_w": stride_w}
    image = as_image(e, e.real(x))
    if name == "AVERAGE_POOL_2D" and padding == "same" and keras.backend.backend() == "torch":
        image, padding = _repeat_edges(e, image, (height, width), (stride_h, stride_w))
    return as_sequence(e, e.op(name, image, padding=padding.upper(), **window), x.rank)


def _repeat_edges(e: Emitter, image: Value, window: tuple[int, int], strides: tuple[int, int]) -> tuple[Value, str]:
    """On PyTorch, Keras averages padding too, where it differs at both ends of a dimension: it repeats the edges. Elsewhere it does not."""
    before_and_after = []
    for size, reach, stride in zip(image.shape[1:3], window, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        before_and_after.append((total // 2, total - total // 2))
    if all(before == after for before, after in before_and_after):
        return image, "same"
    for axis, (before, after) in enumerate(before_and_after, 1):
        rows = np.clip(np.arange(-before, image.shape[axis] + after), 0, image.shape[axis] - 1)
        image = image if before == after == 0 else e.op("GATHER", image, rows, axis=axis)
    return image, "valid"


def windows(name: str) -> Emit:
    """A pooling layer over windows, by that operator."""
    return channels_last(lambda e, layer, x: pool(e, name, x, layer.pool_size, layer.strides, layer.padding))


def everything(name: str) -> Emit:
    """A pooling layer over whole images or sequences, by that operator."""
    return channels_last(lambda e, layer, x: e.op(name, e.real(x), list(range(1, x.rank - 1)), keep_dims=bool(layer.keepdims)))
