"""The element types of a ``.tflite`` file: their names, storage and integer ranges.

A type is named by its lower-case schema name everywhere in qcore ("int8", "bfloat16", "int4", ...). Types narrower than a byte
are packed in files and unpacked to int8 or uint8 in memory (see ``packing``).

Source: ``TensorType`` of the TensorFlow Lite schema.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np

from qcore.errors import InputError


@dataclass(frozen=True)
class ElementType:
    """One element type.

    name: schema name, lower case.
    storage: NumPy type of an array in memory; ``object`` (of bytes) for strings, a handle's number for resources; None where qcore
        holds no values.
    bits: width in a file; 0 where elements have no fixed width.
    quantized: True where ``real = scale * (quantized - zero_point)`` may apply.
    """

    name: str
    storage: np.dtype[Any] | None
    bits: int
    quantized: bool = False

    @property
    def packed(self) -> bool:
        """More than one element in a byte of the file."""
        return 0 < self.bits < 8

    @property
    def signed(self) -> bool:
        """Integers of the type may be negative."""
        return not self.name.startswith("u")

    @property
    def quantized_min(self) -> int:
        """Least integer of the type, e.g. -128; only integer types have one."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def quantized_max(self) -> int:
        """Greatest integer of the type, e.g. 127; only integer types have one."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1


def _table() -> dict[str, ElementType]:
    rows: list[tuple[str, Any, int, bool]] = [
        ("float32", np.float32, 32, False),
        ("float16", np.float16, 16, False),
        ("int32", np.int32, 32, True),
        ("uint8", np.uint8, 8, True),
        ("int64", np.int64, 64, True),
        ("string", object, 0, False),
        ("bool", np.bool_, 8, False),
        ("int16", np.int16, 16, True),
        ("complex64", np.complex64, 64, False),
        ("int8", np.int8, 8, True),
        ("float64", np.float64, 64, False),
        ("complex128", np.complex128, 128, False),
        ("uint64", np.uint64, 64, False),
        ("resource", np.int32, 0, False),
        ("variant", None, 0, False),
        ("uint32", np.uint32, 32, False),
        ("uint16", np.uint16, 16, True),
        ("int4", np.int8, 4, True),
        ("bfloat16", ml_dtypes.bfloat16, 16, False),
        ("int2", np.int8, 2, True),
        ("uint4", np.uint8, 4, True),
        ("float8_e4m3fn", ml_dtypes.float8_e4m3fn, 8, False),
        ("float8_e5m2", ml_dtypes.float8_e5m2, 8, False),
    ]
    return {name: ElementType(name, None if t is None else np.dtype(t), bits, q) for name, t, bits, q in rows}


ELEMENT_TYPES = MappingProxyType(_table())
"""Every element type by name, in the order of its number in the schema."""


def element_type(name: str) -> ElementType:
    """The element type of that name.

    Raises:
        InputError: there is no such type.
    """
    try:
        return ELEMENT_TYPES[name]
    except (KeyError, TypeError):
        raise InputError(f"element type: got {name!r}, expected one of {', '.join(ELEMENT_TYPES)}") from None
