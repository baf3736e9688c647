"""The bytes of a string tensor: int32 count, int32 offsets[count + 1] from the start of the buffer, then the strings.

Source: ``tflite/core/tools/verifier.cc#VerifyStringTensorBuffer``, ``tflite/string_util.h``.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.errors import InputError, ModelError


def string_offsets(data: NDArray[np.uint8], where: str) -> NDArray[np.int64]:
    """Where each string starts, and where the last one ends: int64[count + 1], rising, all within the buffer.

    Args:
        data: uint8[n].
        where: what messages call the tensor.

    Raises:
        ModelError: the buffer is too short for what it says, or an offset leads out of it or backwards.
    """
    count = int.from_bytes(data[:4].tobytes(), "little") if data.size >= 4 else -1
    header = 4 * (count + 2)
    if count < 0 or header > data.size:
        raise ModelError(f"{where}: {data.size} bytes are too few for {max(count, 0)} strings")
    offsets = np.frombuffer(data[4:header].tobytes(), "<i4").astype(np.int64)
    if offsets[0] != header or (np.diff(offsets) < 0).any() or offsets[-1] > data.size:
        raise ModelError(f"{where}: the offsets of its {count} strings do not rise from {header} to at most {data.size}")
    return offsets


def split_strings(data: NDArray[np.uint8], where: str) -> NDArray[Any]:
    """The strings of a buffer: object[count] of bytes.

    Args:
        data: uint8[n].
        where: what messages call the tensor.

    Raises:
        ModelError: as for ``string_offsets``.
    """
    offsets = string_offsets(data, where).tolist()
    strings = np.empty(len(offsets) - 1, object)
    for i, (start, end) in enumerate(pairwise(offsets)):
        strings[i] = data[start:end].tobytes()
    return strings


def join_strings(strings: NDArray[Any]) -> NDArray[np.uint8]:
    """The buffer of these strings.

    Args:
        strings: array of bytes, or of str (encoded as UTF-8), any shape.

    Raises:
        InputError: an element is neither, or there is too much for 32-bit offsets.
    """
    parts = [_bytes(string) for string in strings.reshape(-1).tolist()]
    header = 4 * (len(parts) + 2)
    ends = header + np.cumsum([0, *map(len, parts)], dtype=np.int64)
    if ends[-1] >= 2**31:
        raise InputError(f"encode: {len(parts)} strings of {ends[-1] - header} bytes together, a buffer takes less than 2 GB")
    head = np.concatenate(([len(parts)], ends)).astype("<i4").tobytes()
    return np.frombuffer(b"".join((head, *parts)), np.uint8)


def _bytes(string: Any) -> bytes:
    if isinstance(string, str):
        return string.encode()
    if isinstance(string, bytes):
        return string
    raise InputError(f"encode: a string tensor holds bytes or str, got {type(string).__name__}")
