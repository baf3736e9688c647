"""CAST: every pair of types, fractions, what does not fit; BITCAST: shapes and bytes."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from qcore.kernels.cast import CAST_TYPES
from qcore.numerics.dtypes import element_type
from tests.conformance.harness import T, one_operator, run_qcore

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64")
BEYOND = np.array([300, -300, 70000, -70000, 3e9, -3e9, 1e20, -1e20, np.inf, -np.inf, np.nan])


def convert(name: str, x: Any, dtype: str, output: str, shape: tuple[int, ...] | None = None) -> Any:
    return run_qcore(one_operator(name, [T(dtype, x.shape)], [T(output, x.shape if shape is None else shape)]), [x])[0]


def cast(x: Any, output: str, dtype: str | None = None) -> Any:
    x = np.asarray(x)
    return convert("CAST", x, dtype or x.dtype.name, output)


@pytest.mark.parametrize("source", CAST_TYPES)
@pytest.mark.parametrize("target", CAST_TYPES)
def test_small_whole_numbers_survive_every_pair(source: str, target: str) -> None:
    x = np.array([0, 1, 1, 0]) if "bool" in (source, target) else np.array([0, 1, 2, 100])
    got = cast(x.astype(element_type(source).storage), target, source)
    assert got.dtype == element_type(target).storage
    np.testing.assert_array_equal(got.astype(np.float64) if got.dtype.kind != "c" else got, x)


@pytest.mark.parametrize("source", ["float32", "float64", "float16", "bfloat16", "complex64"])
@pytest.mark.parametrize("target", [t for t in INTEGERS if t[0] == "i"])
def test_fractions_are_cut_off(source: str, target: str) -> None:
    x = np.array([-1.75, -0.5, 0.5, 1.75]).astype(element_type(source).storage)
    assert cast(x, target, source).tolist() == [-1, 0, 0, 1]


def test_everything_but_zero_is_true() -> None:
    x = np.array([0, -0.0, 0.25, -1, np.nan, np.inf], np.float32)
    assert cast(x, "bool").tolist() == [False, False, True, True, True, True]
    assert cast(np.array([1j, 1, 0], np.complex64), "bool").tolist() == [False, True, False]


def test_complex_numbers_lose_their_imaginary_part() -> None:
    x = np.array([1.5 + 2j, -3 - 1j], np.complex64)
    assert cast(x, "float32").tolist() == [1.5, -3]
    assert cast(np.array([1.5, -3]), "complex64").tolist() == [1.5, -3]


def test_integers_wrap() -> None:
    x = np.array([-1, 255, 256, 2**31, -(2**63)])
    assert cast(x, "uint8").tolist() == [255, 255, 0, 0, 0]
    assert cast(x, "int32").tolist() == [-1, 255, 256, -(2**31), 0]


@pytest.mark.parametrize("target", ["int32", "int16", "uint8"])
def test_float32_saturates(target: str) -> None:
    info = np.iinfo(target)
    expected = [min(max(int(v), info.min), info.max) for v in BEYOND[:8]]
    expected += [info.max, info.min, info.max if target == "int32" else 0]
    assert cast(BEYOND.astype(np.float32), target).tolist() == expected


@pytest.mark.parametrize("source", ["float64", "bfloat16"])
def test_other_real_numbers_that_int32_does_not_hold_become_its_least(source: str) -> None:
    x = BEYOND.astype(element_type(source).storage)
    assert cast(x, "int32", source)[4:].tolist() == [-(2**31)] * 7
    assert cast(x, "int8", source).tolist() == [127, -128, 127, -128] + [-128] * 7
    assert cast(x, "uint16", source)[[1, 2, 3]].tolist() == [0, 65535, 0]
    assert cast(x, "int64", source)[6:].tolist() == [-(2**63)] * 5


def test_float32_to_the_remaining_types() -> None:
    x = BEYOND.astype(np.float32)
    assert cast(x, "int8").tolist() == [127, -128, 127, -128] + [-128] * 7
    assert cast(x, "uint32")[:6].tolist() == [300, 2**32 - 300, 70000, 2**32 - 70000, 3000000000, 2**32 - 3000000000]


def test_complex_numbers_wrap_where_real_ones_saturate() -> None:
    assert cast(np.array([300, -300], np.complex64), "uint8").tolist() == [44, 212]
    assert cast(np.array([300, -300], np.complex64), "int16").tolist() == [300, -300]


def test_half_width_floats_are_reached_by_way_of_float32() -> None:
    """2049 + 2**-20 lies above a tie of float16, but not in float32."""
    x = np.array([2049 + 2.0**-20])
    assert cast(x, "float16").tolist() == [2048]
    assert cast(np.array([257], np.int32), "bfloat16").astype(np.float32).tolist() == [256]
    assert cast(np.array([70000], np.int32), "float16").tolist() == [np.inf]


@pytest.mark.parametrize(("target", "expected"), [("int4", [-8, -1, 1, 7, 7]), ("uint4", [0, 0, 1, 15, 15]), ("int2", [-2, -1, 1, 1, 1])])
def test_packed_types_saturate(target: str, expected: list[int]) -> None:
    assert cast(np.array([-100, -1.5, 1.5, 100, np.nan], np.float32), target).tolist() == expected


@pytest.mark.parametrize("source", ["int4", "uint4", "int2"])
def test_packed_types_become_float32_and_nothing_else(source: str) -> None:
    codes = np.array([0, 1]).astype(element_type(source).storage)
    assert cast(codes, "float32", source).tolist() == [0, 1]
    with pytest.raises(UnsupportedError, match=f"qcore has float32 for {source} input"):
        cast(codes, "int8", source)
    with pytest.raises(UnsupportedError, match=f"output is {source}"):
        cast(codes, source, "int8" if source[0] == "i" else "uint8")


def test_types_without_a_kernel_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="input 0 is uint64"):
        cast(np.zeros(2, np.uint64), "int8")
    with pytest.raises(UnsupportedError, match="output is complex128"):
        cast(np.zeros(2, np.float32), "complex128")


def test_bits_of_one_width_keep_the_shape() -> None:
    x = np.float32([[1, -2]])
    np.testing.assert_array_equal(convert("BITCAST", x, "float32", "int32"), x.view(np.int32))
    half = np.array([1, -2], ml_dtypes.bfloat16)
    np.testing.assert_array_equal(convert("BITCAST", half, "bfloat16", "uint16"), half.view(np.uint16))


def test_wider_bits_gain_a_dimension_and_narrower_ones_lose_it() -> None:
    x = np.arange(6, dtype=np.int32).reshape(2, 3)
    narrow = convert("BITCAST", x, "int32", "uint8")
    assert narrow.shape == (2, 3, 4)
    np.testing.assert_array_equal(narrow.reshape(-1), np.frombuffer(x.tobytes(), np.uint8))
    np.testing.assert_array_equal(convert("BITCAST", narrow, "uint8", "int32"), x)
    assert convert("BITCAST", np.zeros((0, 2), np.int16), "int16", "float32").shape == (0,)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_narrower_bits_need_a_last_dimension_of_the_ratio(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="expected a last dimension of 2"):
        convert("BITCAST", np.zeros(shape, np.int16), "int16", "int32")


def test_packed_and_string_bits_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="output is int4"):
        convert("BITCAST", np.zeros(2, np.int8), "int8", "int4")
    with pytest.raises(UnsupportedError, match="output is string"):
        convert("BITCAST", np.zeros(2, np.int64), "int64", "string")
