"""MEAN, SUM, REDUCE_*, ARG_*, TOPK_V2, CUMSUM and reductions by label against TensorFlow Lite, on random models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.conformance.harness import T, assert_same, one_operator, random_inputs, run_qcore, run_tflite

SIZES = [1, 1, 2, 3, 5, 8, 16]


def random_shape(rng: np.random.Generator, least: int, most: int) -> tuple[int, ...]:
    return tuple(int(size) for size in rng.choice(SIZES, rng.integers(least, most + 1)))


def random_quantization(rng: np.random.Generator, dtype: str) -> tuple[float, int]:
    """A scale, and a zero point at either end, in the middle or anywhere; 0 for int16."""
    info = np.iinfo(dtype)
    zero_points = [info.min, info.max, int(rng.integers(info.min, info.max + 1))]
    return float(np.exp(rng.uniform(-7, 0))), 0 if dtype == "int16" else int(rng.choice(zero_points))


def random_reduction(name: str, dtype: str, rng: np.random.Generator, rescales: bool) -> tuple[Any, list[np.ndarray]]:
    """A model and inputs: any axes, kept or not, known or given at run time."""
    shape = random_shape(rng, 0, 5)
    axes = rng.integers(-len(shape), max(len(shape), 1), rng.integers(1, len(shape) + 2)).astype(np.int32)
    quantization: tuple[Any, ...] = ()
    output: tuple[Any, ...] = ()
    if dtype in ("int8", "uint8", "int16"):
        quantization = random_quantization(rng, dtype)
        output = random_quantization(rng, dtype) if rescales else quantization
    known = rng.random() < 0.7
    ins = [T(dtype, shape, *quantization), T("int32", axes.shape, value=axes if known else None)]
    model = one_operator(name, ins, [T(dtype, (), *output)], {"keep_dims": bool(rng.random() < 0.5)})
    return model, [random_inputs(model, rng, -9, 9)[0], *([] if known else [axes])]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64"])
def test_mean(dtype: str, seed: int) -> None:
    assert_same(*random_reduction("MEAN", dtype, np.random.default_rng(seed), rescales=True))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("dtype", ["float32", "uint8", "int32", "int64", "bool"])
def test_sum(dtype: str, seed: int) -> None:
    assert_same(*random_reduction("SUM", dtype, np.random.default_rng(seed), rescales=True))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_sum_of_signed_codes_is_the_other_kernels(dtype: str, seed: int) -> None:
    """The reference kernel reads these types as uint8."""
    model, inputs = random_reduction("SUM", dtype, np.random.default_rng(seed), rescales=True)
    np.testing.assert_array_equal(run_qcore(model, inputs)[0], run_tflite(model, inputs, "BUILTIN_WITHOUT_DEFAULT_DELEGATES")[0])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64", "bool"])
@pytest.mark.parametrize("name", ["REDUCE_MAX", "REDUCE_MIN"])
def test_extremes(name: str, dtype: str, seed: int) -> None:
    assert_same(*random_reduction(name, dtype, np.random.default_rng(seed), rescales=False))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("dtype", ["float32", "int8", "int16", "int32", "int64", "bool"])
def test_product(dtype: str, seed: int) -> None:
    assert_same(*random_reduction("REDUCE_PROD", dtype, np.random.default_rng(seed), rescales=True))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["REDUCE_ANY", "REDUCE_ALL"])
def test_any_and_all(name: str, seed: int) -> None:
    assert_same(*random_reduction(name, "bool", np.random.default_rng(seed), rescales=False))


@pytest.mark.parametrize("name", ["REDUCE_MAX", "REDUCE_MIN"])
@pytest.mark.parametrize("axes", [[1], [0, 1], []])
def test_extremes_of_nan_and_infinity(name: str, axes: list[int]) -> None:
    model = one_operator(name, [T("float32", (2, 3)), T("int32", (len(axes),), value=axes)], [T("float32", ())])
    for row in ([np.nan, 1, np.inf], [-np.inf] * 3, [np.nan] * 3):
        assert_same(model, [np.array([row, [0, np.nan, -np.inf]], np.float32)])


@pytest.mark.parametrize("name", ["MEAN", "SUM", "REDUCE_MAX", "REDUCE_PROD"])
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_reductions_of_nothing(name: str, dtype: str) -> None:
    model = one_operator(name, [T(dtype, (2, 0, 3)), T("int32", (1,), value=[1])], [T(dtype, ())])
    assert_same(model, [np.zeros((2, 0, 3), dtype)])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int32", "bool"])
@pytest.mark.parametrize("name", ["ARG_MAX", "ARG_MIN"])
def test_arg(name: str, dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = random_shape(rng, 1, 4)
    index_type = ("int32", "int64")[seed % 2]
    axis = T(("int64", "int32")[seed // 2], (), value=int(rng.integers(-len(shape), len(shape))))
    model = one_operator(name, [T(dtype, shape), axis], [T(index_type, ())], {"output_type": index_type})
    x = random_inputs(model, rng)[0]
    assert_same(model, [x])
    assert_same(model, [(x / 64).astype(dtype)])  # many ties


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64"])
def test_top_k(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = random_shape(rng, 1, 3)
    k = T("int32", (), value=int(rng.integers(1, shape[-1] + 1)))
    model = one_operator("TOPK_V2", [T(dtype, shape), k], [T(dtype, ()), T(("int32", "int16")[seed % 2], ())])
    assert_same(model, random_inputs(model, rng))


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
def test_running_sums(dtype: str, reverse: bool, exclusive: bool) -> None:
    for axis in (0, 1, -1):
        ins = [T(dtype, (3, 5, 4)), T("int32", (), value=axis)]
        model = one_operator("CUMSUM", ins, [T(dtype, (3, 5, 4))], {"exclusive": exclusive, "reverse": reverse})
        assert_same(model, random_inputs(model, np.random.default_rng(axis + 1)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("operation", ["SUM", "PROD", "MAX", "MIN"])
def test_unsorted_segments(operation: str, dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = random_shape(rng, 1, 4)
    ids = rng.integers(-1, 4, shape[: rng.integers(1, len(shape) + 1)]).astype(np.int32)
    ins = [T(dtype, shape), T("int32", ids.shape), T("int32", (1,), value=[4])]
    model = one_operator(f"UNSORTED_SEGMENT_{operation}", ins, [T(dtype, ())])
    assert_same(model, [random_inputs(model, rng)[0], ids])


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_sorted_segments(dtype: str) -> None:
    """The reference resolver does not have this operator."""
    model = one_operator("SEGMENT_SUM", [T(dtype, (5, 2)), T("int32", (5,))], [T(dtype, ())])
    inputs = [random_inputs(model, np.random.default_rng(0))[0], np.array([0, 0, 1, 2, 2], np.int32)]
    np.testing.assert_array_equal(run_qcore(model, inputs)[0], run_tflite(model, inputs, "BUILTIN_WITHOUT_DEFAULT_DELEGATES")[0])
