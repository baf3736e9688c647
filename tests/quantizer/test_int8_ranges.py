"""Which calibrated ranges count in int8, and what parameters they give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import QuantizationError
from qcore.quantizer.graph import Graph
from qcore.quantizer.int8_ranges import activation_params, pinned_params
from tests.quantizer.builder import Builder
from tests.quantizer.ranges import Ranges, int8


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [
        (-1.28, 1.27, 0.01, 0),
        (2.0, 6.0, 6 / 255, -128),  # 0 belongs to every range
        (-6.0, -2.0, 6 / 255, 127),
        (0.0, 0.0, 2e-6 / 255, 0),  # too narrow: a millionth more at both ends; the scale in float32 makes -0.5 a little less
        (0.0, 9e-7, 2.9e-6 / 255, -40),
    ],
)
def test_parameters_of_a_range(low: float, high: float, scale: float, zero_point: int) -> None:
    params = activation_params(low, high)
    assert params.scale[0] == pytest.approx(scale, 1e-6)
    assert params.zero_point.tolist() == [zero_point]


@pytest.mark.parametrize("bad", [(np.nan, 1.0), (-np.inf, 1.0), (0.0, np.inf)])
def test_a_range_that_is_none_is_refused_with_the_tensors_name(bad: tuple[float, float]) -> None:
    b = Builder()
    x, y = b.input("x", (1, 4)), b.tensor("y", (1, 4))
    b.op("RELU", [x], y)
    with pytest.raises(QuantizationError, match=r"tensor 'y': choose_params: got range"):
        int8(b.model(y), {"y": bad})


def pinned(*operators: tuple[str, list[str], str], **options: Any) -> set[str]:
    """The names of the tensors whose range counts, in a chain of operators between tensors of those names."""
    b = Builder()
    numbers = {"x": b.input("x", (1, 4)), "z": b.input("z", (1, 4))}
    for name, inputs, output in operators:
        numbers[output] = b.tensor(output, (1, 4))
        b.op(name, [numbers[i] for i in inputs], numbers[output])
    model = b.model(numbers[operators[-1][2]])
    return {model.subgraphs[0].tensors[i].name for i in pinned_params(Graph(model), Ranges(model), {})}


def test_every_tensor_that_is_read_counts() -> None:
    assert pinned(("ABS", ["x"], "a"), ("EXP", ["a"], "b")) == {"x", "a", "b"}


def test_an_operator_with_a_fixed_range_decides_for_itself() -> None:
    assert pinned(("TANH", ["x"], "t"), ("ABS", ["t"], "a")) == {"x", "a"}


def test_one_input_hands_its_parameters_on_through_several_operators() -> None:
    assert pinned(("MAX_POOL_2D", ["x"], "a"), ("SQUEEZE", ["a"], "b"), ("ABS", ["b"], "c")) == {"x", "c"}


def test_several_inputs_take_those_of_the_result() -> None:
    assert pinned(("ABS", ["x"], "a"), ("MAXIMUM", ["a", "z"], "m"), ("CONCATENATION", ["m", "x"], "y")) == {"y"}


def test_a_range_that_nothing_saw_does_not_count() -> None:
    b = Builder()
    x, y = b.input("x", (1, 4)), b.tensor("y", (1, 4))
    b.op("ABS", [x], y)
    model = b.model(y)
    assert set(pinned_params(Graph(model), Ranges(model, {"x": None}), {})) == {y}
