"""Walks: what operators read does not depend on what was kept of the samples before."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import qcore
from qcore.model import Model
from qcore.quantizer.recovery import running
from tests.quantizer.builder import Builder
from tests.quantizer.recovery import test_reach, test_recover


def joining(remembering: bool = False) -> Model:
    """x -> FULLY_CONNECTED -> FULLY_CONNECTED, both added -> FULLY_CONNECTED -> y; remembering: the first goes by way of a variable."""
    b, random = Builder(), np.random.default_rng(0)
    x, f, g, a, y = b.input("x", (1, 8)), *(b.tensor(name, (1, 8)) for name in "fgay")
    matrices = [b.constant(f"w{i}", random.normal(size=(8, 8))) for i in range(3)]
    b.op("FULLY_CONNECTED", [x, matrices[0], -1], f)
    if remembering:
        handle = b.tensor("handle", (), "resource")
        b.op("VAR_HANDLE", [], handle, container="", shared_name="v")
        b.op("ASSIGN_VARIABLE", [handle, f], [])
    b.op("FULLY_CONNECTED", [f, matrices[1], -1], g)
    if remembering:
        f = b.tensor("remembered", (1, 8))
        b.op("READ_VARIABLE", [handle], f)
    b.op("ADD", [f, g], a)
    b.op("FULLY_CONNECTED", [a, matrices[2], -1], y)
    return b.model(y)


CASES: dict[str, tuple[Any, dict[str, Any]]] = {name: (make, options) for name, (make, options, _) in test_reach.CASES.items()} | {
    "network": (test_recover.network, {"mode": "int8"}),
    "restored network": (test_recover.network, {"mode": "weight_only", "weight_type": "int4", "min_elements": 0}),
    "joining": (joining, {"mode": "int8"}),
    "remembering": (partial(joining, remembering=True), {"mode": "weight_only", "weight_type": "int4", "min_elements": 0}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_file_is_the_same_whether_operators_run_again_or_not(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, options = CASES[case]
    model = make()
    given = test_reach.samples(model, 12, seed=1)
    files = []
    for kept in (running.KEPT, 0):
        monkeypatch.setattr(running, "KEPT", kept)
        files.append(qcore.quantize_model(model, calibration=given, accuracy="max", **options).to_bytes())
    assert files[0] == files[1]
