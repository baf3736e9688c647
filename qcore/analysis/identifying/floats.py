"""Float32 products summed in the very order of the reference kernels and of XNNPACK's, so that their results can be told apart.

qcore's own float kernels sum in no such order: their results are right within rounding, which is all that a network needs, but not what
tells two sets of kernels apart. Here each output is

* of the reference kernels: products in turn, each product and each sum rounded, and the bias last;
* of XNNPACK's: the bias first, then products in turn, each multiplied and added with a single rounding (fused).

The rounding of a fused step is taken in float64, in which the product is exact; the sum, rounded to float64 and then to float32, could
differ from a single rounding in one of about 2**29 steps. The builtin kernels' order is ``qcore.kernels.float_products``'s.

Source (TensorFlow Lite 2.21, x86-64): tflite/kernels/internal/reference/conv.h#Conv, depthwiseconv_float.h#DepthwiseConv,
fully_connected.h#FullyConnected; XNNPACK src/f32-gemm, src/f32-igemm and src/f32-dwconv with FMA.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.kernels import conv, depthwise, fully_connected
from qcore.kernels.opdef import Arithmetic, Array, Step
from qcore.kernels.weighted import RealOutput
from qcore.model import OPTIONAL, Operator, Subgraph

Reals = NDArray[np.float32]

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Operators whose float32 products have an order here."""


def in_order(step: Step, arithmetic: Arithmetic) -> Step:
    """The step with its sums in the order of the arithmetic's own kernels; as it is, where it has no float32 products or is in order."""
    p: Any = step.params
    if arithmetic == "builtin":
        return step
    fused = arithmetic == "xnnpack"
    if step.kernel is conv.convolve_real:
        return replace(step, kernel=convolve, params=Ordered(p.geometry, p.finish, fused))
    if step.kernel is depthwise.convolve_real:
        g = p.geometry
        groups = conv.Geometry(g.height, g.width, g.taps, g.output[3] // g.multiplier, 1, g.output)
        return replace(step, kernel=convolve_channels, params=Ordered(groups, p.finish, fused))
    if step.kernel is fully_connected.real:
        return replace(step, kernel=dense, params=(p, fused))
    return step


def left_to_builtin(graph: Subgraph, operator: Operator, constants: Container[int]) -> bool:
    """XNNPACK leaves these float32 products to the builtin kernels: filter or bias is computed, or a convolution has no bias.

    So it does a depthwise convolution whose options do not say how many outputs an input channel has.

    Source (TensorFlow Lite 2.21): tflite/delegates/xnnpack/xnnpack_delegate.cc#VisitConv2DNode, #VisitDepthwiseConv2DNode,
    #VisitFullyConnectedNode.
    """
    if operator.name not in WEIGHTED or graph.tensors[operator.inputs[1]].dtype != "float32":
        return False
    if any(i not in constants for i in operator.inputs[1:] if i != OPTIONAL):
        return True
    if operator.name == "FULLY_CONNECTED":
        return False
    has_bias = len(operator.inputs) > 2 and operator.inputs[2] != OPTIONAL
    if operator.name == "CONV_2D" or not has_bias:
        return not has_bias
    input, filter = (graph.tensors[i].shape for i in operator.inputs[:2])
    return operator.options is None or operator.options["depth_multiplier"] * input[3] != filter[3]


@dataclass(frozen=True)
class Ordered:
    """A convolution of floats; fused: as XNNPACK sums."""

    geometry: conv.Geometry
    finish: RealOutput
    fused: bool


def convolve(p: Ordered, x: Array, filter: Array, bias: Array | None = None) -> Array:
    """As ``conv.convolve_real``."""
    g, output = p.geometry, np.empty(p.geometry.output, np.float32)
    matrix = g.matrix(filter)
    of_groups = None if bias is None else bias.reshape(g.groups, 1, -1)
    for tile, windows in conv.tiles_of_windows(g, x, 0, x.dtype):
        total = sums(windows, matrix, of_groups, p.fused)
        output[tile.place] = p.finish(conv.channels_last(total, output[tile.place]), None)
    return output


def convolve_channels(p: Ordered, x: Array, filter: Array, bias: Array | None = None) -> Array:
    """As ``depthwise.convolve_real``: every input channel is a group of its own."""
    return convolve(p, x, filter.transpose(3, 1, 2, 0), bias)


def dense(p: tuple[fully_connected.FloatParams, bool], input: Array, filter: Array, bias: Array | None = None) -> Array:
    """As ``fully_connected.real``."""
    params, fused = p
    total = sums(params.rows.of(input)[np.newaxis], filter[np.newaxis], None if bias is None else bias.reshape(1, 1, -1), fused)
    return params.output(total[0], None).reshape(params.rows.shape)


def sums(x: Reals, filter: Reals, bias: Reals | None, fused: bool) -> Reals:
    """float32[groups, rows, channels] of float32[groups, rows, depth] and float32[groups, channels, depth]; bias: [groups, 1, channels]."""
    groups, rows, depth = x.shape
    total = np.zeros((groups, rows, filter.shape[1]), np.float32)
    columns, lines = np.ascontiguousarray(x.transpose(2, 0, 1)), np.ascontiguousarray(filter.transpose(2, 0, 1))
    if fused:
        total += 0 if bias is None else bias
        for k in range(depth):
            total[...] = total + np.multiply(columns[k, :, :, np.newaxis], lines[k, :, np.newaxis], dtype=np.float64)
        return total
    for k in range(depth):
        total += columns[k, :, :, np.newaxis] * lines[k, :, np.newaxis]
    return total if bias is None else total + bias
