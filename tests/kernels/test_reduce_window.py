"""STABLEHLO_REDUCE_WINDOW and REDUCE_WINDOW: lines and rectangles reduced by hand, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import QCoreError
from tests.conformance.harness import T, one_operator, run_qcore
from tests.kernels.bodies import with_body


def stablehlo(x: Any, init: Any, body: tuple[str, ...] = ("ADD",), dtype: str = "int32", **options: list[int]) -> list[Any]:
    arrays = [np.array(x, dtype), np.array(init, dtype)]
    values = {name: np.array(value) for name, value in options.items()}
    model = one_operator("STABLEHLO_REDUCE_WINDOW", [T(dtype, array.shape) for array in arrays], [T(dtype, (1,))], values)
    with_body(model, "body_subgraph_index", *body, dtype=dtype)
    return run_qcore(model, arrays)[0].tolist()


def plain(x: Any, init: Any, function: str, size: list[int], stride: list[int], dilation: list[int], dtype: str = "int32") -> list[Any]:
    arrays = [np.array(x, dtype), np.array(init, dtype)]
    sizes = [T("int64", (len(values),), value=values) for values in (size, stride, dilation)]
    inputs = [*(T(dtype, array.shape) for array in arrays), *sizes]
    return run_qcore(one_operator("REDUCE_WINDOW", inputs, [T(dtype, (1,))], {"reduce_function": function}), arrays)[0].tolist()


@pytest.mark.parametrize(
    ("function", "body", "wanted"),
    [
        ("ADD", "ADD", [17, 20, 17]),
        ("MUL", "STABLEHLO_MULTIPLY", [120, 240, 60]),
        ("MAXIMUM", "MAXIMUM", [10, 10, 10]),
        ("MINIMUM", "STABLEHLO_MINIMUM", [3, 4, 1]),
        ("ALL", "LOGICAL_AND", [1, 1, 1]),
        ("ANY", "LOGICAL_OR", [1, 1, 1]),
    ],
)
def test_each_reduction_starts_from_init(function: str, body: str, wanted: list[int]) -> None:
    """10 with neighbours of 3, 4, 6, 1."""
    assert stablehlo([3, 4, 6, 1], 10, (body,), window_dimensions=[2]) == wanted
    assert plain([3, 4, 6, 1], 10, function, [2], [1], [1]) == wanted


def test_all_and_any_of_zeros_and_others() -> None:
    for dtype in ("bool", "int8", "float32"):
        assert plain([0, 0, 1, 1], 1, "ALL", [2], [1], [1], dtype) == [0, 0, 1]
        assert plain([0, 0, 1, 1], 0, "ANY", [2], [1], [1], dtype) == [0, 1, 1]


def test_strides_and_dilations() -> None:
    assert plain([1, 10, 100, 1000, 10000], 0, "ADD", [2], [2], [1]) == [11, 1100]
    assert plain([1, 10, 100, 1000, 10000], 0, "ADD", [2], [1], [2]) == [101, 1010, 10100]
    assert plain([[1, 2, 3], [4, 5, 6]], 0, "ADD", [2, 2], [1, 1], [1, 1]) == [[12, 16]]
    assert plain([1, 2], 0, "ADD", [3], [1], [1]) == []


def test_what_is_added_holds_init_and_is_reduced_too() -> None:
    """1, 2 with gaps of 5 between and around: 5 1 5 2 5; then less than nothing around 1, 2, 3."""
    sums = stablehlo([1, 2], 5, window_dimensions=[2], base_dilations=[2], padding=[1, 1])
    assert sums == [5 + 5 + 1, 5 + 1 + 5, 5 + 5 + 2, 5 + 2 + 5]
    assert stablehlo([1, 2, 3], 0, window_dimensions=[1], padding=[-1, 0]) == [2, 3]


def test_integers_wrap_and_infinities_stay() -> None:
    assert plain([100, 100], 0, "ADD", [2], [1], [1], "int8") == [-56]
    assert plain([-np.inf, -np.inf], -np.inf, "MAXIMUM", [2], [1], [1], "float32") == [-np.inf]
    assert plain([-128, -128], -128, "MAXIMUM", [2], [1], [1], "int8") == [-128]


def test_no_elements() -> None:
    assert plain(np.zeros((0, 3)), 0, "ADD", [1, 2], [1, 1], [1, 1]) == []
    assert stablehlo(np.zeros((0, 3)), 0, window_dimensions=[1, 2]) == []


@pytest.mark.parametrize(
    ("options", "body", "message"),
    [
        ({"window_dimensions": [2, 1]}, ("ADD",), r"window size is \[2, 1\], expected 1 numbers above 0"),
        ({"window_dimensions": [0]}, ("ADD",), r"window size is \[0\]"),
        ({"window_strides": [-1]}, ("ADD",), r"window stride is \[-1\]"),
        ({"window_dilations": [0]}, ("ADD",), r"window dilation is \[0\]"),
        ({"base_dilations": [0]}, ("ADD",), r"base dilation is \[0\]"),
        ({"padding": [1]}, ("ADD",), r"padding is \[1\], expected 2 numbers"),
        ({"padding": [-2, -1]}, ("ADD",), r"padding \[-2, -1\] leaves nothing of \[3\]"),
        ({"padding": [2**30, 0]}, ("ADD",), "the memory limit is"),
        ({"padding": [2**40, 0]}, ("ADD",), "would have shape"),
        ({}, (), "its subgraph holds nothing"),
        ({}, ("SUB",), "its subgraph holds SUB"),
        ({}, ("ADD", "ADD"), "its subgraph holds ADD, ADD"),
    ],
)
def test_refusals(options: dict[str, Any], body: tuple[str, ...], message: str) -> None:
    with pytest.raises(QCoreError, match=r"^STABLEHLO_REDUCE_WINDOW \(op 0.*" + message):
        stablehlo([1, 2, 3], 0, body, **options)


def test_refusals_of_the_plain_operator() -> None:
    with pytest.raises(QCoreError, match="reduce_function UNSUPPORTED, qcore has ADD"):
        plain([1], 0, "UNSUPPORTED", [1], [1], [1])
    with pytest.raises(QCoreError, match=r"window stride is \[0\]"):
        plain([1], 0, "ADD", [1], [0], [1])
    with pytest.raises(QCoreError, match="expected one value"):
        plain([1], [0, 0], "ADD", [1], [1], [1])
