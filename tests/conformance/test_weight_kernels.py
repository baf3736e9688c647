"""The table of weights and kernels is what the kernels do, and qcore computes the same or refuses."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qcore
from qcore.errors import QCoreError
from qcore.quantizer.weight_kernels import ARITHMETICS, CONDITIONS, LIMITS, MEASURED, RELEASES, Case, takes
from tests.conformance.harness import run_qcore
from tests.conformance.weight_cases import Trial, trial

CASES = MEASURED | LIMITS
MAY_BE = {"m": "mz!", "!": "!m"}
"""What reads memory that is not its own may find zeros there, or end the process."""


@cache
def trials() -> Mapping[Case, Trial]:
    return {case: trial(case) for case in CASES}


@cache
def outcomes(package: str) -> list[list[Any]]:
    """What a package's arithmetics make of each case; skips where the package is not there, or is another release."""
    installed = installed_release(package)
    if not f"{installed}.".startswith(f"{RELEASES[package]}."):
        pytest.skip(f"needs {package} {RELEASES[package]}, which the table is about; there is {installed or 'none'}")
    if not hasattr(os, "fork"):
        pytest.skip("needs processes that fork")
    given = pickle.dumps([(each.model.to_bytes(), each.input) for each in trials().values()])
    command = [sys.executable, str(Path(__file__).with_name("weight_worker.py")), package]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, input=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, check=True)
    return pickle.loads(done.stdout)  # type: ignore[no-any-return]


def installed_release(package: str) -> str:
    try:
        return metadata.version(package.replace("_", "-"))
    except metadata.PackageNotFoundError:
        return ""


def letter(each: Trial, result: Any) -> str:
    """The table's letter for what an arithmetic made of a case."""
    if result is None:
        return "!"
    if isinstance(result, str):
        return "-"
    output, delegated = result
    found = each.outcome(output)
    return "x" if found == "o" and delegated else found


def alike(said: str, got: str) -> bool:
    return all(other in MAY_BE.get(one, one) for one, other in zip(said, got, strict=True))


@pytest.mark.parametrize("package", RELEASES)
def test_every_cell_is_what_the_package_does(package: str) -> None:
    first = list(RELEASES).index(package) * len(ARITHMETICS)
    wrong = {}
    for (case, each), results in zip(trials().items(), outcomes(package), strict=True):
        got, said = "".join(letter(each, result) for result in results), CASES[case][first : first + len(ARITHMETICS)]
        if not alike(said, got):
            wrong[case] = f"table {said}, measured {got}"
    assert not wrong


def test_qcore_gives_tensorflows_bits_wherever_it_is_right() -> None:
    for (case, each), results in zip(trials().items(), outcomes("tensorflow"), strict=True):
        for arithmetic, result in zip(ARITHMETICS, results, strict=True):
            if letter(each, result) in "ox":
                (got,) = run_qcore(each.model, [each.input], arithmetic=arithmetic)
                if got.dtype.kind == "f":
                    np.testing.assert_allclose(got, result[0], rtol=1e-5, atol=1e-6 * np.abs(got).max(), err_msg=f"{case}, {arithmetic}")
                else:
                    np.testing.assert_array_equal(got, result[0], err_msg=f"{case}, {arithmetic}")


def test_qcore_reads_and_writes_every_case() -> None:
    for each in trials().values():
        content = each.model.to_bytes()
        assert qcore.load(content).to_bytes() == content


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_qcore_is_right_or_refuses(arithmetic: Any) -> None:
    for case, each in trials().items():
        try:
            (got,) = run_qcore(qcore.load(each.model.to_bytes()), [each.input], arithmetic=arithmetic)
        except QCoreError as error:
            assert case.operator in str(error) or "DEQUANTIZE" in str(error), case
            continue
        assert each.outcome(got) == "o", case


def test_conditions_have_names_and_make_things_worse() -> None:
    for case, letters in LIMITS.items():
        assert case.condition in CONDITIONS
        unconditional = MEASURED[Case(case.operator, case.weight_type, case.granularity, case.activations)]
        assert any(one in "ox" and other not in "ox" for one, other in zip(unconditional, letters, strict=True))


@pytest.mark.parametrize(
    ("case", "shape", "expected"),
    [
        (Case("CONV_2D", "int4", "per_channel", "int16"), (8, 3, 3, 5), True),
        (Case("DEPTHWISE_CONV_2D", "int4", "per_channel", "int8"), (1, 3, 3, 5), True),
        (Case("DEPTHWISE_CONV_2D", "int4", "per_channel", "int16"), (1, 3, 3, 5), False),
        (Case("FULLY_CONNECTED", "int4", "blockwise", "float32"), (8, 64), True),
        (Case("FULLY_CONNECTED", "int4", "per_channel", "int8"), (1, 64), False),
        (Case("EMBEDDING_LOOKUP", "int4", "per_channel", "float32"), (10, 33), False),
        (Case("EMBEDDING_LOOKUP", "int2", "blockwise", "float32"), (10, 64), False),
        (Case("FULLY_CONNECTED", "int4", "blockwise", "float32"), (3, 64), False),
        (Case("LSTM", "int4", "per_tensor", "float32"), (8, 8), False),
        (Case("GATHER", "int4", "per_tensor", "float32"), (), False),
    ],
)
def test_an_operator_takes_weights_where_the_common_interpreters_are_right(case: Case, shape: tuple[int, ...], expected: bool) -> None:
    assert takes(case, shape) is expected
