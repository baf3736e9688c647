"""Operators with states, run by qcore and by TensorFlow Lite's reference kernels over several invokes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import qcore
from qcore.model import Model
from tests.conformance.harness import random_inputs


def pick(rng: np.random.Generator, *choices: Any) -> Any:
    return choices[rng.integers(len(choices))]


def invokes(interpreter: Any, inputs: list[list[np.ndarray]]) -> list[np.ndarray]:
    """All outputs of several invokes, which hand their states on."""
    interpreter.allocate_tensors()
    outputs = []
    for arrays in inputs:
        for details, array in zip(interpreter.get_input_details(), arrays, strict=True):
            interpreter.set_tensor(details["index"], array)
        interpreter.invoke()
        outputs += [np.array(interpreter.get_tensor(details["index"])) for details in interpreter.get_output_details()]
    return outputs


def assert_same(model: Model, rng: np.random.Generator, times: int = 2) -> None:
    """Qcore gives TensorFlow Lite's outputs, invoke after invoke: integers to the bit, floats within rounding of sums and functions."""
    tf = pytest.importorskip("tensorflow", reason="needs tensorflow")
    inputs = [random_inputs(model, rng) for _ in range(times)]
    kind = tf.lite.experimental.OpResolverType.BUILTIN_REF
    wanted = invokes(tf.lite.Interpreter(model_content=model.to_bytes(), experimental_op_resolver_type=kind), inputs)
    got = invokes(qcore.Interpreter(model_content=model), inputs)
    for g, w in zip(got, wanted, strict=True):
        assert g.dtype == w.dtype
        if w.dtype.kind == "f":
            np.testing.assert_allclose(g, w, rtol=1e-5, atol=2e-6 * float(np.abs(w).max(initial=0)))
        else:
            np.testing.assert_array_equal(g, w)
