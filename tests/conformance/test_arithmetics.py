"""Operators without filters as TensorFlow Lite's builtin kernels and XNNPACK compute them, on random models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.kernels.opdef import Arithmetic
from qcore.model import Model
from tests.conformance.harness import T, assert_same, one_operator, random_inputs

SIZES = [1, 2, 3, 5, 8, 16, 17, 33]
ACTIVATIONS = ["NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1"]
SEEDS = range(12)

pytestmark = pytest.mark.parametrize("arithmetic", ["builtin", "xnnpack"])
eight_bits = pytest.mark.parametrize("dtype", ["int8", "uint8"])


def random_shape(rng: np.random.Generator, least: int = 0, most: int = 4) -> tuple[int, ...]:
    return tuple(int(size) for size in rng.choice(SIZES, rng.integers(least, most + 1)))


def random_scale(rng: np.random.Generator, low: float = 2.0**-9, high: float = 1.0) -> float:
    """One in five is a power of two, where ties are common."""
    logarithm = rng.uniform(np.log2(low), np.log2(high))
    return float(np.float32(2 ** (np.round(logarithm) if rng.random() < 0.2 else logarithm)))


def random_zero_point(rng: np.random.Generator, dtype: str) -> int:
    info = np.iinfo(dtype)
    return 0 if dtype == "int16" else int(rng.choice([info.min, info.max, rng.integers(info.min, info.max + 1)]))


def quantized(rng: np.random.Generator, dtype: str, near: float = 1.0, factor: float = 1.0) -> tuple[Any, ...]:
    """Scale and zero point; the scale within a factor of another, or any where factor is 1."""
    return near * random_scale(rng, 1 / factor, factor) if factor > 1 else random_scale(rng), random_zero_point(rng, dtype)


def unary(name: str, dtype: str, rng: np.random.Generator, options: dict[str, Any] | None = None) -> Model:
    shape, q = random_shape(rng), quantized(rng, dtype)
    return one_operator(name, [T(dtype, shape, *q)], [T(dtype, shape, *quantized(rng, dtype, q[0], 16))], options)


def check(model: Model, rng: np.random.Generator, arithmetic: Arithmetic, low: float = -8, high: float = 8) -> None:
    assert_same(model, random_inputs(model, rng, low, high), arithmetic=arithmetic)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["ADD", "SUB", "MUL"])
@eight_bits
def test_sums_and_products(name: str, dtype: str, arithmetic: Arithmetic, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = random_shape(rng)
    small = tuple(1 if rng.random() < 0.3 else size for size in shape)[int(rng.integers(0, len(shape) + 1)) if shape else 0 :]
    q = quantized(rng, dtype)
    q2 = quantized(rng, dtype, q[0], 8)
    output = quantized(rng, dtype, q[0] * (64 * q2[0] if name == "MUL" else 1), 8)
    options = {"fused_activation_function": str(rng.choice(ACTIVATIONS))}
    check(one_operator(name, [T(dtype, shape, *q), T(dtype, small, *q2)], [T(dtype, shape, *output)], options), rng, arithmetic)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["ADD", "SUB"])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_sums_next_to_ties(name: str, dtype: str, arithmetic: Arithmetic, seed: int) -> None:
    """Input scales are an ulp or two from simple fractions of the output's, so that the last bit of a rescaled code decides."""
    rng = np.random.default_rng(seed)
    shape, output = (7, 101), quantized(rng, dtype)
    fractions = rng.choice([1 / 4, 1 / 8, 3 / 8, 5 / 16], 2) * (1 + rng.integers(-3, 4, 2) * 2.0**-23)
    ins = [T(dtype, shape, np.float32(output[0] * fraction), random_zero_point(rng, dtype)) for fraction in fractions]
    options = {"pot_scale_int16": False} if dtype == "int16" else None
    check(one_operator(name, ins, [T(dtype, shape, *output)], options), rng, arithmetic)


@pytest.mark.parametrize("scale", [4.0, 2.0, 12 / 7, 4 / 3, 0.8])
@pytest.mark.parametrize("zero_point", [-3, -2])
@pytest.mark.parametrize("name", ["ADD", "SUB", "MAX_POOL_2D"])
def test_bounds_of_activations_that_are_ties(name: str, zero_point: int, scale: float, arithmetic: Arithmetic) -> None:
    tensor = T("int8", (1, 4, 4, 16), scale, zero_point)
    window = {"padding": "SAME", "filter_height": 2, "filter_width": 2, "stride_h": 1, "stride_w": 1}
    for activation in ("RELU6", "RELU_N1_TO_1"):
        options = {"fused_activation_function": activation}
        inputs = [tensor] if name == "MAX_POOL_2D" else [tensor, tensor]
        model = one_operator(name, inputs, [tensor], options | (window if name == "MAX_POOL_2D" else {}))
        check(model, np.random.default_rng(0), arithmetic)


@pytest.mark.parametrize("ratio", [2.0**-8, 2.0**-8 * 0.999, 2.0**7, 2.0**7 * 1.001, 2.0**-10 * 0.999, 2.0**8 * 0.999])
@pytest.mark.parametrize(("name", "options"), [("LEAKY_RELU", {"alpha": 0.99}), ("QUANTIZE", None), ("SUB", {})])
def test_scales_about_as_far_apart_as_xnnpack_takes_them(
    name: str, options: dict[str, Any] | None, ratio: float, arithmetic: Arithmetic
) -> None:
    x, scale = np.arange(-128, 128, dtype=np.int8), float(np.float32(0.37 * ratio))
    tensor = T("int8", x.shape, scale, 3)
    inputs = [tensor, tensor] if name == "SUB" else [tensor]
    model = one_operator(name, inputs, [T("int8", x.shape, 0.37, -5)], options)
    assert_same(model, [x, x[::-1].copy()][: len(inputs)], arithmetic=arithmetic)


@pytest.mark.parametrize("seed", SEEDS)
@eight_bits
def test_leaky_relu(dtype: str, arithmetic: Arithmetic, seed: int) -> None:
    rng = np.random.default_rng(seed)
    alpha = float(np.float32(rng.choice([0.1, 0.2, -0.5, 0.0, rng.uniform(-2, 2)])))
    check(unary("LEAKY_RELU", dtype, rng, {"alpha": alpha}), rng, arithmetic)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("name", "dtypes"), [("ELU", ("int8",)), ("HARD_SWISH", ("int8", "uint8")), ("TANH", ("int8", "uint8"))])
def test_curves(name: str, dtypes: tuple[str, ...], arithmetic: Arithmetic, seed: int) -> None:
    for dtype in dtypes:
        rng = np.random.default_rng(seed)
        check(unary(name, dtype, rng), rng, arithmetic)


@pytest.mark.parametrize("scale", [2.0**-12, 2.0**-11, 2.0**-12 * 1.0005, 2.0**-13, 0.0003])
@pytest.mark.parametrize("name", ["LOGISTIC", "TANH"])
def test_16_bit_curves_of_every_code(name: str, scale: float, arithmetic: Arithmetic) -> None:
    x = np.arange(-32768, 32768, dtype=np.int16)
    assert_same(one_operator(name, [T("int16", x.shape, scale)], [T("int16", x.shape, 1 / 32768)]), [x], arithmetic=arithmetic)


@pytest.mark.parametrize("seed", SEEDS)
@eight_bits
def test_logistic(dtype: str, arithmetic: Arithmetic, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = random_shape(rng)
    output = T(dtype, shape, 1 / 256, random_zero_point(rng, dtype))
    check(one_operator("LOGISTIC", [T(dtype, shape, *quantized(rng, dtype))], [output]), rng, arithmetic)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("dtype", "output", "parameters"),
    [
        ("int8", "int8", (1 / 256, -128)),
        ("uint8", "uint8", (1 / 256, 0)),
        ("int16", "int16", (1 / 32768, 0)),
        ("int8", "int16", (1 / 65536, -32768)),
        ("uint8", "int16", (1 / 65536, -32768)),
    ],
)
def test_softmax(dtype: str, output: str, parameters: tuple[float, int], arithmetic: Arithmetic, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (*random_shape(rng, 0, 2), int(rng.choice([1, 2, 10, 101])))
    scale = random_scale(rng, 2.0**-15, 2.0**-9) if dtype == "int16" else random_scale(rng)
    inputs = [T(dtype, shape, scale, random_zero_point(rng, dtype))]
    check(one_operator("SOFTMAX", inputs, [T(output, shape, *parameters)], {"beta": float(rng.choice([1.0, 0.5]))}), rng, arithmetic)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", 127), ("uint8", 255)])
def test_log_softmax(dtype: str, zero_point: int, arithmetic: Arithmetic, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (*random_shape(rng, 0, 2), int(rng.choice([1, 2, 10, 101])))
    check(one_operator("LOG_SOFTMAX", [T(dtype, shape, *quantized(rng, dtype))], [T(dtype, shape, 1 / 16, zero_point)]), rng, arithmetic)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["MEAN", "SUM"])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_means_and_sums(name: str, dtype: str, arithmetic: Arithmetic, seed: int) -> None:
    """Every third is a mean of images over height and width; axes are known or given at run time."""
    rng = np.random.default_rng(seed)
    if seed % 3 == 0:
        shape, axes = (2, *random_shape(rng, 2, 2), int(rng.choice([1, 16, 17, 40]))), np.array([1, 2], np.int32)
    else:
        shape = random_shape(rng, 1, 4)
        axes = np.unique(rng.integers(-len(shape), 0, len(shape))).astype(np.int32)
    known, keep = rng.random() < 0.7, rng.random() < 0.7
    reduced = {int(axis) % len(shape) for axis in axes}
    left = tuple(1 if axis in reduced else size for axis, size in enumerate(shape) if keep or axis not in reduced)
    q = quantized(rng, dtype)
    ins = [T(dtype, shape, *q), T("int32", axes.shape, value=axes if known else None)]
    model = one_operator(name, ins, [T(dtype, left, *quantized(rng, dtype, q[0], 8))], {"keep_dims": bool(keep)})
    assert_same(model, [random_inputs(model, rng)[0], *([] if known else [axes])], arithmetic=arithmetic)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_quantize(dtype: str, arithmetic: Arithmetic, seed: int) -> None:
    """Half of the values are ties, or next to them; a few fit no int32."""
    rng = np.random.default_rng(seed)
    shape, q = random_shape(rng, 1), quantized(rng, dtype)
    x = rng.uniform(-200, 200, shape)
    x = np.where(rng.random(shape) < 0.5, x, np.round(2 * x) / 2) * q[0]
    x = np.where(rng.random(shape) < 0.95, x, rng.choice([1e9, -1e30, np.inf, -np.inf, np.nan], shape)).astype(np.float32)
    assert_same(one_operator("QUANTIZE", [T("float32", shape)], [T(dtype, shape, *q)]), [x], arithmetic=arithmetic)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("target", ["int8", "uint8"])
@eight_bits
def test_requantize(dtype: str, target: str, arithmetic: Arithmetic, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape, q = random_shape(rng), quantized(rng, dtype)
    check(one_operator("QUANTIZE", [T(dtype, shape, *q)], [T(target, shape, *quantized(rng, target, q[0], 8))]), rng, arithmetic)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_dequantize_is_exact(dtype: str, arithmetic: Arithmetic, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = random_shape(rng)
    model = one_operator("DEQUANTIZE", [T(dtype, shape, *quantized(rng, dtype))], [T("float32", shape)])
    assert_same(model, random_inputs(model, rng), rtol=0, atol=0, arithmetic=arithmetic)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mode", [{}, {"align_corners": True}, {"half_pixel_centers": True}])
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16"])
def test_resize_bilinear(dtype: str, mode: dict[str, bool], arithmetic: Arithmetic, seed: int) -> None:
    """Every third is eightfold, which the builtin kernel of uint8 has code of its own for."""
    rng = np.random.default_rng(seed)
    height, width = (int(size) for size in rng.integers(1, 12, 2))
    size = [8 * height, 8 * width] if seed % 3 == 0 else [int(new) for new in rng.integers(1, 50, 2)]
    channels, q = int(rng.choice([1, 3, 8])), () if dtype == "float32" else (0.5, 0)
    ins = [T(dtype, (2, height, width, channels), *q), T("int32", (2,), value=size)]
    check(one_operator("RESIZE_BILINEAR", ins, [T(dtype, (2, *size, channels), *q)], mode), rng, arithmetic)


def test_a_size_given_at_run_time_is_left_to_the_builtin_kernel(arithmetic: Arithmetic) -> None:
    ins = [T("int8", (1, 6, 5, 16), 0.5, 3), T("int32", (2,))]
    model = one_operator("RESIZE_BILINEAR", ins, [T("int8", (1, 1, 1, 1), 0.5, 3)])
    x = random_inputs(model, np.random.default_rng(0))[0]
    assert_same(model, [x, np.array([13, 11], np.int32)], arithmetic=arithmetic)


@pytest.mark.parametrize("name", ["LEAKY_RELU", "QUANTIZE", "TANH", "ADD"])
def test_seven_dimensions_are_one_too_many_for_xnnpack(name: str, arithmetic: Arithmetic) -> None:
    shape = (2, 1, 2, 4, 2, 4, 2)
    x = np.arange(-128, 128, dtype=np.int8).reshape(shape)
    tensor, options = T("int8", shape, 0.3, 3), {"alpha": 0.3} if name == "LEAKY_RELU" else None
    inputs = [tensor, tensor] if name == "ADD" else [tensor]
    assert_same(one_operator(name, inputs, [T("int8", shape, 0.37, -5)], options), [x] * len(inputs), arithmetic=arithmetic)


def test_exponentials_that_underflow(arithmetic: Arithmetic) -> None:
    """A lone subnormal number is the largest magnitude there is, so it counts."""
    for x in (-87.0, -87.4, -100.0):
        assert_same(one_operator("EXP", [T("float32", (1,))], [T("float32", (1,))]), [np.float32([x])], arithmetic=arithmetic)
