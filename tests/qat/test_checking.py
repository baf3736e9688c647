"""Every operator of odd models is within 1 LSB of what was trained; and a check notices when one is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs keras")

import keras

import qcore
from qcore.qat import QuantizedKernel, calibrate, check, export, quantize_model
from tests.qat import graphs

SAMPLES = 16
FOUR_BITS = ("separable", "transpose", "one_dimensional", "dense_bn", "nested", "squeeze_excite")


def trained(name: str) -> tuple[Any, list[Any]]:
    model = quantize_model(graphs.build(name))
    x = graphs.samples(model, SAMPLES)
    calibrate(model, [keras.tree.pack_sequence_as(model.input, x)])
    return model, x


@pytest.mark.parametrize("name", list(graphs.BUILDERS))
def test_every_operator_is_within_1_lsb(name: str) -> None:
    """At 4 bits too, where a model has kernels that others do not have; the ranges are wide enough for both."""
    model, x = trained(name)
    for bits in (8, 4) if name in FOUR_BITS else (8,):
        for layer in model.layers:
            if isinstance(layer, QuantizedKernel):
                layer.bits = bits
        exported = export(model)
        graph = exported.subgraphs[0]
        assert all(graph.tensors[operator.outputs[0]].dtype != "float32" for operator in graph.operators if operator.name != "DEQUANTIZE")
        result = check(model, exported, x)
        assert result.max_lsb <= 1, str(result)
        assert bits == 4 or result.agreement == 1


def test_the_other_arithmetics_round_elsewhere_but_no_farther() -> None:
    model, x = trained("separable")
    exported = export(model)
    for arithmetic in ("builtin", "reference"):
        result = check(model, exported.to_bytes(), x, arithmetic=arithmetic)
        assert (result.arithmetic, result.max_lsb, result.samples) == (arithmetic, 1, SAMPLES)


def test_a_check_names_the_operator_that_is_off() -> None:
    model, x = trained("sequential")
    exported = export(model)
    good = check(model, exported, x)
    assert str(good).endswith("16 samples, arithmetic xnnpack, biases rounded as in the file: at most 0 LSB apart, same class 1.0000")
    convolution = next(operator for operator in exported.subgraphs[0].operators if operator.name == "CONV_2D")
    bias = exported.subgraphs[0].tensors[convolution.inputs[2]].buffer
    bias.data = (bias.data.view(np.int32) + 10000).view(np.uint8)
    bad = check(model, exported, x)
    assert [operator.operator for operator in bad.operators if operator.max_lsb > 1] == ["CONV_2D"]
    assert [(o.operator, o.elements) for o in bad.operators] == [("QUANTIZE", 16 * 192), ("CONV_2D", 16 * 216), ("FULLY_CONNECTED", 80)]


def test_a_check_takes_the_right_model_and_samples_alone() -> None:
    model, x = trained("sequential")
    exported = export(model)
    calibrate(model, [3 * x[0]])
    with pytest.raises(qcore.InputError, match=r"no tensor '.*_codes' of this scale, so it was made of another model"):
        check(model, exported, x)
    with pytest.raises(qcore.InputError, match=r"expected 1 arrays of as many samples, at least one"):
        check(model, exported, x[0][:0])
