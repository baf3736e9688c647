"""The parts of an error add up to it and mean what they say; effects of operators add up to the model's error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import qcore
from qcore.analysis import compare
from qcore.analysis.attributing.attribute import attribute, following
from qcore.analysis.attributing.calibration import calibrators
from qcore.analysis.attributing.split import PARTS, SplitSums
from qcore.analysis.sides import Side
from qcore.calibration import Statistics, calibrate
from qcore.cli.main import main
from qcore.errors import InputError
from qcore.model import Model
from qcore.runtime.plan import Settings
from tests.calibration.models import loop
from tests.conformance.harness import T, one_operator
from tests.quantizer.builder import branches, dense

DATA = Path(qcore.__file__).parent / "data"
FLOAT, INT8, DIGITS = (str(DATA / name) for name in ("digits_float.tflite", "digits_int8.tflite", "digits.npz"))


def digits(count: int) -> np.ndarray:
    with np.load(DIGITS) as data:
        return data["images"][:count, ..., np.newaxis] / np.float32(16)


def neuron(weight: float, bias: float, output_scale: float | None = None) -> Model:
    """One number times a weight, plus a bias; quantized, with scales of 1 but for the output, where that has one."""
    name, shape = "FULLY_CONNECTED", (1, 1)
    if output_scale is None:
        return one_operator(
            name, [T("float32", shape), T("float32", shape, value=[weight]), T("float32", (1,), value=[bias])], [T("float32", shape)]
        )
    x, w = T("int8", shape, 1.0), T("int8", shape, [1.0], value=[round(weight)])
    return one_operator(name, [x, w, T("int32", (1,), 1.0, value=[round(bias)])], [T("int8", shape, output_scale)])


@pytest.mark.parametrize(
    ("part", "x", "weight", "bias", "output_scale", "error"),
    [
        ("weights", 2.0, 1.4, 0.0, 1.0, -0.8),
        ("input", 1.4, 2.0, 0.0, 1.0, -0.8),
        ("bias", 1.0, 1.0, 0.4, 1.0, -0.4),
        ("requantization", 1.0, 1.0, 0.0, 4.0, -1.0),
        ("clipping", 200.0, 1.0, -100.0, 1.0, -73.0),
        ("clipping", 100.0, 2.0, 0.0, 1.0, -73.0),
    ],
)
def test_each_part_alone_is_called_by_its_name(part: str, x: float, weight: float, bias: float, output_scale: float, error: float) -> None:
    (row,) = attribute(neuron(weight, bias), neuron(weight, bias, output_scale), [np.float32([[x]])]).operators
    assert row.alone is not None
    assert row.alone.rmse == pytest.approx(-error, rel=1e-6)
    assert row.alone.shares == pytest.approx({p: float(p == part) for p in PARTS}, abs=1e-6)
    assert row.alone.rms[part] == pytest.approx(-error, rel=1e-6)


def test_parts_that_work_against_each_other_have_shares_of_both_signs() -> None:
    """2 * 1.4 is 2.8: the weight's rounding makes 2 of it, the output's of scale 4 makes 4: -0.8 and +2 of an error of 1.2."""
    (row,) = attribute(neuron(1.4, 0.0), neuron(1.4, 0.0, 4.0), [np.float32([[2.0]])]).operators
    assert row.alone.rmse == pytest.approx(1.2, rel=1e-6)
    assert row.alone.shares["weights"] == pytest.approx(-0.8 / 1.2, rel=1e-6)
    assert row.alone.shares["requantization"] == pytest.approx(2 / 1.2, rel=1e-6)
    assert row.alone.rms["requantization"] == pytest.approx(2, rel=1e-6)


def test_shares_are_of_all_elements_together_and_leave_out_what_is_not_finite() -> None:
    sums = SplitSums()
    sums.add(np.float32([0, 0]), [("input", np.float32([1, 0])), ("weights", np.float32([1, 2]))])
    sums.add(np.float32([0, np.inf]), [("input", np.float32([3, 0])), ("weights", np.float32([3, 0]))])
    split = sums.result()
    assert sums.count == 3
    assert split.rmse == pytest.approx(((1 + 4 + 9) / 3) ** 0.5)
    assert (split.shares["input"], split.shares["weights"]) == pytest.approx((10 / 14, 4 / 14))


@pytest.mark.parametrize("mode", ["int8", "int16x8", "dynamic_range", "float16", "weight_only"])
def test_the_parts_add_up_to_what_compare_measures(mode: str) -> None:
    rng = np.random.default_rng(4)
    model = branches(rng)
    shape = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].shape
    samples = [rng.normal(size=shape).astype(np.float32) for _ in range(4)]
    quantized = qcore.quantize_model(model, mode=mode, calibration=samples if mode in ("int8", "int16x8") else None)
    found, compared = attribute(model, quantized, samples), compare(model, quantized, samples)
    assert [row.measured for row in found.operators] == list(compared.operators)
    assert any(row.alone is not None for row in found.operators)
    for row in found.operators:
        for split, measured in ((row.alone, row.measured.isolated), (row.in_model, row.measured.cumulative)):
            if split is not None:
                assert split.rmse == pytest.approx(measured.root_mean_squared_error, rel=1e-9)
                assert sum(split.shares.values()) == pytest.approx(float(split.rmse > 0), abs=1e-9)


def test_the_bundled_model_loses_most_to_the_end_of_the_range_of_its_last_softmax() -> None:
    """Probabilities end at 255/256, so that a sure answer is cut off."""
    found = attribute(FLOAT, INT8, digits(8))
    first = found.ranked(1)[0]
    assert (first.measured.operator, first.index) == ("SOFTMAX", 9)
    assert first.alone.shares["clipping"] > 0.9
    assert found.effect_samples == 4
    assert sum(row.effect.share for row in found.operators) == pytest.approx(1, abs=0.01)
    moved = found.operator(7)
    assert moved.measured.operator == "RESHAPE"
    assert moved.effect.change == 0


def test_effects_add_up_in_a_linear_model_and_an_input_without_quantize_counts() -> None:
    rng = np.random.default_rng(7)
    model = dense(rng)
    samples = [rng.normal(size=(1, 64)).astype(np.float32) for _ in range(4)]
    for io in ("float32", "int8"):
        quantized = qcore.quantize_model(model, mode="int8", calibration=samples, input_type=io, output_type=io)
        found = attribute(model, quantized, samples, effect_samples=3)
        effects = [row.effect for row in found.operators if row.effect is not None]
        assert sum(e.share for e in effects) == pytest.approx(1, abs=1e-5)


def test_the_effect_of_an_output_is_its_error() -> None:
    (row,) = attribute(neuron(1.4, 0.0), neuron(1.4, 0.0, 1.0), [np.float32([[2.0]])]).operators
    assert row.effect.change == pytest.approx(0.8 / 2.8, rel=1e-6)
    assert row.effect.share == pytest.approx(1, rel=1e-6)


def test_dynamic_range_rounds_its_input_as_it_comes() -> None:
    weights = np.float32([[1, -127], [127, 3]])
    float_model = one_operator("FULLY_CONNECTED", [T("float32", (1, 2)), T("float32", (2, 2), value=weights)], [T("float32", (1, 2))])
    hybrid = one_operator("FULLY_CONNECTED", [T("float32", (1, 2)), T("int8", (2, 2), [1.0, 1.0], value=weights)], [T("float32", (1, 2))])
    (row,) = attribute(float_model, hybrid, [np.float32([[0.123, 1.0]])]).operators
    assert row.alone.rmse > 0
    assert row.alone.shares["input"] == pytest.approx(1)


def test_operators_that_run_subgraphs_are_not_taken_apart() -> None:
    model = loop()
    sample = [np.ones(model.subgraphs[0].tensors[i].shape, np.float32) for i in model.subgraphs[0].inputs]
    rows = [row for row in attribute(model, model, [sample]).operators if row.measured.operator == "WHILE"]
    assert rows
    for row in rows:
        assert row.alone is None
        assert "not taken apart: what makes its error lies in the subgraphs that it runs" in row.note


def test_without_effects_none_is_measured() -> None:
    found = attribute(FLOAT, INT8, digits(2), effect_samples=0)
    assert all(row.effect is None for row in found.operators)
    assert [row.index for row in found.ranked()] == [row.index for row in found.operators]


def test_what_follows_from_unchanged_values_is_unchanged() -> None:
    model = qcore.load(FLOAT)
    side = Side(model, 0, Settings(preserve_all_tensors=True))
    side.run({side.graph.inputs[0]: digits(1)})
    for position, operator in enumerate(side.graph.operators):
        values = following(side, {o: side.executor.values[o] for o in operator.outputs})
        assert not {o for p in range(position) for o in side.graph.operators[p].outputs} & set(values)
        for index, value in values.items():
            np.testing.assert_array_equal(value, side.executor.values[index])


def test_calibrators_cost_what_the_statistics_say() -> None:
    float_model, quantized = qcore.load(FLOAT), qcore.load(INT8)
    statistics = calibrate(float_model, digits(20))
    rows = calibrators(float_model, quantized, statistics).tensors
    assert [row.tensor for row in rows][-1] == "StatefulPartitionedCall_1:0"
    for row in rows:
        assert row.choices == statistics.choices(0, row.index, "int8")
        assert row.excess_db(row.choices[row.best]) == 0
        assert min(row.excess_db(choice) for choice in row.choices.values()) == 0
    softmax = rows[-1].present
    assert (softmax.min, softmax.max) == (0.0, 255 / 256)
    with pytest.raises(InputError, match="another model"):
        calibrators(dense(np.random.default_rng(0)), quantized, statistics)
    with pytest.raises(InputError, match="no samples"):
        calibrators(float_model, quantized, Statistics())


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="effect_samples is -1"):
        attribute(FLOAT, INT8, digits(1), effect_samples=-1)
    with pytest.raises(InputError, match="needs at least one"):
        attribute(FLOAT, INT8, [])


def test_the_command_shows_parts_effects_and_calibrators(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "statistics"
    calibrate(FLOAT, digits(5)).save(file)
    data = ["--data", DIGITS, "--scale", "1/16", "--samples", "2"]
    assert main(["attribute", FLOAT, INT8, *data, "--top", "2", "--calibration", str(file)]) == 0
    out = capsys.readouterr().out
    for part in (
        "2 of 10 operators, greatest effect first; parts of the error alone (2 samples)",
        "requantization",
        "moving_average",
        "SOFTMAX",
    ):
        assert part in out
    assert main(["attribute", FLOAT, INT8, *data, "--in-model"]) == 0
    assert "parts of the error in the model as a whole" in capsys.readouterr().out
    assert main(["attribute", FLOAT, INT8, *data, "--json", "--calibration", str(file)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["operators"]) == 10
    assert document["calibrators"][0]["best"] in document["calibrators"][0]["choices"]
    assert main(["attribute", FLOAT, INT8]) == 2
    assert "needs --data, or --calibration" in capsys.readouterr().err
