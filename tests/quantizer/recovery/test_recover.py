"""Accuracy recovery of whole models: closer to the float one, or left as it was; deterministic; whole files."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import qcore
from qcore.errors import InputError
from qcore.model import Model
from qcore.quantizer.recovery.passes import WEIGHT_METHODS
from qcore.quantizer.recovery.recover import METHODS, output_error, read_methods
from qcore.schema import constant
from tests.quantizer.builder import Builder, dense

SHAPE = (1, 8, 8, 3)


def network(seed: int = 0, dead: bool = False, biased: bool = True) -> Model:
    """x -> CONV_2D -> DEPTHWISE_CONV_2D -> CONV_2D -> MEAN -> FULLY_CONNECTED -> y; dead: a channel that is always 0 between the layers."""
    rng = np.random.default_rng(seed)
    b = Builder()
    first = rng.normal(size=(6, 3, 3, 3)) * 0.3
    taps = np.abs(rng.normal(size=(1, 3, 3, 6)))  # of one sign: rounding then shifts what they compute
    if dead:
        first[2] = 0
    x = b.input("x", SHAPE)
    a, d, p, m, y = (
        b.tensor(name, shape) for name, shape in zip("adpmy", [(1, 8, 8, 6), (1, 8, 8, 6), (1, 8, 8, 12), (1, 12), (1, 10)], strict=True)
    )
    options: dict[str, Any] = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    bias = b.constant("b0", np.zeros(6) if dead else rng.normal(size=6))
    b.op("CONV_2D", [x, b.constant("w0", first), bias], a, fused_activation_function="RELU", **options)
    b.op("DEPTHWISE_CONV_2D", [a, b.constant("w1", taps), b.constant("b1", rng.normal(size=6))], d, depth_multiplier=1, **options)
    pointwise = [d, b.constant("w2", rng.normal(size=(12, 1, 1, 6)))] + ([b.constant("b2", rng.normal(size=12))] if biased else [])
    b.op("CONV_2D", pointwise, p, fused_activation_function="RELU", **options)
    b.op("MEAN", [p, b.constant("axes", [1, 2], "int32")], m, keep_dims=False)
    b.op("FULLY_CONNECTED", [m, b.constant("w3", rng.normal(size=(10, 12))), b.constant("b3", rng.normal(size=10))], y)
    return b.model(y)


def samples(count: int = 40, seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=SHAPE) + rng.normal(size=(1, 1, 1, 3))).astype(np.float32) for _ in range(count)]


def error(model: Model, quantized: Model) -> float:
    """On samples that recovery has not seen."""
    return output_error(model, quantized, samples(60, seed=2))


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "int8"},
        {"mode": "int8", "weight_type": "int4"},
        {"mode": "int8", "convention": "ai-edge"},
        {"mode": "int8", "per_channel": False},
        {"mode": "int16x8"},
        {"mode": "dynamic_range", "min_elements": 0},
        {"mode": "weight_only", "weight_type": "int4", "min_elements": 0},
    ],
    ids=str,
)
def test_every_mode_comes_closer_to_the_float_model_on_other_samples(options: dict[str, Any]) -> None:
    model, given = network(), samples()
    plain = qcore.quantize_model(model, calibration=given, **options)
    recovered = qcore.quantize_model(model, calibration=given, accuracy="max", **options)
    assert error(model, recovered) < error(model, plain)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_alone_gives_a_model_that_runs_and_is_no_worse(method: str) -> None:
    model, given = network(), samples()
    options: dict[str, Any] = {"mode": "int8", "calibration": given, "weight_type": "int4"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        recovered = qcore.quantize_model(model, accuracy=method, **options)
    held_out = given[4::5]
    assert output_error(model, recovered, held_out) <= output_error(model, qcore.quantize_model(model, **options), held_out)


def test_bias_correction_alone_makes_an_operators_mean_output_that_of_the_float_one() -> None:
    """Closed form: what is left is the rounding of output and bias, on the very samples, where nothing is drawn or clamped."""
    model = dense(np.random.default_rng(0), units=16, depth=32)
    given = [x[np.newaxis] for x in (np.random.default_rng(3).normal(size=(200, 32)) + 2).astype(np.float32)]
    options: dict[str, Any] = {"mode": "int8", "calibration": given, "weight_type": "int4"}
    real = np.mean([qcore.Interpreter(model_content=model).run(x)["y"] for x in given], axis=0)

    def shift(quantized: Model) -> float:
        run = qcore.Interpreter(model_content=quantized).run
        return float(np.abs(np.mean([next(iter(run(x).values())) for x in given], axis=0) - real).max())

    plain, corrected = qcore.quantize_model(model, **options), qcore.quantize_model(model, accuracy="bias_correction", **options)
    computed = corrected.subgraphs[0].operators[-1].inputs[0]  # a DEQUANTIZE of what the operator computes
    quantization = corrected.subgraphs[0].tensors[computed].quantization
    assert quantization is not None
    lsb = float(quantization.scale[0])
    assert shift(corrected) < 0.1 * lsb < shift(plain)
    before, after = (next(t for t in q.subgraphs[0].tensors if t.dtype == "int4") for q in (plain, corrected))
    np.testing.assert_array_equal(constant(before), constant(after))


def test_the_same_samples_give_the_same_file() -> None:
    first, second = (qcore.quantize_model(network(), "int8", samples(), accuracy="max").to_bytes() for _ in range(2))
    assert first == second


def test_the_callers_model_does_not_change() -> None:
    model = network()
    before = model.to_bytes()
    qcore.quantize_model(model, "int8", samples(), accuracy="max")
    assert model.to_bytes() == before


def test_statistics_and_samples_may_come_apart() -> None:
    model, given = network(), samples()
    together = qcore.quantize_model(model, "int8", given, accuracy="max")
    apart = qcore.quantize_model(model, "int8", qcore.calibrate(model, given), accuracy="max", samples=given)
    assert together.to_bytes() == apart.to_bytes()


def test_samples_are_drawn_once_from_a_generator() -> None:
    model = network()
    from_list, drawn = (qcore.quantize_model(model, "int8", given, accuracy="max") for given in (samples(), (x for x in samples())))
    assert from_list.to_bytes() == drawn.to_bytes()


@pytest.mark.parametrize("mode", ["weight_only", "int8"])
def test_dead_channels_do_not_keep_a_model_from_coming_closer(mode: Any) -> None:
    model, given = network(dead=True), samples()
    options: dict[str, Any] = {"weight_type": "int4", "min_elements": 0} if mode == "weight_only" else {"weight_type": "int4"}
    plain = qcore.quantize_model(model, mode, given, **options)
    recovered = qcore.quantize_model(model, mode, given, accuracy="max", **options)
    assert error(model, recovered) < error(model, plain)


def test_an_operator_without_a_bias_gets_one() -> None:
    model, given = network(biased=False), samples()
    recovered = qcore.quantize_model(model, "int8", given, accuracy="max")
    assert error(model, recovered) < error(model, qcore.quantize_model(model, "int8", given))
    assert all(len(operator.inputs) == 3 for operator in recovered.subgraphs[0].operators if operator.name == "CONV_2D")


@pytest.mark.parametrize("count", [1, 3, 7])
def test_a_few_samples_are_enough_to_run(count: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        recovered = qcore.quantize_model(network(), "int8", samples(count), accuracy="max")
    qcore.Interpreter(model_content=recovered).run(samples(1)[0])


def test_constant_samples_leave_no_moments_to_speak_of_and_still_do_not_fail() -> None:
    model, zeros = network(), [np.zeros(SHAPE, np.float32)] * 10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        qcore.quantize_model(model, "weight_only", zeros, accuracy="max", min_elements=0)


def test_a_model_without_weights_is_left_with_a_warning() -> None:
    b = Builder()
    x, y = b.input("x", (1, 4)), b.tensor("y", (1, 4))
    b.op("LOGISTIC", [x], y)
    given = [np.linspace(-1, 1, 4, dtype=np.float32)[np.newaxis]] * 5
    with pytest.warns(UserWarning, match="left so") as caught:
        recovered = qcore.quantize_model(b.model(y), "int8", given, accuracy="bias_correction")
    assert caught[0].filename == __file__
    assert recovered.to_bytes() == qcore.quantize_model(b.model(y), "int8", given).to_bytes()


def test_int4_weights_are_packed_and_chosen_by_rules() -> None:
    model = network()
    rules = qcore.Rules.first_and_last(model)
    quantized = qcore.quantize_model(model, "int8", samples(), weight_type="int4", rules=rules)
    graph = quantized.subgraphs[0]
    types = [graph.tensors[op.inputs[1]].dtype for op in graph.operators if op.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")]
    assert types == ["int8", "int4", "int4", "int8"]
    narrow = graph.tensors[graph.operators[[op.name for op in graph.operators].index("DEPTHWISE_CONV_2D")].inputs[1]]
    assert narrow.buffer.data is not None and narrow.buffer.data.size == 27


def test_int16_activations_stand_among_int8_ones() -> None:
    model, given = network(), samples()
    rules = [qcore.Rule(True, tensor=name, activation_type="int16") for name in "ad"]
    quantized = qcore.quantize_model(model, "int8", given, rules=rules)
    graph = quantized.subgraphs[0]
    found = [(op.name, graph.tensors[op.outputs[0]].dtype) for op in graph.operators]
    assert found[:5] == [
        ("QUANTIZE", "int16"),
        ("CONV_2D", "int16"),
        ("DEPTHWISE_CONV_2D", "int16"),
        ("QUANTIZE", "int8"),
        ("CONV_2D", "int8"),
    ]
    recovered = qcore.quantize_model(model, "int8", given, rules=rules, accuracy="max")
    assert error(model, recovered) < error(model, qcore.quantize_model(model, "int8", given, rules=rules))


def test_methods_are_read_by_name_in_their_own_order() -> None:
    assert read_methods(None) == ()
    assert read_methods("max") == read_methods(["max", "gptq"]) == METHODS == ("mse_ranges", "bias_correction", *WEIGHT_METHODS)
    assert read_methods(["gptq", "bias_correction"]) == ("bias_correction", "gptq")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"accuracy": "best"}, "accuracy: got 'best', expected 'max' or some of"),
        ({"accuracy": ("gptq", "adaround")}, "got 'adaround'"),
        ({"accuracy": "max", "calibration": None}, "accuracy needs samples"),
        ({"accuracy": "max", "calibration": []}, "there is none"),
        ({"samples": [np.zeros(SHAPE, np.float32)]}, "samples are for accuracy"),
        ({"accuracy": "max", "mode": "float16"}, "does not apply to mode 'float16'"),
        ({"rules": [qcore.Rule(True, activation_type="int16")], "mode": "int16x8"}, "does not apply to mode 'int16x8'"),
        ({"rules": [qcore.Rule(True, activation_type="int16")], "float_fallback": False}, "float_fallback=False does not apply"),
    ],
)
def test_arguments_that_are_wrong_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        qcore.quantize_model(network(), **{"mode": "int8", "calibration": samples(5), **arguments})
