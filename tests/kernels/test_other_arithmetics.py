"""Where the three arithmetics part, by examples that can be worked out by hand; operators with filters have files of their own."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from qcore.kernels.opdef import Arithmetic
from tests.conformance.harness import T, one_operator, run_qcore

ARITHMETICS = get_args(Arithmetic)
Quantized = tuple[float, int]


def codes(
    name: str, inputs: list[tuple[Any, Quantized | None]], output: T, arithmetic: Arithmetic, *constants: Any, **options: Any
) -> list[Any]:
    """What the operator gives; inputs are arrays, with scale and zero point where they are codes; constants are int32."""
    arrays = [np.asarray(x) for x, _ in inputs]
    tensors = [T(x.dtype.name, x.shape, *(q or ())) for x, (_, q) in zip(arrays, inputs, strict=True)]
    known = [T("int32", np.shape(value), value=value) for value in constants]
    result: list[Any] = run_qcore(one_operator(name, [*tensors, *known], [output], options), arrays, arithmetic=arithmetic)[0].tolist()
    return result


def int8(*values: int) -> np.ndarray:
    return np.array(values, np.int8)


@pytest.mark.parametrize(("arithmetic", "below"), [("reference", -10), ("builtin", -10), ("xnnpack", -11)])
def test_leaky_relu_has_slopes_of_eight_fractional_bits(arithmetic: Arithmetic, below: int) -> None:
    """XNNPACK takes 0.1 for 26/256, so that -104 becomes -10.56, where the others have -10.4."""
    x = (int8(50, 0, -104), (0.5, 0))
    assert codes("LEAKY_RELU", [x], T("int8", (3,), 0.5, 0), arithmetic, alpha=0.1) == [50, 0, below]


@pytest.mark.parametrize(("arithmetic", "sums"), [("reference", [1, -1, 2, -2]), ("builtin", [1, -1, 2, -2]), ("xnnpack", [1, 0, 2, -1])])
def test_halves_of_sums_go_away_or_up(arithmetic: Arithmetic, sums: list[int]) -> None:
    x, nothing = (int8(1, -1, 3, -3), (0.5, 0)), (int8(0), (0.5, 0))
    assert codes("ADD", [x, nothing], T("int8", (4,), 1.0, 0), arithmetic) == sums
    assert codes("SUB", [x, nothing], T("int8", (4,), 1.0, 0), arithmetic) == sums


@pytest.mark.parametrize(("arithmetic", "products"), [("reference", [1, 0, 2, 3]), ("builtin", [1, 0, 2, 3]), ("xnnpack", [0, 0, 2, 2])])
def test_halves_of_products_go_up_or_to_even(arithmetic: Arithmetic, products: list[int]) -> None:
    x, one = (int8(1, -1, 3, 5), (0.5, 0)), (int8(1), (1.0, 0))
    assert codes("MUL", [x, one], T("int8", (4,), 1.0, 0), arithmetic) == products


@pytest.mark.parametrize(("arithmetic", "greatest"), [("reference", 5), ("builtin", 5), ("xnnpack", 4)])
def test_bounds_of_an_activation_are_ties_now_and_then(arithmetic: Arithmetic, greatest: int) -> None:
    """6 is 1.5 steps of 4; with a zero point of 3 that is code 4.5."""
    x = (int8(*range(-8, 8)).reshape(1, 4, 4, 1), (4.0, 3))
    window = {"padding": "SAME", "filter_height": 1, "filter_width": 1, "stride_h": 1, "stride_w": 1}
    pooled = codes("MAX_POOL_2D", [x], T("int8", (1, 4, 4, 1), 4.0, 3), arithmetic, fused_activation_function="RELU6", **window)
    assert np.max(pooled) == greatest


@pytest.mark.parametrize(
    ("arithmetic", "vectors", "rest"), [("reference", [1, 2], [1, 2]), ("builtin", [0, 2], [1, 2]), ("xnnpack", [0, 2], [0, 2])]
)
def test_halves_of_real_numbers(arithmetic: Arithmetic, vectors: list[int], rest: list[int]) -> None:
    """The builtin kernel takes eight numbers at a time and rounds these to even, but the last two away."""
    x = np.tile(np.float32([0.25, 0.75]), 5)
    assert codes("QUANTIZE", [(x, None)], T("int8", (10,), 0.5, 0), arithmetic) == vectors * 4 + rest


@pytest.mark.parametrize(
    ("arithmetic", "expected"),
    [("reference", [-128, -128]), ("builtin", [-128, -128]), ("xnnpack", [127, 127])],
)
def test_a_huge_number_saturates_in_xnnpack_alone(arithmetic: Arithmetic, expected: list[int]) -> None:
    assert codes("QUANTIZE", [(np.float32([1e20, np.nan]), None)], T("int8", (2,), 0.5, 0), arithmetic) == expected


@pytest.mark.parametrize(("arithmetic", "vectors", "rest"), [("reference", -1, -1), ("builtin", 0, -1), ("xnnpack", 0, 0)])
def test_halves_of_codes(arithmetic: Arithmetic, vectors: int, rest: int) -> None:
    """The builtin kernel takes sixteen codes at a time, whose halves go up."""
    x = (np.full(17, -2, np.int8), (0.25, 0))
    assert codes("QUANTIZE", [x], T("int8", (17,), 1.0, 0), arithmetic) == [vectors] * 16 + [rest]


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_the_builtin_kernel_dequantizes_with_two_roundings(arithmetic: Arithmetic) -> None:
    """Product and offset are rounded apart, in eight codes at a time; the ninth is rounded once."""
    scale, x = float(np.float32(0.1)), np.full(9, 33, np.int8)
    once, twice = np.float32(scale * 26), np.float32(scale) * np.float32(33) + np.float32(-scale * 7)
    assert once != twice
    expected = [twice if arithmetic == "builtin" else once] * 8 + [once]
    assert codes("DEQUANTIZE", [(x, (scale, 7))], T("float32", (9,)), arithmetic) == [float(value) for value in expected]


@pytest.mark.parametrize(("arithmetic", "mean"), [("reference", 1), ("builtin", 1), ("xnnpack", 0)])
def test_a_quarter_rounded_twice(arithmetic: Arithmetic, mean: int) -> None:
    x = (int8(0, 0, 0, 1), (1.0, 0))
    assert codes("MEAN", [x], T("int8", (), 1.0, 0), arithmetic, [0]) == mean


@pytest.mark.parametrize(("arithmetic", "mean"), [("reference", 99), ("builtin", 99), ("xnnpack", 100)])
def test_half_a_step_below_the_zero_point(arithmetic: Arithmetic, mean: int) -> None:
    """Away from the zero point of 100, or, as code 99.5, away from 0."""
    x = (int8(100, 100, 99, 99), (1.0, 100))
    assert codes("MEAN", [x], T("int8", (), 1.0, 100), arithmetic, [0]) == mean


@pytest.mark.parametrize(("arithmetic", "vectors", "rest"), [("reference", -1, -1), ("builtin", 0, -1), ("xnnpack", -1, -1)])
def test_a_mean_of_images_takes_sixteen_channels_at_a_time(arithmetic: Arithmetic, vectors: int, rest: int) -> None:
    """Half a step below zero."""
    x = (np.tile(int8(0, 0, -1, -1).reshape(1, 2, 2, 1), 17), (1.0, 0))
    means = codes("MEAN", [x], T("int8", (1, 1, 1, 17), 1.0, 0), arithmetic, [1, 2], keep_dims=True)
    assert np.ravel(means).tolist() == [vectors] * 16 + [rest]


@pytest.mark.parametrize(("arithmetic", "total"), [("reference", 3), ("builtin", 2), ("xnnpack", 3)])
def test_sums_round_up_or_away_from_the_zero_point_or_from_0(arithmetic: Arithmetic, total: int) -> None:
    """Two and a half steps below a zero point of 5."""
    x = (np.array([1, 4], np.uint8), (0.5, 5))
    assert codes("SUM", [x], T("uint8", (), 1.0, 5), arithmetic, [0]) == total


@pytest.mark.parametrize(("arithmetic", "value"), [("reference", -2), ("builtin", -2), ("xnnpack", -3)])
def test_tables_round_away_from_the_zero_point_or_from_0(arithmetic: Arithmetic, value: int) -> None:
    """Half a step above a zero point of -3."""
    assert codes("ELU", [(int8(1), (0.5, 0))], T("int8", (1,), 1.0, -3), arithmetic) == [value]


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_16_bit_shares_of_float32_exponentials(arithmetic: Arithmetic) -> None:
    """The reference kernel sums exponentials of 12 integer bits, and is a step off."""
    x, scale = int8(0, -3, -17, -40), float(np.float32(0.1))
    shares = np.exp(scale * x.astype(np.float64))
    exact = np.round(65536 * shares / shares.sum()) - 32768
    got = np.array(codes("SOFTMAX", [(x, (scale, 0))], T("int16", (4,), 1 / 65536, -32768), arithmetic, beta=1.0))
    assert np.abs(got - exact).max() <= (1 if arithmetic == "reference" else 0)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize(("name", "curve"), [("TANH", np.tanh), ("LOGISTIC", lambda x: 1 / (1 + np.exp(-x)))])
def test_16_bit_curves_of_inputs_in_4096ths(name: str, curve: Any, arithmetic: Arithmetic) -> None:
    """Straight lines, or fixed-point arithmetic of 16 bits, which is up to a dozen steps off."""
    x = np.arange(-32768, 32768, 7, dtype=np.int16)
    got = np.array(codes(name, [(x, (2.0**-12, 0))], T("int16", x.shape, 2.0**-15, 0), arithmetic))
    error = np.abs(got - np.clip(32768 * curve(x / 4096), -32768, 32767)).max()
    assert error < 3 if arithmetic == "reference" else 3 < error < 13


@pytest.mark.parametrize(("arithmetic", "between"), [("reference", -2), ("builtin", -2), ("xnnpack", -1)])
def test_halves_between_pixels_go_away_or_up(arithmetic: Arithmetic, between: int) -> None:
    x = (int8(0, -3).reshape(1, 1, 2, 1), (1.0, 0))
    assert np.ravel(codes("RESIZE_BILINEAR", [x], T("int8", (1, 1, 4, 1), 1.0, 0), arithmetic, [1, 4])).tolist() == [0, between, -3, -3]


def test_uint8_pixels_are_weighed_in_another_order() -> None:
    """Weights of thirds and fifths in float32: the sums part next to ties."""
    x = np.random.default_rng(0).integers(0, 256, (1, 7, 9, 3)).astype(np.uint8)
    outputs = [
        np.array(codes("RESIZE_BILINEAR", [(x, (1.0, 0))], T("uint8", (1, 60, 60, 3), 1.0, 0), arithmetic, [60, 60]))
        for arithmetic in ("reference", "builtin")
    ]
    different = outputs[0] != outputs[1]
    assert 0 < different.mean() < 0.02
    assert np.abs(outputs[0] - outputs[1]).max() == 1


@pytest.mark.parametrize(("arithmetic", "smallest"), [("reference", True), ("builtin", True), ("xnnpack", False)])
def test_xnnpack_has_no_subnormal_numbers(arithmetic: Arithmetic, smallest: bool) -> None:
    (tiny,) = codes("EXP", [(np.float32([-100]), None)], T("float32", (1,)), arithmetic)
    assert (tiny > 0) is smallest
