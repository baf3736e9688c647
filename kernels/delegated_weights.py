"""Which weighted operators XNNPACK computes: those of its types whose filter and bias are constants with scales that it can use.

It multiplies an accumulator by one float32 factor, and sums float32 inputs with an integer filter after quantizing them its own way (see
``hybrid``). Where TensorFlow Lite hands it what it then refuses, which fails the model, qcore takes the builtin kernels. (It refuses
factors of 256 and more as well; with these every sum but 0 saturates, whoever rounds it.)

Source (TensorFlow Lite 2.21): tflite/delegates/xnnpack/xnnpack_delegate.cc#VisitConv2DNode, #VisitDepthwiseConv2DNode,
#VisitTransposeConvNode, #VisitFullyConnectedNode; XNNPACK src/operators/convolution-nhwc.c#init_requantization_scale_qs8.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.delegate import delegated, is_static
from qcore.kernels.opdef import Blocks, Node, Operand

FUSED = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")
"""Fused activations that it has."""

BLOCK = 32
"""Blocks of a filter are multiples of this."""


def takes_weights(node: Node, input: Operand, filter: Operand, bias: Operand | None, axis: int) -> bool:
    """It computes an operator whose input and output have the same type.

    axis: the filter's axis of output channels.
    """
    return (
        delegated(node, input, node.output)
        and node.options["fused_activation_function"] in FUSED
        and (holds_bytes(filter) if input.dtype == "uint8" else holds_channels(filter, axis))
        and (bias is None or holds_bias(filter, bias))
    )


def takes_blocks(node: Node, input: Operand, filter: Operand, bias: Operand | None, blocks: Blocks) -> bool:
    """It computes an operator of float32 with a filter of blocks, each of which fills whole vectors."""
    return (
        delegated(node, input, node.output)
        and node.options["fused_activation_function"] in FUSED
        and is_static(filter)
        and blocks.size % BLOCK == 0
        and (bias is None or holds_bias(filter, bias))
    )


def holds_bytes(filter: Operand) -> bool:
    """A uint8 filter is a constant with one scale."""
    q = filter.quantization
    return is_static(filter) and q is not None and q.scale.size == 1 and usable(q.scale) and q.quantized_dimension == 0


def holds_channels(filter: Operand, axis: int) -> bool:
    """A signed filter is a constant with a scale for each place of the axis, or with one if its elements are bytes.

    Narrower ones lie in whole bytes along the last axis.
    """
    q = filter.quantization
    if not is_static(filter) or not filter.type.signed or q is None or not usable(q.scale):
        return False
    per_channel = q.scale.size == filter.shape[axis] and q.quantized_dimension == axis and not q.zero_point.any()
    if filter.type.packed:
        return per_channel and filter.shape[-1] * filter.type.bits % 8 == 0
    return per_channel or q.scale.size == 1


def holds_bias(filter: Operand, bias: Operand) -> bool:
    """The bias is a constant vector, of a dense layer any constant; one of integers has as many scales as the filter."""
    if not is_static(bias) or (bias.rank != 1 and filter.rank != 2):
        return False
    q, weights = bias.quantization, filter.quantization
    return bias.dtype == "float32" or (q is not None and weights is not None and q.scale.size == weights.scale.size and usable(q.scale))


def usable(scale: NDArray[np.float32]) -> bool:
    """There are scales, all of them normal numbers above 0."""
    return scale.size > 0 and bool((np.isfinite(scale) & (scale >= np.finfo(np.float32).tiny)).all())


def float32_factor(input: Operand, filter: Operand, output: Operand) -> NDArray[np.float32]:
    """float32[1 or channels]: output steps per unit of the accumulator, product and quotient in float32; equation (19)."""
    assert filter.quantization is not None
    with np.errstate(all="ignore"):
        return np.asarray(np.float32(input.scale) * filter.quantization.scale / np.float32(output.scale))
