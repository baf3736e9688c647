"""qcore against TensorFlow Lite's kernels and ONNX Runtime, one operator at a time; see README.md here."""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.cases import Case, cases
from benchmarks.runtimes import RUNTIMES, Unavailable, outputs, ready
from tests.conformance.harness import random_inputs, run_qcore


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.name)
def test_operator(benchmark: BenchmarkFixture, case: Case, runtime: str) -> None:
    model = case.build()
    inputs = random_inputs(model, np.random.default_rng(0), low=0.1)
    try:
        interpreter = ready(runtime, model, inputs)
    except Unavailable as error:
        pytest.skip(str(error))
    benchmark.group = case.name
    benchmark.name = runtime
    benchmark(interpreter.invoke)
    if case.macs and benchmark.enabled:
        benchmark.extra_info["MAC/s"] = round(case.macs / benchmark.stats["min"])
    for result, expected in zip(outputs(interpreter), run_qcore(model, inputs), strict=True):
        if expected.dtype.kind == "i":
            np.testing.assert_allclose(result, expected, rtol=0, atol=1, err_msg="more than a step from the reference kernels")
