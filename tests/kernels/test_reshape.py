"""The same values under another shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore


def reshape(
    x: Any, shape: list[int] | None = None, option: list[int] | None = None, constant: bool = True, shape_type: str = "int32"
) -> Any:
    """RESHAPE to a shape that comes as a tensor, as an option, or as both."""
    ins = [T(x.dtype.name, x.shape)]
    values = [x]
    if shape is not None:
        # A constant without elements is a buffer without bytes, which is no constant to the file.
        known = constant and len(shape) > 0
        ins.append(T(shape_type, (len(shape),), value=shape if known else None))
        values += [] if known else [np.array(shape, shape_type)]
    return run_qcore(one_operator("RESHAPE", ins, [T(x.dtype.name, ())], {} if option is None else {"new_shape": option}), values)[0]


@pytest.mark.parametrize("constant", [True, False])
def test_reshape_to_the_values_of_a_tensor(constant: bool) -> None:
    x = np.arange(12, dtype=np.int8).reshape(3, 4)
    for shape in ([12], [2, 6], [2, -1, 3], [-1], [1, 12, 1]):
        np.testing.assert_array_equal(reshape(x, shape, constant=constant), x.reshape(shape))


def test_reshape_to_an_option() -> None:
    x = np.arange(12, dtype=np.float32)
    np.testing.assert_array_equal(reshape(x, option=[4, -1]), x.reshape(4, 3))


def test_a_vector_of_int32_goes_before_the_option_and_the_option_before_anything_else() -> None:
    x = np.arange(6, dtype=np.int16)
    assert reshape(x, [2, 3], option=[6, 1]).shape == (2, 3)
    assert reshape(x, [2, 3], option=[6, 1], shape_type="int64").shape == (6, 1)


def test_scalars() -> None:
    x = np.array([[7]], np.int32)
    assert reshape(x, []).shape == ()
    assert reshape(x, option=[0]).shape == (), "legacy files write a scalar's shape so"
    assert reshape(x, option=[]).shape == ()
    assert reshape(x[0, 0], [1, -1]).shape == (1, 1)


@pytest.mark.parametrize(
    ("shape", "wanted", "got"), [((0, 3), [0], (0,)), ((0, 3), [-1], (0,)), ((0, 3), [-1, 5], (0, 5)), ((0, 6), [-1, 0, 2], (3, 0, 2))]
)
def test_reshape_without_elements(shape: tuple[int, ...], wanted: list[int], got: tuple[int, ...]) -> None:
    assert reshape(np.zeros(shape, np.int8), wanted).shape == got


@pytest.mark.parametrize("shape", [[5], [-1, -1], [-2, 3], [5, -1], [0, -1], [2**31 - 1, 2**31 - 1]])
def test_reshape_refuses_shapes_of_other_sizes(shape: list[int]) -> None:
    with pytest.raises(ModelError, match="RESHAPE .*(has not the elements of|expected one -1 at most)"):
        reshape(np.zeros((2, 3), np.int8), shape)


def test_reshape_refuses_more_axes_than_an_array_can_have() -> None:
    with pytest.raises(ModelError, match="has 33 axes, at most 32 are supported"):
        reshape(np.zeros(1, np.int8), [1] * 33)


def squeeze(shape: tuple[int, ...], axes: list[int]) -> tuple[int, ...]:
    model = one_operator("SQUEEZE", [T("int8", shape)], [T("int8", ())], {"squeeze_dims": axes})
    result: tuple[int, ...] = run_qcore(model, [np.zeros(shape, np.int8)])[0].shape
    return result


def test_squeeze() -> None:
    assert squeeze((1, 2, 1, 3), []) == (2, 3)
    assert squeeze((1, 2, 1, 3), [0]) == (2, 1, 3)
    assert squeeze((1, 2, 1, 3), [-2, 2]) == (1, 2, 3)
    assert squeeze((1, 1), []) == ()
    with pytest.raises(ModelError, match=r"axis 1 of .* \[1, 2\] is to go, but is not 1"):
        squeeze((1, 2), [1])
    with pytest.raises(ModelError, match="axis -3 is out of range for rank 2"):
        squeeze((1, 2), [-3])


def expand_dims(shape: tuple[int, ...], axis: Any, axis_type: str = "int32") -> tuple[int, ...]:
    model = one_operator("EXPAND_DIMS", [T("int8", shape), T(axis_type, np.shape(axis), value=axis)], [T("int8", ())])
    result: tuple[int, ...] = run_qcore(model, [np.zeros(shape, np.int8)])[0].shape
    return result


def test_expand_dims() -> None:
    assert expand_dims((2, 3), 0) == (1, 2, 3)
    assert expand_dims((2, 3), -1, "int64") == (2, 3, 1)
    assert expand_dims((2, 3), [-2]) == (2, 1, 3)
    assert expand_dims((), 0) == (1,)
    with pytest.raises(ModelError, match="axis 3 is out of range for rank 3"):
        expand_dims((2, 3), 3)
    with pytest.raises(ModelError, match="has 2 elements, expected 1"):
        expand_dims((2, 3), [0, 1])
    with pytest.raises(UnsupportedError, match="is int16, qcore has int32, int64"):
        expand_dims((2, 3), 0, "int16")
