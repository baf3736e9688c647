"""Ranges that training leaves in the graph: FAKE_QUANT, pairs of QUANTIZE and DEQUANTIZE, and minima and maxima in the file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import qcore
from qcore.calibration import Statistics, calibrate
from qcore.errors import InputError, QuantizationError
from qcore.model import Model
from qcore.quantizer import quantize_model
from qcore.schema import constant
from tests.quantizer.builder import Builder, dense, find, names, tensor_of
from tests.quantizer.trained import WEIGHTS, output_of, paired, params, rounded, trained

RNG = np.random.default_rng(8)


def test_fake_quantization_becomes_parameters_and_vanishes() -> None:
    model = trained()
    q = quantize_model(model, float_fallback=False)
    assert names(q) == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]
    dense = find(q, "FULLY_CONNECTED")
    assert params(tensor_of(q, dense, 0)) == ("int8", [np.float32(2.04 / 255)], [-3])  # 125 of uint8
    assert params(output_of(q, dense)) == ("int8", [np.float32(6.5 / 255)], [-10])  # 118 of uint8
    assert params(tensor_of(q, dense, 1)) == ("int8", [np.float32(np.abs(WEIGHTS).max() / 127)], [0])
    assert [t.name for t in (q.subgraphs[0].tensors[i] for i in (*q.subgraphs[0].inputs, *q.subgraphs[0].outputs))] == ["x", "y/fake"]
    assert names(model).count("FAKE_QUANT") == 3


def test_the_integers_are_those_that_training_saw() -> None:
    """The outputs of the quantized model, against those of the fake-quantized one."""
    model, q = trained(), quantize_model(trained())
    x = RNG.uniform(-1.5, 1.5, (200, 1, 5)).astype(np.float32)
    steps = np.float32(6.5 / 255)
    real, integer = (qcore.Interpreter(model_content=m) for m in (model_without_narrow_range(model), q))
    difference = np.array([np.abs(real.run(s)["y/fake"] - integer.run(s)["y/fake"]) / steps for s in x])
    # The bias is rounded, and the reference kernel rounds twice: both matter near ties only.
    assert difference.max() < 1.01
    assert (difference > 0.5).mean() < 0.02


def model_without_narrow_range(model: Model) -> Model:
    """The same for values within the range, which kernels of FAKE_QUANT compute."""
    for operator in model.subgraphs[0].operators:
        if operator.options is not None and operator.options.fields.get("narrow_range"):
            scale = operator.options.fields["max"] / 127
            operator.options.fields.update(narrow_range=False, min=-128 * scale)
    return model


def test_four_bits_of_weights_are_int4() -> None:
    q = quantize_model(trained(num_bits=4))
    weights = tensor_of(q, find(q, "FULLY_CONNECTED"), 1)
    assert params(weights) == ("int4", [np.float32(np.abs(WEIGHTS).max() / 7)], [0])
    assert find(q, "FULLY_CONNECTED").code.version == 10


@pytest.mark.parametrize(("dtype", "zero_point"), [("uint8", 128), ("int8", 0)])
def test_pairs_carry_scales_per_channel(dtype: str, zero_point: int) -> None:
    b = Builder()
    x, w, y = b.input("x", (1, 5)), b.constant("w", WEIGHTS), b.tensor("y", (1, 4))
    scale = np.abs(WEIGHTS).max(axis=1) / 100
    b.op("FULLY_CONNECTED", [paired(b, x, dtype, 0.5, zero_point + 3), paired(b, w, dtype, scale, zero_point)], y)
    q = quantize_model(b.model(paired(b, y, dtype, 0.25, zero_point - 5)), float_fallback=False)
    dense = find(q, "FULLY_CONNECTED")
    assert params(tensor_of(q, dense, 0)) == ("int8", [0.5], [3])
    assert params(output_of(q, dense)) == ("int8", [0.25], [-5])
    assert params(tensor_of(q, dense, 1)) == ("int8", scale.astype(np.float32).tolist(), [0] * 4)
    codes = constant(tensor_of(q, dense, 1))
    assert codes is not None and np.abs(codes).max(axis=1).tolist() == [100] * 4


def test_the_bias_guard_does_not_move_a_carried_scale() -> None:
    def scale(bias: float) -> list[float]:
        model = trained()
        tensor = next(t for t in model.subgraphs[0].tensors if t.name == "bias")
        tensor.buffer.data = np.full(4, bias, np.float32).view(np.uint8)
        q = quantize_model(model)
        return params(tensor_of(q, find(q, "FULLY_CONNECTED"), 1))[1]

    assert scale(1e6) == scale(0.1)


def partly(b: Builder, first_range: bool) -> Model:
    """x -> FULLY_CONNECTED -> h -> FULLY_CONNECTED -> y; x and y have ranges, h may have one."""
    x, h, y = b.input("x", (1, 5)), b.tensor("h", (1, 4)), b.tensor("y", (1, 4))
    first, second = b.constant("first", WEIGHTS), b.constant("second", WEIGHTS[:, :4])
    b.op("FULLY_CONNECTED", [rounded(b, x, -1, 1), first], h)
    b.op("FULLY_CONNECTED", [rounded(b, h, -9, 9) if first_range else h, second], y)
    return b.model(rounded(b, y, -3, 3))


def test_calibration_fills_what_carries_no_range_and_changes_nothing_else() -> None:
    model = partly(Builder(), first_range=False)
    data = [RNG.uniform(-1, 1, (1, 5)).astype(np.float32) for _ in range(3)]
    with pytest.raises(QuantizationError, match=r"2 operators stay float\nFULLY_CONNECTED \(op 1, output 'h'\): output 'h' has no"):
        quantize_model(model, float_fallback=False)
    assert names(quantize_model(model)) == ["QUANTIZE", "DEQUANTIZE", *["FULLY_CONNECTED"] * 2, "QUANTIZE", "DEQUANTIZE"]
    stats = calibrate(model, data)
    for calibration in (stats, data):
        q = quantize_model(model, calibration=calibration, float_fallback=False)
        assert names(q) == ["QUANTIZE", "FULLY_CONNECTED", "FULLY_CONNECTED", "DEQUANTIZE"]
        first, second = (o for o in q.subgraphs[0].operators if o.name == "FULLY_CONNECTED")
        assert params(tensor_of(q, first, 0))[1] == [np.float32(2 / 255)]
        low, high = stats.range(0, 1) or (0, 0)
        assert params(tensor_of(q, second, 0))[1] == [np.float32(np.float32(high) - np.float32(low)) / np.float32(255)]


def test_a_carried_range_counts_more_than_a_calibrated_one() -> None:
    model = partly(Builder(), first_range=True)
    alone = quantize_model(model)
    with_data = quantize_model(model, calibration=[np.full((1, 5), 0.1, np.float32)])
    for q in (alone, with_data):
        assert params(output_of(q, q.subgraphs[0].operators[1]))[1] == [np.float32(18 / 255)]


def test_ranges_from_the_graph_are_all_there_or_the_tensors_are_named() -> None:
    model = partly(Builder(), first_range=False)
    with pytest.raises(QuantizationError, match=r"no range for 1 of its tensors: 'h' \(FULLY_CONNECTED\); calibration fills"):
        quantize_model(model, ranges="graph")
    filled = quantize_model(model, calibration=[RNG.uniform(-1, 1, (1, 5)).astype(np.float32)], ranges="graph")
    assert names(filled) == ["QUANTIZE", "FULLY_CONNECTED", "FULLY_CONNECTED", "DEQUANTIZE"]
    rules = [qcore.Rule(False, tensor="h"), qcore.Rule(False, tensor="y")]
    assert names(quantize_model(model, ranges="graph", rules=rules)).count("FULLY_CONNECTED") == 2
    whole = partly(Builder(), first_range=True)
    assert quantize_model(whole, ranges="graph").to_bytes() == quantize_model(whole).to_bytes()


def test_inputs_without_a_range_and_what_floating_point_computes_are_named_too_but_not_what_follows() -> None:
    b = Builder()
    x, z = b.input("x", (1, 4)), b.tensor("z", (1, 4))
    s, flat, y = b.tensor("s", (1, 4)), b.tensor("flat", (4,)), b.tensor("y", (4,))
    b.op("NEG", [rounded(b, x, -1, 1)], z)
    b.op("ADD", [x, z], s)
    b.op("RESHAPE", [s, b.constant("shape", [4], "int32")], flat)
    b.op("ABS", [flat], y)
    with pytest.raises(QuantizationError, match=r"for 4 of its tensors: 'x' \(an input\), 'z' \(NEG\), 's' \(ADD\), 'flat' \(RESHAPE\)"):
        quantize_model(b.model(rounded(b, y, 0, 2)), ranges="graph")


def test_many_tensors_without_a_range_are_counted() -> None:
    b = Builder()
    h = rounded(b, b.input("x", (1, 4)), -1, 1)
    for i in range(10):
        h = b.op("ABS", [h], b.tensor(f"h{i}", (1, 4))).outputs[0]
    with pytest.raises(QuantizationError, match=r"no range for 10 of its tensors: 'h0' \(ABS\), .*, 'h7' \(ABS\) and 2 more;"):
        quantize_model(b.model(h), ranges="graph")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "float16"}, "ranges='graph' does not apply to mode 'float16'; it does to int8, int16x8"),
        ({"convention": "ai-edge", "calibration": [np.zeros((1, 5), np.float32)]}, "ranges='graph' does not apply to convention 'ai-edge'"),
        ({"ranges": "file"}, "ranges: got 'file', expected one of 'graph', None"),
        ({"accuracy": "max", "samples": [np.zeros((1, 5), np.float32)]}, "accuracy does not go with ranges='graph'"),
    ],
)
def test_ranges_from_the_graph_go_with_some_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        quantize_model(trained(), **{"ranges": "graph", **arguments})


def test_a_graph_without_fake_quantization_has_no_ranges_to_take() -> None:
    with pytest.raises(InputError, match="ranges='graph': no operator of the model rounds"):
        quantize_model(dense(RNG), calibration=[np.zeros((1, 64), np.float32)], ranges="graph")


def activated(before: tuple[float, float] | None) -> Model:
    """x -> FULLY_CONNECTED -> h -> RELU -> y; h may have a range."""
    b = Builder()
    x, h, y = b.input("x", (1, 5)), b.tensor("h", (1, 4)), b.tensor("y", (1, 4))
    b.op("FULLY_CONNECTED", [rounded(b, x, -1, 1), b.constant("w", WEIGHTS)], h)
    b.op("RELU", [h if before is None else rounded(b, h, *before)], y)
    return b.model(rounded(b, y, 0, 3))


def test_an_activation_without_a_range_before_it_is_part_of_the_operator() -> None:
    assert names(quantize_model(activated(None), ranges="graph")) == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]
    assert names(quantize_model(activated((0, 3)), ranges="graph")) == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]


def test_an_activation_behind_another_range_stays_since_that_clips_too() -> None:
    model = activated((-1, 1))
    q = quantize_model(model, ranges="graph")
    assert names(q) == ["QUANTIZE", "FULLY_CONNECTED", "RELU", "DEQUANTIZE"]
    assert names(quantize_model(model)) == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]
    x = np.ones((1, 5), np.float32)
    real, integer = (qcore.Interpreter(model_content=m).run(x)["y/fake"] for m in (model, q))
    np.testing.assert_allclose(integer, real, atol=3 / 255)
    assert real.max() < 1.01


def test_two_ranges_of_one_tensor_are_both_kept() -> None:
    b = Builder()
    x, y, z = b.input("x", (1, 5)), b.tensor("y", (1, 4)), b.tensor("z", (1, 4))
    b.op("FULLY_CONNECTED", [rounded(b, x, -1, 1), b.constant("v", WEIGHTS)], y)
    b.op("FULLY_CONNECTED", [rounded(b, x, -2, 2), b.constant("w", WEIGHTS)], z)
    q = quantize_model(b.model(rounded(b, y, -3, 3), rounded(b, z, -3, 3)), float_fallback=False)
    assert [params(tensor_of(q, o, 0))[1] for o in q.subgraphs[0].operators if o.name == "FULLY_CONNECTED"] == [
        [np.float32(2 / 255)],
        [np.float32(4 / 255)],
    ]


def test_one_range_behind_another_is_a_requantization() -> None:
    b = Builder()
    x, y = b.input("x", (1, 5)), b.tensor("y", (1, 5))
    b.op("MUL", [rounded(b, x, -1, 1), b.constant("two", [2.0])], y)
    model = b.model(rounded(b, rounded(b, y, -2, 2), -1, 1.5))
    q = quantize_model(model, float_fallback=False)
    assert names(q) == ["QUANTIZE", "MUL", "DEQUANTIZE"]  # MUL computes in the last parameters at once
    assert params(output_of(q, find(q, "MUL")))[1] == [np.float32(2.5 / 255)]
    q = quantize_model(model, ranges="graph")
    assert names(q) == ["QUANTIZE", "MUL", "QUANTIZE", "DEQUANTIZE"]  # the first range clips too, and is kept
    assert params(output_of(q, find(q, "MUL")))[1] == [np.float32(4 / 255)]


def test_what_others_read_unrounded_is_no_business_of_the_range() -> None:
    b = Builder()
    x, h, y, z = b.input("x", (1, 5)), b.tensor("h", (1, 4)), b.tensor("y", (1, 4)), b.tensor("z", (1, 4))
    b.op("FULLY_CONNECTED", [rounded(b, x, -1, 1), b.constant("w", WEIGHTS)], h)
    b.op("ABS", [rounded(b, h, -2, 2)], y)
    b.op("NEG", [h], z)
    q = quantize_model(b.model(rounded(b, y, 0, 2), z))
    assert sorted(names(q)) == ["ABS", *["DEQUANTIZE"] * 2, "FULLY_CONNECTED", "NEG", *["QUANTIZE"] * 2]
    assert output_of(q, find(q, "FULLY_CONNECTED")).dtype == "float32"
    assert params(tensor_of(q, find(q, "ABS"), 0)) == ("int8", [np.float32(4 / 255)], [0])


def test_what_is_returned_beside_its_range_is_returned_in_codes() -> None:
    b = Builder()
    x, y, z = b.input("x", (1, 5)), b.tensor("y", (1, 4)), b.tensor("z", (1, 4))
    b.op("FULLY_CONNECTED", [rounded(b, x, -1, 1), b.constant("w", WEIGHTS)], y)
    b.op("ABS", [rounded(b, y, -2, 2)], z)
    q = quantize_model(b.model(y, rounded(b, z, 0, 2)), float_fallback=False)
    assert sorted(names(q)) == ["ABS", "DEQUANTIZE", "DEQUANTIZE", "FULLY_CONNECTED", "QUANTIZE"]
    assert [q.subgraphs[0].tensors[i].name for i in q.subgraphs[0].outputs] == ["y", "z/fake"]


def test_the_interface_may_be_integers() -> None:
    q = quantize_model(trained(), input_type="uint8", output_type="int8")
    tensors = q.subgraphs[0].tensors
    assert [params(tensors[i]) for i in (*q.subgraphs[0].inputs, *q.subgraphs[0].outputs)] == [
        ("uint8", [np.float32(2.04 / 255)], [125]),
        ("int8", [np.float32(6.5 / 255)], [-10]),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_bits": 16}, "tensor 'x' carries a range for int16, expected one for 8 bits"),
        ({"num_bits": 0}, "tensor 'x' carries a range of 0 bits"),
        ({"num_bits": 4}, "tensor 'x' carries a range for int4, expected one for 8 bits"),
        ({"min": np.nan}, "tensor 'x' carries no range"),
        ({"max": np.inf}, "tensor 'x' carries no range"),
        ({"min": 2.0}, "tensor 'x' carries no range"),
    ],
)
def test_a_range_that_int8_cannot_have_is_refused(options: dict[str, Any], message: str) -> None:
    b = Builder()
    x, y = b.input("x", (1, 5)), b.tensor("y", (1, 5))
    b.op("ABS", [x], y)
    b.op("FAKE_QUANT", [x], b.tensor("z", (1, 5)), **{"min": -1.0, "max": 1.0, "num_bits": 8, **options})
    with pytest.raises(QuantizationError, match=message):
        quantize_model(b.model(y))


def test_ranges_in_the_file_are_those_of_calibration() -> None:
    model = partly(Builder(), first_range=False)
    model.subgraphs[0].operators = [o for o in model.subgraphs[0].operators if o.name != "FAKE_QUANT"]
    for operator in model.subgraphs[0].operators:
        operator.inputs[0] = 0 if operator.outputs == [1] else 1
    model.subgraphs[0].outputs = [2]
    assert model.signatures is not None
    model.signatures[0].outputs = [("y", 2)]
    stats = calibrate(model, [RNG.uniform(-1, 1, (1, 5)).astype(np.float32)])
    for mode in ("int8", "int16x8"):
        from_file = quantize_model(stats.to_model(model), mode)  # type: ignore[arg-type]
        assert names(from_file) == names(quantize_model(model, mode, stats))  # type: ignore[arg-type]
    assert Statistics.from_model(model).tensors == {}
    with pytest.raises(InputError, match="needs calibration, .* since the model carries no ranges"):
        quantize_model(model)
