"""Blockwise weights for one-operator models."""

from __future__ import annotations

from typing import Any

import numpy as np

from qcore.model import Buffer, Model, Quantization, Table, Tensor
from qcore.schema import encode


def with_blocks(model: Model, tensor: int, size: int, scale: Any, zero_point: Any = None) -> Model:
    """The model, its tensor of that number quantized in blocks of that size, with float16 scales and int8 zero points."""
    graph = model.subgraphs[0]

    def add(values: Any, dtype: str) -> int:
        array = np.asarray(values, dtype)
        graph.tensors.append(Tensor(f"blocks{len(graph.tensors)}", dtype, array.shape, Buffer(encode(array, dtype))))
        return len(graph.tensors) - 1

    fields = {
        "scales": add(scale, "float16"),
        "zero_points": -1 if zero_point is None else add(zero_point, "int8"),
        "block_size": size,
        "block_shape": None,
    }
    graph.tensors[tensor].quantization = Quantization(details=Table("BlockwiseQuantization", fields))
    return model
