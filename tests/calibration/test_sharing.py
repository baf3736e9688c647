"""Which inputs TensorFlow Lite writes outputs over."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.calibration import calibrate
from qcore.calibration.sharing import overwritten_inputs
from qcore.model import Operator, Subgraph
from tests.calibration.models import constant, operator, residual, tensor

SHAPE = (1, 4)


def overwritten(operators: list[Operator], outputs: list[int], **sizes: tuple[int, ...]) -> dict[int, int]:
    """For a graph of tensors t0 (the input), t1, ...; t8 is a constant and t9 a variable."""
    tensors = [tensor(f"t{n}", sizes.get(f"t{n}", SHAPE)) for n in range(10)]
    tensors[8] = constant("t8", np.ones(SHAPE, np.float32))
    tensors[9].is_variable = True
    return overwritten_inputs(Subgraph("main", tensors, [0], outputs, operators), {i: t.shape for i, t in enumerate(tensors)})


START = [operator("ABS", [0], [1]), operator("NEG", [0], [2])]
END = [operator("NEG", [3], [4])]


@pytest.mark.parametrize("name", ["ADD", "SUB", "MUL", "DIV"])
def test_the_first_input_that_nothing_else_reads_is_overwritten(name: str) -> None:
    assert overwritten([*START, operator(name, [1, 2], [3]), *END], [4]) == {3: 1}
    assert overwritten([*START, operator(name, [1, 2], [3]), operator("ABS", [1], [5]), *END], [4, 5]) == {3: 2}
    assert overwritten([*START, operator(name, [8, 2], [3]), *END], [4]) == {3: 2}


@pytest.mark.parametrize(
    "inputs",
    [[0, 8], [9, 8], [1, 1]],
    ids=["the graph's input", "a variable", "an input read twice"],
)
def test_what_must_live_on_is_not_overwritten(inputs: list[int]) -> None:
    assert overwritten([*START, operator("ADD", inputs, [3]), *END], [4]) == {}


def test_outputs_of_the_graph_have_memory_of_their_own() -> None:
    assert overwritten([*START, operator("ADD", [1, 2], [3])], [3]) == {}
    assert overwritten([*START, operator("ADD", [1, 2], [3]), *END], [4, 1]) == {3: 2}


def test_sizes_must_be_equal_and_over_one() -> None:
    assert overwritten([*START, operator("ADD", [1, 2], [3]), *END], [4], t1=(1, 1)) == {3: 2}
    one = {f"t{n}": (1,) for n in range(1, 5)}
    assert overwritten([*START, operator("ADD", [1, 2], [3]), *END], [4], **one) == {}


def test_softmax_overwrites_its_input_and_other_operators_do_not() -> None:
    assert overwritten([*START, operator("SOFTMAX", [1], [3], beta=1.0), *END], [4, 2]) == {3: 1}
    assert overwritten([*START, operator("MAXIMUM", [1, 2], [3]), *END], [4]) == {}


def test_a_reshape_shares_the_memory_of_what_it_reshapes() -> None:
    reshape = operator("RESHAPE", [1], [5])
    assert overwritten([*START, reshape, operator("ADD", [5, 2], [3]), *END], [4]) == {3: 5}
    # Something else still reads what was reshaped; the second input is not tried then.
    assert overwritten([*START, reshape, operator("ADD", [5, 2], [3]), operator("ABS", [1], [6]), *END], [4, 6]) == {}


def test_a_chain_overwrites_the_same_memory_again_and_again() -> None:
    chain = [*START, operator("ADD", [1, 8], [3]), operator("MUL", [3, 8], [5]), operator("SUB", [5, 2], [6]), operator("ABS", [6], [4])]
    assert overwritten(chain, [4]) == {3: 1, 5: 3, 6: 5}


def test_minmax_takes_the_output_for_the_overwritten_input_and_other_methods_do_not() -> None:
    x = np.float32([[1, -2, 3, 4]])
    stats = calibrate(residual(), [x])
    # p = |x|, q = -x, s = p - q = |x| + x is written over p.
    assert stats.range(0, 1) == (0, 8)
    assert stats.range(0, 1, method="moving_average") == (1, 4)
    stats.percentile = 100
    assert stats.range(0, 1, method="percentile") == (1, 4)
    assert stats.range(0, 2) == (-4, 2)
