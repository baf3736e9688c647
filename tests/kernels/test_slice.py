"""Part of a tensor: by begin and size, and by begin, end, stride and masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import qcore
from qcore.errors import ModelError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore


def vector(values: list[int], dtype: str = "int32") -> T:
    return T(dtype, (len(values),), value=values)


def slice_(x: Any, begin: list[int], size: list[int], dtype: str = "int32") -> Any:
    ins = [T(x.dtype.name, x.shape), vector(begin, dtype), vector(size, dtype)]
    return run_qcore(one_operator("SLICE", ins, [T(x.dtype.name, ())]), [x])[0]


def strided(x: Any, begin: list[int], end: list[int], strides: list[int], **options: Any) -> Any:
    ins = [T(x.dtype.name, x.shape), vector(begin), vector(end), vector(strides)]
    return run_qcore(one_operator("STRIDED_SLICE", ins, [T(x.dtype.name, ())], options), [x])[0]


X = np.arange(60, dtype=np.int8).reshape(3, 4, 5)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_slice(dtype: str) -> None:
    np.testing.assert_array_equal(slice_(X, [1, 0, 2], [2, -1, 1], dtype), X[1:3, :, 2:3])
    assert slice_(X, [3, 0, 0], [-1, 4, 5], dtype).shape == (0, 4, 5)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int16", "int32", "int64", "bool", "float64"])
def test_slice_of_every_type(dtype: str) -> None:
    x = (np.arange(4) % 2).astype(dtype)
    np.testing.assert_array_equal(slice_(x, [1], [2]), x[1:3])


def test_slice_of_strings() -> None:
    x = np.array([b"a", b"bc", b""], object)
    model = one_operator("SLICE", [T("string", (3,)), vector([1]), vector([2])], [T("string", ())])
    assert run_qcore(model, [x])[0].tolist() == [b"bc", b""]


@pytest.mark.parametrize(("begin", "size"), [(-1, 1), (0, 6), (6, -1), (3, 3), (0, -2), (2**31 - 1, 2**31 - 1)])
def test_slice_refuses_to_reach_out(begin: int, size: int) -> None:
    with pytest.raises(ModelError, match=f"begin {begin} and size {size} reach out of axis 0, which is 5 long"):
        slice_(np.zeros(5, np.int8), [begin], [size])


def test_vectors_of_unknown_length_are_not_judged_before_they_are_known() -> None:
    """A file that leaves all shapes open has vectors of 1 in the place of begin and size."""
    model = one_operator("SLICE", [T("int8", (3, 4, 5)), T("int32", (1,)), T("int32", (1,))], [T("int8", (1, 1, 1))])
    interpreter = qcore.Interpreter(model_content=model)
    interpreter.allocate_tensors()
    for details in interpreter.get_input_details()[1:]:
        interpreter.resize_tensor_input(details["index"], [3])
        interpreter.allocate_tensors()
    for details, array in zip(interpreter.get_input_details(), (X, np.int32([1, 0, 2]), np.int32([2, -1, 1])), strict=True):
        interpreter.set_tensor(details["index"], array)
    interpreter.invoke()
    np.testing.assert_array_equal(interpreter.get_tensor(3), X[1:3, :, 2:3])


def test_slice_refuses_vectors_of_another_length() -> None:
    with pytest.raises(ModelError, match=r"is \[2\], expected \[3\]"):
        slice_(X, [0, 0], [1, 1])


@pytest.mark.parametrize("stride", [1, 2, 3, 7, -1, -2, -7])
@pytest.mark.parametrize("begin", [-7, -5, -2, 0, 1, 4, 5, 9])
def test_bounds_clamp_as_in_python(begin: int, stride: int) -> None:
    x = np.arange(5, dtype=np.int8)
    for end in (-7, -6, -3, 0, 2, 4, 5, 8):
        np.testing.assert_array_equal(strided(x, [begin], [end], [stride]), x[begin:end:stride])


def test_masked_bounds_are_left_away() -> None:
    np.testing.assert_array_equal(strided(X, [1, 1, 1], [2, 2, 2], [1, 2, -1], begin_mask=0b101, end_mask=0b110), X[:2, 1::2, ::-1])


def test_axes_without_an_entry_are_whole() -> None:
    np.testing.assert_array_equal(strided(X, [1], [2], [1]), X[1:2])


def test_shrunk_axes_go() -> None:
    np.testing.assert_array_equal(strided(X, [-1, 0], [0, 2], [1, 1], shrink_axis_mask=1), X[-1, :2])
    last = strided(X, [2, 3, 4], [0, 0, 0], [1, 1, 1], shrink_axis_mask=7)
    assert last.shape == () and last == 59


def test_a_shrunk_axis_clamps_to_its_first_element() -> None:
    np.testing.assert_array_equal(strided(X, [-9], [0], [1], shrink_axis_mask=1), X[0])


def test_new_axes_come() -> None:
    got = strided(X, [0, 1, 0], [0, 3, 0], [1, 1, 1], new_axis_mask=0b101)
    np.testing.assert_array_equal(got, X[None, 1:3, None])


def test_an_ellipsis_stands_for_what_is_left() -> None:
    np.testing.assert_array_equal(strided(X, [0, 1], [0, 3], [1, 1], ellipsis_mask=1), X[..., 1:3])
    np.testing.assert_array_equal(strided(X, [1, 0, 1], [2, 0, 3], [1, 1, 1], ellipsis_mask=2), X[1:2, ..., 1:3])
    np.testing.assert_array_equal(strided(X, [1, 0, 0], [0, 0, 0], [1, 1, 1], ellipsis_mask=2, new_axis_mask=4), X[1:0, ..., None])


def test_an_ellipsis_stands_for_one_axis_at_least_and_later_entries_are_ignored() -> None:
    """Here TensorFlow Lite departs from TensorFlow, which takes x[0:1]."""
    x = np.arange(3, dtype=np.int8)
    np.testing.assert_array_equal(strided(x, [0, 0], [0, 1], [1, 1], ellipsis_mask=1), x)
    np.testing.assert_array_equal(strided(x, [0, 0], [2, 1], [1, 1]), x[:2])


def test_offset_counts_end_from_begin() -> None:
    np.testing.assert_array_equal(strided(X, [1, -3, 0], [2, 2, 5], [1, 1, 2], offset=True), X[1:3, 1:3, ::2])
    with pytest.raises(ModelError, match="entry 0 takes 3 from 1 on, the axis is 3 long"):
        strided(X, [1, 0, 0], [3, 4, 5], [1, 1, 1], offset=True)
    with pytest.raises(ModelError, match="offset needs an entry for every axis"):
        strided(X, [1], [2], [1], offset=True)


def test_strided_refusals() -> None:
    with pytest.raises(ModelError, match="stride of entry 1 is 0"):
        strided(X, [0, 0], [1, 1], [1, 0])
    with pytest.raises(ModelError, match="entry 0 takes element 3 at stride 1, the axis is 3 long"):
        strided(X, [3], [4], [1], shrink_axis_mask=1)
    with pytest.raises(ModelError, match="entry 0 takes element 1 at stride -1"):
        strided(X, [1], [0], [-1], shrink_axis_mask=1)
    with pytest.raises(ModelError, match=r"entries \[0, 1\] are ellipses, expected one at most"):
        strided(X, [0, 0], [0, 0], [1, 1], ellipsis_mask=3)
    with pytest.raises(ModelError, match="entry 1 stands for axis 1, the input has 1 axes"):
        strided(X[0, 0], [0, 0, 0], [0, 1, 0], [1, 1, 1], ellipsis_mask=1, new_axis_mask=4)
    with pytest.raises(ModelError, match="has 2 entries, begin 1"):
        strided(X, [0], [0, 0], [1, 1])
    with pytest.raises(ModelError, match="has 32 entries, at most 31"):
        strided(X, [0] * 32, [0] * 32, [1] * 32)
    model = one_operator("STRIDED_SLICE", [T("int8", (4,)), vector([0], "int64"), vector([1]), vector([1])], [T("int8", ())])
    with pytest.raises(UnsupportedError, match="is int64, qcore has int32"):
        run_qcore(model, [np.zeros(4, np.int8)])
