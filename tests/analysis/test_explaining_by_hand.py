"""``explain`` against numbers worked out by hand: sums that wrap, means of pixels, quotients, rows of tables."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from qcore.analysis.explaining import Explanation, explain
from qcore.model import Model
from tests.conformance.harness import T, one_operator


def average(height: int, width: int) -> Model:
    """The average of all pixels of an int16 image."""
    options = {"padding": "VALID", "stride_h": 1, "stride_w": 1, "filter_height": height, "filter_width": width}
    return one_operator("AVERAGE_POOL_2D", [T("int16", (1, height, width, 1), 0.1)], [T("int16", (1, 1, 1, 1), 0.1)], options)


def code(found: Explanation) -> int:
    """What every arithmetic gives."""
    (value,) = {int(chain.value) for chain in found.chains.values()}
    return value


@pytest.mark.parametrize(
    ("model", "element", "symbols"),
    [
        (average(198, 331), 32767, ["d"]),
        (average(256, 256), -32768, ["d"]),
        (average(300, 300), 32767, ["A'"]),
        (one_operator("MEAN", [T("int16", (300, 300), 0.1), T("int32", (2,), value=[0, 1])], [T("int16", (), 0.1)]), 32767, ["x'"]),
    ],
)
def test_sums_that_wrap_have_lines(model: Model, element: int, symbols: list[str]) -> None:
    """The average's half is added in int32, too: it may wrap where the sum does not."""
    tensors = model.subgraphs[0].tensors
    found = explain(model, np.full(tensors[0].shape, element, tensors[0].dtype), op=0, element=(0,) * len(tensors[-1].shape))
    formulas = {line.symbol: line.formula for line in found.chains["reference"].lines}
    assert all(formulas[symbol].endswith("int32 wraps") for symbol in symbols)
    assert found.exact[-1].value == element
    assert not found.agree


def test_exact_means_of_four_pixels_have_rational_weights() -> None:
    """A third of the way from 9 to 99, in codes less the zero point."""
    model = one_operator(
        "RESIZE_BILINEAR",
        [T("int8", (1, 1, 2, 1), 0.5, -9), T("int32", (2,), value=[1, 4])],
        [T("int8", (1, 1, 4, 1), 0.5, -9)],
        {"align_corners": True},
    )
    found = explain(model, np.int8([0, 90]).reshape(1, 1, 2, 1), op=0, element=(0, 0, 1, 0))
    assert found.exact[0].value == Fraction(1, 2) * (9 + Fraction(90, 3))
    assert (found.exact[-1].value, code(found)) == (30, 30)


def test_a_quotient_of_codes_and_its_rational_number() -> None:
    model = one_operator("DIV", [T("int8", (1,), 0.5, 3), T("int8", (1,), 0.25, -1)], [T("int8", (1,), 0.125, 10)])
    found = explain(model, np.int8([-7]), np.int8([5]), op=0, element=(0,))
    assert found.exact[0].value == Fraction(-5) / Fraction(3, 2)
    assert (found.exact[-1].value, code(found)) == (-17, -17)


def test_an_element_of_a_table_names_its_row_and_scale() -> None:
    table = T("int8", (2, 3), [0.5, 0.25], value=[[1, 2, 3], [4, 5, 6]])
    found = explain(one_operator("EMBEDDING_LOOKUP", [T("int32", (1,), value=[1]), table], [T("float32", (1, 3))]), op=0, element=(0, 2))
    assert [line.value for line in found.shared] == [1, 6, 0.25, 1.5]
    assert found.exact[0].value == Fraction(3, 2)
