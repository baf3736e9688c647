"""Sums of convolutions the slow way: Python's integers, one product after the other, straight from the definitions.

Arrays are NHWC, filters OHWI (1HWC for depthwise); both are differences from their zero points already.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np


def output_size(size: int, filter: int, stride: int, dilation: int, padding: str) -> tuple[int, int]:
    """How many outputs, and how much padding comes before the input."""
    extent = (filter - 1) * dilation + 1
    output = -(-size // stride) if padding == "SAME" else (size - extent) // stride + 1
    return output, max(0, (output - 1) * stride + extent - size) // 2


def convolution(x: Any, w: Any, stride: tuple[int, int], dilation: tuple[int, int], padding: str) -> np.ndarray:
    """With groups where the filter has fewer channels than the input."""
    batch, height, width, channels = x.shape
    outputs, rows, columns, depth = w.shape
    (out_h, top), (out_w, left) = (
        output_size(n, k, s, d, padding) for n, k, s, d in zip((height, width), (rows, columns), stride, dilation, strict=True)
    )
    sums = np.zeros((batch, out_h, out_w, outputs), object)
    for b, y, z, o in np.ndindex(sums.shape):
        first = o // (outputs // (channels // depth)) * depth
        for ky, kx, c in product(range(rows), range(columns), range(depth)):
            iy, ix = y * stride[0] + ky * dilation[0] - top, z * stride[1] + kx * dilation[1] - left
            if 0 <= iy < height and 0 <= ix < width:
                sums[b, y, z, o] += int(x[b, iy, ix, first + c]) * int(w[o, ky, kx, c])
    return sums


def depthwise(x: Any, w: Any, stride: tuple[int, int], dilation: tuple[int, int], padding: str) -> np.ndarray:
    """A convolution in as many groups as there are channels."""
    return convolution(x, np.moveaxis(w, 3, 0).reshape(w.shape[3], *w.shape[1:3], 1), stride, dilation, padding)


def transposed(x: Any, w: Any, output: tuple[int, int], stride: tuple[int, int], padding: str) -> np.ndarray:
    """Onto an output of that height and width."""
    batch, height, width, channels = x.shape
    outputs, rows, columns, _ = w.shape
    top, left = (output_size(n, k, s, 1, padding)[1] for n, k, s in zip(output, (rows, columns), stride, strict=True))
    sums = np.zeros((batch, *output, outputs), object)
    for b, y, z, c, o, ky, kx in np.ndindex(batch, height, width, channels, outputs, rows, columns):
        oy, ox = y * stride[0] + ky - top, z * stride[1] + kx - left
        if 0 <= oy < output[0] and 0 <= ox < output[1]:
            sums[b, oy, ox, o] += int(x[b, y, z, c]) * int(w[o, ky, kx, c])
    return sums
