"""What native kernels ask of the memory that they work on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 64
SLACK = 256
"""Bytes before and after a tensor, or an arena of them, that may be read, and never written."""


def aligned_bytes(size: int) -> NDArray[np.uint8]:
    """Zeros at an address that is a multiple of ALIGNMENT, with SLACK before and after."""
    memory = np.zeros(size + ALIGNMENT + 2 * SLACK, np.uint8)
    start = SLACK + -(memory.ctypes.data + SLACK) % ALIGNMENT
    return memory[start : start + size]
