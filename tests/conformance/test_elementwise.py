"""Elementwise operators against TensorFlow Lite's reference kernels, on random models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.model import Model
from tests.conformance.harness import T, assert_same, one_operator, random_inputs

SIZES = [1, 1, 2, 3, 5, 8]
ACTIVATIONS = ["NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1"]
QUANTIZED = ["int8", "uint8", "int16"]
SEEDS = range(6)


def random_shape(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(size) for size in rng.choice(SIZES, rng.integers(0, 5)))


def random_shapes(rng: np.random.Generator, count: int = 2) -> list[tuple[int, ...]]:
    """Shapes that broadcast together: any dimension may be 1, leading ones may be left out."""
    full = random_shape(rng)
    stretched = [tuple(1 if rng.random() < 0.2 else size for size in full) for _ in range(count)]
    return [shape[rng.integers(0, len(shape) + 1) if rng.random() < 0.2 else 0 :] for shape in stretched]


def scale(rng: np.random.Generator, near: float = 0.05, factor: float = 8.0) -> float:
    """A scale within a factor of another."""
    return float(np.float32(near * np.exp(rng.uniform(-1, 1) * np.log(factor))))


def zero_point(rng: np.random.Generator, dtype: str) -> int:
    """At either end or anywhere; 0 for int16."""
    info = np.iinfo(dtype)
    return 0 if dtype == "int16" else int(rng.choice([info.min, info.max, rng.integers(info.min, info.max + 1)]))


def quantized_pair(name: str, dtype: str, rng: np.random.Generator, **options: Any) -> Model:
    """Two operands and an output whose scale suits the result."""
    s1 = scale(rng)
    s2 = scale(rng, s1)
    results = {"MUL": s1 * s2 * 16, "DIV": s1 / s2, "SQUARED_DIFFERENCE": 16 * max(s1, s2) ** 2}
    out = scale(rng, results.get(name, max(s1, s2)))
    x, y = (T(dtype, shape, s, zero_point(rng, dtype)) for shape, s in zip(random_shapes(rng), (s1, s2), strict=True))
    if name != "SQUARED_DIFFERENCE":
        options["fused_activation_function"] = str(rng.choice(ACTIVATIONS))
    return one_operator(name, [x, y], [T(dtype, (), out, zero_point(rng, dtype))], options)


def nonzero(x: np.ndarray) -> np.ndarray:
    return np.where(x == 0, 1, x).astype(x.dtype)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", QUANTIZED)
@pytest.mark.parametrize("name", ["ADD", "SUB", "MUL"])
def test_quantized_arithmetic(name: str, dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    options = {} if name == "MUL" else {"pot_scale_int16": False}
    model = quantized_pair(name, dtype, rng, **options)
    assert_same(model, random_inputs(model, rng))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", QUANTIZED)
def test_quantized_quotients(dtype: str, seed: int) -> None:
    """Divisors that stand for zero included, but not the code 0, which TensorFlow Lite 2.21 refuses."""
    rng = np.random.default_rng(seed)
    model = quantized_pair("DIV", dtype, rng)
    x, y = random_inputs(model, rng)
    assert_same(model, [x, nonzero(y)])


@pytest.mark.parametrize("seed", SEEDS)
def test_quantized_squared_differences(seed: int) -> None:
    rng = np.random.default_rng(seed)
    model = quantized_pair("SQUARED_DIFFERENCE", "int8", rng)
    assert_same(model, random_inputs(model, rng))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["ADD", "SUB"])
def test_sixteen_bits_at_powers_of_two(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape, exponents = random_shape(rng), np.array([-10, -10 - rng.integers(0, 6)])
    rng.shuffle(exponents)
    x, y = (T("int16", shape, 2.0**exponent) for exponent in exponents)
    options = {"fused_activation_function": str(rng.choice(ACTIVATIONS))}
    model = one_operator(name, [x, y], [T("int16", (), 2.0**-10)], options)
    assert_same(model, random_inputs(model, rng))


def test_differences_at_factors_above_one() -> None:
    """Operands of one shape, their elements a multiple of 4: otherwise TensorFlow Lite computes some of them in another way."""
    for out in (1e-6, 3e-7, 1e-8):
        model = one_operator("SUB", [T("int8", (64,), 1.0, 3), T("int8", (64,), 0.5, -4)], [T("int8", (), out, 1)])
        assert_same(model, random_inputs(model, np.random.default_rng(0)))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("name", "dtypes"),
    [
        ("ADD", ["float32", "int32", "int64", "int16"]),
        ("SUB", ["float32", "int32", "int64"]),
        ("MUL", ["float32", "int32", "int64", "int16", "complex64"]),
        ("DIV", ["float32", "int32"]),
    ],
)
def test_plain_arithmetic(name: str, dtypes: list[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    for dtype in dtypes:
        options = {"fused_activation_function": "NONE" if dtype == "complex64" else str(rng.choice(ACTIVATIONS))}
        model = one_operator(name, [T(dtype, shape) for shape in random_shapes(rng)], [T(dtype, ())], options)
        x, y = (rng.integers(-9, 10, graph_shape(model, i)).astype(dtype) for i in (0, 1))
        assert_same(model, [x, nonzero(y)])


def graph_shape(model: Model, i: int) -> tuple[int, ...]:
    return model.subgraphs[0].tensors[i].shape


INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32"]
PLAIN = {
    "SQUARED_DIFFERENCE": ["float32", "int32"],
    "MAXIMUM": ["float32", "float16", "int8", "uint8", "int16", "int32", "int64"],
    "MINIMUM": ["float32", "float16", "int8", "uint8", "int16", "int32", "int64"],
    "FLOOR_DIV": ["float32", "int8", "int16", "int32"],
    "FLOOR_MOD": ["float32", "int8", "int16", "int32", "int64"],
    "LOGICAL_AND": ["bool"],
    "LOGICAL_OR": ["bool"],
    "BITWISE_XOR": INTEGERS,
    "RIGHT_SHIFT": INTEGERS,
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", PLAIN)
def test_plain_functions_of_two_numbers(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for dtype in PLAIN[name]:
        model = one_operator(name, [T(dtype, shape) for shape in random_shapes(rng)], [T(dtype, ())])
        x, y = random_inputs(model, rng, -20, 20)
        assert_same(model, [x, nonzero(y)])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_powers(dtype: str, seed: int) -> None:
    """A single exponent, and one for each."""
    rng = np.random.default_rng(seed)
    for shapes in ((3, 5), (3, 5)), ((4, 3), ()), ((3,), (1, 1)), ((3,), (2, 1)):
        model = one_operator("POW", [T(dtype, shape) for shape in shapes], [T(dtype, ())])
        base, exponent = rng.uniform(0.5, 9, shapes[0]), rng.integers(0, 12, shapes[1]) if seed % 2 else rng.uniform(0, 4, shapes[1])
        assert_same(model, [base.astype(dtype), np.asarray(exponent).astype(dtype)])


@pytest.mark.parametrize("seed", SEEDS)
def test_sums_of_many_and_angles(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for name, dtype, count in (("ADD_N", "float32", 4), ("ADD_N", "int32", 3), ("ATAN2", "float32", 2), ("ATAN2", "float64", 2)):
        shape = random_shape(rng)
        model = one_operator(name, [T(dtype, shape)] * count, [T(dtype, ())])
        assert_same(model, random_inputs(model, rng))


UNARY = {
    "ABS": ["float32", "int16", "int32"],
    "NEG": ["float32", "float16", "int8", "int16", "int32", "int64"],
    "EXP": ["float32"],
    "LOG": ["float32"],
    "SQRT": ["float32"],
    "RSQRT": ["float32"],
    "SQUARE": ["float32"],
    "SIN": ["float32"],
    "COS": ["float32"],
    "FLOOR": ["float32", "float16"],
    "SIGN": ["float32", "float64", "int32"],
    "ZEROS_LIKE": ["float32", "int32", "int64"],
    "LOGICAL_NOT": ["bool"],
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", UNARY)
def test_plain_functions_of_one_number(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for dtype in UNARY[name]:
        model = one_operator(name, [T(dtype, random_shape(rng))], [T(dtype, ())])
        assert_same(model, random_inputs(model, rng, -9, 9))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("name", ["ABS", "EXP", "LOG", "SQRT", "RSQRT"])
def test_functions_of_codes(name: str, dtype: str, seed: int) -> None:
    """Every code that the function is defined for."""
    rng = np.random.default_rng(seed)
    zero = zero_point(rng, dtype)
    codes = np.arange(zero if name in ("SQRT", "RSQRT") else np.iinfo(dtype).min, np.iinfo(dtype).max + 1).astype(dtype)
    s = scale(rng, 0.05 if dtype == "int8" else 2e-4)
    output = T(dtype, (), s if name == "ABS" and seed == 0 else scale(rng, s), zero_point(rng, dtype))
    model = one_operator(name, [T(dtype, codes.shape, s, zero)], [output])
    assert_same(model, [codes])


COMPARED = ["float32", "float16", "int16", "int32", "int64"]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"])
def test_comparisons(name: str, seed: int) -> None:
    """Left out is NOT_EQUAL of int16 without quantization, which TensorFlow Lite leaves uncomputed."""
    rng = np.random.default_rng(seed)
    for dtype in [d for d in COMPARED if (name, d) != ("NOT_EQUAL", "int16")] + (["bool"] if "EQUAL" in (name, name[4:]) else []):
        model = one_operator(name, [T(dtype, shape) for shape in random_shapes(rng)], [T("bool", ())])
        assert_same(model, [rng.integers(-2, 3, graph_shape(model, i)).astype(dtype) for i in (0, 1)])
    for dtype in QUANTIZED:
        s = scale(rng, 0.05 if seed else 4)
        x, y = (T(dtype, shape, scale(rng, s, 1.5), zero_point(rng, dtype)) for shape in random_shapes(rng))
        model = one_operator(name, [x, y], [T("bool", ())])
        assert_same(model, random_inputs(model, rng))


@pytest.mark.parametrize("seed", SEEDS)
def test_selection(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for dtype in ("float32", "int8", "int16", "int64", "bool"):
        shape = (3, *random_shape(rng))
        for condition in ((), shape[:1], shape):
            model = one_operator("SELECT", [T("bool", condition), T(dtype, shape), T(dtype, shape)], [T(dtype, (2, 2))])
            assert_same(model, random_inputs(model, rng))
        shapes = random_shapes(rng, 3)
        model = one_operator("SELECT_V2", [T("bool", shapes[0]), T(dtype, shapes[1]), T(dtype, shapes[2])], [T(dtype, (2, 2))])
        assert_same(model, random_inputs(model, rng))


@pytest.mark.parametrize("dtype", ["bool", "float32", "int64", "int32", "int8", "uint8", "uint32"])
def test_positions(dtype: str) -> None:
    rng = np.random.default_rng(0)
    for shape in ((5,), (3, 4), (2, 3, 1, 4)):
        model = one_operator("WHERE", [T(dtype, shape)], [T("int64", (1, len(shape)))])
        assert_same(model, [rng.integers(0, 2, shape).astype(dtype)])
