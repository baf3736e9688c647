"""MUL: expectations that can be worked out by hand, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, QCoreError
from tests.conformance.harness import T, one_operator, run_qcore


def run(dtype: str, x: Any, y: Any, quantization: list[tuple[Any, int]] | None = None, output_type: str = "", **options: Any) -> Any:
    """Inputs and output have these scales and zero points."""
    x, y = np.asarray(x, dtype), np.asarray(y, dtype)
    q = quantization or [(None, 0)] * 3
    ins = [T(dtype, x.shape, *q[0]), T(dtype, y.shape, *q[1])]
    return run_qcore(one_operator("MUL", ins, [T(output_type or dtype, (), *q[2])], options), [x, y])[0]


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint32", "int64", "int16", "complex64"])
def test_plain_numbers(dtype: str) -> None:
    assert run(dtype, [[1], [2]], [3, 4]).tolist() == [[3, 4], [6, 8]]


def test_integers_wrap_before_the_activation() -> None:
    assert run("int32", [2**16], [2**15]).tolist() == [-(2**31)]
    assert run("int32", [2**16], [2**15], fused_activation_function="RELU").tolist() == [0]
    assert run("int16", [300], [300]).tolist() == [300 * 300 - 2**16]


def test_complex_numbers_take_no_activation() -> None:
    assert run("complex64", [1j, 1 + 1j], [1j, 2j]).tolist() == [-1, -2 + 2j]
    with pytest.raises(ModelError, match="expected NONE for complex64"):
        run("complex64", [1], [1], fused_activation_function="RELU")


@pytest.mark.parametrize(("dtype", "shift"), [("int8", 0), ("uint8", 128)])
def test_quantized_products(dtype: str, shift: int) -> None:
    """(x - 1) * (y + 2) * 0.5 * 0.25 / 0.5: halves away from zero, ends saturate."""
    q = [(0.5, 1 + shift), (0.25, -2 + shift), (0.5, 10 + shift)]
    x, y = np.array([1, 3, -1, 2, 0, 127, -128]), np.array([100, -1, -1, 0, 0, 127, 127])
    products = (x - 1) * (y + 2) / 4
    wanted = np.clip(np.sign(products) * np.floor(np.abs(products) + 0.5) + 10, -128, 127) + shift
    assert run(dtype, x + shift, y + shift, q).tolist() == wanted.tolist()


def test_products_round_twice() -> None:
    """127 / 255 is below one half. Its first rounding, to units of 2**-7, makes it one half, which the second takes away from zero."""
    q = [(1.0, 0), (1.0, 0), (255.0, 0)]
    assert run("int8", [127, -127, 126], 1, q).tolist() == [1, -1, 0]


def test_sixteen_bits() -> None:
    q = [(0.5, 0), (0.25, 0), (4.0, 0)]
    assert run("int16", [1000, -32768, 16, -16], [320, 32767, 1, 1], q).tolist() == [10000, -32768, 1, -1]
    assert run("int16", [1000], [320], q, fused_activation_function="RELU6").tolist() == [2]


@pytest.mark.parametrize(("output", "zero_point"), [("int8", 0), ("uint8", 128)])
def test_sixteen_bits_to_eight_are_fractions_whatever_the_scales(output: str, zero_point: int) -> None:
    """1 / 2 * 1 / 2 in units of 2**-15, to a quarter in units of 2**-7; -1 * -1 saturates."""
    x = [16384, -16384, -32768, 128, -128]
    y = [16384, 16384, -32768, 32767, 32767]
    for scale in (None, 3.0):
        got = run("int16", x, y, [(scale, 0), (scale, 0), (1.0, zero_point)], output)
        assert got.dtype == output
        assert (got.astype(int) - zero_point).tolist() == [32, -32, 127, 1, -1]


@pytest.mark.parametrize(
    ("inputs", "output", "message"),
    [
        ([T("int8", (2,))] * 2, T("int8", (2,)), "has 0 scales"),
        ([T("int8", (2,), 1.0)] * 2, T("int8", (2,), 0.0), "has scale 0.0"),
        ([T("int8", (2,), 1e30)] * 2, T("int8", (2,), 1.0), "expected finite factors"),
        ([T("int8", (2,), 1e5)] * 2, T("int8", (2,), 1e-5), "shift"),
        ([T("int16", (2,), 1.0, 7)] * 2, T("int16", (2,), 1.0), "zero point 7, expected 0"),
        ([T("int16", (2,)), T("int16", (1,))], T("int8", (2,), 1.0), "expected the same"),
        ([T("int8", (2,), 1.0)] * 2, T("int16", (2,), 1.0), "expected one type"),
    ],
)
def test_refusals(inputs: list[T], output: T, message: str) -> None:
    with pytest.raises(QCoreError, match=message):
        run_qcore(one_operator("MUL", inputs, [output]), [np.zeros(t.shape, t.dtype) for t in inputs])
