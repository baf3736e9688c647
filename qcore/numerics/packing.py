"""Elements narrower than a byte, as files store them: int4, uint4 and int2 share bytes, the first element in the low bits.

Equation (38) of docs/quantization.md. Elements follow one another in row-major order without regard to rows; the last byte's unused
high bits are zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.errors import InputError
from qcore.numerics.dtypes import ElementType, element_type


def packed_size(name: str, count: int) -> int:
    """Bytes that ``count`` elements of the packed type take in a file."""
    return (count * _packed_type(name).bits + 7) // 8


def unpack(data: NDArray[np.uint8], name: str, count: int) -> NDArray[np.int8] | NDArray[np.uint8]:
    """Elements out of their shared bytes.

    Args:
        data: uint8[ceil(count * bits / 8)], low bits first.
        name: "int4", "uint4" or "int2".
        count: elements to give.

    Returns:
        int8[count], or uint8[count] for uint4: one element in each, sign extended.

    Raises:
        InputError: the type is not packed, or data has another number of bytes.

    Source: tflite/kernels/internal/portable_tensor_utils.cc#UnpackPackedIntToInt8 (unsigned types: without the sign).
    """
    kind = _packed_type(name)
    if data.dtype != np.uint8 or data.ndim != 1 or data.size != packed_size(name, count):
        raise InputError(
            f"unpack {name}: got {data.dtype}{list(data.shape)}, expected uint8[{packed_size(name, count)}] for {count} elements"
        )
    per_byte = 8 // kind.bits
    spread: NDArray[Any] = np.empty((data.size, per_byte), kind.storage)
    top = 8 - kind.bits
    for place in range(per_byte):
        # To the top of the byte, where the shift back extends the sign.
        spread[:, place] = (data << (top - place * kind.bits)).view(spread.dtype) >> top
    codes: NDArray[np.int8] | NDArray[np.uint8] = spread.reshape(-1)[:count]
    return codes


def pack(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Elements into shared bytes; the inverse of ``unpack``.

    Args:
        values: integers[...], codes of the type, taken in row-major order.
        name: "int4", "uint4" or "int2".

    Returns:
        uint8[ceil(values.size * bits / 8)], low bits first.

    Raises:
        InputError: the type is not packed, or a value is not one of its codes.

    Source: tflite/kernels/internal/portable_tensor_utils.cc#PackInt8IntoDenseInt.
    """
    kind = _packed_type(name)
    flat = np.asarray(values).reshape(-1)
    if not np.issubdtype(flat.dtype, np.integer):
        raise InputError(f"pack {name}: got {flat.dtype} values, expected integers")
    if flat.size and (flat.min() < kind.quantized_min or flat.max() > kind.quantized_max):
        raise InputError(f"pack {name}: got {flat.min()} to {flat.max()}, expected {kind.quantized_min} to {kind.quantized_max}")
    per_byte = 8 // kind.bits
    whole = np.zeros(packed_size(name, flat.size) * per_byte, np.uint8)
    whole[: flat.size] = flat.astype(np.uint8) & ((1 << kind.bits) - 1)
    packed = np.zeros(whole.size // per_byte, np.uint8)
    for place in range(per_byte):
        packed |= whole[place::per_byte] << (place * kind.bits)
    return packed


def _packed_type(name: str) -> ElementType:
    kind = element_type(name)
    if not kind.packed:
        raise InputError(f"packing: got {name!r}, expected a type narrower than a byte: int4, uint4 or int2")
    return kind
