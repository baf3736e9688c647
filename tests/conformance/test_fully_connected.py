"""FULLY_CONNECTED against TensorFlow Lite, on random models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.kernels.opdef import Arithmetic
from qcore.model import Model
from qcore.numerics.dtypes import element_type
from tests.conformance.harness import RESOLVERS, T, assert_same, one_operator, random_inputs, run_qcore
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

every_arithmetic = pytest.mark.parametrize("arithmetic", RESOLVERS)
other_arithmetics = pytest.mark.parametrize("arithmetic", ["builtin", "xnnpack"])


def pick(rng: np.random.Generator, *choices: Any) -> Any:
    return choices[rng.integers(len(choices))]


def filter_of(rng: np.random.Generator, dtype: str, shape: tuple[int, int]) -> np.ndarray:
    """Any codes but -128 and -8: the x86 dynamic-range kernels multiply -128 by a negative code wrongly, and read -8 as another code."""
    if dtype == "float32":
        return rng.uniform(-1, 1, shape)
    kind = element_type(dtype)
    return rng.integers(kind.quantized_min + (dtype in ("int8", "int4")), kind.quantized_max + 1, shape)


def zero_point(rng: np.random.Generator, dtype: str) -> int:
    return int(pick(rng, *{"int8": (-128, 127, 5), "uint8": (0, 255, 120)}.get(dtype, (0,))))


def random_layer(rng: np.random.Generator, kind: str, plain: bool = False) -> Model:
    """A model of one operator.

    plain: what XNNPACK takes and computes rightly, or leaves alone. It takes an int8 filter's zero point for 0, has 28 bits for the
    accumulators of int4, and fails a model whose filter is narrow and has one unit and a bias.
    """
    input_type, filter_type, output_type = KINDS[kind]
    narrow = plain and filter_type in ("int4", "int2")
    rows, depth, units = pick(rng, 1, 3), pick(rng, 1, 2, 17, 64, 600), pick(rng, 2 if narrow else 1, 2, 7)
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
        limit = pick(rng, 1000, 2**26 if narrow else 2**31 - 1)
        bias = T(bias_type, (units,), scale * np.float32(0.02), value=rng.integers(-limit, limit, units))
        options["quantized_bias_type"] = bias_type if input_type == "int16" else "float32"
    signed_zero_point = pick(rng, 0, 3) if input_type == filter_type == "int8" and not per_unit and not plain else 0
    filter = T(
        filter_type,
        (units, depth),
        None if filter_type == "float32" else scale,
        zero_point(rng, "uint8") if filter_type == "uint8" and not real else signed_zero_point,
        value=filter_of(rng, filter_type, (units, depth)),
    )
    x = T(input_type, shape, None if real else 0.02, zero_point(rng, input_type))
    y = T(output_type, (*shape[:-1], units), None if real else output_scale, zero_point(rng, output_type))
    return one_operator("FULLY_CONNECTED", [x, filter, bias], [y], options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_random_layers(kind: str, seed: int) -> None:
    rng = np.random.default_rng([seed, *kind.encode()])
    model = random_layer(rng, kind)
    # sums in another order may differ by more than 1e-6 of a clamped output
    assert_same(model, random_inputs(model, rng), atol=1e-5 if kind == "float32" else 1e-6)


@other_arithmetics
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_random_layers_in_the_other_arithmetics(kind: str, seed: int, arithmetic: Arithmetic) -> None:
    rng = np.random.default_rng([seed, *kind.encode()])
    model = random_layer(rng, kind, plain=True)
    assert_same(model, random_inputs(model, rng), atol=1e-5 if kind == "float32" else 1e-6, arithmetic=arithmetic)


@other_arithmetics
@pytest.mark.parametrize("kind", [kind for kind, types in KINDS.items() if types[0] != "float32"])
@pytest.mark.parametrize("rows", [1, 20])
def test_ties_in_the_other_arithmetics(kind: str, rows: int, arithmetic: Arithmetic) -> None:
    """Small sums, and factors that are powers of two or nearby."""
    input_type, filter_type, output_type = KINDS[kind]
    for seed in range(6):
        rng = np.random.default_rng([seed, rows, *kind.encode()])
        units, zero = 17, 120 if input_type == "uint8" else 0
        scale = np.float32(2.0 ** -rng.integers(1, 6, units if seed % 2 and zero == 0 else 1) * pick(rng, 1, rng.uniform(1, 2)))
        values = rng.integers(-2, 2, (units, 8)) + zero
        options = {"quantized_bias_type": pick(rng, "int32", "int64", "float32")} if input_type == "int16" else {}
        bias_type = options.get("quantized_bias_type", "int32")
        bias = None if bias_type == "float32" else T(bias_type, (units,), scale, value=rng.integers(-20, 21, units))
        x, w, y = T(input_type, (rows, 8), 1, zero), T(filter_type, (units, 8), scale, zero, value=values), T(output_type, (rows, units), 1)
        model = one_operator("FULLY_CONNECTED", [x, w, bias], [y], options)
        assert_same(model, [rng.integers(zero - 9, zero + 10, (rows, 8)).astype(input_type)], arithmetic=arithmetic)


@every_arithmetic
@pytest.mark.parametrize("units", [1, 2])
def test_products_of_scales_in_float32_and_float64(units: int, arithmetic: Arithmetic) -> None:
    """In float32 the factor is one half, and -1 halved is a tie; in float64 it is a little more. A scale for each unit is for float64."""
    scale = 1 + 2**-12
    x, w = T("int8", (1, 1), scale), T("int8", (2, 1), [scale] * units, value=[0, 0])
    bias = T("int32", (2,), [scale * scale] * units, value=[-1, 1])
    model = one_operator("FULLY_CONNECTED", [x, w, bias], [T("int8", (1, 2), 2 + 2**-10)])
    assert_same(model, [np.zeros((1, 1), np.int8)], arithmetic=arithmetic)
    wanted = -1 if arithmetic == "reference" or (arithmetic == "builtin" and units == 2) else 0
    assert run_qcore(model, [np.zeros((1, 1), np.int8)], arithmetic=arithmetic)[0][0, 0] == wanted


@every_arithmetic
@pytest.mark.parametrize("kind", ["dynamic range", "dynamic range by int4"])
@pytest.mark.parametrize("bias_shape", [(7,), (1, 7)])
def test_dynamic_range_to_the_bit(kind: str, bias_shape: tuple[int, ...], arithmetic: Arithmetic) -> None:
    """A last bit would become another code in the layer after."""
    rng = np.random.default_rng(1)
    values = filter_of(rng, KINDS[kind][1], (7, 30))
    w, bias = T(KINDS[kind][1], (7, 30), rng.uniform(0.001, 0.1, 7), value=values), T("float32", bias_shape, value=rng.uniform(-1, 1, 7))
    model = one_operator("FULLY_CONNECTED", [T("float32", (5, 30)), w, bias], [T("float32", (5, 7))], {"asymmetric_quantize_inputs": True})
    assert_same(model, random_inputs(model, rng), rtol=0, atol=0, arithmetic=arithmetic)


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
@pytest.mark.parametrize("size", [16, 32])
def test_blockwise_filters(rows: int, size: int) -> None:
    """The reference kernels know no blocks and give zeros: there qcore gives what the builtin ones do."""
    rng = np.random.default_rng(0)
    w = T("int4", (8, 64), value=rng.integers(-8, 8, (8, 64)))
    bias = T("float32", (8,), value=rng.uniform(-1, 1, 8))
    model = one_operator("FULLY_CONNECTED", [T("float32", (rows, 64)), w, bias], [T("float32", (rows, 8))])
    with_blocks(model, 1, size, rng.uniform(0.01, 1, (8, 64 // size)))
    inputs = random_inputs(model, rng)
    for arithmetic in ("builtin", "xnnpack"):
        assert_same(model, inputs, arithmetic=arithmetic)
    np.testing.assert_array_equal(run_qcore(model, inputs)[0], run_qcore(model, inputs, arithmetic="builtin")[0])
