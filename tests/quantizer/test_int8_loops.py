"""Loops whose variables are codes, where a model has to be integer throughout."""

from __future__ import annotations

import numpy as np
import pytest

import qcore
from qcore.calibration import calibrate
from qcore.errors import QuantizationError
from qcore.model import Model, Operator, Subgraph
from qcore.quantizer import quantize_model
from tests.calibration.models import constant, loop, operator, tensor
from tests.quantizer.builder import find, names

RNG = np.random.default_rng(6)
STEPS = 6


def recurrent() -> Model:
    """x -> WHILE: six times h = |v x + w h|, from h = 0; x is handed on. -> h -> LOGISTIC -> y."""
    tensors = [
        tensor("x", (1, 4)),
        constant("start", np.zeros((), np.int32), "int32"),
        constant("zero", np.zeros((1, 4), np.float32)),
        tensor("steps", (), "int32"),
        tensor("h", (1, 4)),
        tensor("same", (1, 4)),
        tensor("y", (1, 4)),
    ]
    turn = operator("WHILE", [1, 2, 0], [3, 4, 5], cond_subgraph_index=1, body_subgraph_index=2)
    main = Subgraph("main", tensors, [0], [6], [turn, operator("LOGISTIC", [4], [6])])
    tensors = [tensor("i", (), "int32"), tensor("h", (1, 4)), tensor("x", (1, 4)), constant("limit", np.array(STEPS, np.int32), "int32")]
    condition = Subgraph("condition", [*tensors, tensor("go", (), "bool")], [0, 1, 2], [4], [operator("LESS", [0, 3], [4])])
    tensors = [
        *(tensor("i", (), "int32"), tensor("h", (1, 4)), tensor("x", (1, 4)), constant("one", np.array(1, np.int32), "int32")),
        *(constant(name, RNG.uniform(-0.6, 0.6, (4, 4)).astype(np.float32)) for name in "vw"),
        *(tensor("next", (), "int32"), tensor("vx", (1, 4)), tensor("wh", (1, 4)), tensor("sum", (1, 4)), tensor("abs", (1, 4))),
    ]
    operators = [
        operator("ADD", [0, 3], [6]),
        operator("FULLY_CONNECTED", [2, 4, -1], [7]),
        operator("FULLY_CONNECTED", [1, 5, -1], [8]),
        operator("ADD", [7, 8], [9]),
        operator("ABS", [9], [10]),
    ]
    return Model([main, condition, Subgraph("body", tensors, [0, 1, 2], [6, 10, 2], operators)])


MODEL = recurrent()
SAMPLES = [RNG.uniform(-1, 1, (1, 4)).astype(np.float32) for _ in range(40)]
STATISTICS = calibrate(MODEL, SAMPLES)


def types(model: Model, turn: Operator, outputs: bool = False) -> list[str]:
    return [model.subgraphs[0].tensors[i].dtype for i in (turn.outputs if outputs else turn.inputs)]


def test_a_loop_stays_real_where_floating_point_may_remain() -> None:
    q = quantize_model(MODEL, "int8", STATISTICS)
    assert types(q, find(q, "WHILE")) == ["int32", "float32", "float32"]


def test_a_loop_of_an_integer_model_hands_on_codes() -> None:
    q = quantize_model(MODEL, "int8", STATISTICS, float_fallback=False, input_type="int8", output_type="int8")
    turn = find(q, "WHILE")
    assert types(q, turn) == types(q, turn, outputs=True) == ["int32", "int8", "int8"]
    assert {t.dtype for graph in q.subgraphs for t in graph.tensors} == {"int32", "int8", "bool"}
    for graph in q.subgraphs[1:]:
        assert [graph.tensors[i].dtype for i in graph.inputs] == ["int32", "int8", "int8"]
    # What computes a variable does so in its parameters, and what reads it reads them: nothing is requantized on the way.
    assert sorted(names(q, 2)) == ["ABS", "ADD", "ADD", "FULLY_CONNECTED", "FULLY_CONNECTED"]


def test_its_results_are_those_of_the_real_loop() -> None:
    q = quantize_model(MODEL, "int8", STATISTICS, float_fallback=False)
    real, integer = (qcore.Interpreter(model_content=model) for model in (MODEL, q))
    difference = max(np.abs(real.run(x)["y"] - integer.run(x)["y"]).max() for x in SAMPLES)
    assert difference < 6 / 256


def test_tensorflow_lite_runs_it_to_the_same_bits() -> None:
    tf = pytest.importorskip("tensorflow", reason="needs tensorflow")
    q = quantize_model(MODEL, "int8", STATISTICS, float_fallback=False, input_type="int8", output_type="int8")
    resolver = tf.lite.experimental.OpResolverType.BUILTIN_REF
    theirs = tf.lite.Interpreter(model_content=q.to_bytes(), experimental_op_resolver_type=resolver)
    ours = qcore.Interpreter(model_content=q)
    for interpreter in (theirs, ours):
        interpreter.allocate_tensors()
    for _ in range(10):
        x = RNG.integers(-128, 128, (1, 4)).astype(np.int8)
        results = []
        for interpreter in (theirs, ours):
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
            interpreter.invoke()
            results.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
        np.testing.assert_array_equal(*results)


def test_a_variable_that_the_condition_reads_is_not_rounded() -> None:
    stats = calibrate(loop(), [np.float32([3]), np.float32([0.1])])
    with pytest.raises(QuantizationError, match=r"1 operators stay float\nWHILE \(op 0, output 'y'\)"):
        quantize_model(loop(), "int8", stats, float_fallback=False)
