"""CONV_3D and CONV_3D_TRANSPOSE: windows over depth, height and width, in float32.

    CONV_3D            output[b, p, o] = activation(bias[o] + sum over t, c of input[b, q, c] * filter[t, c, o])
    CONV_3D_TRANSPOSE  output[b, q, o] = activation(bias[o] + sum over p, t, c of input[b, p, c] * filter[t, o, c])
    where              q = p * stride + t * dilation - pad

Here p and q are places and t is a tap, each of depth, height and width. Input and output are [batch, depth, height, width, channels]; the
filter's last two axes are input and output channels for CONV_3D, output and input channels for CONV_3D_TRANSPOSE, whose windows are
those of the convolution that would turn the output's shape into the input's. Padding stands for zero. The kernels go tap by tap: each is
one matrix product of all the inputs that meet it.

Source (TensorFlow Lite 2.21): tflite/kernels/conv3d.cc, conv3d_transpose.cc, kernels/internal/reference/conv3d.h, conv3d_transpose.h.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType

import numpy as np

from qcore.kernels.common import Window, integers, require_rank, window
from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Shape, Step
from qcore.kernels.weighted import RealOutput, real_output, require_bias_size, require_types

FILTERS = MappingProxyType({"float32": ("float32",)})

Slices = tuple[slice, ...]


@dataclass(frozen=True)
class Params:
    """Windows along depth, height and width; the output's shape; and what follows the sums."""

    windows: tuple[Window, Window, Window]
    output: Shape
    finish: RealOutput


def windows(node: Node, input: Shape, filter: Shape) -> tuple[Window, Window, Window]:
    """The windows along depth, height and width of a convolution of this input."""
    options = node.options

    def along(what: str, axis: int, letter: str) -> Window:
        stride, dilation = options[f"stride_{letter}"], options[f"dilation_{letter}_factor"]
        return window(node, what, input[axis], filter[axis - 1], stride, options["padding"], dilation)

    return along("depth", 1, "d"), along("height", 2, "h"), along("width", 3, "w")


def infer_shape(batch: int, windows: tuple[Window, Window, Window], channels: int) -> Shape:
    """Batch, depth, height, width, channels."""
    return batch, *(along.output for along in windows), channels


def prepare(node: Node) -> Step:
    """CONV_3D."""
    input, filter, bias = node.input(0), node.input(1), node.optional_input(2)
    require_types(node, FILTERS, input, filter, bias)
    for operand in (input, filter):
        require_rank(node, operand, 5)
    channels, outputs = filter.shape[3:]
    node.require(input.shape[4] == channels, f"input has {input.shape[4]} channels, filter {channels}, expected the same")
    require_bias_size(node, bias, outputs)
    along = windows(node, input.shape, filter.shape)
    shape = infer_shape(input.shape[0], along, outputs)
    return Step(convolve, Params(along, shape, real_output(node)), (shape,))


def prepare_transposed(node: Node) -> Step:
    """CONV_3D_TRANSPOSE."""
    shape, filter, input, bias = node.input(0), node.input(1), node.input(2), node.optional_input(3)
    require_types(node, FILTERS, input, filter, bias)
    for operand in (input, filter):
        require_rank(node, operand, 5)
    outputs, channels = filter.shape[3:]
    node.require(input.shape[4] == channels, f"input has {input.shape[4]} channels, filter {channels}, expected the same")
    require_bias_size(node, bias, outputs)
    require_rank(node, shape, 1)
    output = tuple(integers(node, shape, ("int32",)))
    node.require(
        len(output) == 5 and output[0] == input.shape[0] and output[4] == outputs and min(output) >= 0,
        f"output shape is {list(output)}, expected {input.shape[0]}, depth, height, width, {outputs}",
    )
    along = windows(node, output, filter.shape)
    back = infer_shape(output[0], along, channels)
    node.require(back == input.shape, f"output shape {list(output)} comes from an input of {list(back)}, the input is {list(input.shape)}")
    return Step(convolve_transposed, Params(along, output, real_output(node)), (output,))


def taps(p: Params) -> Iterator[tuple[tuple[int, ...], Slices, Slices]]:
    """For every tap that meets an input: its place in the filter, the outputs of the windows that it reaches, and what they read."""
    for tap in product(*(along.taps() for along in p.windows)):
        place, outputs, inputs = zip(*tap, strict=True)
        yield place, (slice(None), *outputs), (slice(None), *inputs)


def convolve(p: Params, x: Array, filter: Array, bias: Array | None = None) -> Array:
    """float32[batch, depth, height, width, channels] with float32[depth, height, width, channels, outputs], plus float32[outputs]."""
    total = np.zeros(p.output, np.float32)
    for tap, outputs, inputs in taps(p):
        total[outputs] += np.tensordot(x[inputs], filter[tap], (-1, -2))
    return p.finish(total, bias)


def convolve_transposed(p: Params, shape: Array, filter: Array, x: Array, bias: Array | None = None) -> Array:
    """float32[batch, depth, height, width, channels] with float32[depth, height, width, outputs, channels], plus float32[outputs]."""
    total = np.zeros(p.output, np.float32)
    for tap, outputs, inputs in taps(p):
        total[inputs] += np.tensordot(x[outputs], filter[tap], (-1, -1))
    return p.finish(total, bias)


CONV_3D = OpDef("CONV_3D", prepare, tuple(FILTERS), (2, 3), tolerances={"float32": FLOAT_ORDER})
CONV_3D_TRANSPOSE = OpDef("CONV_3D_TRANSPOSE", prepare_transposed, tuple(FILTERS), (3, 4), principal=2, tolerances={"float32": FLOAT_ORDER})
