"""ADD, SUB, SQUARED_DIFFERENCE, ADD_N: expectations that can be worked out by hand, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore

GREATEST = np.finfo(np.float32).max


def run(name: str, dtype: str, x: Any, y: Any, quantization: list[tuple[Any, int]] | None = None, **options: Any) -> Any:
    """Inputs and output have these scales and zero points."""
    x, y = np.asarray(x, dtype), np.asarray(y, dtype)
    q = quantization or [(None, 0)] * 3
    ins = [T(dtype, x.shape, *q[0]), T(dtype, y.shape, *q[1])]
    return run_qcore(one_operator(name, ins, [T(dtype, (), *q[2])], options), [x, y])[0]


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
def test_plain_numbers(dtype: str) -> None:
    assert run("ADD", dtype, [1, 2], [10, -20]).tolist() == [11, -18]
    assert run("SUB", dtype, [1, 2], [10, -20]).tolist() == [-9, 22]


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
@pytest.mark.parametrize(("activation", "wanted"), [("RELU", [0, 0, 9]), ("RELU6", [0, 0, 6]), ("RELU_N1_TO_1", [-1, 0, 1])])
def test_fused_activations(dtype: str, activation: str, wanted: list[int]) -> None:
    assert run("ADD", dtype, [-9, 0, 9], 0, fused_activation_function=activation).tolist() == wanted


def test_integers_wrap() -> None:
    assert run("ADD", "int32", [2**31 - 1], [1]).tolist() == [-(2**31)]
    assert run("SUB", "int64", [-(2**63)], [1]).tolist() == [2**63 - 1]
    assert run("ADD", "int16", [32767], [1]).tolist() == [-32768]


def test_infinities_become_the_greatest_number_and_nan_stays() -> None:
    got = run("ADD", "float32", [np.inf, -np.inf, 3e38, np.nan], [1, 1, 3e38, 1])
    assert got[:3].tolist() == [GREATEST, -GREATEST, GREATEST]
    assert np.isnan(got[3])


@pytest.mark.parametrize(
    ("shapes", "wanted"),
    [
        (((), ()), ()),
        (((), (3,)), (3,)),
        (((2, 1), (3,)), (2, 3)),
        (((1, 0), (2, 1)), (2, 0)),
        (((2, 1, 3, 1, 2, 1, 2), (3, 1)), (2, 1, 3, 1, 2, 3, 2)),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_operands_broadcast_at_any_rank(shapes: tuple[tuple[int, ...], tuple[int, ...]], wanted: tuple[int, ...], dtype: str) -> None:
    q = [(1.0, 0)] * 3 if dtype == "int8" else None
    got = run("ADD", dtype, np.ones(shapes[0]), np.ones(shapes[1]), q)
    assert got.shape == wanted
    assert (got == 2).all()


@pytest.mark.parametrize(("dtype", "shift"), [("int8", 0), ("uint8", 128)])
def test_quantized_operands_meet_at_a_common_scale(dtype: str, shift: int) -> None:
    """Scales 0.5, 0.25 and 1: real sums and differences, ties away from zero, ends saturate."""
    q = [(0.5, 3 + shift), (0.25, -5 + shift), (1.0, -1 + shift)]
    x, y = np.array([3, 4, 5, 127, -128]) + shift, np.array([-5, -5, -3, 127, -128]) + shift
    real = (x - q[0][1]) * 0.5, (y - q[1][1]) * 0.25
    for name, exact in (("ADD", real[0] + real[1]), ("SUB", real[0] - real[1])):
        rounded = np.sign(exact) * np.floor(np.abs(exact) + 0.5)
        wanted = np.clip(rounded - 1, -128, 127) + shift
        assert run(name, dtype, x, y, q).tolist() == wanted.tolist()


def test_quantized_activation_is_clamped_in_codes() -> None:
    q = [(1.0, 0), (1.0, 0), (0.5, -10)]
    x = [-100, 0, 2, 100]
    assert run("ADD", "int8", x, 0, q, fused_activation_function="RELU6").tolist() == [-10, -10, -6, 2]


def test_sixteen_bits_of_any_scale() -> None:
    q = [(0.3, 0), (0.6, 0), (0.9, 0)]
    assert run("ADD", "int16", [30000, -5, 1], [30000, 4, 1], q).tolist() == [30000, 1, 1]


def test_sixteen_bits_of_powers_of_two_shift_the_finer_operand() -> None:
    q = [(2**-10, 0), (2**-13, 0), (2**-10, 0)]
    assert run("ADD", "int16", [100, 100, 100, 32767], [11, 12, -12, 800], q).tolist() == [101, 102, 98, 32767]
    assert run("SUB", "int16", [100, 100, 100, -32768], [11, 12, -12, 800], q).tolist() == [99, 98, 102, -32768]
    with pytest.raises(ModelError, match=r"2\*\*-13, output 2\*\*-12"):
        run("ADD", "int16", [1], [1], [(2**-10, 0), (2**-13, 0), (2**-12, 0)])
    assert run("ADD", "int16", [100], [12], [(2**-10, 0), (2**-13, 0), (2**-12, 0)], pot_scale_int16=False).tolist() == [406]


def test_a_difference_brought_to_a_scale_far_finer_keeps_little_but_its_sign() -> None:
    """The factor is above 1, which SUB lets pass and ADD does not."""
    q = [(1.0, 0), (1.0, 0), (1e-7, 5)]
    assert run("SUB", "int8", [3, 2, 1], [2, 2, 2], q).tolist() == [6, 6, 4]
    with pytest.raises(ModelError, match="expected more than 0 and less than 1"):
        run("ADD", "int8", [1], [2], q)


def test_squared_difference() -> None:
    assert run("SQUARED_DIFFERENCE", "float32", [1, 5], [3, 2]).tolist() == [4, 9]
    assert run("SQUARED_DIFFERENCE", "int32", [1, 2**16], [3, 0]).tolist() == [4, 0]
    assert run("SQUARED_DIFFERENCE", "int8", [3, 0, 100], [1, 5, -28], [(0.5, 1), (0.25, 1), (0.25, -128)]).tolist() == [-124, -119, 127]


def test_sums_of_many() -> None:
    for count in (2, 3, 7):
        ins = [T("int32", (2,))] * count
        model = one_operator("ADD_N", ins, [T("int32", (2,))])
        assert run_qcore(model, [np.array([k, 2**k], np.int32) for k in range(count)])[0].tolist() == [sum(range(count)), 2**count - 1]


@pytest.mark.parametrize(
    ("name", "inputs", "output", "message"),
    [
        ("ADD", [T("int8", (2,), 1.0), T("int8", (3,), 1.0)], T("int8", (2,), 1.0), "cannot be broadcast"),
        ("ADD", [T("int8", (2,), 1.0), T("uint8", (2,), 1.0)], T("int8", (2,), 1.0), "expected one type"),
        ("ADD", [T("float32", (2,))] * 2, T("int32", (2,)), "expected one type"),
        ("ADD", [T("int8", (2,), 1.0), T("int8", (2,))], T("int8", (2,), 1.0), "has 0 scales"),
        ("ADD", [T("int8", (2,), 1.0), T("int8", (2,), 0.0)], T("int8", (2,), 1.0), "has scale 0.0, expected more than 0"),
        ("ADD", [T("int16", (2,), 1.0, 1), T("int16", (2,), 1.0)], T("int16", (2,), 1.0), "zero point 1, expected 0 for int16"),
        ("SUB", [T("int16", (2,))] * 2, T("int16", (2,)), "has 0 scales"),
        ("ADD_N", [T("float32", (2,)), T("float32", (1,))], T("float32", (2,)), r"input 1 has shape \[1\]"),
    ],
)
def test_refusals(name: str, inputs: list[T], output: T, message: str) -> None:
    model = one_operator(name, inputs, [output])
    with pytest.raises(ModelError, match=message):
        run_qcore(model, [np.zeros(t.shape, t.dtype) for t in inputs])


def test_types_without_kernels_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="input 0 is float64, qcore has float32"):
        run("ADD", "float64", [1], [1])
