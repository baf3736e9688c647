"""Which operators XNNPACK computes; TensorFlow Lite's builtin kernels compute the others.

A plain interpreter offers each operator to its delegate, XNNPACK, which takes those of element types, shapes and scales that it was made
for. Each family knows its own conditions; here are the ones that recur.

Source (TensorFlow Lite 2.21): tflite/delegates/xnnpack/xnnpack_delegate.cc#Subgraph::VisitNode and the checks it calls.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from qcore.kernels.opdef import Array, Node, Operand

MAX_RANK = 6
EIGHT_BITS = ("int8", "uint8")


def delegated(node: Node, *tensors: Operand) -> bool:
    """The arithmetic is XNNPACK's, and it can hold each of these tensors."""
    return node.arithmetic == "xnnpack" and all(can_hold(tensor) for tensor in tensors)


def can_hold(tensor: Operand) -> bool:
    """Float32, or 8-bit codes with one scale; of up to 6 dimensions, none of them empty."""
    if tensor.rank > MAX_RANK or 0 in tensor.shape:
        return False
    if tensor.dtype == "float32":
        return True
    quantization = tensor.quantization
    return (
        tensor.dtype in EIGHT_BITS and quantization is not None and quantization.scale.size == 1 and quantization.quantized_dimension == 0
    )


def is_static(tensor: Operand) -> bool:
    """The file holds its value, as XNNPACK needs of axes and sizes."""
    return tensor.constant is not None and not tensor.computed


def scale_ratio(input: Operand, output: Operand) -> np.float32:
    """The input's steps in the output's, a quotient in float32."""
    return np.float32(input.scale) / np.float32(output.scale)


def flushing(function: Callable[[Array], Array]) -> partial[Array]:
    """A function of float32[...] as XNNPACK has it, which computes with subnormal numbers off: results below 2**-126 are 0."""
    return partial(flushed, function)


def flushed(function: Callable[[Array], Array], x: Array) -> Array:
    """The function's values, or 0 where they are subnormal."""
    values = function(x)
    return np.where(np.abs(values) < np.finfo(np.float32).smallest_normal, np.float32(0), values)
