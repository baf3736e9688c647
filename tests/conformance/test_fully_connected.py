"""FULLY_CONNECTED against TensorFlow Lite's reference kernels, on random models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.numerics.dtypes import element_type
from tests.conformance.harness import T, assert_same, one_operator, random_inputs, run_qcore, run_tflite
from tests.kernels.blockwise import with_blocks

KINDS = {
    "float32": ("float32", "float32", "float32"),
    "int8": ("int8", "int8", "int8"),
    "int8 by int4": ("int8", "int4", "int8"),
    "int8 by int2": ("int8", "int2", "int8"),
    "uint8": ("uint8", "uint8", "uint8"),
    "uint8 to int16": ("uint8", "uint8", "int16"),
    "int16": ("int16", "int8", "int16"),
    "int16 by int4": ("int16", "int4", "int16"),
    "dynamic range": ("float32", "int8", "float32"),
    "dynamic range by int4": ("float32", "int4", "float32"),
}
"""Types of input, filter and output."""


def pick(rng: np.random.Generator, *choices: Any) -> Any:
    return choices[rng.integers(len(choices))]


def filter_of(rng: np.random.Generator, dtype: str, shape: tuple[int, int]) -> np.ndarray:
    """Any codes but -128 of int8: the x86 dynamic-range kernels multiply it by a negative code wrongly."""
    if dtype == "float32":
        return rng.uniform(-1, 1, shape)
    kind = element_type(dtype)
    return rng.integers(kind.quantized_min + (dtype == "int8"), kind.quantized_max + 1, shape)


def zero_point(rng: np.random.Generator, dtype: str) -> int:
    return int(pick(rng, *{"int8": (-128, 127, 5), "uint8": (0, 255, 120)}.get(dtype, (0,))))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_random_layers(kind: str, seed: int) -> None:
    rng = np.random.default_rng([seed, *kind.encode()])
    input_type, filter_type, output_type = KINDS[kind]
    rows, depth, units = pick(rng, 1, 3), pick(rng, 1, 2, 17, 64, 600), pick(rng, 1, 2, 7)
    shape, keep = pick(rng, (rows, depth), (rows, 1, depth)), bool(rng.integers(2))
    real = input_type == "float32"
    per_unit = filter_type not in ("float32", "uint8") and units > 1 and bool(rng.integers(2))
    scale = np.float32(rng.uniform(0.001, 0.1, units if per_unit else 1))
    spread = float(scale.mean()) * depth**0.5 * {"int16": 15000.0}.get(input_type, 70.0)
    output_scale = spread * 10 ** rng.uniform(-4, 1)  # from saturation to almost nothing
    options = {
        "keep_num_dims": keep,
        "fused_activation_function": pick(rng, "NONE", "RELU", "RELU_N1_TO_1", "RELU6"),
        "asymmetric_quantize_inputs": bool(rng.integers(2)),
    }
    bias = None
    if real:
        bias = T("float32", (units,), value=rng.uniform(-1, 1, units))
    elif output_type != input_type or rng.integers(3):
        bias_type = "int32" if input_type != "int16" else pick(rng, "int32", "int64")
        limit = pick(rng, 1000, 2**31 - 1)
        bias = T(bias_type, (units,), scale * np.float32(0.02), value=rng.integers(-limit, limit, units))
        options["quantized_bias_type"] = bias_type if input_type == "int16" else "float32"
    signed_zero_point = pick(rng, 0, 3) if input_type == "int8" and filter_type == "int8" and not per_unit else 0
    filter = T(
        filter_type,
        (units, depth),
        None if filter_type == "float32" else scale,
        zero_point(rng, "uint8") if filter_type == "uint8" and not real else signed_zero_point,
        value=filter_of(rng, filter_type, (units, depth)),
    )
    x = T(input_type, shape, None if real else 0.02, zero_point(rng, input_type))
    y = T(output_type, (*shape[:-1], units), None if real else output_scale, zero_point(rng, output_type))
    model = one_operator("FULLY_CONNECTED", [x, filter, bias], [y], options)
    # sums in another order may differ by more than 1e-6 of a clamped output
    assert_same(model, random_inputs(model, rng), atol=1e-5 if kind == "float32" else 1e-6)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_ties_are_rounded_once_and_away_from_zero(dtype: str) -> None:
    """The case that tells float64 rounding from single and from double rounding in integers."""
    x, w, y = T(dtype, (4, 1), 0.5), T("int8", (1, 1), 1, value=[1]), T(dtype, (4, 1), 1)
    assert_same(one_operator("FULLY_CONNECTED", [x, w, None], [y]), [np.array([[-1], [1], [-3], [3]], dtype)])


@pytest.mark.parametrize("zero", [-5, 0, 5])
def test_sums_beyond_int32_after_scaling(zero: int) -> None:
    x, w, y = T("int8", (4, 1), 1e6), T("int8", (1, 1), 1, value=[100]), T("int8", (4, 1), 1, zero)
    assert_same(one_operator("FULLY_CONNECTED", [x, w, None], [y]), [np.array([[1], [-1], [100], [-100]], np.int8)])


@pytest.mark.parametrize("asymmetric", [False, True])
def test_dynamic_range_of_rows_with_infinity_and_zeros(asymmetric: bool) -> None:
    """NaN is left out: which range it leaves depends on its place in the row there."""
    x = np.array([[np.inf, 1, 2], [1, -np.inf, 0], [0, 0, 0], [3, -4, 5]], np.float32)
    w = T("int8", (2, 3), 0.5, value=[[1, 2, 3], [-4, 5, -6]])
    options = {"asymmetric_quantize_inputs": asymmetric}
    model = one_operator("FULLY_CONNECTED", [T("float32", x.shape), w, None], [T("float32", (4, 2))], options)
    assert_same(model, [x])


def test_rows_of_no_elements() -> None:
    bias = T("float32", (3,), value=[1, 2, 3])
    model = one_operator("FULLY_CONNECTED", [T("float32", (2, 0)), T("float32", (3, 0)), bias], [T("float32", (2, 3))])
    assert_same(model, random_inputs(model, np.random.default_rng(0)))


@pytest.mark.parametrize("rows", [1, 3])
def test_blockwise_filters(rows: int) -> None:
    """Against the optimized kernels: the reference ones know no blocks and give zeros."""
    rng = np.random.default_rng(0)
    w = T("int4", (8, 64), value=rng.integers(-8, 8, (8, 64)))
    bias = T("float32", (8,), value=rng.uniform(-1, 1, 8))
    model = one_operator("FULLY_CONNECTED", [T("float32", (rows, 64)), w, bias], [T("float32", (rows, 8))])
    with_blocks(model, 1, 32, rng.uniform(0.01, 1, (8, 2)))
    inputs = random_inputs(model, rng)
    got, want = run_qcore(model, inputs)[0], run_tflite(model, inputs, "BUILTIN_WITHOUT_DEFAULT_DELEGATES")[0]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6 * float(np.abs(want).max()))
