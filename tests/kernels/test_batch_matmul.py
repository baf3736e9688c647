"""BATCH_MATMUL: expectations that can be worked out by hand, agreement with NumPy's products, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import QCoreError
from tests.conformance.harness import T, one_operator, random_inputs, run_qcore


def run(x: T, y: T, output: T, *values: Any, **options: Any) -> np.ndarray:
    """One BATCH_MATMUL; values of the operands that are no constants, in order."""
    model = one_operator("BATCH_MATMUL", [x, y], [output], options)
    tensors = [model.subgraphs[0].tensors[i] for i in model.subgraphs[0].inputs]
    return run_qcore(model, [np.asarray(v, t.dtype).reshape(t.shape) for v, t in zip(values, tensors, strict=True)])[0]


@pytest.mark.parametrize("adj_x", [False, True])
@pytest.mark.parametrize("adj_y", [False, True])
@pytest.mark.parametrize("batches", [((), ()), ((2,), (2,)), ((3, 2), (2,)), ((2,), (3, 1)), ((1, 1, 2), (3, 2, 1)), ((1,), (0,))])
def test_batches_broadcast_and_operands_swap(adj_x: bool, adj_y: bool, batches: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 9, (*batches[0], 2, 3)).astype(np.float32)
    y = rng.integers(-9, 9, (*batches[1], 3, 4)).astype(np.float32)
    wanted = np.matmul(x, y)
    x, y = x.swapaxes(-1, -2) if adj_x else x, y.swapaxes(-1, -2) if adj_y else y
    got = run(T("float32", x.shape), T("float32", y.shape), T("float32", wanted.shape), x, y, adj_x=adj_x, adj_y=adj_y)
    assert got.shape == wanted.shape
    assert (got == wanted).all()


@pytest.mark.parametrize("constant", [False, True])
def test_zero_points_of_all_three(constant: bool) -> None:
    y = [[10, 11], [12, 13]]
    operand = T("int8", (2, 2), 0.5, 10, value=y if constant else None)
    values = ([4, 5],) if constant else ([4, 5], y)
    assert run(T("int8", (1, 2), 1, 3), operand, T("int8", (1, 2), 0.5, -1), *values).tolist() == [[0 + 2 * 2 - 1, 1 + 2 * 3 - 1]]


@pytest.mark.parametrize("constant", [False, True])
def test_int32_output_is_the_sum_without_zero_points(constant: bool) -> None:
    y = [[100, 1], [100, 2]]
    operand = T("int8", (2, 2), 0.5, 10, value=y if constant else None)
    values = ([100, 127],) if constant else ([100, 127], y)
    assert run(T("int8", (1, 2), 1, 3), operand, T("int32", (1, 2)), *values).tolist() == [[22700, 354]]


def test_int8_ties_are_rounded_twice() -> None:
    """Half of odd numbers: -1/2 becomes 0, 1/2 becomes 1, since the first rounding has its ties go up."""
    got = run(T("int8", (6, 1), 0.5), T("int8", (1, 1), 1), T("int8", (6, 1), 1), [-1, 1, -3, 3, 5, -5], [1])
    assert got.ravel().tolist() == [0, 1, -1, 2, 3, -2]


def test_int16_multipliers_have_15_bits() -> None:
    """20000 * 1.00002 is 20000.4; reduced to 15 bits, the multiplier loses what lies above one."""
    x, y = T("int16", (1, 1), 1.00002), T("int16", (1, 1), 1)
    assert run(x, y, T("int16", (1, 1), 1), 32000, 1).tolist() == [[32000]]
    assert run(x, y, T("int16", (1, 1), 2), 32767, 1).tolist() == [[16384]]


@pytest.mark.parametrize("y_type", ["int8", "int16"])
def test_int16_by_int8_or_int16(y_type: str) -> None:
    y = T(y_type, (2, 1), 0.5, value=[[100], [-100]])
    assert run(T("int16", (2, 2), 0.5), y, T("int16", (2, 1), 25), [300, 0, 0, 3]).tolist() == [[300], [-3]]


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_columns_have_their_own_scales_and_no_zero_point(dtype: str) -> None:
    y = T("int8", (2, 2), [1, 2], [3, 4], axis=1, value=[[1, 2], [3, 4]])
    assert run(T(dtype, (1, 2), 1), y, T(dtype, (1, 2), 1), [5, 7]).tolist() == [[26, 76]]


def test_dynamic_range_quantizes_each_row_by_its_own_range() -> None:
    """In every batch, rank 4 included, where TensorFlow Lite takes the scale of another row."""
    x = np.zeros((2, 2, 2, 2), np.float32)
    x[..., 0] = 127 * 2.0 ** np.arange(8).reshape(2, 2, 2)
    y = T("int8", (2, 3), [1, 2, 0.5], axis=1, value=[[1, 2, 4], [9, 9, 9]])
    wanted = x[..., :1] * np.array([1, 4, 2], np.float32)
    assert (run(T("float32", x.shape), y, T("float32", (2, 2, 2, 3)), x) == wanted).all()


@pytest.mark.parametrize("adj_y", [False, True])
def test_dynamic_range_follows_asymmetric_quantize_inputs(adj_y: bool) -> None:
    y = T("int8", (1, 2) if adj_y else (2, 1), 0.5, value=[2, 1])
    output = T("float32", (1, 1))
    assert run(T("float32", (1, 2)), y, output, [255, 1], adj_y=adj_y, asymmetric_quantize_inputs=True).tolist() == [[255.5]]
    assert run(T("float32", (1, 2)), y, output, [127, -127], adj_y=adj_y).tolist() == [[63.5]]


def test_dynamic_range_broadcasts_x() -> None:
    x, y = T("float32", (1, 2, 2)), T("int8", (3, 2, 1), 1)
    got = run(x, y, T("float32", (3, 2, 1)), [[127, 0], [254, 127]], [[1, 0], [2, 0], [0, 3]])
    assert got.ravel().tolist() == [127, 254, 254, 508, 0, 384]


@pytest.mark.parametrize(
    "types", [("float32",) * 3, ("int8",) * 3, ("int8", "int8", "int32"), ("int16",) * 3, ("float32", "int8", "float32")]
)
@pytest.mark.parametrize("shapes", [((0, 3), (3, 2)), ((2, 0), (0, 3)), ((2, 3), (3, 0)), ((0, 2, 3), (3, 2))])
def test_empty_operands(types: tuple[str, str, str], shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    """A sum of nothing is 0, whose code is the zero point."""
    x, y, output = (T(t, s, None if t in ("float32", "int32") else 1) for t, s in zip(types, (*shapes, (1, 1)), strict=True))
    if types[2] == "int8":
        output.zero_point = 5
    model = one_operator("BATCH_MATMUL", [x, y], [output])
    got = run_qcore(model, random_inputs(model, np.random.default_rng(0)))[0]
    assert got.shape == (*shapes[0][:-1], shapes[1][-1])
    assert (got == (5 if types[2] == "int8" else 0)).all()


F, I8 = T("float32", (2, 3)), T("int8", (2, 3), 1)


@pytest.mark.parametrize(
    ("x", "y", "output", "message"),
    [
        (F, T("float32", (4, 2)), T("float32", (2, 2)), r"x \[2, 3\] has 3 columns, y \[4, 2\] has 4 rows"),
        (T("float32", (2, 1, 3)), T("float32", (3, 3, 2)), F, r"batches of x \[2, 1, 3\] and y \[3, 3, 2\]"),
        (T("float32", (3,)), T("float32", (3, 2)), F, "has rank 1"),
        (T("float32", (1, 1, 1, 1, 2, 3)), T("float32", (3, 2)), F, "has rank 6"),
        (F, T("int16", (3, 2), 1), F, "x is float32 and y int16, qcore has float32 by float32"),
        (I8, T("int8", (3, 2), 1), T("float32", (2, 2)), "output is float32, expected int8 or int32"),
        (I8, T("int8", (3, 2), [1, 1, 1], axis=0), T("int8", (2, 2), 1), "y has 3 scales along axis 0, expected one, or 2 along axis 1"),
        (I8, T("int8", (3, 2), 1), T("int8", (2, 2), 0), "output has scale 0.0"),
        (F, T("int8", (3, 2)), T("float32", (2, 2)), "has no scale"),
        (F, T("int8", (3, 2), [1, 1, 1], axis=0), T("float32", (2, 2)), "y has 3 scales along axis 0, expected one, or 2 along axis 1"),
        (T("int16", (2, 3), 1), T("int8", (3, 2), 1, 5), T("int16", (2, 2), 1), r"zero points are \(0, 5, 0\), expected 0"),
        (T("uint8", (2, 3), 1), T("uint8", (3, 2), 1), T("uint8", (2, 2), 1), "input 0 is uint8, qcore has float32, int8, int16"),
    ],
)
def test_refusals(x: T, y: T, output: T, message: str) -> None:
    with pytest.raises(QCoreError, match=r"^BATCH_MATMUL \(op 0.*" + message):
        run(x, y, output, np.zeros(x.shape), np.zeros(y.shape))
