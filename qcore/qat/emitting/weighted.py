"""Layers with a kernel: convolutions and Dense. A bias is an ADD, which ``qcore.qat.fusing`` takes into the operator."""

from __future__ import annotations

from typing import Any

import numpy as np

from qcore.kernels.opdef import Array
from qcore.qat.emitting.activations import activate
from qcore.qat.emitting.emitter import Emitter, Value
from qcore.qat.emitting.layout import channels_last


def finish(e: Emitter, layer: Any, y: Value) -> Value:
    """Adds a layer's bias and activation."""
    if layer.use_bias:
        y = add_bias(e, y, e.array(layer.bias))
    return activate(e, layer.activation, y)


def add_bias(e: Emitter, y: Value, bias: Array) -> Value:
    """Adds a bias; TensorFlow's converter leaves out one of zeros, too."""
    return e.op("ADD", y, bias) if bias.any() else y


def two(size: Any) -> tuple[int, int]:
    """The height and width of a window, stride or dilation, which one number stands for, or gives along a sequence."""
    if isinstance(size, int):
        return size, size
    return (1, int(size[0])) if len(size) == 1 else (int(size[0]), int(size[1]))


def as_image(e: Emitter, x: Value) -> Value:
    """A sequence as an image of one row."""
    return e.reshape(x, (x.shape[0], 1, *x.shape[1:])) if x.rank == 3 else x


def as_sequence(e: Emitter, y: Value, rank: int) -> Value:
    """The inverse of ``as_image``, for what a sequence was made to."""
    return e.reshape(y, (y.shape[0], *y.shape[2:])) if rank == 3 else y


def pad_causally(e: Emitter, layer: Any, x: Value) -> tuple[Value, str]:
    """A layer's input, and TensorFlow Lite's padding: causal padding is a PAD before a VALID operator."""
    if layer.padding != "causal":
        return x, layer.padding.upper()
    before = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
    return e.op("PAD", x, np.array([[0, 0], [before, 0], [0, 0]])), "VALID"


def window_options(layer: Any, padding: str) -> dict[str, Any]:
    """The options that convolutions have in common."""
    stride, dilation = two(layer.strides), two(layer.dilation_rate)
    return {
        "padding": padding,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h_factor": dilation[0],
        "dilation_w_factor": dilation[1],
    }


def convolve(e: Emitter, x: Value, kernel: Array, **options: Any) -> Value:
    """Adds a CONV_2D; kernel: float32[height, width, input channels of a group, outputs]."""
    return e.op("CONV_2D", x, kernel.transpose(3, 0, 1, 2), np.zeros(kernel.shape[3], np.float32), **options)


def convolve_depthwise(e: Emitter, x: Value, kernel: Array, **options: Any) -> Value:
    """Adds a DEPTHWISE_CONV_2D; kernel: float32[height, width, channels, multiplier]."""
    filter = kernel.reshape(1, *kernel.shape[:2], -1)
    zeros = np.zeros(filter.shape[3], np.float32)
    return e.op("DEPTHWISE_CONV_2D", x, filter, zeros, depth_multiplier=kernel.shape[3], **options)


def kernel_of(e: Emitter, variable: Any) -> Array:
    """A convolution's kernel with a height and a width."""
    kernel = e.array(variable)
    return kernel[None] if kernel.ndim == 3 else kernel


@channels_last
def conv(e: Emitter, layer: Any, x: Value) -> Value:
    """Conv1D and Conv2D."""
    padded, padding = pad_causally(e, layer, e.real(x))
    y = convolve(e, as_image(e, padded), kernel_of(e, layer.kernel), **window_options(layer, padding))
    return as_sequence(e, finish(e, layer, y), x.rank)


@channels_last
def depthwise_conv(e: Emitter, layer: Any, x: Value) -> Value:
    """DepthwiseConv1D and DepthwiseConv2D."""
    image = as_image(e, e.real(x))
    y = convolve_depthwise(e, image, kernel_of(e, layer.kernel), **window_options(layer, layer.padding.upper()))
    return as_sequence(e, finish(e, layer, y), x.rank)


@channels_last
def separable_conv(e: Emitter, layer: Any, x: Value) -> Value:
    """SeparableConv1D and SeparableConv2D."""
    padded, padding = pad_causally(e, layer, e.real(x))
    y = convolve_depthwise(e, as_image(e, padded), kernel_of(e, layer.depthwise_kernel), **window_options(layer, padding))
    y = convolve(e, y, kernel_of(e, layer.pointwise_kernel), padding="VALID", stride_h=1, stride_w=1)
    return as_sequence(e, finish(e, layer, y), x.rank)


@channels_last
def conv_transpose(e: Emitter, layer: Any, x: Value) -> Value:
    """Conv1DTranspose and Conv2DTranspose."""
    if any(rate != 1 for rate in layer.dilation_rate):
        raise e.refusal(f"dilation_rate is {layer.dilation_rate}, TRANSPOSE_CONV has 1")
    image, stride = as_image(e, e.real(x)), two(layer.strides)
    kernel = kernel_of(e, layer.kernel)
    sizes = layer.compute_output_shape(_as_keras_sees(layer, x.shape))
    sizes = [int(size) for size in (sizes[2:] if layer.data_format == "channels_first" else sizes[1:-1])]
    shape = [x.shape[0], *([1] if x.rank == 3 else []), *sizes, kernel.shape[2]]
    options = {"padding": layer.padding.upper(), "stride_h": stride[0], "stride_w": stride[1]}
    y = e.op("TRANSPOSE_CONV", shape, kernel.transpose(2, 0, 1, 3), image, dtype="float32", **options)
    return as_sequence(e, finish(e, layer, y), x.rank)


def _as_keras_sees(layer: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], shape[-1], *shape[1:-1]) if layer.data_format == "channels_first" else shape


def dense(e: Emitter, layer: Any, x: Value) -> Value:
    """Dense, along the last dimension of whatever it reads."""
    return finish(e, layer, fully_connect(e, e.real(x), e.array(layer.kernel)))


def fully_connect(e: Emitter, x: Value, kernel: Array) -> Value:
    """Adds a FULLY_CONNECTED; kernel: float32[inputs, outputs]."""
    return e.op("FULLY_CONNECTED", x, kernel.T, None, keep_num_dims=x.rank > 2)
