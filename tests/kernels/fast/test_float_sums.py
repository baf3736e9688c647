"""Operators of float32 as native code: the reference's bits, on every tier, with any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.model import Model
from tests.conformance.harness import T, one_operator, random_inputs
from tests.kernels.fast.compare import assert_fast

Size = tuple[int, ...]

CONVOLUTIONS: dict[str, tuple[Size, Size, Size, dict[str, Any]]] = {
    "pixels": ((1, 9, 7, 16), (64, 1, 1, 16), (1, 9, 7, 64), {}),
    "channels in turn, in pairs and in eights": ((1, 5, 5, 19), (39, 1, 1, 19), (1, 5, 5, 39), {}),
    "depth in parts": ((1, 6, 6, 700), (20, 1, 1, 700), (1, 6, 6, 20), {}),
    "depth in shares": ((1, 3, 3, 960), (161, 1, 1, 960), (1, 3, 3, 161), {}),
    "one pixel": ((1, 1, 1, 200), (40, 1, 1, 200), (1, 1, 1, 40), {}),
    "windows": ((2, 6, 5, 3), (10, 3, 3, 3), (2, 6, 5, 10), {"fused_activation_function": "RELU6"}),
    "strides": ((1, 9, 8, 4), (17, 3, 2, 4), (1, 5, 4, 17), {"stride_h": 2, "stride_w": 2}),
    "dilation": ((1, 9, 8, 4), (17, 3, 3, 4), (1, 9, 8, 17), {"dilation_h_factor": 2, "dilation_w_factor": 3}),
    "groups": ((1, 4, 5, 6), (9, 3, 3, 2), (1, 4, 5, 9), {}),
    "taps that only meet padding": ((1, 2, 2, 5), (6, 7, 7, 5), (1, 2, 2, 6), {}),
}


def convolution(name: str, input: Size, filter: Size, output: Size, options: dict[str, Any], bias: bool = True) -> Model:
    rng = np.random.default_rng(0)
    channels = output[3]
    tensors = [T("float32", input), T("float32", filter, value=rng.normal(0, 1, filter))]
    if bias:
        tensors.append(T("float32", (channels,), value=rng.normal(0, 1, channels)))
    defaults = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1, "padding": "SAME"}
    return one_operator(name, tensors, [T("float32", output)], {**defaults, **options}, version=3)


def check(model: Model, threads: int = 1) -> None:
    assert_fast(model, random_inputs(model, np.random.default_rng(1)), "builtin", threads)


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.usefixtures("tier")
def test_convolutions(name: str) -> None:
    check(convolution("CONV_2D", *CONVOLUTIONS[name]))


@pytest.mark.parametrize("name", ["windows", "depth in shares"])
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_nothing(name: str, threads: int) -> None:
    check(convolution("CONV_2D", *CONVOLUTIONS[name]), threads)


@pytest.mark.usefixtures("tier")
def test_without_a_bias() -> None:
    input, filter, output, options = CONVOLUTIONS["windows"]
    check(convolution("CONV_2D", input, filter, output, options, bias=False))


@pytest.mark.parametrize("channels", [1, 16, 37])
@pytest.mark.usefixtures("tier")
def test_depthwise_convolutions(channels: int) -> None:
    options = {"stride_h": 2, "depth_multiplier": 1, "fused_activation_function": "RELU6"}
    check(convolution("DEPTHWISE_CONV_2D", (2, 7, 6, channels), (1, 3, 3, channels), (2, 4, 6, channels), options))


@pytest.mark.parametrize(("rows", "units", "depth"), [(1, 40, 100), (7, 40, 100), (6, 1, 50), (4, 3, 9)])
@pytest.mark.usefixtures("tier")
def test_dense_layers(rows: int, units: int, depth: int) -> None:
    rng = np.random.default_rng(0)
    weights, bias = (
        T("float32", (units, depth), value=rng.normal(0, 1, (units, depth))),
        T("float32", (units,), value=rng.normal(0, 1, units)),
    )
    check(one_operator("FULLY_CONNECTED", [T("float32", (rows, depth)), weights, bias], [T("float32", (rows, units))]))


@pytest.mark.parametrize("size", [1, 8, 37, 4096 * 3])
@pytest.mark.parametrize("name", ["LOGISTIC", "TANH"])
@pytest.mark.usefixtures("tier")
def test_curves(name: str, size: int) -> None:
    model = one_operator(name, [T("float32", (size,))], [T("float32", (size,))])
    x = np.linspace(-120, 120, size, dtype=np.float32)
    x[: size // 8] = np.resize(np.array([np.inf, -np.inf, np.nan, 0, -0.0, 1e-40, -104, 88], np.float32), size // 8)
    assert_fast(model, [x], "builtin")


@pytest.mark.parametrize("size", [4, 36, 4096])
@pytest.mark.usefixtures("tier")
def test_hard_swish(size: int) -> None:
    check(one_operator("HARD_SWISH", [T("float32", (size,))], [T("float32", (size,))]))


@pytest.mark.parametrize("others", [(3, 5, 33), (33,), (1, 1, 33), (5, 33)])
@pytest.mark.parametrize("name", ["ADD", "SUB", "MUL"])
@pytest.mark.usefixtures("tier")
def test_elementwise(name: str, others: Size) -> None:
    shape = (3, 5, 33)
    check(one_operator(name, [T("float32", shape), T("float32", others)], [T("float32", shape)], {"fused_activation_function": "RELU"}))


@pytest.mark.parametrize(
    ("shape", "axes", "output"),
    [
        ((2, 7, 5, 37), (1, 2), (2, 37)),
        ((1, 3, 3, 320), (1, 2), (1, 320)),
        ((3, 40, 1), (1,), (3, 1)),
        ((6, 9), (1,), (6,)),
        ((4, 5), (0, 1), ()),
        ((4, 1), (1,), (4,)),
    ],
)
@pytest.mark.parametrize("name", ["MEAN", "SUM"])
@pytest.mark.usefixtures("tier")
def test_reductions(name: str, shape: Size, axes: Size, output: Size) -> None:
    tensors = [T("float32", shape), T("int32", (len(axes),), value=np.array(axes))]
    model = one_operator(name, tensors, [T("float32", output)], {"keep_dims": False})
    assert_fast(model, random_inputs(model, np.random.default_rng(1)))
