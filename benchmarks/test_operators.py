"""qcore against TensorFlow Lite's reference and default kernels, one operator at a time; see README.md here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import qcore
from benchmarks.cases import Case, cases
from qcore.model import Model
from tests.conformance.harness import random_inputs


def qcore_reference(model: Model) -> Any:
    return qcore.Interpreter(model_content=model, engine="reference")


def tflite(resolver: str) -> Any:
    def make(model: Model) -> Any:
        tf = pytest.importorskip("tensorflow", reason="compares with TensorFlow Lite")
        kind = tf.lite.experimental.OpResolverType[resolver]
        return tf.lite.Interpreter(model_content=model.to_bytes(), experimental_op_resolver_type=kind, num_threads=1)

    return make


RUNNERS = {"qcore": qcore_reference, "tflite-reference": tflite("BUILTIN_REF"), "tflite-default": tflite("AUTO")}


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.name)
def test_operator(benchmark: BenchmarkFixture, case: Case, runner: str) -> None:
    model = case.build()
    try:
        interpreter = RUNNERS[runner](model)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        if runner == "qcore":
            raise
        pytest.skip(f"TensorFlow Lite does not run it: {error}")
    inputs = random_inputs(model, np.random.default_rng(0), low=0.1)
    for details, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(details["index"], array)
    benchmark.group = case.name
    benchmark.name = runner
    benchmark(interpreter.invoke)
    if case.macs:
        benchmark.extra_info["MAC/s"] = round(case.macs / benchmark.stats["min"])
