"""Tensors joined along an old axis or a new one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore


def join(name: str, arrays: list[Any], quantized: list[tuple[Any, int]] | None = None, **options: Any) -> Any:
    """Inputs and output, in this order, have these scales and zero points."""
    arrays = [np.asarray(x) for x in arrays]
    scales = quantized or [(None, 0)] * (len(arrays) + 1)
    dtype = arrays[0].dtype.name
    ins = [T(x.dtype.name, x.shape, scale, zero_point) for x, (scale, zero_point) in zip(arrays, scales, strict=False)]
    return run_qcore(one_operator(name, ins, [T(dtype, (), *scales[-1])], options), arrays)[0]


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8", "int16", "int32", "int64", "bool", "uint32"])
@pytest.mark.parametrize("axis", [-3, -1, 0, 1, 2])
def test_concatenation_keeps_values_and_order(dtype: str, axis: int) -> None:
    shapes = [[2, 3, 4] for _ in range(3)]
    for size, shape in zip((1, 0, 5), shapes, strict=True):
        shape[axis] = size
    arrays = [(np.arange(np.prod(shape)).reshape(shape) % 7).astype(dtype) for shape in shapes]
    got = join("CONCATENATION", arrays, axis=axis)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.concatenate(arrays, axis))


def test_uint8_inputs_are_requantized_to_the_output() -> None:
    """At twice the output's scale, and about another zero point, half way cases go away from zero and codes saturate."""
    codes = np.array([0, 99, 100, 101, 200, 255], np.uint8)
    got = join("CONCATENATION", [codes, codes], [(0.5, 100), (0.25, 10), (0.5, 100)], axis=0)
    assert got.tolist() == [*codes, 95, 145, 145, 146, 195, 223]
    got = join("CONCATENATION", [codes], [(2.0, 100), (1.0, 0)], axis=0)
    assert got.tolist() == [0, 0, 0, 2, 200, 255]


def test_constant_scalars_make_a_vector() -> None:
    ins = [T("int32", (), value=3), T("int32", (), value=5)]
    assert run_qcore(one_operator("CONCATENATION", ins, [T("int32", (2,))], {"axis": 0}), [])[0].tolist() == [3, 5]


def test_concatenation_refusals() -> None:
    x, y = np.zeros((2, 3), np.int8), np.zeros((2, 4), np.int8)
    with pytest.raises(ModelError, match=r"is \[2, 4\], .* \[2, 3\]: they may differ along axis 0 alone"):
        join("CONCATENATION", [x, y], axis=0)
    with pytest.raises(ModelError, match="axis 2 is out of range for rank 2"):
        join("CONCATENATION", [x, y], axis=2)
    with pytest.raises(ModelError, match="expected one type"):
        join("CONCATENATION", [x, y.astype(np.uint8)], axis=1)
    with pytest.raises(ModelError, match="expected 2"):
        join("CONCATENATION", [x, y[0]], axis=1)
    with pytest.raises(ModelError, match=r"scale 0.5 and zero point 0, .* 0.25 and 0, expected the same"):
        join("CONCATENATION", [x, y], [(0.5, 0), (0.25, 0), (0.25, 0)], axis=1)
    with pytest.raises(ModelError, match="int16 with zero point 3, expected 0"):
        join("CONCATENATION", [x.astype(np.int16)], [(0.5, 3), (0.5, 0)], axis=1)
    with pytest.raises(ModelError, match=r"whose scale is 0.0, expected more than 0"):
        join("CONCATENATION", [x.astype(np.uint8)], [(0.5, 3), (None, 0)], axis=1)
    with pytest.raises(UnsupportedError, match="fused activation RELU, expected NONE"):
        join("CONCATENATION", [x, y], axis=1, fused_activation_function="RELU")


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int16", "int32", "int64", "uint32"])
@pytest.mark.parametrize("axis", [-3, -2, -1, 0, 1, 2])
def test_pack_adds_an_axis(dtype: str, axis: int) -> None:
    arrays = [np.full((2, 3), value, dtype) for value in range(4)]
    np.testing.assert_array_equal(join("PACK", arrays, axis=axis, values_count=4), np.stack(arrays, axis))


def test_pack_of_scalars() -> None:
    assert join("PACK", [np.int32(4), np.int32(7)], axis=0, values_count=2).tolist() == [4, 7]


def test_no_output_has_more_axes_than_an_array_can_have() -> None:
    with pytest.raises(ModelError, match="the output has 33 axes, at most 32 are supported"):
        join("PACK", [np.zeros((1,) * 32, np.int8)], axis=0, values_count=1)


def test_pack_refusals() -> None:
    x = np.zeros((2, 3), np.int8)
    with pytest.raises(ModelError, match="values_count is 3, there are 1 inputs"):
        join("PACK", [x], axis=0, values_count=3)
    with pytest.raises(ModelError, match="axis 3 is out of range for rank 3"):
        join("PACK", [x], axis=3, values_count=1)
    with pytest.raises(ModelError, match="expected the same"):
        join("PACK", [x, x[:1]], axis=0, values_count=2)
    with pytest.raises(ModelError, match="expected the same"):
        join("PACK", [x], [(0.5, 1), (0.5, 2)], axis=0, values_count=1)
    with pytest.raises(UnsupportedError, match="input 0 is bool"):
        join("PACK", [x.astype(bool)], axis=0, values_count=1)
