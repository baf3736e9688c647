"""ELU, GELU, HARD_SWISH, LOGISTIC, TANH: the curves, their tables, the 16-bit lines, fixed output scales, refusals."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from qcore.kernels.activation import erfc
from tests.conformance.harness import T, one_operator, run_qcore

ALL_INT8 = np.arange(-128, 128, dtype=np.int8)
ALL_INT16 = np.arange(-32768, 32768, dtype=np.int16)
CURVES = {
    "ELU": lambda x: x if x > 0 else math.expm1(x),
    "GELU": lambda x: x / 2 * math.erfc(-x / math.sqrt(2)),
    "HARD_SWISH": lambda x: x * min(max(x + 3, 0), 6) / 6,
    "LOGISTIC": lambda x: 1 / (1 + math.exp(-x)),
    "TANH": math.tanh,
}


def run(name: str, x: Any, q: tuple[Any, ...] = (), output: tuple[Any, ...] = (), dtype: str | None = None, **options: Any) -> Any:
    x = np.asarray(x)
    dtype = dtype or x.dtype.name
    return run_qcore(one_operator(name, [T(dtype, x.shape, *q)], [T(dtype, x.shape, *output)], options), [x])[0]


def options_of(name: str) -> dict[str, Any]:
    return {"approximate": False} if name == "GELU" else {}


@pytest.mark.parametrize("name", CURVES)
def test_real_values_follow_the_curve(name: str) -> None:
    """GELU's argument is rounded to float32, which the curve's steep end magnifies."""
    x = np.linspace(-8, 12, 2001, dtype=np.float32)
    expected = np.array([CURVES[name](float(v)) for v in x])
    np.testing.assert_allclose(run(name, x, **options_of(name)), expected, rtol=5e-6 if name == "GELU" else 1e-6)


def test_approximate_gelu_follows_its_own_curve() -> None:
    x = np.linspace(-3, 5, 501, dtype=np.float32)
    expected = [v / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))) for v in x.astype(float)]
    np.testing.assert_allclose(run("GELU", x, approximate=True), expected, atol=5e-7)


def test_limits_of_real_values() -> None:
    x = np.array([-np.inf, -200, 200, np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(run("LOGISTIC", x), np.array([0, 0, 1, 1, np.nan], np.float32))
    np.testing.assert_array_equal(run("TANH", x), np.array([-1, -1, 1, 1, np.nan], np.float32))
    np.testing.assert_array_equal(run("ELU", x), np.array([-1, -1, 200, np.inf, np.nan], np.float32))
    assert run("LOGISTIC", np.float32([-10, -100])).tolist() == np.float32([math.exp(-10), math.exp(-100)]).tolist()


def test_complementary_error_function_holds_its_digits_far_out() -> None:
    x = np.linspace(-6, 26, 5001)
    np.testing.assert_allclose(erfc(x), [math.erfc(v) for v in x], rtol=4e-10)


@pytest.mark.parametrize("name", ["LOGISTIC", "TANH"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_width_floats_are_rounded_once(name: str, dtype: str) -> None:
    x = np.linspace(-8, 8, 321).astype(np.float16 if dtype == "float16" else ml_dtypes.bfloat16)
    wide = run(name, x.astype(np.float32))
    np.testing.assert_array_equal(run(name, x, dtype=dtype), wide.astype(x.dtype))


@pytest.mark.parametrize(
    ("name", "q", "output"),
    [
        ("ELU", (0.05, 10), (0.04, -100)),
        ("GELU", (0.05, -20), (0.03, -110)),
        ("LOGISTIC", (0.1, 3), (1 / 256, -128)),
        ("TANH", (0.03, -5), (1 / 128, 0)),
    ],
)
def test_8_bit_codes_are_the_nearest_to_the_curve(name: str, q: tuple[float, int], output: tuple[float, int]) -> None:
    scale, zero_point = np.float32(q[0]).item(), q[1]
    steps = [CURVES[name](scale * (int(c) - zero_point)) / np.float32(output[0]).item() for c in ALL_INT8]
    expected = [min(max(math.floor(abs(s) + 0.5) * (1 if s > 0 else -1) + output[1], -128), 127) for s in steps]
    assert run(name, ALL_INT8, q, output, **options_of(name)).tolist() == expected


def test_hard_swish_is_within_a_step_of_the_curve() -> None:
    for scale, zero_point, output_scale in ((0.05, 0, 0.05), (0.1, -100, 0.08), (0.02, 127, 0.01), (0.003, 5, 0.003)):
        real = scale * (ALL_INT8.astype(float) - zero_point)
        expected = np.clip(np.round([CURVES["HARD_SWISH"](v) / output_scale for v in real]), -128, 127)
        assert np.abs(run("HARD_SWISH", ALL_INT8, (scale, zero_point), (output_scale, 0)) - expected).max() <= 1


def test_hard_swish_of_a_vanishing_input_rounds_by_sign() -> None:
    """A final shift by 16 bits and more is no rounding in TensorFlow Lite: it leaves 1, or -1 below 0."""
    x = np.array([-100, -1, 0, 1, 100], np.int8)
    assert run("HARD_SWISH", x, (1e-8, 0), (1e-5, 5)).tolist() == [4, 4, 6, 6, 6]


@pytest.mark.parametrize(("name", "worst"), [("LOGISTIC", 1), ("TANH", 3)])
@pytest.mark.parametrize("scale", [2.0**-12, 2.0**-11, 0.0003, 0.001])
def test_16_bit_codes_are_close_to_the_curve(name: str, worst: int, scale: float) -> None:
    scale = np.float32(scale).item()
    expected = np.array([CURVES[name](scale * c) * 32768 for c in ALL_INT16.tolist()])
    got = run(name, ALL_INT16, (scale, 0), (1 / 32768, 0))
    inside = np.abs(scale * ALL_INT16) < (10.6 if name == "LOGISTIC" else 5.3)
    assert np.abs(np.round(got - expected))[inside].max() <= worst
    assert (np.diff(got) >= 0).all()


def test_16_bit_powers_of_two_take_their_exact_multiplier() -> None:
    """A scale within 0.07 % of 2**-12 counts as that, one further off is rescaled."""
    x = np.array([20000], np.int16)
    exact = run("LOGISTIC", x, (2.0**-12, 0), (1 / 32768, 0))
    near = run("LOGISTIC", x, (2.0**-12 * 1.0006, 0), (1 / 32768, 0))
    far = run("LOGISTIC", x, (2.0**-12 * 1.01, 0), (1 / 32768, 0))
    assert exact == near == 32521
    assert far == 32533


def test_fixed_output_scales_are_enforced() -> None:
    with pytest.raises(ModelError, match="expected 1/256"):
        run("LOGISTIC", ALL_INT8, (0.1, 0), (1 / 128, -128))
    with pytest.raises(ModelError, match="expected 1/32768"):
        run("LOGISTIC", ALL_INT16, (0.1, 0), (1 / 32767, 0))
    with pytest.raises(ModelError, match="expected 1/32768"):
        run("TANH", ALL_INT16, (0.1, 0), (1 / 256, 0))
    for name in ("LOGISTIC", "TANH"):
        with pytest.raises(ModelError, match="int16 with zero point 1, expected 0"):
            run(name, ALL_INT16, (0.1, 1), (1 / 32768, 0))


@pytest.mark.parametrize("scale", [0.0, -1.0, 1e-20, 1e9, np.nan])
def test_16_bit_scales_out_of_reach_are_refused(scale: float) -> None:
    for name in ("LOGISTIC", "TANH"):
        with pytest.raises(ModelError, match="scale"):
            run(name, ALL_INT16, (scale, 0), (1 / 32768, 0))


def test_what_has_no_kernel_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="input 0 is uint8, qcore has float32, int8"):
        run("ELU", np.zeros(3, np.uint8), (0.1, 0), (0.1, 0))
    with pytest.raises(UnsupportedError, match="HARD_SWISH"):
        run("HARD_SWISH", np.zeros(3, np.int16), (0.1, 0), (0.1, 0))
    with pytest.raises(ModelError, match="expected below 128 times the output"):
        run("HARD_SWISH", ALL_INT8, (100.0, 0), (0.1, 0))
    with pytest.raises(ModelError, match="expected one type"):
        run_qcore(one_operator("TANH", [T("int8", (3,), 0.1)], [T("uint8", (3,), 0.1)]), [np.zeros(3, np.int8)])


@pytest.mark.parametrize("name", CURVES)
def test_empty_tensors_are_fine(name: str) -> None:
    assert run(name, np.zeros((2, 0), np.float32), **options_of(name)).shape == (2, 0)
    output = (1 / 256, -128) if name == "LOGISTIC" else (0.1, 0)
    assert run(name, np.zeros((2, 0), np.int8), (0.1, 0), output, **options_of(name)).shape == (2, 0)
