"""Layers that are nothing once training is over, that hold other layers, or that training with quantization has put there."""

from __future__ import annotations

from typing import Any

import keras

from qcore.qat.emitting.emitter import Emitter, Value


def nothing(e: Emitter, layer: Any, x: Value) -> Value:
    """A layer that gives what it reads, once training is over."""
    return x


def nothing_real(e: Emitter, layer: Any, x: Value) -> Value:
    """The same, of layers that read images and give float32."""
    return e.real(x)


def time_distributed(e: Emitter, layer: Any, x: Value) -> Value:
    """TimeDistributed: the inner layer, with all steps as one batch."""
    y = e.call(layer.layer, e.reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:])))
    return e.reshape(y, (*x.shape[:2], *y.shape[1:]))


def fake_quant(e: Emitter, layer: Any, x: Value, average: bool = False) -> Value:
    """``qcore.qat.FakeQuant``: a QUANTIZE and a DEQUANTIZE with the parameters learned; what AVERAGE_POOL_2D rounds by itself stays."""
    return x if average else e.pair(e.real(x), layer.params)


def quantized_kernel(e: Emitter, layer: Any, x: Value) -> Value:
    """``qcore.qat.QuantizedKernel``: the layer with its kernel rounded."""
    e.replace_variable(layer.layer.kernel, keras.ops.convert_to_numpy(layer.rounded_kernel()))
    return e.call(layer.layer, x)  # type: ignore[no-any-return]
