"""Activations and normalizations against TensorFlow Lite, on random models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.kernels.registry import OPERATORS
from qcore.model import Model
from tests.conformance.harness import T, assert_same, one_operator, random_inputs, run_qcore, run_tflite

SIZES = [1, 1, 2, 3, 5, 8, 16]
CLAMPS = ["RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"]
LAST_SIZES = [1, 2, 3, 10, 101, 300]


def random_shape(rng: np.random.Generator, least: int = 0, most: int = 4) -> tuple[int, ...]:
    return tuple(int(size) for size in rng.choice(SIZES, rng.integers(least, most + 1)))


def random_rows(rng: np.random.Generator) -> tuple[int, ...]:
    return (*random_shape(rng, 0, 3), int(rng.choice(LAST_SIZES)))


def random_scale(rng: np.random.Generator, low: float = 2.0**-9, high: float = 1.0) -> float:
    return float(np.float32(np.exp(rng.uniform(np.log(low), np.log(high)))))


def random_zero_point(rng: np.random.Generator, dtype: str) -> int:
    """At either end, or anywhere; 0 for int16."""
    info = np.iinfo(dtype)
    return 0 if dtype == "int16" else int(rng.choice([info.min, info.max, rng.integers(info.min, info.max + 1)]))


def unary(name: str, dtype: str, rng: np.random.Generator, options: dict[str, Any] | None = None, ratio: float = 4.0) -> Model:
    """An element-wise operator; the output's scale is within a factor of the input's."""
    shape = random_shape(rng)
    if dtype == "float32":
        return one_operator(name, [T(dtype, shape)], [T(dtype, shape)], options)
    scale = random_scale(rng)
    output = scale * random_scale(rng, 1 / ratio, ratio)
    ins = [T(dtype, shape, scale, random_zero_point(rng, dtype))]
    return one_operator(name, ins, [T(dtype, shape, output, random_zero_point(rng, dtype))], options)


def check(model: Model, rng: np.random.Generator, low: float = -8, high: float = 8) -> None:
    assert_same(model, random_inputs(model, rng, low, high))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", CLAMPS)
def test_clamps(name: str, seed: int) -> None:
    for dtype in OPERATORS[name].types:
        rng = np.random.default_rng(seed)
        check(unary(name, dtype, rng), rng)


@pytest.mark.parametrize("alpha", [0.1, 0.5, -0.5, 1.5, 0.0, -0.2])
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16"])
def test_leaky_relu(dtype: str, alpha: float) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        check(unary("LEAKY_RELU", dtype, rng, {"alpha": alpha}), rng)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16"])
def test_prelu(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = random_shape(rng, 1)
    alpha_shape = tuple(size if rng.random() < 0.6 else 1 for size in shape)[int(rng.integers(0, len(shape) + 1)) :]
    alpha_type = "int8" if dtype == "int16" else dtype
    quantized = dtype != "float32"
    scale = random_scale(rng)
    q = (scale, random_zero_point(rng, dtype)) if quantized else ()
    alpha_q = (random_scale(rng, 2.0**-9, 2.0**-5), random_zero_point(rng, alpha_type)) if quantized else ()
    output = (scale * random_scale(rng, 0.25, 4.0), random_zero_point(rng, dtype)) if quantized else ()
    check(one_operator("PRELU", [T(dtype, shape, *q), T(alpha_type, alpha_shape, *alpha_q)], [T(dtype, shape, *output)]), rng)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    ("name", "options", "types"),
    [
        ("GELU", {"approximate": False}, ("float32", "int8", "uint8", "int16")),
        ("GELU", {"approximate": True}, ("int8", "uint8")),
        ("HARD_SWISH", None, ("float32", "int8", "uint8")),
        ("TANH", None, ("float32", "int8", "uint8")),
        ("LOGISTIC", None, ("float32",)),
    ],
)
def test_curves(name: str, options: dict[str, Any] | None, types: tuple[str, ...], seed: int) -> None:
    for dtype in types:
        rng = np.random.default_rng(seed)
        check(unary(name, dtype, rng, options, ratio=16.0), rng)


def test_approximate_gelu_of_real_values() -> None:
    """TensorFlow Lite's own tanh is off by several units in the last place, which shows where 1 + tanh is small."""
    rng = np.random.default_rng(0)
    check(one_operator("GELU", [T("float32", (1000,))], [T("float32", (1000,))], {"approximate": True}), rng)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_8_bit_logistic(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = random_shape(rng)
    ins = [T(dtype, shape, random_scale(rng), random_zero_point(rng, dtype))]
    check(one_operator("LOGISTIC", ins, [T(dtype, shape, 1 / 256, random_zero_point(rng, dtype))]), rng)


@pytest.mark.parametrize("scale", [2.0**-12, 2.0**-11, 2.0**-13, 2.0**-12 * 1.0005, 2.0**-12 * 1.001, 0.0003, 0.01, 3e-7, 0.9, 4.0, 11.0])
@pytest.mark.parametrize("name", ["LOGISTIC", "TANH"])
def test_16_bit_curves_of_every_code(name: str, scale: float) -> None:
    x = np.arange(-32768, 32768, dtype=np.int16)
    for codes in (x, np.repeat(x, 2)):
        assert_same(one_operator(name, [T("int16", codes.shape, scale)], [T("int16", codes.shape, 1 / 32768)]), [codes])


@pytest.mark.parametrize("exponent", range(-30, 5, 5))
def test_hard_swish_of_every_code_at_extreme_scales(exponent: int) -> None:
    x = np.arange(-128, 128, dtype=np.int8)
    for ratio in (2.0**-6, 1.3, 2.0**12, 2.0**22):
        scale = 1.1 * 2.0**exponent
        assert_same(one_operator("HARD_SWISH", [T("int8", x.shape, scale, 10)], [T("int8", x.shape, scale * ratio, -20)]), [x])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_elu(dtype: str, seed: int) -> None:
    """ELU is not among the reference kernels."""
    rng = np.random.default_rng(seed)
    model = unary("ELU", dtype, rng)
    inputs = random_inputs(model, rng, -8, 8)
    want = run_tflite(model, inputs, "BUILTIN_WITHOUT_DEFAULT_DELEGATES")
    np.testing.assert_allclose(run_qcore(model, inputs)[0], want[0], rtol=1e-5 if dtype == "float32" else 0)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    ("dtype", "output", "parameters"),
    [
        ("float32", "float32", ()),
        ("int8", "int8", (1 / 256, -128)),
        ("uint8", "uint8", (1 / 256, 0)),
        ("int16", "int16", (1 / 32768, 0)),
        ("int8", "int16", (1 / 65536, -32768)),
        ("uint8", "int16", (1 / 65536, -32768)),
    ],
)
def test_softmax(dtype: str, output: str, parameters: tuple[Any, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = random_rows(rng)
    low, high = (2.0**-15, 2.0**-9) if dtype == "int16" else (2.0**-20, 4.0)
    q = (random_scale(rng, low, high), random_zero_point(rng, dtype)) if parameters else ()
    beta = float(np.float32(rng.choice([1.0, 1.0, 0.5, 3.3])))
    check(one_operator("SOFTMAX", [T(dtype, shape, *q)], [T(output, shape, *parameters)], {"beta": beta}), rng, -20, 20)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("dtype", "parameters"), [("float32", ()), ("int8", (1 / 16, 127)), ("uint8", (1 / 16, 255))])
def test_log_softmax(dtype: str, parameters: tuple[Any, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = random_rows(rng)
    q = (random_scale(rng, 2.0**-20, 4.0), random_zero_point(rng, dtype)) if parameters else ()
    check(one_operator("LOG_SOFTMAX", [T(dtype, shape, *q)], [T(dtype, shape, *parameters)]), rng, -20, 20)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("dtype", "middle"), [("float32", None), ("int8", 0), ("uint8", 128)])
def test_l2_normalization(dtype: str, middle: int | None, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = random_rows(rng)
    if middle is None:
        check(one_operator("L2_NORMALIZATION", [T(dtype, shape)], [T(dtype, shape)]), rng)
        return
    zero_point = random_zero_point(rng, dtype)
    model = one_operator("L2_NORMALIZATION", [T(dtype, shape, 0.1, zero_point)], [T(dtype, shape, 1 / 128, middle)])
    check(model, rng)
    info = np.iinfo(dtype)
    assert_same(model, [np.clip(zero_point + rng.integers(-2, 3, shape), info.min, info.max).astype(dtype)])


@pytest.mark.parametrize("radius", [0, 1, 2, 5, 40])
def test_local_response_normalization(radius: int) -> None:
    """The reference kernel leaves out the window's upper end, so the optimized one is the measure."""
    rng = np.random.default_rng(radius)
    options = {"radius": radius, "bias": 1.5, "alpha": 0.3, "beta": 0.75}
    model = one_operator("LOCAL_RESPONSE_NORMALIZATION", [T("float32", (2, 3, 1, 17))], [T("float32", (2, 3, 1, 17))], options)
    inputs = random_inputs(model, rng)
    want = run_tflite(model, inputs, "BUILTIN_WITHOUT_DEFAULT_DELEGATES")
    np.testing.assert_allclose(run_qcore(model, inputs)[0], want[0], rtol=1e-5)
