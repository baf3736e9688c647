"""EMBEDDING_LOOKUP_SPARSE: sums that can be worked out by hand, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import QCoreError
from tests.conformance.harness import T, one_operator, run_qcore

TABLE = np.array([[0, 1], [10, 11], [20, 21], [30, 31]])


def run(ids: Any, indices: Any, shape: Any, weights: Any, combiner: str = "SUM", table: Any = TABLE) -> np.ndarray:
    arrays = [np.asarray(value, np.int32) for value in (ids, indices, shape)]
    arrays += [np.asarray(value, np.float32) for value in (weights, table)]
    inputs = [T(str(array.dtype), array.shape) for array in arrays]
    model = one_operator("EMBEDDING_LOOKUP_SPARSE", inputs, [T("float32", (1,))], {"combiner": combiner})
    return run_qcore(model, arrays)[0]


@pytest.mark.parametrize(
    ("combiner", "wanted"),
    [("SUM", [[40, 47], [0, 0], [90, 93]]), ("MEAN", [[40 / 7, 47 / 7], [0, 0], [30, 31]]), ("SQRTN", [[8, 9.4], [0, 0], [30, 31]])],
)
def test_examples_combine_their_rows(combiner: str, wanted: list[list[float]]) -> None:
    """Rows 1 and 0 with weights 4 and 3 for the first example, none for the second, row 3 three times over for the third."""
    got = run([1, 0, 3], [[0, 0], [0, 1], [2, 0]], [3, 2], [4, 3, 3], combiner)
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_examples_of_two_axes_and_rows_of_two() -> None:
    got = run([1, 0], [[0, 1, 0], [1, 0, 5]], [2, 2, 9], [1, 2], table=np.arange(8).reshape(2, 2, 2))
    assert got.shape == (2, 2, 2, 2)
    assert got.reshape(4, 4).tolist() == [[0] * 4, [4, 5, 6, 7], [0, 2, 4, 6], [0] * 4]


def test_an_example_that_comes_back_is_divided_again() -> None:
    """(20 / 2 + 30) / 2."""
    assert run([1, 0, 3], [[0, 0], [1, 0], [0, 1]], [2, 2], [2, 1, 2], "MEAN")[0].tolist() == [35, 36.5]


def test_no_lookups_and_no_examples() -> None:
    assert run([], np.zeros((0, 2)), [3, 2], []).tolist() == [[0, 0]] * 3
    assert run([], np.zeros((0, 2)), [0, 2], []).shape == (0, 2)


@pytest.mark.parametrize(
    ("ids", "indices", "shape", "message"),
    [
        ([4], [[0, 0]], [1, 1], "index 4 is out of range, there are 4"),
        ([-1], [[0, 0]], [1, 1], "index -1 is out of range"),
        ([0], [[1, 0]], [1, 1], "index 1 is out of range, there are 1"),
        ([0], [[0, 0]], [-1, 1], "expected sizes from 0"),
        ([0], [[0, 0]], [1], r"indices have 2 numbers, the shape of the examples \[1\]"),
        ([0, 1], [[0, 0]], [1, 1], "expected one of 1 lookups each"),
        ([0], [[0, 0]], [2**29, 1], "the memory limit is"),
    ],
)
def test_refusals(ids: Any, indices: Any, shape: Any, message: str) -> None:
    with pytest.raises(QCoreError, match=r"^EMBEDDING_LOOKUP_SPARSE \(op 0.*" + message):
        run(ids, indices, shape, [1])
