"""Constant tensors as arrays, and arrays as the bytes of a buffer."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.errors import InputError, ModelError, UnsupportedError
from qcore.model import Tensor
from qcore.numerics.dtypes import ElementType, element_type
from qcore.numerics.packing import pack, unpack
from qcore.schema.sparsity import make_dense, stored_elements
from qcore.schema.strings import join_strings, split_strings

DENSE_LIMIT = 2**30
"""Bytes that a sparse constant may take when it is made dense, where the caller does not say."""


def constant(tensor: Tensor, dense_limit: int = DENSE_LIMIT) -> NDArray[Any] | None:
    """The values of a constant tensor.

    Args:
        tensor: of any model, also one built or edited by hand.
        dense_limit: bytes that a sparse constant may take when it is made dense; a small file can ask for any number.

    Returns:
        storage type[shape], read-only: a view of the tensor's buffer where it holds all elements, these take whole bytes and lie at
        an address that suits them, else a new array; int4, uint4 and int2 as int8 or uint8, strings as an object array of bytes.
        None for a tensor that is no constant.

    Raises:
        ModelError: the buffer is shorter than the shape asks for, or no strings; or the sparsity is damaged, or takes too much memory.
        UnsupportedError: the constant is of a type that has no values, or of sparse strings.
    """
    data = tensor.buffer.data
    if data is None:
        return None
    where, dtype, sparsity = f"tensor {tensor.name!r}", element_type(tensor.dtype), tensor.sparsity
    count = prod(tensor.shape) if sparsity is None else stored_elements(sparsity, tensor.shape, where)
    if dtype.name == "string":
        if sparsity is not None:
            raise UnsupportedError(f"{where}: a sparse constant of strings")
        values = split_strings(data, where)
    else:
        values = _numbers(data[: (count * dtype.bits + 7) // 8], dtype, count)
    if values.size != count:
        raise ModelError(f"{where}: its buffer holds {values.size} elements, its shape {tensor.shape} asks for {count}")
    if sparsity is not None:
        needed = prod(tensor.shape) * values.itemsize
        if needed > dense_limit:
            raise ModelError(f"{where}: a sparse constant of {needed} bytes when made dense, more than the limit of {dense_limit}")
        values = make_dense(values, sparsity, tensor.shape)
    values = values.reshape(tensor.shape)
    values.flags.writeable = False
    return values


def encode(values: NDArray[Any], dtype: str) -> NDArray[np.uint8]:
    """The bytes that hold these values in a buffer; the inverse of ``constant``.

    Args:
        values: storage type[...] of ``dtype``, e.g. int8 for "int4"; for "string" an array of bytes or str.
        dtype: name of the element type.

    Raises:
        InputError: the values have another type, or do not fit a packed type.
    """
    if dtype == "string":
        return join_strings(values)
    kind = element_type(dtype)
    if kind.storage is None or kind.bits == 0 or values.dtype != kind.storage:
        raise InputError(f"encode: got values of type {values.dtype}, a constant of type {dtype} is made from {kind.storage}")
    if kind.packed:
        return pack(values, dtype)
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)


def _numbers(data: NDArray[np.uint8], dtype: ElementType, count: int) -> NDArray[Any]:
    """Up to ``count`` elements; fewer where the bytes are too few."""
    if dtype.storage is None or dtype.bits == 0:
        raise UnsupportedError(f"constants of type {dtype.name} have no values")
    if dtype.packed:
        return unpack(data, dtype.name, min(count, data.size * 8 // dtype.bits))
    if dtype.name == "bool":
        return data.view(np.bool_) if data.max(initial=0) <= 1 else data != 0
    width = dtype.storage.itemsize
    values: NDArray[Any] = data[: data.size // width * width].view(dtype.storage)
    return values if values.flags.aligned else values.copy()
