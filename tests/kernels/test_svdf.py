"""SVDF: expectations that can be worked out by hand, and refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import qcore
from qcore.errors import QCoreError
from qcore.model import OPTIONAL, Model
from tests.conformance.harness import T, one_operator, random_inputs, run_qcore
from tests.kernels.recurrent_models import state

TIME = [[1, 10, 100], [0, 0, 1000]]


def real(dtype: str = "float32", bias: list[float] | None = None, activation: str = "NONE") -> Model:
    """One unit of two filters over two inputs, which both filters add up, and three steps."""
    scale = None if dtype == "float32" else 10
    weights = T(dtype, (2, 2), None if scale is None else 1, value=np.ones((2, 2)))
    time = T(dtype, (2, 3), scale, value=np.array(TIME) if scale is None else np.array(TIME) // 10)
    tensors = [T("float32", (1, 2)), weights, time, None if bias is None else T("float32", (1,), value=bias), state("float32", 1, 6)]
    return one_operator("SVDF", tensors, [T("float32", (1, 1))], {"rank": 2, "fused_activation_function": activation})


def integer(activation: str = "RELU", memory_scale: float = 1) -> Model:
    """As above in integers of scale 1, the input's zero point 5, the output's -3 and scale 100."""
    tensors = [
        T("int8", (1, 2), 1, 5),
        T("int8", (2, 2), 1, value=np.ones((2, 2))),
        T("int16", (2, 3), 1, value=TIME),
        T("int32", (1,), 1, value=[50]),
        state("int16", 1, 6, memory_scale),
    ]
    return one_operator("SVDF", tensors, [T("int8", (1, 1), 100, -3)], {"rank": 2, "fused_activation_function": activation})


def invokes(model: Model, *inputs: Any) -> list[float]:
    interpreter = qcore.Interpreter(model_content=model)
    interpreter.allocate_tensors()
    outputs = []
    for x in inputs:
        details = interpreter.get_input_details()[0]
        interpreter.set_tensor(details["index"], np.array([x], details["dtype"]))
        interpreter.invoke()
        outputs.append(float(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0, 0]))
    return outputs


def test_the_last_steps_are_remembered() -> None:
    """Features 3, then 0, then 0 move from the newest weight over time to the oldest."""
    assert invokes(real(), [1, 2], [0, 0], [0, 0], [0, 0]) == [3300, 30, 3, 0]
    assert invokes(real(bias=[0.5]), [1, 2], [0, 0]) == [3300.5, 30.5]
    assert invokes(real(bias=[-31], activation="RELU"), [1, 2], [0, 0]) == [3269, 0]


def test_dynamic_range_takes_weights_over_time_as_real() -> None:
    """127 is quantized without loss; the oldest weight over time, 1, became code 0 of scale 10."""
    np.testing.assert_allclose(invokes(real("int8"), [127, 127], [0, 0], [0, 0]), [254 * 1100, 254 * 10, 0], rtol=1e-6)


def test_integers() -> None:
    """Features 3 again: (3300 + 50) / 100 - 3, (30 + 50) / 100 - 3, (3 + 50) / 100 - 3."""
    assert invokes(integer(), [6, 7], [5, 5], [5, 5], [5, 5]) == [31, -2, -2, -2]
    assert invokes(integer(), [127, 127]) == [127]


def test_features_are_requantized_to_the_state() -> None:
    """3 steps of 1 are 2 of 2, ties up; sum and bias are then in units of 2: (2 * 1100 + 50) * 2 / 100 - 3."""
    assert invokes(integer(memory_scale=2), [6, 7]) == [42]


@pytest.mark.parametrize("batch", [0, 3])
def test_batches(batch: int) -> None:
    model = real()
    graph = model.subgraphs[0]
    for i, size in ((0, 2), (graph.operators[0].inputs[4], 6), (graph.outputs[0], 1)):
        graph.tensors[i] = replace(graph.tensors[i], shape=(batch, size))
    x = np.arange(2 * batch, dtype=np.float32).reshape(batch, 2)
    assert run_qcore(model, [x])[0].tolist() == (x.sum(axis=1, keepdims=True) * 1100).tolist()


@pytest.mark.parametrize(
    ("slot", "fields", "message"),
    [
        (0, {"shape": (2,)}, "has rank 1"),
        (1, {"shape": (2, 1)}, r"has shape \[2, 1\], expected \[2, 2\]"),
        (1, {"dtype": "int16"}, "is int16, expected float32 or int8 or uint8"),
        (2, {"dtype": "int8"}, "is int8, expected float32"),
        (2, {"shape": (2, 0)}, "expected a memory of at least 1"),
        (2, {"shape": (1, 3)}, r"has shape \[1, 3\], expected \[2, 3\]"),
        (3, {"shape": (0,)}, r"has shape \[0\], expected \[1\]"),
        (4, {"shape": (1, 5)}, "expected 6 elements"),
        (4, {"dtype": "int16"}, "is int16, expected float32"),
        (-1, {"rank": 0}, "rank is 0, expected a divisor of the 2 filters"),
        (-1, {"rank": -1}, "rank is -1"),
        (-1, {"rank": 3}, "rank is 3"),
        (2, {}, "input 2 is left out"),
    ],
)
def test_refusals(slot: int, fields: dict[str, Any], message: str) -> None:
    model = real(bias=[0])
    graph = model.subgraphs[0]
    operator = graph.operators[0]
    if slot < 0:
        operator.options.fields.update(fields)
    elif fields:
        graph.tensors[operator.inputs[slot]] = replace(graph.tensors[operator.inputs[slot]], **fields)
    else:
        operator.inputs[slot] = OPTIONAL
    with pytest.raises(QCoreError, match=f"^SVDF .*{message}"):
        run_qcore(model, random_inputs(model, np.random.default_rng(0)))


def test_integers_have_relu() -> None:
    with pytest.raises(QCoreError, match="fused activation NONE of an int8 input, qcore has RELU"):
        invokes(integer("NONE"), [0, 0])
