"""Functions of one 8-bit tensor become one table; nobody can tell by the numbers."""

from __future__ import annotations

import numpy as np
import pytest

import qcore
from qcore.model import Buffer, Model, Operator, OperatorCode, Quantization, Subgraph, Tensor
from qcore.runtime.plan import Settings
from qcore.runtime.session import Session
from qcore.runtime.stages import lowered
from qcore.schema import default_options

NAMES = ["LOGISTIC", "MUL", "ADD"]


def graph(operators, outputs, shapes=None):
    """A model of 8-bit tensors; operators: (name, inputs, output), tensor 0 being the input."""
    count = 1 + len(operators)
    empty = Buffer()
    tensors = []
    for i in range(count):
        quantization = Quantization(np.array([0.01 * (i + 1)], np.float32), np.array([3 - i]), 0)
        if i and operators[i - 1][0] == "LOGISTIC":
            quantization = Quantization(np.array([1 / 256], np.float32), np.array([-128]), 0)
        tensors.append(Tensor(f"t{i}", "int8", (shapes or {}).get(i, (5, 40)), empty, quantization=quantization))
    codes = [OperatorCode(name, 2) for name in NAMES]
    ops = [Operator(codes[NAMES.index(name)], list(inputs), [output], default_options(name)) for name, inputs, output in operators]
    return Model([Subgraph("main", tensors, [0], list(outputs), ops)], codes, [empty])


def calls_of(model, **settings):
    """How many native calls each operator has."""
    session = Session(model, Settings(engine="fast", **settings))
    executor = session.executor()
    executor.allocate()
    return [len(one.calls) for one in lowered(executor.allocated(), executor.values)]


def assert_same(model, **options):
    x = np.random.default_rng(1).integers(-128, 128, (5, 40)).astype(np.int8)
    results = []
    for engine in ("fast", "reference"):
        interpreter = qcore.Interpreter(model_content=model, engine=engine, **options)
        interpreter.allocate_tensors()
        interpreter.set_tensor(0, x)
        interpreter.invoke()
        results.append([interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()])
        if options:
            results[-1] += [interpreter.get_tensor(i) for i in range(len(model.subgraphs[0].tensors))]
    for fast, reference in zip(*results, strict=True):
        np.testing.assert_array_equal(fast, reference)


SWISH = [("LOGISTIC", (0,), 1), ("MUL", (0, 1), 2)]


def test_the_inner_function_is_not_run():
    model = graph(SWISH, [2])
    assert calls_of(model) == [0, 1]
    assert_same(model)


def test_a_tensor_times_itself_is_a_table():
    model = graph([("MUL", (0, 0), 1)], [1])
    assert calls_of(model) == [1]
    assert_same(model)


def test_functions_of_functions():
    model = graph([*SWISH, ("LOGISTIC", (2,), 3), ("ADD", (3, 0), 4)], [4])
    assert calls_of(model) == [0, 0, 0, 1]
    assert_same(model)


def test_a_function_whose_tensor_is_gone_is_computed_from_what_there_is():
    model = graph([("LOGISTIC", (0,), 1), ("LOGISTIC", (1,), 2), ("MUL", (1, 2), 3)], [3])
    assert calls_of(model) == [1, 1, 1]
    assert_same(model)


@pytest.mark.parametrize("outputs", [[2, 1], [1, 2]])
def test_outputs_of_the_model_are_there(outputs):
    model = graph(SWISH, outputs)
    assert calls_of(model) == [1, 1]
    assert_same(model)


def test_tensors_that_are_preserved_are_there():
    model = graph(SWISH, [2])
    assert calls_of(model, preserve_all_tensors=True) == [1, 1]
    assert_same(model, experimental_preserve_all_tensors=True)


def test_other_readers_find_it():
    model = graph([*SWISH, ("ADD", (1, 2), 3)], [3])
    assert_same(model)


def test_observers_see_every_value():
    model, seen = graph(SWISH, [2]), {}
    session = Session(model, Settings(engine="fast"), lambda _, values: seen.update({i: v.copy() for i, v in values.items()}))
    executor = session.executor()
    executor.allocate()
    executor.write(0, np.full((5, 40), 100, np.int8))
    executor.invoke()
    assert sorted(seen) == [0, 1, 2]
    assert (seen[1] != 0).all()
