"""``calibrate``: ranges from data before, or without, any training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qcore.errors import InputError
from qcore.qat.layers import FakeQuant


def calibrate(model: Any, batches: Iterable[Any]) -> None:
    """Lets the observers of a model see data, in place. Nothing else changes: BatchNormalization keeps its means, kernels stay.

    What comes of it is the model quantized after training: measure it before training on.

    Args:
        model: from ``quantize_model``.
        batches: inputs of the model, a batch each.

    Raises:
        InputError: the model has no observers, or there is no batch.
    """
    observers = [layer for layer in model.layers if isinstance(layer, FakeQuant)]
    if not observers:
        raise InputError("calibrate: the model has no FakeQuant, expected one from qcore.qat.quantize_model")
    count = 0
    for observer in observers:
        observer.observing = True
    try:
        for batch in batches:
            model(batch, training=False)
            count += 1
    finally:
        for observer in observers:
            observer.observing = False
    if not count:
        raise InputError("calibrate: there is no batch, expected at least one")
