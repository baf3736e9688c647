"""Sparsity parameters: what fits is counted, what could lead out of the tensor is refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError
from qcore.model import Model, Table
from qcore.schema.sparsity import make_dense, stored_elements


def _parameters(order: list[int] | None, blocks: list[int] | None, *levels: dict[str, Any]) -> Table:
    fields = {"traversal_order": order, "block_map": blocks, "dim_metadata": [Table("DimensionMetadata", level) for level in levels]}
    return Table("SparsityParameters", fields)


def _dense(size: int) -> dict[str, Any]:
    return {"format": "DENSE", "dense_size": size}


def _compressed(segments: list[int], indices: list[int], dense_size: int = 0) -> dict[str, Any]:
    return {
        "format": "SPARSE_CSR",
        "dense_size": dense_size,
        "array_segments": Table("Int32Vector", {"values": np.array(segments, np.int32)}),
        "array_indices": Table("Uint16Vector", {"values": np.array(indices, np.uint16)}),
    }


@pytest.mark.parametrize(
    ("parameters", "shape", "count"),
    [
        pytest.param(_parameters([0, 1], None, _dense(2), _compressed([0, 1, 3], [2, 0, 3])), (2, 4), 3, id="rows"),
        pytest.param(_parameters([1, 0], None, _dense(4), _compressed([0, 1, 1, 1, 2], [1, 0])), (2, 4), 2, id="columns"),
        pytest.param(_parameters([0, 1], None, _compressed([0, 1], [1]), _compressed([0, 2], [0, 3])), (2, 4), 2, id="both"),
        pytest.param(
            _parameters([0, 1, 2, 3], [0, 1], _dense(2), _compressed([0, 1, 2], [0, 1]), _dense(2), _dense(2)), (4, 4), 8, id="2x2 blocks"
        ),
        pytest.param(_parameters([0, 1, 2], [1], _dense(2), _compressed([0, 0, 1], [0]), _dense(4)), (2, 8), 4, id="1x4 blocks"),
        pytest.param(_parameters([], None), (), 1, id="a scalar"),
        pytest.param(_parameters([0], None, _compressed([0, 0], [])), (5,), 0, id="nothing"),
    ],
)
def test_stored_elements_are_counted(parameters: Table, shape: tuple[int, ...], count: int) -> None:
    assert stored_elements(parameters, shape, "t") == count


@pytest.mark.parametrize(
    ("parameters", "shape", "message"),
    [
        (_parameters(None, None), (2,), "t, sparsity: traversal order [] does not list 1 outer dimensions"),
        (_parameters([0, 0], None, _dense(2), _dense(2)), (2, 2), "t, sparsity: traversal order [0, 0] does not list 2"),
        (_parameters([1, 0], [0], _dense(2), _dense(2)), (2,), "t, sparsity: traversal order [1, 0] does not list 1"),
        (_parameters([0, 1], None, _dense(2)), (2, 2), "t, sparsity: the traversal order has 2 levels, of which 0 are of blocks, got"),
        (_parameters([0, 1], None, _dense(2), _dense(2)), (2,), "t, sparsity: the traversal order has 2 levels, of which 1 are of"),
        (_parameters([0, 1], [1], _dense(2), _dense(2)), (4,), "t, sparsity: block map [1], expected different dimensions of 1"),
        (_parameters([0, 1], [0], _dense(2), _dense(3)), (4,), "t, sparsity: blocks of 3 do not divide dimension 0 of size 4"),
        (_parameters([0, 1], [0], _dense(2), _dense(0)), (4,), "t, sparsity: blocks of 0 do not divide dimension 0 of size 4"),
        (_parameters([0], None, _dense(3)), (2,), "t, sparsity, level 0: dense size 3, dimension 0 has 2"),
        (_parameters([0], None, {"format": "SPARSE_CSR"}), (2,), "t, sparsity, level 0: expected 2 segments that rise from 0"),
        (_parameters([0], None, _compressed([0, 1, 1], [0])), (2,), "t, sparsity, level 0: expected 2 segments that rise from 0"),
        (_parameters([0], None, _compressed([1, 1], [0])), (2,), "t, sparsity, level 0: expected 2 segments that rise from 0"),
        (_parameters([0], None, _compressed([0, 2], [0])), (2,), "t, sparsity, level 0: expected 2 segments that rise from 0"),
        (_parameters([0, 1], None, _dense(2), _compressed([0, 2, 1], [0])), (2, 2), "t, sparsity, level 1: expected 3 segments"),
        (_parameters([0], None, _compressed([0, 2], [0, 2])), (2,), "t, sparsity, level 0: indices go from 0 to 2, the dimension has 2"),
    ],
)
def test_what_does_not_fit_is_refused(parameters: Table, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ModelError, match=f"^{re.escape(message)}"):
        stored_elements(parameters, shape, "t")


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        (_parameters([0, 1], None, _dense(2), _compressed([0, 1, 3], [2, 0, 3])), [[0, 0, 1, 0], [2, 0, 0, 3]]),
        (_parameters([1, 0], None, _dense(4), _compressed([0, 1, 1, 1, 2], [1, 0])), [[0, 0, 0, 2], [1, 0, 0, 0]]),
        (_parameters([0, 1], None, _compressed([0, 1], [1]), _compressed([0, 2], [0, 3])), [[0, 0, 0, 0], [1, 0, 0, 2]]),
        (_parameters([0, 1], None, _compressed([0, 1], [1]), _dense(4)), [[0, 0, 0, 0], [1, 2, 3, 4]]),
        (_parameters([1, 0], None, _dense(4), _dense(2)), [[1, 3, 5, 7], [2, 4, 6, 8]]),
        (_parameters([0, 1, 2], [1], _dense(2), _compressed([0, 1, 2], [1, 0]), _dense(2)), [[0, 0, 1, 2], [3, 4, 0, 0]]),
        (_parameters([0, 1, 2, 3], [0, 1], _dense(1), _compressed([0, 1], [1]), _dense(2), _dense(2)), [[0, 0, 1, 2], [0, 0, 3, 4]]),
        (_parameters([0, 1, 3, 2], [0, 1], _dense(1), _compressed([0, 1], [1]), _dense(2), _dense(2)), [[0, 0, 1, 3], [0, 0, 2, 4]]),
        (_parameters([0, 1, 3, 2], [0, 1], _dense(1), _dense(1), _dense(4), _dense(2)), [[1, 3, 5, 7], [2, 4, 6, 8]]),
    ],
)
def test_stored_elements_stand_where_the_levels_say(parameters: Table, wanted: list[list[int]]) -> None:
    """1, 2, ... in the order in which they are stored, in a 2x4 matrix."""
    count = stored_elements(parameters, (2, 4), "t")
    assert make_dense(np.arange(1, count + 1), parameters, (2, 4)).tolist() == wanted


def test_a_tensor_without_elements_stays_so() -> None:
    parameters = _parameters([0, 1], None, _dense(2**30), _dense(0))
    assert stored_elements(parameters, (2**30, 0), "t") == 0
    assert make_dense(np.zeros(0), parameters, (2**30, 0)).shape == (2**30, 0)


def test_a_buffer_too_short_for_its_stored_elements_is_refused(rich_model: Model) -> None:
    from qcore.schema.check import check

    buffer = rich_model.tensor("sparse").buffer
    assert buffer.data is not None
    buffer.data = buffer.data[:-1]
    with pytest.raises(ModelError, match="its buffer has 7 bytes, 8 elements of int8 take 8"):
        check(rich_model)
