"""Profiles: what they count, what they say ran each operator, and that profiling changes no result. No time is asserted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import qcore
from qcore.analysis.coverage import Runner, coverage
from qcore.analysis.profile import COUNTS, OperatorProfile, Profile, Rival, profile
from qcore.kernels.registry import OPERATORS
from qcore.model import Model, Operator, OperatorCode
from qcore.runtime.plan import Settings
from tests.calibration.models import counter, loop, one_input, residual, two_signatures

DATA = Path(qcore.__file__).parent / "data"


def digits() -> Model:
    return qcore.load(DATA / "digits_int8.tflite")


def measured(model: Model, rival: object = None, **settings: object) -> Profile:
    graph = model.subgraphs[0]
    inputs = {i: np.ones(graph.tensors[i].shape, graph.tensors[i].dtype) for i in graph.inputs}
    return profile(model, Settings(**settings), inputs, 1, rival)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "inputs", "output", "macs"),
    [
        ("CONV_2D", [(1, 9, 9, 3), (8, 5, 4, 3), (8,)], (1, 7, 6, 8), 7 * 6 * 8 * 5 * 4 * 3),
        ("CONV_2D", [(1, 9, 9, 6), (8, 5, 4, 3), (8,)], (1, 7, 6, 8), 7 * 6 * 8 * 5 * 4 * 3),  # two groups
        ("DEPTHWISE_CONV_2D", [(1, 9, 9, 3), (1, 5, 4, 6), (6,)], (1, 7, 6, 6), 7 * 6 * 6 * 5 * 4),
        ("FULLY_CONNECTED", [(2, 3, 5), (7, 5), (7,)], (6, 7), 6 * 7 * 5),
        ("BATCH_MATMUL", [(2, 3, 5), (5, 7)], (2, 3, 7), 2 * 3 * 5 * 7),
        ("BATCH_MATMUL", [(2, 5, 3), (5, 7)], (2, 3, 7), 2 * 3 * 5 * 7),  # adj_x
        ("BATCH_MATMUL", [(2, 0, 5), (5, 7)], (2, 0, 7), 0),
        ("TRANSPOSE_CONV", [(4,), (8, 5, 4, 3), (1, 6, 7, 3)], (1, 12, 14, 8), 6 * 7 * 3 * 8 * 5 * 4),
        ("CONV_3D", [(1, 6, 7, 8, 3), (2, 3, 4, 3, 5)], (1, 5, 5, 5, 5), 5**4 * 2 * 3 * 4 * 3),
        ("CONV_3D_TRANSPOSE", [(5,), (2, 3, 4, 5, 3), (1, 5, 5, 5, 3)], (1, 6, 7, 8, 5), 5**3 * 3 * 2 * 3 * 4 * 5),
    ],
)
def test_multiply_accumulates_follow_from_the_shapes(name: str, inputs: list, output: tuple, macs: int) -> None:
    assert COUNTS[name](inputs, output) == macs


def test_operators_that_are_counted_are_in_the_registry() -> None:
    assert set(COUNTS) <= set(OPERATORS)


def test_every_operator_that_runs_has_a_row_and_the_digits_run_natively() -> None:
    found = measured(digits(), engine="auto")
    assert [row.index for row in found.operators] == [0, 1, 2, 3, 7, 8, 9]
    assert all(row.runner.reason is None and row.seconds >= 0 for row in found.operators)
    assert found.operators[0].shape == (1, 8, 8, 16)
    assert found.macs == 9216 + 9216 + 32768 + 5120
    assert found.rival is None


def test_with_the_reference_engine_nothing_is_native() -> None:
    assert {str(row.runner) for row in measured(digits(), engine="reference").operators} == {"NumPy: the reference engine"}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("model", [residual(), loop(), counter()], ids=["residual", "loop", "counter"])
def test_operators_run_one_by_one_whatever_runs_them(model: Model, threads: int) -> None:
    assert measured(model, engine="fast", threads=threads).operators


def test_the_rival_is_invoked_in_every_round() -> None:
    calls = []
    found = measured(one_input(), rival=lambda: calls.append(0), engine="reference")
    assert calls
    assert found.rival is not None
    assert found.rival.ratio > 0


def test_the_slowest_operators_come_first() -> None:
    rows = tuple(OperatorProfile(i, "ADD", "y", (1,), seconds, 2, Runner(("Pairs",))) for i, seconds in enumerate((1.0, 3.0, 2.0)))
    found = Profile(7.0, rows, Rival(14.0, 0.5))
    assert [row.index for row in found.slowest(2)] == [1, 2]
    assert (found.operator_seconds, found.macs) == (6.0, 6)
    assert found.as_dict(1)["operators"][0]["runner"] == "native: Pairs"
    assert found.as_dict()["rival"] == {"seconds": 14.0, "ratio": 0.5}


def test_coverage_speaks_of_every_operator_of_every_subgraph() -> None:
    (main,) = coverage(digits())
    assert main[2] == "native: Product"
    assert main[4] == "nothing: it was computed once, by the plan"
    assert [len(graph) for graph in coverage(two_signatures())] == [1, 1]
    assert coverage(loop())[0] == ["NumPy: it updates variables, or its outputs have no fixed place"]


def test_coverage_of_what_cannot_be_planned_says_why() -> None:
    model = one_input()
    model.subgraphs[0].operators[0] = Operator(OperatorCode("CALL"), [0], [1])
    assert coverage(model) == [["nothing: no plan, CALL (op 0, output 'y'): qcore does not have this operator"]]


def test_a_runner_is_a_few_words() -> None:
    assert str(Runner(("Border", "Product", "Product"))) == "native: Border, Product x2"
    assert str(Runner()) == "native: part of a later operator"
    assert str(Runner(reason="there is no native kernel")) == "NumPy: there is no native kernel"
