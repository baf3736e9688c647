"""Reductions by label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore

LOWEST = float(np.finfo(np.float32).min)


def segments(name: str, x: Any, ids: Any, count: int | None = None, run_time: bool = False) -> Any:
    """The result of one reduction by label; run_time makes ids and count inputs of the model."""
    x, ids = np.asarray(x), np.asarray(ids, np.int32)
    ins = [T(x.dtype.name, x.shape), T("int32", ids.shape, value=None if run_time else ids)]
    if count is not None:
        ins.append(T("int32", (1,), value=None if run_time else [count]))
    late = [ids, *([] if count is None else [np.array([count], np.int32)])] if run_time else []
    return run_qcore(one_operator(name, ins, [T(x.dtype.name, ())]), [x, *late])[0]


X = np.array([[1, 2], [3, 4], [5, 6], [7, 8]])


@pytest.mark.parametrize("run_time", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("UNSORTED_SEGMENT_SUM", [[10, 12], [1, 2], [0, 0]]),
        ("UNSORTED_SEGMENT_PROD", [[21, 32], [1, 2], [1, 1]]),
        ("UNSORTED_SEGMENT_MAX", [[7, 8], [1, 2], None]),
        ("UNSORTED_SEGMENT_MIN", [[3, 4], [1, 2], None]),
    ],
)
def test_rows_go_where_their_id_says_and_negative_ids_nowhere(name: str, want: list[Any], dtype: str, run_time: bool) -> None:
    lowest, greatest = (LOWEST, -LOWEST) if dtype == "float32" else (-(2**31), 2**31 - 1)
    empty = [lowest if name.endswith("MAX") else greatest] * 2
    got = segments(name, X.astype(dtype), [1, 0, -1, 0], 3, run_time)
    np.testing.assert_array_equal(got, np.array([row or empty for row in want], dtype))


def test_ids_of_two_axes_leave_the_rest_as_a_row() -> None:
    got = segments("UNSORTED_SEGMENT_SUM", np.arange(8, dtype=np.int32).reshape(2, 2, 2), [[0, 1], [1, 1]], 2)
    assert got.tolist() == [[0, 1], [2 + 4 + 6, 3 + 5 + 7]]
    assert segments("UNSORTED_SEGMENT_SUM", X.astype(np.int32), np.zeros((4, 2)), 1).tolist() == [36]


@pytest.mark.parametrize("run_time", [False, True])
def test_sorted_sums_have_as_many_segments_as_the_ids_tell(run_time: bool) -> None:
    assert segments("SEGMENT_SUM", X.astype(np.int32), [0, 0, 1, 2], run_time=run_time).tolist() == [[4, 6], [5, 6], [7, 8]]
    assert segments("SEGMENT_SUM", np.zeros((0, 2), np.int32), np.zeros(0), run_time=run_time).shape == (0, 2)


def test_nan_is_no_extreme_and_integers_wrap() -> None:
    x = np.array([np.nan, 1, np.nan], np.float32)
    assert segments("UNSORTED_SEGMENT_MAX", x, [0, 0, 1], 2).tolist() == [1, LOWEST]
    assert segments("UNSORTED_SEGMENT_PROD", np.array([2**30, 4], np.int32), [0, 0], 1).tolist() == [0]
    assert segments("SEGMENT_SUM", np.array([2**31 - 1, 1], np.int32), [0, 0]).tolist() == [-(2**31)]


@pytest.mark.parametrize("ids", [[1, 1, 2, 3], [0, 2, 2, 3], [0, 1, 0, 1], [-1, 0, 1, 2]])
def test_refuses_ids_that_do_not_grow_by_one(ids: list[int]) -> None:
    for run_time in (False, True):
        with pytest.raises(ModelError, match=r"SEGMENT_SUM \(op 0.*do not grow from 0 by at most 1"):
            segments("SEGMENT_SUM", X.astype(np.int32), ids, run_time=run_time)


def test_refusals() -> None:
    x = X.astype(np.int32)
    with pytest.raises(ModelError, match="num_segments is 2, but segment_ids go up to 2"):
        segments("UNSORTED_SEGMENT_SUM", x, [0, 1, 2, 0], 2)
    with pytest.raises(ModelError, match="num_segments is -1"):
        segments("UNSORTED_SEGMENT_SUM", x, [-1, -1, -1, -1], -1)
    with pytest.raises(ModelError, match=r"segment_ids are \[3\], expected the first axes of \[4, 2\]"):
        segments("UNSORTED_SEGMENT_SUM", x, [0, 1, 2], 3)
    with pytest.raises(UnsupportedError, match="input 0 is int8"):
        segments("UNSORTED_SEGMENT_MAX", X.astype(np.int8), [0, 0, 0, 0], 1)
    with pytest.raises(ModelError, match="memory limit"):
        segments("UNSORTED_SEGMENT_SUM", x, [0, 0, 0, 0], 2**31 - 1)
