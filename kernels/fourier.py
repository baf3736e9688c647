"""RFFT2D: the discrete Fourier transform of real matrices, which are the input's last two axes.

    output[..., u, v] = sum over y, x of input[..., y, x] * exp(-2 * pi * i * (u * y / height + v * x / width))

Height and width are an input, powers of two; the matrices are cut or padded with zeros to this size at their ends. The output holds
v from 0 to width / 2: the others are conjugates of these. Sums are taken in float64. TensorFlow Lite's own result of width 1 is noise.

Source (TensorFlow Lite 2.21): tflite/kernels/rfft2d.cc.
"""

from __future__ import annotations

import math

import numpy as np

from qcore.kernels.common import integers
from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Shape, Step

SCRATCH = 48
"""Bytes of temporaries for each number of the output: it is complex128 three times, between the axes, padded and transformed."""


def infer_shape(input: Shape, height: int, width: int) -> Shape:
    """As many matrices as before, of height by half the width and one."""
    return *input[:-2], height, width // 2 + 1


def prepare(node: Node) -> Step:
    """Check the sizes."""
    input, length = node.input(0), node.input(1)
    node.require(input.rank >= 2, f"input '{input.name}' has shape {list(input.shape)}, expected rank 2 or more")
    node.require(node.output.dtype == "complex64", f"output is {node.output.dtype}, expected complex64")
    node.require(length.shape == (2,), f"lengths '{length.name}' have shape {list(length.shape)}, expected [2]")
    height, width = integers(node, length, ("int32",))
    for size in (height, width):
        node.require(size > 0 and size & (size - 1) == 0, f"transform of {height} by {width}, expected powers of two")
    shape = infer_shape(input.shape, height, width)
    return Step(transform, (height, width), (shape,), scratch=SCRATCH * math.prod(shape) + 8 * input.size)


def transform(p: tuple[int, int], x: Array, _length: Array) -> Array:
    """complex64[..., height, width / 2 + 1] of float32[..., rows, columns]; p: height and width."""
    height, width = p
    return np.fft.rfft2(x[..., :height, :width].astype(np.float64), p).astype(np.complex64)


RFFT2D = OpDef("RFFT2D", prepare, ("float32",), (2, 2), tolerances={"float32": FLOAT_ORDER})
