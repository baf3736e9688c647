"""Models that training has left fake quantization in, put together operator by operator."""

from __future__ import annotations

from typing import Any

import numpy as np

from qcore.model import Model, Operator, Quantization, Tensor
from tests.quantizer.builder import Builder

RNG = np.random.default_rng(8)
WEIGHTS, BIAS = RNG.normal(size=(4, 5)).astype(np.float32), RNG.normal(size=4).astype(np.float32)


def rounded(b: Builder, tensor: int, low: float, high: float, **options: Any) -> int:
    """What a FAKE_QUANT makes of a tensor."""
    behind = b.tensor(f"{b.tensors[tensor].name}/fake", b.tensors[tensor].shape)
    b.op("FAKE_QUANT", [tensor], behind, min=low, max=high, **{"num_bits": 8, **options})
    return behind


def paired(b: Builder, tensor: int, dtype: str, scale: Any, zero_point: int, axis: int = 0) -> int:
    """What QUANTIZE and DEQUANTIZE make of it."""
    codes, behind = b.tensor("codes", b.tensors[tensor].shape, dtype), b.tensor("behind", b.tensors[tensor].shape)
    scale = np.atleast_1d(np.asarray(scale, np.float32))
    b.tensors[codes].quantization = Quantization(scale, np.full(scale.size, zero_point, np.int64), axis)
    b.op("QUANTIZE", [tensor], codes)
    b.op("DEQUANTIZE", [codes], behind)
    return behind


def trained(**weights: Any) -> Model:
    """x -> FULLY_CONNECTED -> y, all but the bias with a range: x [-1, 1.04], y [-3, 3.5]."""
    b = Builder()
    x, w, bias, y = b.input("x", (1, 5)), b.constant("w", WEIGHTS), b.constant("bias", BIAS), b.tensor("y", (1, 4))
    reach = float(np.abs(WEIGHTS).max())
    w = rounded(b, w, -reach, reach, narrow_range=True, **weights)
    b.op("FULLY_CONNECTED", [rounded(b, x, -1, 1.04), w, bias], y)
    return b.model(rounded(b, y, -3, 3.5))


def params(tensor: Tensor) -> tuple[str, list[float], list[int]]:
    assert tensor.quantization is not None
    return tensor.dtype, tensor.quantization.scale.tolist(), tensor.quantization.zero_point.tolist()


def output_of(model: Model, operator: Operator) -> Tensor:
    return model.subgraphs[0].tensors[operator.outputs[0]]
