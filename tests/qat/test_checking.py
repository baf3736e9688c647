"""Sums of odd models are what was trained, to the last bit, and other operators within 1 LSB; and a check notices when one is not."""

from __future__ import annotations

import json
from typing import Any, get_args

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs keras")

import keras

import qcore
from qcore.kernels.opdef import Arithmetic
from qcore.qat import Check, QuantizedKernel, calibrate, check, export, quantize_model
from tests.qat import graphs

SAMPLES = 16
FOUR_BITS = ("coarse", "separable", "transpose", "one_dimensional", "dense_bn", "nested", "squeeze_excite", "concatenated")
SUMS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "CONCATENATION")


def trained(name: str, bits: int = 8) -> tuple[Any, list[Any]]:
    model = quantize_model(graphs.build(name), weight_bits=bits)
    x = graphs.samples(model, SAMPLES)
    calibrate(model, [keras.tree.pack_sequence_as(model.input, x)])
    return model, x


def require_equal_sums(result: Check) -> None:
    """Sums are equal, other operators within 1 LSB, and so are classes."""
    assert not [o for o in result.operators if o.operator in SUMS and o.differing], str(result)
    assert (result.max_lsb <= 1, result.agreement) == (True, 1), str(result)


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
        computed = [graph.tensors[o.outputs[0]].dtype for o in graph.operators if o.name not in ("DEQUANTIZE", "CAST")]
        assert "float32" not in computed
        require_equal_sums(check(model, exported, x))


@pytest.mark.parametrize("arithmetic", get_args(Arithmetic))
def test_sums_are_rounded_as_each_arithmetic_does(arithmetic: Arithmetic) -> None:
    """Packed int4 kernels, of which a few hundredths of all results are other than those of one rounding; in int8 tensors they are too."""
    for name in ("separable", "concatenated"):
        model, x = trained(name, 4)
        for packed in (True, False):
            result = check(model, export(model, packed=packed).to_bytes(), x, arithmetic=arithmetic)
            assert (result.arithmetic, result.samples) == (arithmetic, SAMPLES)
            require_equal_sums(result)


def test_what_a_check_runs_is_what_litert_runs() -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="needs ai_edge_litert", exc_type=ImportError)
    for name in ("separable", "nested"):
        model, x = trained(name, 4)
        exported = export(model)
        theirs = litert.Interpreter(model_content=exported.to_bytes())
        theirs.allocate_tensors()
        ours = qcore.Interpreter(model_content=exported, arithmetic="xnnpack")
        for sample in x[0]:
            theirs.set_tensor(theirs.get_input_details()[0]["index"], sample[np.newaxis])
            theirs.invoke()
            (output,) = ours.run(sample[np.newaxis]).values()
            np.testing.assert_array_equal(output, theirs.get_tensor(theirs.get_output_details()[0]["index"]))


def test_a_check_names_the_operator_that_is_off() -> None:
    model, x = trained("sequential")
    exported = export(model)
    good = check(model, exported, x)
    said = "16 samples, arithmetic xnnpack, rounded as in the file: at most 0 LSB apart, same class 1.0000; as trained 1.0000"
    assert str(good).endswith(said)
    convolution = next(operator for operator in exported.subgraphs[0].operators if operator.name == "CONV_2D")
    bias = exported.subgraphs[0].tensors[convolution.inputs[2]].buffer
    bias.data = (bias.data.view(np.int32) + 10000).view(np.uint8)
    bad = check(model, exported, x)
    assert [operator.operator for operator in bad.operators if operator.max_lsb > 1] == ["CONV_2D"]
    assert json.loads(bad.to_json())["max_lsb"] == bad.max_lsb > 1
    assert [(o.operator, o.elements) for o in bad.operators] == [("QUANTIZE", 16 * 192), ("CONV_2D", 16 * 216), ("FULLY_CONNECTED", 80)]


def test_a_check_sees_one_unit_of_a_bias() -> None:
    """Of a packed kernel: rounded once, each of its results could differ by a step anyway."""
    model, x = trained("separable", 4)
    exported = export(model)
    convolution = next(operator for operator in exported.subgraphs[0].operators if operator.name == "CONV_2D")
    bias = exported.subgraphs[0].tensors[convolution.inputs[2]].buffer
    bias.data = (bias.data.view(np.int32) + 1).view(np.uint8)
    differing = [o.tensor for o in check(model, exported, x).operators if o.operator in SUMS and o.differing]
    assert differing == [exported.subgraphs[0].tensors[convolution.outputs[0]].name]


def test_a_check_takes_the_right_model_and_samples_alone() -> None:
    model, x = trained("sequential")
    exported = export(model)
    calibrate(model, [3 * x[0]])
    with pytest.raises(qcore.InputError, match=r"no tensor '.*_codes' of this scale, so it was made of another model"):
        check(model, exported, x)
    with pytest.raises(qcore.InputError, match=r"expected 1 arrays of as many samples, at least one"):
        check(model, exported, x[0][:0])
