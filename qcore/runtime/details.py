"""The dictionaries in which ``tf.lite.Interpreter`` describes tensors and signatures.

Source: tensorflow/lite/python/interpreter.py#Interpreter._get_tensor_details.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qcore.model import Tensor
from qcore.numerics.dtypes import element_type
from qcore.runtime.executor import Executor


def tensor_details(executor: Executor, index: int) -> dict[str, Any]:
    """One tensor: name, index, shape, shape_signature, dtype, quantization, quantization_parameters, sparsity_parameters."""
    tensor = executor.tensor(index)
    shape = np.array(executor.shape(index), np.int32)
    signature = tensor.shape_signature
    return {
        "name": tensor.name,
        "index": index,
        "shape": shape,
        "shape_signature": shape if signature is None else np.array(signature, np.int32),
        "dtype": numpy_type(tensor),
        "quantization": quantization_pair(tensor),
        "quantization_parameters": quantization_parameters(tensor),
        "sparsity_parameters": {} if tensor.sparsity is None else dict(tensor.sparsity.fields),
    }


def numpy_type(tensor: Tensor) -> type[Any]:
    """The class of the tensor's elements, e.g. ``numpy.int8``; ``numpy.bytes_`` for strings."""
    storage = element_type(tensor.dtype).storage
    if storage is None or storage == np.dtype(object):
        return np.bytes_ if tensor.dtype == "string" else np.object_
    return storage.type


def quantization_pair(tensor: Tensor) -> tuple[float, int]:
    """(scale, zero point) where one pair holds for the whole tensor, else (0.0, 0)."""
    q = tensor.quantization
    if q is None or q.scale.size != 1:
        return 0.0, 0
    return float(q.scale[0]), int(q.zero_point[0]) if q.zero_point.size else 0


def quantization_parameters(tensor: Tensor) -> dict[str, Any]:
    """scales: float32[n]; zero_points: int32[n]; quantized_dimension; block_size (0 where not blockwise)."""
    q = tensor.quantization
    blockwise = q is not None and q.details is not None and "block_size" in q.details.fields
    return {
        "scales": np.zeros(0, np.float32) if q is None else q.scale,
        "zero_points": np.zeros(0, np.int32) if q is None else q.zero_point.astype(np.int32),
        "quantized_dimension": 0 if q is None else q.quantized_dimension,
        "block_size": q.details["block_size"] if blockwise and q is not None and q.details is not None else 0,
    }
