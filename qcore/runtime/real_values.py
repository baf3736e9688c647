"""Between a tensor's own elements and the real numbers they stand for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qcore.errors import InputError
from qcore.kernels.opdef import Array
from qcore.model import Tensor
from qcore.numerics.affine import dequantize, quantize
from qcore.numerics.dtypes import element_type
from qcore.numerics.params import QuantParams


def parameters(tensor: Tensor) -> QuantParams | None:
    """A tensor's quantization as parameters, or None where it has none."""
    q = tensor.quantization
    if q is None or q.scale.size == 0 or not element_type(tensor.dtype).quantized:
        return None
    zero_point = q.zero_point if q.zero_point.size else np.zeros(q.scale.size, np.int64)
    return QuantParams(q.scale, zero_point, tensor.dtype, q.quantized_dimension if q.scale.size > 1 else None)


def to_elements(tensor: Tensor, array: Array) -> Array:
    """An array as the tensor's own elements: real values of a quantized tensor are quantized, others are cast where nothing is lost."""
    params, storage = parameters(tensor), element_type(tensor.dtype).storage
    if array.dtype == storage or tensor.dtype == "string" or storage is None:
        return array
    if params is not None and array.dtype.kind == "f":
        return quantize(array, params)
    if storage.kind == "f" and array.dtype.kind in "fiub":
        return array.astype(storage)
    cast = array.astype(storage)
    if array.dtype.kind not in "iub" or not np.array_equal(cast, array):
        raise InputError(f"run: input '{tensor.name}' is {tensor.dtype}, the {array.dtype} array given has values it cannot hold")
    return cast


def random_elements(tensor: Tensor, shape: Sequence[int], rng: np.random.Generator) -> Array:
    """Random elements: any code of small integers, [-1, 1) of floats, 0 or 1 of wide integers and bool, empty strings."""
    shape, storage = tuple(shape), element_type(tensor.dtype).storage
    if storage is None or storage.kind == "O":
        return np.full(shape, b"", object)
    if storage.kind in "iu" and storage.itemsize <= 2:
        kind = element_type(tensor.dtype)
        return rng.integers(kind.quantized_min, kind.quantized_max + 1, shape).astype(storage)
    if storage.kind in "iub":
        return rng.integers(0, 2, shape).astype(storage)
    return rng.uniform(-1, 1, shape).astype(storage)


def to_real(tensor: Tensor, elements: Array) -> Array:
    """A copy of a tensor's elements as real values where it is quantized, else as they are."""
    params = parameters(tensor)
    return elements.copy() if params is None else dequantize(elements, params)
