"""Recovered models run in TensorFlow Lite, and qcore's reference arithmetic gives BUILTIN_REF's bits on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import qcore
from tests.conformance.harness import run_qcore, run_tflite
from tests.quantizer.recovery.test_recover import network, samples


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "int8"},
        {"mode": "int8", "weight_type": "int4", "rules": [qcore.Rule(True, operator="DEPTHWISE_CONV_2D", weight_type="int8")]},
        {"mode": "int8", "rules": [qcore.Rule(True, tensor=name, activation_type="int16") for name in "ad"]},
        {"mode": "int8", "rules": [qcore.Rule(True, tensor=name, activation_type="int16") for name in "my"]},
        {"mode": "int8", "rules": [qcore.Rule(True, tensor="d", activation_type="int16")], "input_type": "int8", "output_type": "int8"},
        {"mode": "int16x8"},
    ],
    ids=str,
)
def test_qcore_gives_the_bits_of_builtin_ref(options: dict[str, Any]) -> None:
    model = qcore.quantize_model(network(), calibration=samples(), accuracy="max", **options)
    for sample in samples(5, seed=3):
        inputs = [sample if options.get("input_type") is None else np.clip(np.round(sample * 20), -128, 127).astype(np.int8)]
        for own, theirs in zip(run_qcore(model, inputs), run_tflite(model, inputs), strict=True):
            np.testing.assert_array_equal(own, theirs)


def test_int4_depthwise_weights_run_on_the_default_kernels() -> None:
    """BUILTIN_REF has no version of DEPTHWISE_CONV_2D that takes them."""
    model = qcore.quantize_model(network(), "int8", samples(), accuracy="max", weight_type="int4")
    for sample in samples(5, seed=3):
        ours, theirs = run_qcore(model, [sample], arithmetic="xnnpack"), run_tflite(model, [sample], "AUTO")
        np.testing.assert_array_equal(ours[0], theirs[0])
