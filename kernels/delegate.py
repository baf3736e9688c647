"""Which operators XNNPACK computes; TensorFlow Lite's builtin kernels compute the others.

A plain interpreter offers each operator to its delegate, XNNPACK, which takes those of element types, shapes and scales that it was made
for. Each family knows its own conditions; here are the ones that recur.

Source (TensorFlow Lite 2.21): tflite/delegates/xnnpack/xnnpack_delegate.cc#Subgraph::VisitNode and the checks it calls.
"""

from __future__ import annotations

import numpy as np

from qcore.kernels.opdef import Node, Operand

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


def scale_ratio(input: Operand, output: Operand) -> np.float32:
    """The input's steps in the output's, a quotient in float32."""
    return np.float32(input.scale) / np.float32(output.scale)
