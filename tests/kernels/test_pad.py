"""Tensors made larger with one value or with their mirror image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore


def pad(x: Any, paddings: Any, scale: Any = None, zero_point: int = 0, padding_type: str = "int32") -> Any:
    paddings = np.asarray(paddings).reshape(-1, 2)
    ins = [T(x.dtype.name, x.shape, scale, zero_point), T(padding_type, paddings.shape)]
    model = one_operator("PAD", ins, [T(x.dtype.name, (), scale, zero_point)])
    return run_qcore(model, [x, paddings.astype(padding_type)])[0]


def pad_v2(x: Any, paddings: Any, value: Any, scale: Any = None, value_scale: Any = None) -> Any:
    value = np.asarray(value, x.dtype)
    ins = [T(x.dtype.name, x.shape, scale), T("int32", np.shape(paddings), value=paddings), T(x.dtype.name, value.shape, value_scale)]
    return run_qcore(one_operator("PADV2", ins, [T(x.dtype.name, (), scale)]), [x, value])[0]


def mirror(x: Any, paddings: Any, mode: str) -> Any:
    ins = [T(x.dtype.name, x.shape), T("int64", np.shape(paddings), value=paddings)]
    return run_qcore(one_operator("MIRROR_PAD", ins, [T(x.dtype.name, ())], {"mode": mode}), [x])[0]


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8", "int16", "int32", "int64", "bool"])
@pytest.mark.parametrize("padding_type", ["int32", "int64", "int8", "int16"])
def test_pad_adds_zeros(dtype: str, padding_type: str) -> None:
    x = np.ones((2, 3), dtype)
    want = np.zeros((5, 4), dtype)
    want[1:3, 0:3] = 1
    np.testing.assert_array_equal(pad(x, [[1, 2], [0, 1]], padding_type=padding_type), want)


@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", -128), ("int8", 127), ("uint8", 255), ("uint8", 0), ("int16", 0)])
def test_pad_adds_the_zero_point_to_quantized_tensors(dtype: str, zero_point: int) -> None:
    assert pad(np.ones(1, dtype), [1, 1], 0.5, zero_point).tolist() == [zero_point, 1, zero_point]


def test_int32_is_padded_with_zero_whatever_its_zero_point() -> None:
    assert pad(np.ones(1, np.int32), [1, 0], 0.5, 3).tolist() == [0, 1]


def test_pad_of_a_scalar_and_of_nothing() -> None:
    assert pad(np.array(5, np.int8), []).tolist() == 5
    assert pad(np.zeros((0, 2), np.int8), [1, 0, 0, 0]).tolist() == [[0, 0]]


def test_pad_v2_brings_its_value() -> None:
    assert pad_v2(np.ones(1, np.int8), [[1, 2]], 7, 0.5, 0.5).tolist() == [7, 1, 7, 7]
    assert pad_v2(np.ones(1, np.float32), [[0, 1]], [np.inf]).tolist() == [1, np.inf]
    with pytest.raises(ModelError, match="scale 0.25 and zero point 0, .* 0.5 and 0, expected the same"):
        pad_v2(np.ones(1, np.int8), [[1, 2]], 7, 0.5, 0.25)
    with pytest.raises(ModelError, match="expected one value"):
        pad_v2(np.ones(1, np.int8), [[1, 2]], [7, 7])


def test_pad_refusals() -> None:
    x = np.zeros((2, 3), np.int8)
    with pytest.raises(ModelError, match="holds a negative number"):
        pad(x, [[0, -1], [0, 0]])
    with pytest.raises(ModelError, match=r"is \[1, 2\], expected \[2, 2\]"):
        pad(x, [[0, 1]])
    with pytest.raises(ModelError, match="rank 6"):
        pad(np.zeros((1,) * 6, np.int8), [[0, 0]] * 6)
    with pytest.raises(ModelError, match="the memory limit is"):
        pad(x, [[2**20, 0], [0, 2**20]])
    with pytest.raises(UnsupportedError, match="is float32, qcore has int32"):
        pad(x, [[0, 0], [0, 0]], padding_type="float32")


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int16", "int32", "int64", "bool"])
def test_mirrors(dtype: str) -> None:
    x = np.array([0, 1, 2]).astype(dtype)
    assert mirror(x, [[2, 1]], "REFLECT").tolist() == x[[2, 1, 0, 1, 2, 1]].tolist()
    assert mirror(x, [[3, 2]], "SYMMETRIC").tolist() == x[[2, 1, 0, 0, 1, 2, 2, 1]].tolist()


def test_both_axes_are_mirrored() -> None:
    x = np.arange(12, dtype=np.int8).reshape(3, 4)
    np.testing.assert_array_equal(mirror(x, [[2, 0], [1, 3]], "REFLECT"), np.pad(x, [[2, 0], [1, 3]], "reflect"))
    assert mirror(np.array(3, np.int8), np.zeros((0, 2)), "REFLECT").tolist() == 3


@pytest.mark.parametrize(("mode", "most"), [("REFLECT", 2), ("SYMMETRIC", 3)])
def test_no_mirror_image_is_longer_than_the_input(mode: str, most: int) -> None:
    mirror(np.zeros(3, np.int8), [[most, most]], mode)
    with pytest.raises(ModelError, match=f"at most {most} in mode {mode} for a size of 3"):
        mirror(np.zeros(3, np.int8), [[0, most + 1]], mode)
