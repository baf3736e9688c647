"""Layers for channels_first: TensorFlow Lite has its channels last, so these compute between two TRANSPOSE."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from qcore.qat.emitting.emitter import Emitter, Value

Emit = Callable[[Emitter, Any, Value], Value]


def channels_last(emit: Emit) -> Emit:
    """What emits a layer of channels_last, made to emit one of ``layer.data_format``; some layers have channels_last alone."""

    @wraps(emit)
    def either(e: Emitter, layer: Any, x: Value) -> Value:
        if getattr(layer, "data_format", "channels_last") == "channels_last":
            return emit(e, layer, x)
        y = emit(e, layer, e.transpose(x, (0, *range(2, x.rank), 1)))
        return e.transpose(y, (0, y.rank - 1, *range(1, y.rank - 1))) if y.rank == x.rank else y

    return either
