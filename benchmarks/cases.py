"""What is timed: operators at the shapes of real networks, as one-operator models.

Weighted layers are those of MobileNetV2 (224), ResNet50 and a keyword spotter; the rest runs on a feature map of MobileNetV2.
Every operator of the registry that takes one or two tensors of one shape is timed by the same two builders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from qcore.kernels.registry import OPERATORS
from qcore.model import Model
from tests.conformance.harness import T, one_operator

FEATURE_MAP = (1, 56, 56, 64)
UNARY = (
    "ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC", "NEG", "RELU", "RELU6", "ROUND",
    "RSQRT", "SIN", "SOFTMAX", "SQRT", "SQUARE", "TANH",
)  # fmt: skip
BINARY = ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "EQUAL", "LESS")
OPTIONS = {"SOFTMAX": {"beta": 1.0}, "LEAKY_RELU": {"alpha": 0.1}}
POSITIVE = ("LOG", "RSQRT", "SQRT")
FIXED_OUTPUT = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0), "SOFTMAX": (1 / 256, -128)}


@dataclass(frozen=True)
class Case:
    """One layer: its name in the table, multiply-accumulates (0 where there are none), and how to build it."""

    name: str
    macs: int
    build: Callable[[], Model]


def act(dtype: str, shape: tuple[int, ...], scale: float = 0.02, zero_point: int = 3) -> T:
    """An activation tensor."""
    return T(dtype, shape) if dtype == "float32" else T(dtype, shape, scale, 0 if dtype == "int16" else zero_point)


def weights(dtype: str, shape: tuple[int, ...], channels: int, axis: int) -> tuple[T, T]:
    """A random filter, per channel where quantized, and its bias."""
    rng = np.random.default_rng(1)
    if dtype == "float32":
        filter = T("float32", shape, value=rng.normal(0, 0.1, shape))
        return filter, T("float32", (channels,), value=rng.normal(0, 1, channels))
    scale = rng.uniform(0.001, 0.01, channels)
    filter = T("int8", shape, scale, 0, axis, rng.integers(-127, 128, shape))
    bias = T("int64" if dtype == "int16" else "int32", (channels,), scale * 0.02, 0, 0, rng.integers(-1000, 1000, channels))
    return filter, bias


def conv(dtype: str, size: int, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> Case:
    """CONV_2D on a square map, SAME padding."""
    out = -(-size // stride)

    def build() -> Model:
        filter, bias = weights(dtype, (channels_out, kernel, kernel, channels_in), channels_out, 0)
        options = {"padding": "SAME", "stride_w": stride, "stride_h": stride, "dilation_w_factor": 1, "dilation_h_factor": 1}
        inputs = [act(dtype, (1, size, size, channels_in)), filter, bias]
        return one_operator("CONV_2D", inputs, [act(dtype, (1, out, out, channels_out), 0.05)], options, version=3)

    macs = out * out * channels_out * kernel * kernel * channels_in
    return Case(f"CONV_2D {dtype} {size}x{size}x{channels_in} -> {channels_out}, {kernel}x{kernel}/{stride}", macs, build)


def depthwise(dtype: str, size: int, channels: int, kernel: int, stride: int) -> Case:
    """DEPTHWISE_CONV_2D on a square map, SAME padding."""
    out = -(-size // stride)

    def build() -> Model:
        filter, bias = weights(dtype, (1, kernel, kernel, channels), channels, 3)
        options = {"padding": "SAME", "stride_w": stride, "stride_h": stride, "depth_multiplier": 1}
        options |= {"dilation_w_factor": 1, "dilation_h_factor": 1}
        inputs = [act(dtype, (1, size, size, channels)), filter, bias]
        return one_operator("DEPTHWISE_CONV_2D", inputs, [act(dtype, (1, out, out, channels), 0.05)], options, version=3)

    return Case(f"DEPTHWISE_CONV_2D {dtype} {size}x{size}x{channels}, {kernel}x{kernel}/{stride}", out * out * channels * kernel**2, build)


def dense(dtype: str, channels_in: int, channels_out: int) -> Case:
    """FULLY_CONNECTED on one row."""

    def build() -> Model:
        filter, bias = weights(dtype, (channels_out, channels_in), channels_out, 0)
        return one_operator(
            "FULLY_CONNECTED", [act(dtype, (1, channels_in)), filter, bias], [act(dtype, (1, channels_out), 0.05)], version=4
        )

    return Case(f"FULLY_CONNECTED {dtype} {channels_in} -> {channels_out}", channels_in * channels_out, build)


def pool(name: str, dtype: str, size: int, channels: int, kernel: int, stride: int) -> Case:
    """A pooling operator on a square map, VALID padding."""
    out = (size - kernel) // stride + 1

    def build() -> Model:
        options = {"padding": "VALID", "stride_w": stride, "stride_h": stride, "filter_width": kernel, "filter_height": kernel}
        return one_operator(name, [act(dtype, (1, size, size, channels))], [act(dtype, (1, out, out, channels))], options, version=2)

    return Case(f"{name} {dtype} {size}x{size}x{channels}, {kernel}x{kernel}/{stride}", 0, build)


def unary(name: str, dtype: str) -> Case:
    """An operator from one tensor to another of the same shape."""
    output = T(dtype, FEATURE_MAP, *FIXED_OUTPUT[name]) if name in FIXED_OUTPUT and dtype == "int8" else act(dtype, FEATURE_MAP)
    input = act(dtype, FEATURE_MAP, zero_point=-128 if name in POSITIVE else 3)
    return Case(
        f"{name} {dtype} 56x56x64", 0, lambda: one_operator(name, [input], [output], OPTIONS.get(name), 1 if dtype == "float32" else 2)
    )


def binary(name: str, dtype: str) -> Case:
    """An operator on two tensors of one shape."""
    output = T("bool", FEATURE_MAP) if name in ("EQUAL", "LESS") else act(dtype, FEATURE_MAP, 0.04)
    inputs = [act(dtype, FEATURE_MAP), act(dtype, FEATURE_MAP, 0.03, -5)]
    return Case(f"{name} {dtype} 56x56x64", 0, lambda: one_operator(name, inputs, [output], version=1 if dtype == "float32" else 2))


def cases() -> Iterator[Case]:
    """Every case, weighted layers first."""
    for dtype in ("int8", "float32", "int16"):
        yield conv(dtype, 224, 3, 32, 3, 2)
        yield conv(dtype, 56, 24, 144, 1)
        yield conv(dtype, 14, 96, 576, 1)
        yield conv(dtype, 7, 160, 960, 1)
        yield conv(dtype, 28, 128, 128, 3)
        yield depthwise(dtype, 112, 32, 3, 1)
        yield depthwise(dtype, 56, 144, 3, 2)
        yield depthwise(dtype, 14, 576, 3, 1)
        yield dense(dtype, 1280, 1000)
        yield dense(dtype, 640, 128)
    for dtype in ("int8", "float32"):
        yield pool("AVERAGE_POOL_2D", dtype, 7, 1280, 7, 1)
        yield pool("MAX_POOL_2D", dtype, 112, 64, 2, 2)
        for name, build in [*((n, unary) for n in UNARY), *((n, binary) for n in BINARY)]:
            # TensorFlow Lite refuses to divide by the code 0, which random codes hold.
            if dtype in OPERATORS[name].types and (name, dtype) != ("DIV", "int8"):
                yield build(name, dtype)
