"""The engines: the same results, and which of them runs when."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest

import qcore
from qcore.runtime import executor


def digits(engine: str) -> qcore.Interpreter:
    content = resources.files("qcore.data").joinpath("digits_int8.tflite").read_bytes()
    interpreter = qcore.Interpreter(model_content=content, engine=engine)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    interpreter.set_tensor(details["index"], np.random.default_rng(0).integers(-128, 128, details["shape"]).astype(np.int8))
    return interpreter


def output(interpreter: qcore.Interpreter) -> np.ndarray:
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("seconds", [0.0, np.inf], ids=["native from the second invoke on", "NumPy throughout"])
def test_auto_changes_over_once_numpy_has_cost_enough_and_changes_no_bit(monkeypatch, seconds):
    monkeypatch.setattr(executor, "COMPILING", seconds)
    interpreter = digits("auto")
    subgraph = interpreter._session.executor()
    first = output(interpreter)
    assert subgraph.stages is None
    second = output(interpreter)
    assert (subgraph.stages is not None) == (seconds == 0)
    np.testing.assert_array_equal(second, first)


def test_auto_starts_on_numpy_again_for_other_shapes(monkeypatch):
    monkeypatch.setattr(executor, "COMPILING", 0.0)
    interpreter = digits("auto")
    output(interpreter), output(interpreter)
    details = interpreter.get_input_details()[0]
    interpreter.resize_tensor_input(details["index"], [2, *details["shape"][1:]])
    interpreter.allocate_tensors()
    assert interpreter._session.executor().stages is None


def test_fast_is_native_from_the_start_and_reference_never(monkeypatch):
    monkeypatch.setattr(executor, "COMPILING", 0.0)
    fast, reference = digits("fast"), digits("reference")
    assert fast._session.executor().stages
    for _ in range(3):
        np.testing.assert_array_equal(output(fast), output(reference))
    assert reference._session.executor().stages is None


def test_an_unknown_engine_is_refused():
    with pytest.raises(qcore.UnsupportedError, match="engine is 'steam', qcore has reference, fast, auto"):
        digits("steam")
