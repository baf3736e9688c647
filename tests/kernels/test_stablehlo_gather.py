"""STABLEHLO_GATHER and STABLEHLO_SCATTER: windows that can be read off, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import QCoreError
from tests.conformance.harness import T, one_operator, run_qcore
from tests.kernels.bodies import with_body

GRID = np.arange(12).reshape(3, 4)


def run(operator: str, body: tuple[str, ...], options: dict[str, Any], *arrays: np.ndarray) -> list[Any]:
    options = {name: np.array(value) if isinstance(value, list) else value for name, value in options.items()}
    model = one_operator(operator, [T(str(array.dtype), array.shape) for array in arrays], [T(str(arrays[0].dtype), (1,))], options)
    if operator == "STABLEHLO_SCATTER":
        with_body(model, "update_computation_subgraph_index", *body, dtype=str(arrays[0].dtype))
    return run_qcore(model, arrays)[0].tolist()


def gather(indices: Any, operand: np.ndarray = GRID, **options: Any) -> list[Any]:
    """Rows of two elements by default."""
    defaults = {"offset_dims": [1], "collapsed_slice_dims": [0], "start_index_map": [0, 1], "index_vector_dim": 1, "slice_sizes": [1, 2]}
    return run("STABLEHLO_GATHER", (), defaults | options, operand, np.array(indices, np.int32))


def scatter(indices: Any, updates: Any, *body: str, operand: np.ndarray = GRID, **options: Any) -> list[Any]:
    """Rows of two elements by default."""
    defaults = {"update_window_dims": [1], "inserted_window_dims": [0], "scatter_dims_to_operand_dims": [0, 1], "index_vector_dim": 1}
    return run("STABLEHLO_SCATTER", body, defaults | options, operand, np.array(indices, np.int32), np.array(updates, operand.dtype))


def test_windows_are_fetched_and_moved_back_into_the_operand() -> None:
    assert gather([[0, 1], [2, 0]]) == [[1, 2], [8, 9]]
    assert gather([[0, 3], [9, 9], [-5, -5]]) == [[2, 3], [10, 11], [0, 1]]


def test_start_vectors_along_another_axis_and_in_another_order() -> None:
    assert gather([[0, 2], [1, 0]], index_vector_dim=0) == [[1, 2], [8, 9]]
    assert gather([[1, 0], [0, 2]], start_index_map=[1, 0]) == [[1, 2], [8, 9]]
    assert gather([[1], [0]], start_index_map=[0]) == [[4, 5], [0, 1]]


def test_where_window_axes_stand_in_the_result() -> None:
    assert gather([[0, 1], [2, 0]], offset_dims=[0]) == [[1, 8], [2, 9]]
    whole = gather([[0, 1], [2, 0]], offset_dims=[0, 2], collapsed_slice_dims=[], slice_sizes=[1, 2])
    assert whole == [[[1, 2], [8, 9]]]


def test_a_single_window_and_none() -> None:
    assert gather([1, 1], index_vector_dim=0, offset_dims=[0]) == [5, 6]
    assert gather(np.zeros((0, 2))) == []
    assert gather([[0, 1]], slice_sizes=[1, 0]) == [[]]


def test_updates_replace_elements() -> None:
    wanted = GRID.tolist()
    wanted[0][1:3], wanted[2][:2] = [-1, -2], [-3, -4]
    assert scatter([[0, 1], [2, 0]], [[-1, -2], [-3, -4]]) == wanted
    assert scatter([[0, 2], [1, 0]], [[-1, -2], [-3, -4]], index_vector_dim=0) == wanted
    assert scatter([[0, 1], [2, 0]], [[-1, -3], [-2, -4]], update_window_dims=[0]) == wanted


def test_what_lies_outside_is_left_out_element_by_element() -> None:
    wanted = GRID.tolist()
    wanted[1][3], wanted[2][0] = -1, -4
    assert scatter([[1, 3], [2, -1], [3, 0]], [[-1, -2], [-3, -4], [-5, -6]]) == wanted


@pytest.mark.parametrize(
    ("body", "wanted"),
    [("ADD", [1 + 5 + 7, 2]), ("MULTIPLY", [1 * 5 * 7, 2]), ("MAXIMUM", [7, 2]), ("MINIMUM", [1, 2])],
)
def test_updates_are_combined_with_what_is_there(body: str, wanted: list[int]) -> None:
    operand = np.array([1, 2], np.int32)
    options: dict[str, Any] = {"update_window_dims": [], "scatter_dims_to_operand_dims": [0]}
    assert scatter([[0], [0]], [5, 7], f"STABLEHLO_{body}", operand=operand, **options) == wanted
    assert scatter([[0], [0]], [5, 7], operand=operand, **options) == [7, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slice_sizes": [1, 5]}, r"slice_sizes are \[1, 5\], the operand has shape \[3, 4\]"),
        ({"slice_sizes": [1]}, r"slice_sizes are \[1\]"),
        ({"slice_sizes": [1, -1]}, r"slice_sizes are \[1, -1\]"),
        ({"start_index_map": [0]}, r"index vectors have 2 numbers, for axes \[0\]"),
        ({"start_index_map": [0, 2]}, r"start_index_map is \[0, 2\], expected axes of 2"),
        ({"start_index_map": [1, 1]}, r"start_index_map is \[1, 1\], expected axes of 2"),
        ({"collapsed_slice_dims": [-1]}, r"collapsed_slice_dims is \[-1\]"),
        ({"index_vector_dim": 2}, r"index_vector_dim is \[2\], expected axes of 2"),
        ({"offset_dims": [2]}, r"offset_dims is \[2\], expected axes of 2"),
        ({"offset_dims": []}, "a slice has 1 axes"),
        ({"operand": np.zeros((0, 4), np.int64), "slice_sizes": [0, 2]}, "operand has shape"),
    ],
)
def test_refused_gathers(options: dict[str, Any], message: str) -> None:
    with pytest.raises(QCoreError, match=r"^STABLEHLO_GATHER \(op 0.*" + message):
        gather([[0, 1]], **options)


@pytest.mark.parametrize(
    ("options", "body", "message"),
    [
        ({}, ("STABLEHLO_ADD", "STABLEHLO_ADD"), "its subgraph holds STABLEHLO_ADD, STABLEHLO_ADD"),
        ({}, ("STABLEHLO_AND",), "its subgraph holds STABLEHLO_AND, qcore has nothing or one of"),
        ({"update_window_dims": [0, 1]}, (), "a window has 1 axes"),
        ({"update_window_dims": [5]}, (), "expected axes of 2"),
        ({"inserted_window_dims": [3]}, (), "expected axes of 2"),
        ({"scatter_dims_to_operand_dims": [0]}, (), "index vectors have 2 numbers"),
        ({"updates": [[1, 2], [3, 4]]}, (), r"updates have shape \[2, 2\], expected \[1, 2\]"),
    ],
)
def test_refused_scatters(options: dict[str, Any], body: tuple[str, ...], message: str) -> None:
    arguments = {"updates": [[1, 2]], **options}
    with pytest.raises(QCoreError, match=r"^STABLEHLO_SCATTER \(op 0.*" + message):
        scatter([[0, 1]], arguments.pop("updates"), *body, **arguments)


def test_a_subgraph_that_is_not_there_is_refused() -> None:
    model = one_operator("STABLEHLO_SCATTER", [T("int32", ()), T("int32", (0,)), T("int32", ())], [T("int32", ())], None)
    model.subgraphs[0].operators[0].options.fields["update_computation_subgraph_index"] = 7
    with pytest.raises(QCoreError, match="subgraph index 7, the model has 1 subgraphs"):
        run_qcore(model, [np.int32(0), np.zeros(0, np.int32), np.int32(0)])
