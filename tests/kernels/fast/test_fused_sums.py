"""Float32 sums whose order is free: the reference's values within the operators' tolerance, and its bits wherever these are promised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.kernels.opdef import FLOAT_FUNCTION, FLOAT_ORDER, Arithmetic
from qcore.model import Model
from qcore.runtime.plan import Settings
from qcore.runtime.stages import lowered
from tests.conformance.harness import T, one_operator, random_inputs
from tests.kernels.fast.compare import assert_fast, run

Size = tuple[int, ...]

CONVOLUTIONS: dict[str, tuple[Size, Size, Size, dict[str, Any]]] = {
    "pixels": ((1, 9, 7, 16), (64, 1, 1, 16), (1, 9, 7, 64), {"fused_activation_function": "RELU6"}),
    "odd channels": ((1, 5, 5, 19), (39, 1, 1, 19), (1, 5, 5, 39), {}),
    "three vectors": ((1, 5, 3, 33), (48, 1, 1, 33), (1, 5, 3, 48), {}),
    "one pixel": ((1, 1, 1, 200), (40, 1, 1, 200), (1, 1, 1, 40), {}),
    "one channel": ((1, 4, 4, 1), (1, 3, 3, 1), (1, 4, 4, 1), {}),
    "windows": ((2, 6, 5, 3), (10, 3, 3, 3), (2, 6, 5, 10), {"fused_activation_function": "RELU"}),
    "strides": ((1, 9, 8, 4), (17, 3, 2, 4), (1, 5, 4, 17), {"stride_h": 2, "stride_w": 2}),
    "dilation": ((1, 9, 8, 4), (17, 3, 3, 4), (1, 9, 8, 17), {"dilation_h_factor": 2, "dilation_w_factor": 3}),
    "groups": ((1, 4, 5, 6), (9, 3, 3, 2), (1, 4, 5, 9), {}),
    "no padding": ((1, 7, 6, 5), (8, 3, 3, 5), (1, 5, 4, 8), {"padding": "VALID"}),
    "taps that only meet padding": ((1, 2, 2, 5), (6, 7, 7, 5), (1, 2, 2, 6), {}),
}

DEPTHWISE: dict[str, tuple[Size, Size, Size, dict[str, Any]]] = {
    "odd channels": ((2, 7, 6, 37), (1, 3, 3, 37), (2, 7, 6, 37), {"fused_activation_function": "RELU6"}),
    "strides": ((1, 9, 8, 16), (1, 3, 3, 16), (1, 5, 4, 16), {"stride_h": 2, "stride_w": 2}),
    "dilation": ((1, 9, 8, 80), (1, 3, 2, 80), (1, 9, 8, 80), {"dilation_h_factor": 2, "dilation_w_factor": 3}),
    "no padding": ((1, 6, 9, 1), (1, 5, 5, 1), (1, 2, 5, 1), {"padding": "VALID"}),
    "one pixel": ((1, 1, 1, 48), (1, 3, 3, 48), (1, 1, 1, 48), {}),
}

DENSE = [(1, 40, 100), (7, 40, 100), (6, 1, 50), (30, 70, 9), (1, 1, 1)]


def convolution(name: str, input: Size, filter: Size, output: Size, options: dict[str, Any]) -> Model:
    rng = np.random.default_rng(0)
    channels = output[3]
    weights = T("float32", filter, value=rng.normal(0, 1, filter))
    bias = T("float32", (channels,), value=rng.normal(0, 1, channels))
    defaults = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1, "padding": "SAME"}
    if name == "DEPTHWISE_CONV_2D":
        defaults["depth_multiplier"] = 1
    return one_operator(name, [T("float32", input), weights, bias], [T("float32", output)], {**defaults, **options}, version=3)


def dense(rows: int, units: int, depth: int) -> Model:
    rng = np.random.default_rng(0)
    weights = T("float32", (units, depth), value=rng.normal(0, 1, (units, depth)))
    bias = T("float32", (units,), value=rng.normal(0, 1, units))
    return one_operator("FULLY_CONNECTED", [T("float32", (rows, depth)), weights, bias], [T("float32", (rows, units))])


def check(model: Model, arithmetic: Arithmetic = "reference") -> None:
    assert_fast(model, random_inputs(model, np.random.default_rng(1)), arithmetic, tolerance=FLOAT_ORDER.relative)


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.usefixtures("tier")
def test_convolutions(name: str) -> None:
    check(convolution("CONV_2D", *CONVOLUTIONS[name]))


@pytest.mark.parametrize("name", DEPTHWISE)
@pytest.mark.usefixtures("tier")
def test_depthwise_convolutions(name: str) -> None:
    check(convolution("DEPTHWISE_CONV_2D", *DEPTHWISE[name]))


@pytest.mark.parametrize(("rows", "units", "depth"), DENSE)
@pytest.mark.usefixtures("tier")
def test_dense_layers(rows: int, units: int, depth: int) -> None:
    check(dense(rows, units, depth))


def curve(name: str) -> Model:
    return one_operator(name, [T("float32", (3, 37))], [T("float32", (3, 37))])


@pytest.mark.parametrize("arithmetic", ["reference", "xnnpack"])
@pytest.mark.parametrize("name", ["LOGISTIC", "TANH", "HARD_SWISH"])
@pytest.mark.usefixtures("tier")
def test_curves(name: str, arithmetic: Arithmetic) -> None:
    x = np.linspace(-100, 100, 3 * 37, dtype=np.float32).reshape(3, 37)
    for scale in (1, 0.1, 0.01):
        assert_fast(curve(name), [x * np.float32(scale)], arithmetic, tolerance=FLOAT_FUNCTION.relative)


@pytest.mark.parametrize("shape", [(1, 1000), (5, 3), (2, 3, 16), (4, 1)])
@pytest.mark.parametrize("beta", [1.0, 0.1])
@pytest.mark.usefixtures("tier")
def test_softmax(shape: Size, beta: float) -> None:
    model = one_operator("SOFTMAX", [T("float32", shape)], [T("float32", shape)], {"beta": beta})
    x = 300 * random_inputs(model, np.random.default_rng(1))[0]
    x.reshape(-1)[0] = -np.inf if shape[-1] > 1 else -1e30
    assert_fast(model, [x], tolerance=FLOAT_FUNCTION.relative)


def test_softmax_of_what_is_no_number_is_none() -> None:
    model = one_operator("SOFTMAX", [T("float32", (2, 40))], [T("float32", (2, 40))], {"beta": 1.0})
    x = np.zeros((2, 40), np.float32)
    x[0, 37] = np.nan
    _, (got,) = run(model, [x], Settings(engine="fast"))
    np.testing.assert_array_equal(got, np.repeat(np.float32([[np.nan], [1 / 40]]), 40, axis=1))


def test_engine_auto_leaves_curves_to_numpy() -> None:
    session, _ = run(curve("LOGISTIC"), [np.zeros((3, 37), np.float32)], Settings(engine="auto"))
    executor = session.executor()
    assert lowered(executor.allocated(), executor.values, exact=True)[0].reason == "its function would round otherwise"


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("channels", [1, 37])
@pytest.mark.parametrize("name", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
@pytest.mark.usefixtures("tier")
def test_pooling(name: str, channels: int, padding: str) -> None:
    """To the bit but for the sign of zeros: sums are taken in the reference's order."""
    options = {
        "filter_height": 3,
        "filter_width": 2,
        "stride_h": 2,
        "stride_w": 1,
        "padding": padding,
        "fused_activation_function": "RELU6",
    }
    height, width = (4, 5) if padding == "SAME" else (3, 4)
    model = one_operator(name, [T("float32", (2, 7, 5, channels))], [T("float32", (2, height, width, channels))], options)
    (x,) = random_inputs(model, np.random.default_rng(1))
    x[0, 0, 0, 0], x[1, 2, 2, 0] = np.nan, -np.inf
    assert_fast(model, [x])


MODELS = {
    "CONV_2D": lambda: convolution("CONV_2D", *CONVOLUTIONS["windows"]),
    "DEPTHWISE_CONV_2D": lambda: convolution("DEPTHWISE_CONV_2D", *DEPTHWISE["strides"]),
    "FULLY_CONNECTED": lambda: dense(7, 70, 33),
}


@pytest.mark.parametrize("name", MODELS)
def test_xnnpack_leaves_the_order_free(name: str) -> None:
    check(MODELS[name](), "xnnpack")


@pytest.mark.parametrize("name", MODELS)
def test_threads_change_no_bit(name: str) -> None:
    model = MODELS[name]()
    inputs = random_inputs(model, np.random.default_rng(1))
    _, (one,) = run(model, inputs, Settings(engine="fast"))
    _, (three,) = run(model, inputs, Settings(engine="fast", threads=3))
    np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize("name", MODELS)
def test_engine_auto_leaves_them_to_numpy(name: str) -> None:
    model = MODELS[name]()
    session, _ = run(model, random_inputs(model, np.random.default_rng(1)), Settings(engine="auto"))
    executor = session.executor()
    assert executor.settings.exact
    assert lowered(executor.allocated(), executor.values, exact=True)[0].reason == "its float sums would round otherwise"
    assert not executor.native_stages(executor.allocated())
