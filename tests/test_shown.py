"""Results print as tables, and turn into JSON that any program reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qcore
from qcore.shown import LONGEST_NAME, Shown, dimensions, short_name, to_json

DATA = Path(qcore.__file__).parent / "data"
FLOAT, INT8 = str(DATA / "digits_float.tflite"), str(DATA / "digits_int8.tflite")


def results() -> dict[str, tuple[Shown, str]]:
    """One of each kind, and something that its table says."""
    images = np.load(DATA / "digits.npz")["images"].astype(np.float32)[:2].reshape(2, 1, 8, 8, 1)
    codes = np.zeros((1, 8, 8, 1), np.int8)
    samples = [[image] for image in images]
    statistics = qcore.calibrate(qcore.load(FLOAT), samples, "percentile")
    return {
        "attribute": (qcore.attribute(FLOAT, INT8, samples, effect_samples=1), "greatest effect first"),
        "calibrators": (qcore.calibrators(FLOAT, INT8, statistics), "over the best"),
        "compare": (qcore.compare(FLOAT, INT8, samples), "worst isolated SQNR first"),
        "diff": (qcore.diff(FLOAT, INT8), "the models differ"),
        "identify": (qcore.identify(INT8, [codes], [qcore.trace(INT8, codes).tensors[-1].elements]), "tensors"),
        "explain": (qcore.explain(INT8, codes, op=0, element=(0, 0, 0, 0)), "exact numbers"),
        "lint": (qcore.lint(INT8, "tflm"), "tflm: 2 notes"),
        "ranges": (qcore.ranges(INT8), "proven not to overflow"),
        "trace": (qcore.trace(INT8, codes), "reference arithmetic"),
        "vectors": (qcore.vectors(INT8, 0), "accumulator"),
    }


def test_results_print_as_tables_and_are_valid_json() -> None:
    for name, (result, text) in results().items():
        printed = str(result)
        assert text in printed, name
        assert max(map(len, printed.splitlines())) <= result.width, name
        assert json.loads(result.to_json(), parse_constant=pytest.fail), name


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.inf, '"Infinity"'),
        (-np.inf, '"-Infinity"'),
        (np.float32("nan"), '"NaN"'),
        (np.int8(-3), "-3"),
        (np.float64(0.1), "0.1"),
        (np.array([1, 2]), "[1, 2]"),
        (b"abc", '"abc"'),
        (1 + 2j, '"(1+2j)"'),
        (None, "null"),
    ],
)
def test_every_value_has_its_place_in_json(value: Any, text: str) -> None:
    assert json.loads(to_json({"a": [(value,)]})) == {"a": [[json.loads(text)]]}


def test_names_and_shapes_are_kept_short() -> None:
    assert short_name("a/Relu;b/BiasAdd") == "a/Relu"
    assert short_name("x" * 40) == "..." + "x" * (LONGEST_NAME - 3)
    assert (dimensions((1, 8, 8)), dimensions(())) == ("1x8x8", "scalar")
