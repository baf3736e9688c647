"""QUANTIZE, DEQUANTIZE, FAKE_QUANT, CAST, BITCAST against TensorFlow Lite, on random models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.conformance.harness import T, assert_same, one_operator, random_inputs
from tests.conformance.test_activations import random_scale, random_shape, random_zero_point

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64")
REALS = ("float32", "float16", "float64", "complex64")
REQUANTIZED = [
    *(("int8", "int8"), ("int8", "uint8"), ("uint8", "int8"), ("uint8", "uint8")),
    *(("int16", "int8"), ("int16", "int16"), ("int16", "int32"), ("int32", "int8"), ("int32", "int16")),
]


def channels(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Scales, zero points and axis."""
    axis = int(rng.integers(len(shape)))
    return [random_scale(rng) for _ in range(shape[axis])], [random_zero_point(rng, dtype) for _ in range(shape[axis])], axis


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_quantize(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = random_shape(rng, 1)
    scale = random_scale(rng)
    model = one_operator("QUANTIZE", [T("float32", shape)], [T(dtype, shape, scale, random_zero_point(rng, dtype))])
    assert_same(model, random_inputs(model, rng, -200 * scale, 200 * scale))
    model = one_operator("QUANTIZE", [T("float32", shape)], [T(dtype, shape, *channels(rng, dtype, shape))])
    assert_same(model, random_inputs(model, rng))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_quantize_of_ties_and_of_what_no_int32_holds(dtype: str) -> None:
    wild = [1e9, -1e9, 1e30, -1e30, np.inf, -np.inf, np.nan, 0]
    x = np.array([*np.arange(-16, 16) / 8, *wild], np.float32)
    for zero_point in (0, 100, -100):
        if zero_point >= np.iinfo(dtype).min:
            assert_same(one_operator("QUANTIZE", [T("float32", x.shape)], [T(dtype, x.shape, 0.25, zero_point)]), [x])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("source", "target"), REQUANTIZED)
def test_requantize(source: str, target: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = random_shape(rng)
    scale = random_scale(rng)
    coarser = {"int32": 2.0**20, "int16": 2.0**8}.get(source, 4.0) if target == "int8" else 4.0
    output = scale * (1.0 if seed == 0 else random_scale(rng, 0.25, coarser))
    q, output_q = ((s, 0 if t == "int32" else random_zero_point(rng, t)) for s, t in ((scale, source), (output, target)))
    model = one_operator("QUANTIZE", [T(source, shape, *q)], [T(target, shape, *output_q)])
    assert_same(model, random_inputs(model, rng, -(2**30), 2**30))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_dequantize_is_exact(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = random_shape(rng, 1)
    model = one_operator("DEQUANTIZE", [T(dtype, shape, random_scale(rng), random_zero_point(rng, dtype))], [T("float32", shape)])
    assert_same(model, random_inputs(model, rng), rtol=0, atol=0)
    if dtype != "int16":
        model = one_operator("DEQUANTIZE", [T(dtype, shape, *channels(rng, dtype, shape))], [T("float32", shape)])
        assert_same(model, random_inputs(model, rng), rtol=0, atol=0)


@pytest.mark.parametrize(("dtype", "low", "high"), [("int4", -8, 7), ("int2", -2, 1)])
def test_dequantize_of_packed_constants_is_exact(dtype: str, low: int, high: int) -> None:
    rng = np.random.default_rng(0)
    for shape in ((7,), (2, 5), (3, 1, 4)):
        codes = rng.integers(low, high + 1, shape)
        scales = [random_scale(rng) for _ in range(shape[0])]
        for q in ((0.3, 1), (scales, [0] * shape[0], 0)):
            assert_same(one_operator("DEQUANTIZE", [T(dtype, shape, *q, value=codes)], [T("float32", shape)]), [], rtol=0, atol=0)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
def test_fake_quant_is_exact(bits: int) -> None:
    rng = np.random.default_rng(bits)
    for low, high in ((-1.0, 1.0), (0.0, 5.3), (-2.7, 0.0), (-0.1, 25.4)):
        options = {"min": low, "max": high, "num_bits": bits}
        model = one_operator("FAKE_QUANT", [T("float32", (50,))], [T("float32", (50,))], options)
        assert_same(model, [np.append(rng.uniform(low - 1, high + 1, 49), np.nan).astype(np.float32)], rtol=0, atol=0)


@pytest.mark.parametrize("source", [*INTEGERS, *REALS, "bool"])
@pytest.mark.parametrize("target", [*INTEGERS, *REALS, "bool"])
def test_cast(source: str, target: str) -> None:
    """All integers; of real numbers those that every type holds."""
    rng = np.random.default_rng(0)
    x: Any
    if source in INTEGERS:
        info = np.iinfo(source)
        x = rng.integers(info.min, info.max, 37, dtype=source, endpoint=True)
    elif source == "bool":
        x = rng.integers(0, 2, 37).astype(bool)
    else:
        x = rng.uniform(0 if target[0] == "u" else -100, 100, 37)
        x = (x + 1j * rng.uniform(-1, 1, 37) if source == "complex64" else x).astype(source)
    assert_same(one_operator("CAST", [T(source, x.shape)], [T(target, x.shape)]), [x], rtol=0, atol=0)


@pytest.mark.parametrize("target", ["int32", "int16", "uint8"])
def test_cast_of_float32_beyond_the_type(target: str) -> None:
    x = np.array([300, -300, 70000, -70000, 3e9, -3e9, 1e20, -1e20, np.inf, -np.inf], np.float32)
    for times in (1, 9):
        wide = np.repeat(x, times)
        assert_same(one_operator("CAST", [T("float32", wide.shape)], [T(target, wide.shape)]), [wide])


@pytest.mark.parametrize(("source", "target"), [("int32", "float32"), ("int32", "uint8"), ("uint8", "int32"), ("float64", "int16")])
def test_bitcast(source: str, target: str) -> None:
    shape = (2, 3, 4)
    model = one_operator("BITCAST", [T(source, shape)], [T(target, shape)])
    inputs = random_inputs(model, np.random.default_rng(0))
    assert_same(model, inputs, rtol=0, atol=0)
