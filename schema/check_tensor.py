"""Whether a tensor is consistent: its shape, constant bytes, quantization and sparsity."""

from __future__ import annotations

import reprlib
from math import prod

import numpy as np

from qcore.errors import ModelError
from qcore.model import OPTIONAL, Buffer, Quantization, Table, Tensor
from qcore.numerics.dtypes import ELEMENT_TYPES, ElementType
from qcore.schema.description import UNIONS, value_of
from qcore.schema.sparsity import stored_elements

MAX_RANK = 32
"""Dimensions of a tensor: what every supported NumPy can hold."""

_INT32 = ELEMENT_TYPES["int32"]


def check_tensor(tensor: Tensor, tensors: int, where: str, *, used: bool) -> None:
    """Checks one tensor, but not the contents of a string constant, which several tensors may share.

    Args:
        tensor: of a file or built by hand.
        tensors: how many its subgraph has.
        where: what messages call it.
        used: whether anything refers to it; only then must its dimensions be known.

    Raises:
        ModelError: something does not fit.
    """
    if tensor.dtype not in ELEMENT_TYPES:
        raise ModelError(f"{where}: {tensor.dtype!r} is no element type")
    dtype = ELEMENT_TYPES[tensor.dtype]
    if len(tensor.shape) > MAX_RANK:
        raise ModelError(f"{where}: {len(tensor.shape)} dimensions, at most {MAX_RANK} are supported")
    least = 0 if used or tensor.is_constant else -1
    if any(size < least for size in tensor.shape) or prod(max(size, 1) for size in tensor.shape) * max(dtype.bits, 8) >= 2**63:
        raise ModelError(f"{where}: shape {tensor.shape} is negative or larger than any memory")
    if any(size < -1 for size in tensor.shape_signature or ()):
        raise ModelError(f"{where}: shape signature {tensor.shape_signature}, expected sizes, or -1 where unknown")
    if tensor.is_constant:
        _check_constant(tensor, tensor.buffer, dtype, where)
    if tensor.quantization is not None:
        _check_quantization(tensor.quantization, tensor.shape, dtype, tensors, where)


def _check_constant(tensor: Tensor, buffer: Buffer, dtype: ElementType, where: str) -> None:
    if buffer.data is None:
        return
    if tensor.is_variable:
        raise ModelError(f"{where}: a variable with constant bytes")
    if buffer.data.dtype != np.uint8 or buffer.data.ndim != 1 or not buffer.data.flags.c_contiguous:
        raise ModelError(f"{where}: its buffer is {buffer.data.dtype}{list(buffer.data.shape)}, expected contiguous uint8[n]")
    if tensor.dtype == "string":
        return
    if dtype.bits == 0:
        raise ModelError(f"{where}: a constant of type {tensor.dtype}, which has no bytes")
    count = prod(tensor.shape) if tensor.sparsity is None else stored_elements(tensor.sparsity, tensor.shape, where)
    needed = (count * dtype.bits + 7) // 8
    if buffer.data.size < needed:
        raise ModelError(f"{where}: its buffer has {buffer.data.size} bytes, {count} elements of {tensor.dtype} take {needed}")


def _check_quantization(quantization: Quantization, shape: tuple[int, ...], dtype: ElementType, tensors: int, where: str) -> None:
    """``InterpreterBuilder::ParseQuantization``, and values that the arithmetic can bear."""
    if quantization.details is not None and quantization.details.name not in UNIONS["QuantizationDetails"]:
        raise ModelError(f"{where}: the quantization's details are {quantization.details.name}")
    if quantization.details is not None and quantization.details.name != "CustomQuantization":
        _check_details(quantization.details, quantization.quantized_dimension, len(shape), tensors, where)
        return
    scale, zero_point = np.asarray(quantization.scale), np.asarray(quantization.zero_point)
    if not scale.size:
        return
    axis = quantization.quantized_dimension
    if zero_point.size != scale.size:
        raise ModelError(f"{where}: {scale.size} scales and {zero_point.size} zero points, expected as many")
    if shape and not 0 <= axis < len(shape):
        raise ModelError(f"{where}: quantized dimension {axis}, the tensor has {len(shape)} dimensions")
    if scale.size != 1 and shape and scale.size != shape[axis]:
        raise ModelError(f"{where}: {scale.size} scales, expected 1 or {shape[axis]}, the size of dimension {axis}")
    if not np.isfinite(scale).all() or (scale < 0).any():
        raise ModelError(f"{where}: a scale is negative or not finite")
    range_of = dtype if dtype.quantized else _INT32
    if zero_point.min() < range_of.quantized_min or zero_point.max() > range_of.quantized_max:
        raise ModelError(f"{where}: a zero point is outside [{range_of.quantized_min}, {range_of.quantized_max}]")


def _check_details(details: Table, quantized_dimension: int, rank: int, tensors: int, where: str) -> None:
    """Parameters that other tensors hold; they take the place of the tensor's own."""
    where = f"{where}, {details.name}"
    for name, least in (("scales", 0), ("zero_points", OPTIONAL)):
        index = value_of(details, name)
        if not least <= index < tensors:
            raise ModelError(f"{where}.{name}: tensor index {index}, the subgraph has {tensors} tensors")
    if value_of(details, "block_size") < 0:
        raise ModelError(f"{where}.block_size: {value_of(details, 'block_size')}")
    axes = [quantized_dimension]
    if details.name == "MultiAxisQuantization":
        dimensions = value_of(details, "quantized_dimensions")
        axes = [] if dimensions is None else np.asarray(dimensions).tolist()
    if not axes or any(not 0 <= axis < max(rank, 1) for axis in axes):
        raise ModelError(f"{where}: quantized dimensions {reprlib.repr(axes)}, the tensor has {rank}")
