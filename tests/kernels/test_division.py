"""DIV, FLOOR_DIV, FLOOR_MOD: expectations that can be worked out by hand, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import InputError, ModelError, UnsupportedError
from qcore.kernels.division import leading_sign_bits
from tests.conformance.harness import T, one_operator, run_qcore

GREATEST = np.finfo(np.float32).max


def run(name: str, dtype: str, x: Any, y: Any, quantization: list[tuple[Any, int]] | None = None, **options: Any) -> Any:
    """Inputs and output have these scales and zero points."""
    x, y = np.asarray(x, dtype), np.asarray(y, dtype)
    q = quantization or [(None, 0)] * 3
    ins = [T(dtype, x.shape, *q[0]), T(dtype, y.shape, *q[1])]
    return run_qcore(one_operator(name, ins, [T(dtype, (), *q[2])], options), [x, y])[0]


def test_float_quotients() -> None:
    assert run("DIV", "float32", [[1], [-3]], [2, 4]).tolist() == [[0.5, 0.25], [-1.5, -0.75]]
    assert run("DIV", "float32", [9, -9], 1, fused_activation_function="RELU6").tolist() == [6, 0]
    got = run("DIV", "float32", [1, -1, 0], 0)
    assert got[:2].tolist() == [GREATEST, -GREATEST]
    assert np.isnan(got[2])


def test_integer_quotients_are_cut_off() -> None:
    x, y = [7, -7, 7, -7, 2**31 - 1, -(2**31), -(2**31)], [2, 2, -2, -2, 3, 1, -1]
    assert run("DIV", "int32", x, y).tolist() == [3, -3, -3, 3, 715827882, -(2**31), -(2**31)]


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "float32"])
def test_floor_quotients_and_their_remainders(dtype: str) -> None:
    x, y = [7, -7, 7, -7, 6, -6, 0], [3, 3, -3, -3, 3, -3, -5]
    assert run("FLOOR_DIV", dtype, x, y).tolist() == [a // b for a, b in zip(x, y, strict=True)]
    assert run("FLOOR_MOD", dtype, x, y).tolist() == [a % b for a, b in zip(x, y, strict=True)]


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32"])
def test_the_one_quotient_that_does_not_fit_wraps(dtype: str) -> None:
    least = np.iinfo(dtype).min
    assert run("FLOOR_DIV", dtype, [least], [-1]).tolist() == [least]
    assert run("FLOOR_MOD", dtype, [least], [-1]).tolist() == [0]


def test_wide_remainders() -> None:
    assert run("FLOOR_MOD", "int64", [-(2**62) - 1], [2**40]).tolist() == [2**40 - 1]


def test_float_remainders_of_infinity_and_zero() -> None:
    got = run("FLOOR_MOD", "float32", [-1, 1, 1, np.inf], [np.inf, np.inf, 0, 2])
    assert got[:2].tolist() == [np.inf, 1]
    assert np.isnan(got[2:]).all()


@pytest.mark.parametrize(("dtype", "shift"), [("int8", 0), ("uint8", 128)])
def test_quantized_quotients(dtype: str, shift: int) -> None:
    """All pairs of codes, but for dividends within 4 of zero, whose shifts may pass 31 bits."""
    q = [(0.5, -10 + shift), (0.25, 20 + shift), (0.125, -3 + shift)]
    x, y = (np.arange(-128, 128) for _ in range(2))
    x, y = x[np.abs(x + 10) > 4, np.newaxis], y[y != 20]
    exact = (x + 10) * 0.5 / ((y - 20) * 0.25) / 0.125
    got = run("DIV", dtype, x + shift, y + shift, q).astype(int) - shift
    # The fixed-point quotient is that of a number a few 2**-30 off: it may part from the exact one at ties alone.
    ties = np.isclose(np.abs(exact) % 1, 0.5)
    wanted = np.clip(np.rint(exact) - 3, -128, 127)
    np.testing.assert_array_equal(got[~ties], wanted[~ties])
    assert (np.abs(got - wanted)[ties] <= 1).all()


def test_a_small_dividend_at_a_coarse_scale_is_shifted_out_of_range() -> None:
    """0 / y is 1 and not 0, as TensorFlow Lite has it, once its shift passes 31 bits; at a finer scale it is 0."""
    ys = [1, 50, -50]
    assert run("DIV", "int8", 0, ys, [(0.5, 0), (0.5, 0), (0.01, 0)]).tolist() == [0, 0, 0]
    assert run("DIV", "int8", 0, ys, [(0.5, 0), (0.5, 0), (10.0, 0)]).tolist() == [1, 1, 1]
    assert run("DIV", "int8", -1, ys, [(0.5, 0), (0.5, 0), (10.0, 0)]).tolist() == [-128, -128, 127]


def test_a_quantized_divisor_of_zero_is_not_refused() -> None:
    assert run("DIV", "int8", [1, 5, 3, 10], [1, -1, 3, 5], [(0.78, -1), (0.77, -1), (0.28, -1)]).tolist() == [3, -32, 3, 6]


def test_sixteen_bits() -> None:
    q = [(0.5, 0), (0.25, 0), (0.125, 0)]
    assert run("DIV", "int16", [100, -100, 32767], [50, 7, 1], q).tolist() == [32, -229, 32767]


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "float32"])
def test_division_by_zero_is_refused_when_it_comes(dtype: str) -> None:
    with pytest.raises(InputError, match=r"FLOOR_DIV \(op 0, output 'output2'\): division by zero"):
        run("FLOOR_DIV", dtype, [1, 2], [1, 0])
    if dtype != "float32":
        with pytest.raises(InputError, match="FLOOR_MOD .* division by zero"):
            run("FLOOR_MOD", dtype, [1, 2], [1, 0])


def test_integer_division_by_zero() -> None:
    with pytest.raises(InputError, match="DIV .* division by zero"):
        run("DIV", "int32", [1], [0])


def test_refusals() -> None:
    with pytest.raises(UnsupportedError, match="input 0 is int64"):
        run("DIV", "int64", [1], [1])
    with pytest.raises(ModelError, match="has 0 scales"):
        run("DIV", "int8", [1], [1])
    with pytest.raises(ModelError, match="more than 0"):
        run("DIV", "int8", [1], [1], [(1.0, 0), (0.0, 0), (1.0, 0)])
    with pytest.raises(ModelError, match="cannot be broadcast"):
        run("FLOOR_MOD", "int32", [1, 2], [1, 2, 3])


def test_leading_sign_bits() -> None:
    x = np.array([0, -1, 1, -2, 2, 255, -256, 2**30, -(2**30), -(2**30) - 1, 2**31 - 1, -(2**31)], np.int32)
    assert leading_sign_bits(x).tolist() == [31, 31, 30, 30, 29, 23, 23, 0, 1, 0, 0, 0]
