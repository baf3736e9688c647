"""quantize_model: what it refuses, and that it leaves its argument alone."""

from __future__ import annotations

import numpy as np
import pytest

import qcore.quantizer
from qcore.calibration import calibrate
from qcore.errors import InputError, ModelError
from qcore.model import Model
from qcore.quantizer import quantize_model
from tests.quantizer.builder import Builder, branches, dense

SAMPLES = [np.ones((1, 64), np.float32)]


def model() -> Model:
    return dense(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "int7"}, "mode: got 'int7', expected one of 'float16', 'dynamic_range', 'int8', 'int16x8', 'weight_only'"),
        ({"mode": ["int8"]}, r"mode: got \['int8'\]"),
        ({"mode": "int8"}, "mode 'int8' needs calibration"),
        ({"mode": "int16x8"}, "mode 'int16x8' needs calibration"),
        ({"mode": "float16", "input_type": "int8"}, "mode 'float16': input_type: got 'int8', expected one of 'float32'"),
        ({"mode": "int8", "output_type": "int16"}, "output_type: got 'int16', expected one of 'float32', 'int8', 'uint8'"),
        ({"mode": "int16x8", "input_type": "uint8"}, "input_type: got 'uint8', expected one of 'float32', 'int16'"),
        ({"mode": "dynamic_range", "per_channel": "no"}, "per_channel: got 'no'"),
        ({"mode": "dynamic_range", "min_elements": -1}, "min_elements: got -1"),
        ({"mode": "dynamic_range", "min_elements": 2.5}, "min_elements: got 2.5"),
        ({"mode": "float16", "min_elements": 5}, "min_elements=5 does not apply to mode 'float16'; it does to dynamic_range, weight_only"),
        ({"mode": "dynamic_range", "bias_type": "int32"}, "bias_type='int32' does not apply"),
        ({"mode": "int16x8", "bias_type": "int16"}, "bias_type: got 'int16'"),
        ({"mode": "weight_only", "weight_type": "int3"}, "weight_type: got 'int3'"),
        ({"mode": "float16", "rules": "NEG"}, "got str as rule 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        quantize_model(model(), **arguments)  # type: ignore[arg-type]


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(InputError, match="got str for a model"):
        quantize_model("model.tflite", "float16")  # type: ignore[arg-type]


def test_an_inconsistent_model_is_refused() -> None:
    b = Builder()
    x, y = b.input("x", (1,)), b.tensor("y", (1,))
    b.op("ABS", [y], y)
    with pytest.raises(ModelError, match="operator 0 ABS, input 0"):
        quantize_model(b.model(x), "float16")


def test_statistics_of_another_model_are_refused() -> None:
    stats = calibrate(model(), SAMPLES)
    with pytest.raises(InputError, match="statistics of another model"):
        quantize_model(branches(np.random.default_rng(0)), "int16x8", stats)


@pytest.mark.parametrize("mode", ["float16", "dynamic_range", "int8", "int16x8", "weight_only"])
def test_the_model_given_is_not_changed(mode: str) -> None:
    given = model()
    before = given.to_bytes()
    found = quantize_model(given, mode, SAMPLES)  # type: ignore[arg-type]
    assert given.to_bytes() == before
    assert found.to_bytes() != before


@pytest.mark.parametrize("mode", ["int8", "int16x8"])
def test_samples_and_their_statistics_give_the_same_file(mode: str) -> None:
    given = model()
    stats = calibrate(given, SAMPLES)
    assert quantize_model(given, mode, SAMPLES).to_bytes() == quantize_model(given, mode, stats).to_bytes()  # type: ignore[arg-type]


def test_every_public_name_is_there() -> None:
    assert all(hasattr(qcore.quantizer, name) for name in qcore.quantizer.__all__)
