"""Which operators of floats XNNPACK takes, where its last bits differ from the builtin kernels'.

Source (TensorFlow Lite 2.21): tflite/delegates/xnnpack/xnnpack_delegate.cc#VisitConv2DNode and its like.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from qcore.kernels.delegate import delegated, is_static
from qcore.kernels.opdef import Node

REALS = ("float32", "int32", "int64", "bool")
"""Types of operands beside which an operator's results are floats alone."""


def is_real(node: Node) -> bool:
    """It computes with floats alone: nothing is quantized."""
    outputs = [output.dtype for output in node.outputs]
    return outputs[:1] == ["float32"] and all(i is None or i.dtype in REALS for i in node.inputs)


def left_to_builtin(node: Node) -> bool:
    """XNNPACK leaves these floats to the builtin kernels, which give other bits."""
    takes = TAKES.get(node.operator)
    return takes is not None and is_real(node) and not takes(node)


def never(_: Node) -> bool:
    """XNNPACK does not have it."""
    return False


def takes_floats(node: Node) -> bool:
    """It can hold input and output."""
    return delegated(node, node.input(0), node.output)


def takes_pool(node: Node) -> bool:
    """Windows leave no pixel out."""
    options = node.options
    return takes_floats(node) and options["stride_h"] <= options["filter_height"] and options["stride_w"] <= options["filter_width"]


def takes_softmax(node: Node) -> bool:
    """The factor of the exponent is 1."""
    return takes_floats(node) and bool(node.options["beta"] == 1)


def takes_reduction(node: Node) -> bool:
    """The file names the axes, at least one, and there are some."""
    axes = node.input(1)
    return takes_floats(node) and is_static(axes) and axes.size > 0 and node.input(0).rank > 0


def takes_resize(node: Node) -> bool:
    """The file names the size."""
    return takes_floats(node) and is_static(node.input(1)) and node.output.rank == 4


def takes_weights(node: Node) -> bool:
    """Filter and bias are known before anything runs."""
    return all(i is None or i.constant is not None for i in node.inputs[1:])


def takes_convolution(node: Node) -> bool:
    """The same, and there is a bias."""
    return takes_weights(node) and node.optional_input(2) is not None


def takes_depthwise(node: Node) -> bool:
    """The same, and the options say how many outputs an input channel has."""
    return takes_convolution(node) and bool(node.options["depth_multiplier"] * node.input(0).shape[3] == node.input(1).shape[3])


def takes_transposed(node: Node) -> bool:
    """Shape, filter and bias are known before anything runs, and with padding no stride is above the filter's size."""
    known = all(i is None or i.constant is not None for i in (node.input(1), node.optional_input(3)))
    sizes, strides = node.input(1).shape[1:3], (node.options["stride_h"], node.options["stride_w"])
    covered = node.options["padding"] == "VALID" or all(size >= stride for size, stride in zip(sizes, strides, strict=True))
    return known and is_static(node.input(0)) and covered


TAKES: Mapping[str, Callable[[Node], bool]] = MappingProxyType(
    {
        "AVERAGE_POOL_2D": takes_pool,
        "BATCH_MATMUL": takes_floats,
        "CONV_2D": takes_convolution,
        "DEPTHWISE_CONV_2D": takes_depthwise,
        "FULLY_CONNECTED": takes_weights,
        "GELU": takes_floats,
        "LOGISTIC": takes_floats,
        "LOG_SOFTMAX": never,
        "MEAN": takes_reduction,
        "RESIZE_BILINEAR": takes_resize,
        "SOFTMAX": takes_softmax,
        "SUM": takes_reduction,
        "TANH": takes_floats,
        "TRANSPOSE_CONV": takes_transposed,
    }
)
"""By operator, whether XNNPACK takes one."""
