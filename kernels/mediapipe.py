"""Convolution2DTransposeBias: MediaPipe's custom transposed convolution, with a bias and an output shape that follows from the input's.

    output size = input size * stride                          (SAME)
                  (input size - 1) * stride + filter size      (VALID)

Otherwise it is ``transpose_conv`` on float32. The options are three little-endian int32: padding (1 SAME, 2 VALID), stride_w, stride_h.

Source: TensorFlow Lite 2.21 runs it by XNNPACK, tflite/delegates/xnnpack/xnnpack_delegate.cc#VisitMediaPipeDeconvolutionNode; the
options are core/c/builtin_op_data.h#TfLiteTransposeConvParams.
"""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np

from qcore.kernels import transpose_conv
from qcore.kernels.common import require_rank, require_same_type, require_shape
from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Operand, Shape, Step

OPTIONS = struct.Struct("<iii")
PADDINGS = {1: "SAME", 2: "VALID"}


def infer_shape(input: Shape, filter: Shape, padding: str, stride_h: int, stride_w: int) -> Shape:
    """NHWC."""
    strides = stride_h, stride_w
    if padding == "SAME":
        height, width = (size * stride for size, stride in zip(input[1:3], strides, strict=True))
    else:
        height, width = ((size - 1) * stride + taps for size, stride, taps in zip(input[1:3], strides, filter[1:3], strict=True))
    return input[0], height, width, filter[0]


def prepare(node: Node) -> Step:
    """Read the options, and prepare the transposed convolution that they describe."""
    x, filter, bias = node.input(0), node.input(1), node.input(2)
    require_same_type(node, x, filter, bias, node.output)
    for operand in (x, filter):
        require_rank(node, operand, 4)
    size = len(node.custom_options)
    node.require(size >= OPTIONS.size, f"has {size} bytes of options, expected {OPTIONS.size}")
    padding, stride_w, stride_h = OPTIONS.unpack_from(node.custom_options)
    node.require(padding in PADDINGS, f"padding is {padding}, expected 1 (SAME) or 2 (VALID)")
    node.require(stride_w > 0 and stride_h > 0, f"strides are {stride_h} and {stride_w}, expected at least 1")
    shape = require_shape(node, infer_shape(x.shape, filter.shape, PADDINGS[padding], stride_h, stride_w))
    options = {"padding": PADDINGS[padding], "stride_h": stride_h, "stride_w": stride_w, "fused_activation_function": "NONE"}
    output_shape = Operand("output shape", "int32", (4,), constant=np.array(shape, np.int32))
    step = transpose_conv.prepare(replace(node, inputs=(output_shape, filter, x, bias), options=options))
    return replace(step, kernel=convolve) if step.kernel is transpose_conv.convolve_real else step


def convolve(p: transpose_conv.RealParams, x: Array, filter: Array, bias: Array) -> Array:
    """float32[batch, height, width, channels] with float32[outputs, height, width, channels], plus float32[outputs]."""
    return transpose_conv.convolve_real(p, np.array(p.geometry.output), filter, x, bias)


CONVOLUTION_2D_TRANSPOSE_BIAS = OpDef(
    "Convolution2DTransposeBias", prepare, ("float32",), (3, 3), tolerances={"float32": FLOAT_ORDER}, notes="MediaPipe's custom operator"
)
