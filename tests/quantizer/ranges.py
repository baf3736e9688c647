"""Calibrated ranges for tests of the int8 passes, and what a quantized tensor says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from qcore.model import Model, Tensor
from qcore.quantizer import quantize_model

HUNDREDTHS = (-1.28, 1.27)
"""The range whose scale is 0.01, and whose zero point is 0."""


@dataclass
class Ranges:
    """Ranges of the first subgraph by the names of its tensors; one for all others."""

    model: Model
    known: Mapping[str, tuple[float, float] | None] = field(default_factory=dict)
    others: tuple[float, float] | None = HUNDREDTHS

    def range(self, subgraph: int, tensor: int, dtype: str = "int8") -> tuple[float, float] | None:
        assert dtype == "int8"
        return self.known.get(self.model.subgraphs[subgraph].tensors[tensor].name, self.others)


def int8(model: Model, known: Mapping[str, tuple[float, float] | None] | None = None, **options: object) -> Model:
    """The model in int8, with ``HUNDREDTHS`` for every tensor whose range is not told."""
    return quantize_model(model, "int8", Ranges(model, known or {}), **options)  # type: ignore[arg-type]


def described(tensor: Tensor) -> tuple[str, float, int]:
    """Type, scale and zero point of a tensor that has one of each; the scale to seven digits."""
    assert tensor.quantization is not None
    (scale,), (zero_point,) = tensor.quantization.scale, tensor.quantization.zero_point
    return tensor.dtype, float(np.format_float_positional(scale, 7, fractional=False)), int(zero_point)


def named(model: Model, name: str) -> Tensor:
    """The only tensor of that name."""
    (tensor,) = [tensor for tensor in model.subgraphs[0].tensors if tensor.name == name]
    return tensor
