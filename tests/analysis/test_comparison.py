"""Errors by operator: right by hand, found where they arise, and clear where they cannot be measured."""

from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import qcore
from qcore.analysis import Comparison, OperatorError, compare
from qcore.errors import InputError
from qcore.model import Buffer, Model, Quantization
from qcore.numerics import ErrorMetrics, error_metrics
from qcore.schema import constant, encode
from tests.calibration.models import counter, loop, recurrent, two_signatures
from tests.conformance.harness import T, one_operator
from tests.quantizer.builder import Builder, branches, dense


def reshape(dtype: str = "float32", scale: float | None = None) -> Model:
    """Four numbers, moved: whatever error there is comes from the input's codes."""
    return one_operator("RESHAPE", [T(dtype, (1, 4), scale), T("int32", (1,), value=[4])], [T(dtype, (4,), scale)])


def times(factor: float) -> Model:
    """x[1, 2] times a constant."""
    return one_operator("MUL", [T("float32", (1, 2)), T("float32", (1,), value=[factor])], [T("float32", (1, 2))])


def joined(value: float) -> Model:
    """x[1, 2] and a constant."""
    constant = T("float32", (1, 1), value=[[value]])
    return one_operator("CONCATENATION", [T("float32", (1, 2)), constant], [T("float32", (1, 3))], {"axis": 1})


def stack(rng: np.random.Generator, layers: int = 5) -> Model:
    """x[1, 16], then FULLY_CONNECTED upon FULLY_CONNECTED."""
    b = Builder()
    last = b.input("x", (1, 16))
    for number in range(layers):
        weights, previous = b.constant(f"w{number}", rng.normal(size=(16, 16)) / 4), last
        last = b.tensor(f"y{number}", (1, 16))
        b.op("FULLY_CONNECTED", [previous, weights], last)
    return b.model(last)


def samples(rng: np.random.Generator, shape: tuple[int, ...], count: int = 8) -> list[np.ndarray]:
    return [rng.normal(size=shape).astype(np.float32) for _ in range(count)]


def rendered(comparison: Comparison, **options: Any) -> str:
    console = Console(width=160, file=io.StringIO())
    console.print(comparison.table(**options))
    return console.file.getvalue()


def no_error(metrics: ErrorMetrics | None) -> bool:
    return metrics == error_metrics([1.0], [1.0])


def test_every_metric_by_hand() -> None:
    comparison = compare(reshape(), reshape("int8", 0.5), [np.float32([[0.2, 0.6, -1.2, 3.0]])])
    (row,) = comparison.operators
    expected = error_metrics(np.float32([0.2, 0.6, -1.2, 3.0]), [0.0, 0.5, -1.0, 3.0])
    assert row.cumulative == row.isolated == expected
    assert expected.sqnr_db == pytest.approx(10 * math.log10((0.04 + 0.36 + 1.44 + 9) / (0.04 + 0.01 + 0.04)), rel=1e-6)
    assert (row.operator, row.reference_operator, row.dtype, row.scale) == ("RESHAPE", "RESHAPE", "int8", 0.5)
    (operator,) = json.loads(comparison.to_json())["operators"]
    assert operator["isolated"]["rmse_lsb"] == pytest.approx(0.15 / 0.5, rel=1e-6)
    assert operator["isolated"]["mean_error"] == pytest.approx(-0.025, rel=1e-6)


def test_samples_count_as_if_they_were_one() -> None:
    rows = np.float32([[[0.2, 0.6, -1.2, 3.0]], [[100.0, 0.0, 0.1, 0.3]]])
    (row,) = compare(reshape(), reshape("int8", 0.5), rows).operators
    # The second sample saturates at 63.5.
    assert row.cumulative.max_abs_error == 36.5
    assert row.cumulative.mean_squared_error == pytest.approx((0.04 + 0.01 + 0.04 + 36.5**2 + 0.01 + 0.04) / 8, rel=1e-6)


@pytest.mark.parametrize("mode", ["float", "int8"])
def test_a_model_has_no_error_against_itself(mode: str) -> None:
    rng = np.random.default_rng(0)
    model, data = branches(rng), samples(rng, (1, 4, 4, 3))
    if mode == "int8":
        model = qcore.quantize_model(model, mode="int8", calibration=data)
    comparison = compare(model, model, data)
    assert [row.operator for row in comparison.operators if row.reference_index is not None] == ["CONV_2D", "NEG", "CONCATENATION"]
    assert all(no_error(row.isolated) and no_error(row.cumulative) for row in comparison.operators)
    assert all(no_error(row.error) for row in comparison.outputs)
    assert comparison.unmatched_float == comparison.unmatched_quantized == comparison.notes == ()


def test_a_bad_scale_is_found_where_it_is() -> None:
    rng = np.random.default_rng(0)
    model, data = stack(rng), samples(rng, (1, 16))
    good = qcore.quantize_model(model, mode="int8", calibration=data)
    bad = qcore.load(good.to_bytes())
    graph = bad.subgraphs[0]
    operator = next(op for op in graph.operators if graph.tensors[op.outputs[0]].name == "y2")
    weights = graph.tensors[operator.inputs[1]]
    # Weights in steps 32 times as wide.
    weights.buffer = Buffer(encode(np.round(constant(weights) / 32).astype(np.int8), "int8"))
    weights.quantization = Quantization(weights.quantization.scale * 32, weights.quantization.zero_point)

    before, after = compare(model, good, data), compare(model, bad, data)
    worst = after.worst(1)[0]
    assert worst.tensor == "y2"
    assert worst.isolated.sqnr_db < 20 < 30 < after.worst()[1].isolated.sqnr_db
    # No other operator's own error changes, but everything after it suffers.
    assert {row.tensor for row, old in zip(after.operators, before.operators, strict=True) if row.isolated != old.isolated} == {"y2"}
    suffering = {row.tensor for row, old in zip(after.operators, before.operators, strict=True) if row.cumulative != old.cumulative}
    assert {"y2", "y3"} < suffering
    assert not {"y0", "y1"} & suffering
    assert after.worst(1, by="cumulative")[0].cumulative.sqnr_db < 20


@pytest.mark.parametrize(
    ("options", "least"),
    [
        ({"mode": "int8"}, 25),
        ({"mode": "int8", "input_type": "uint8", "output_type": "int8"}, 25),
        ({"mode": "int16x8"}, 35),
        ({"mode": "float16"}, 55),
        ({"mode": "dynamic_range", "min_elements": 0}, 35),
        ({"mode": "weight_only", "min_elements": 0}, 35),
    ],
)
def test_every_mode_is_measured(options: dict[str, Any], least: float) -> None:
    rng = np.random.default_rng(1)
    model, data = branches(rng), samples(rng, (1, 4, 4, 3))
    comparison = compare(model, qcore.quantize_model(model, calibration=data, **options), data)
    assert comparison.unmatched_float == comparison.unmatched_quantized == ()
    assert {"CONV_2D", "NEG", "CONCATENATION"} <= {row.operator for row in comparison.operators}
    assert all(min(row.isolated.sqnr_db, row.cumulative.sqnr_db) > least for row in comparison.operators)


def test_two_quantized_models() -> None:
    rng = np.random.default_rng(1)
    model, data = branches(rng), samples(rng, (1, 4, 4, 3))
    a, b = (qcore.quantize_model(model, mode="int8", calibration=data, input_type=t) for t in ("float32", "int8"))
    comparison = compare(a, b, data)
    assert all(no_error(row.isolated) and no_error(row.cumulative) for row in comparison.operators)
    assert all(no_error(row.cumulative) for row in compare(b, a, data).operators if row.operator != "QUANTIZE")


def test_operators_without_a_counterpart_are_named_and_stop_only_what_needs_them() -> None:
    def model(extra: str | None, last: str = "EXP") -> Model:
        b = Builder()
        x, n, z, y = b.input("x", (1, 4)), b.tensor("n", (1, 4)), b.tensor("z", (1, 4)), b.tensor("y", (1, 4))
        b.op("NEG", [x], n)
        if extra:
            b.op(extra, [n], z)
        b.op(last, [z if extra else n], y)
        return b.model(y)

    comparison = compare(model(None), model("FLOOR"), [np.float32([[0.5, 1.5, 2.5, -1.0]])])
    assert comparison.unmatched_float == ()
    assert comparison.unmatched_quantized == ("FLOOR (op 1, output 'z')",)
    negative, exponential = comparison.operators
    assert no_error(negative.isolated)
    assert no_error(negative.cumulative)
    assert exponential.isolated is None
    assert exponential.note == "not run alone: the float model has no counterpart of 'z'"
    assert comparison.worst()[-1] == exponential
    assert "no counterpart of 'z'" in rendered(comparison)
    assert "FLOOR (op 1, output 'z')" in rendered(comparison)


def test_outputs_come_with_their_error_and_how_often_they_choose_the_same() -> None:
    a, b = times(1.0), times(-1.0)
    comparison = compare(a, b, np.float32([[[1, 2]], [[2, 1]], [[1, 1]]]))
    (output,) = comparison.outputs
    assert output.top1_agreement == pytest.approx(1 / 3)
    assert output.error.cosine_similarity == pytest.approx(-1.0)
    assert "33.33%" in rendered(comparison)


def test_no_signal_nan_and_infinities_are_said() -> None:
    (nothing,) = compare(times(0.0), times(1.0), [np.float32([[1, 2]])]).operators
    assert nothing.cumulative.sqnr_db == -math.inf
    assert "values are all 0" in nothing.note
    comparison = compare(joined(1.0), joined(math.inf), [np.float32([[1, 2]])])
    assert comparison.operators[0].note == "NaN or infinity in just one of the models"
    metrics = json.loads(comparison.to_json())["operators"][0]["cumulative"]
    assert (metrics["sqnr_db"], metrics["cosine_similarity"], metrics["max_abs_error"]) == ("-Infinity", "NaN", "Infinity")
    assert rendered(comparison)
    (alike,) = compare(joined(math.nan), joined(math.nan), [np.float32([[1, 0]])]).operators
    assert no_error(alike.cumulative)


def test_tensors_without_elements_have_no_error_and_are_named() -> None:
    def model() -> Model:
        b = Builder()
        x, begin, size = b.input("x", (1, 4)), b.constant("begin", [0, 0], "int32"), b.constant("size", [0, 4], "int32")
        y = b.tensor("y", (0, 4))
        b.op("SLICE", [x, begin, size], y)
        return b.model(y)

    (row,) = compare(model(), model(), [np.ones((1, 4), np.float32)]).operators
    assert no_error(row.cumulative)
    assert row.note == "has no elements"


def test_loops_are_run_whole() -> None:
    comparison = compare(loop(), loop(), [np.float32([3])])
    (row,) = comparison.operators
    assert row.operator == "WHILE"
    assert no_error(row.isolated)
    assert row.note == "compared as a whole: the subgraphs that it runs are not looked into"


def test_resources_are_not_run_alone() -> None:
    data = [np.full((1, 4), value, np.float32) for value in (1, 2)]
    comparison = compare(counter(), counter(), data)
    rows = {row.operator: row for row in comparison.operators}
    assert rows["READ_VARIABLE"].isolated is None
    assert rows["READ_VARIABLE"].note.startswith("not run alone: it may depend on more than its inputs")
    assert no_error(rows["ADD"].isolated)
    assert all(no_error(row.cumulative) for row in comparison.operators)


def test_states_start_anew_with_each_sample() -> None:
    comparison = compare(recurrent(), recurrent(), samples(np.random.default_rng(0), (1, 2)))
    (row,) = comparison.operators
    assert no_error(row.isolated)
    assert no_error(row.cumulative)
    assert row.note == "its state starts anew with each sample"


def test_signatures_choose_the_subgraphs() -> None:
    model, data = two_signatures(), [np.ones((1, 4), np.float32)]
    assert [row.operator for row in compare(model, model, data).operators] == ["ADD"]
    assert [row.operator for row in compare(model, model, data, signature="negate").operators] == ["NEG"]
    with pytest.raises(InputError, match="sample 0: is for subgraph 1, compared is 0"):
        compare(model, model, [("negate", {"in": data[0]})])


@pytest.mark.parametrize(
    ("a", "b", "options", "message"),
    [
        (reshape(), times(1.0), {}, r"input 'input0' of the first model is \[1, 4\], 'input0' of the second \[1, 2\]"),
        (times(1.0), two_signatures(), {"signature": "double"}, "no signature 'double'"),
        (times(1.0), times(1.0), {"arithmetic": "guess"}, "arithmetic is 'guess'"),
        (times(1.0), times(1.0), {"samples": []}, "samples: there is none"),
        (times(1.0), times(1.0), {"samples": [np.ones((1, 3), np.float32)]}, r"sample 0, input 'input0': got shape \[1, 3\]"),
        (times(1.0), times(1.0), {"samples": [np.float32([[1, math.nan]])]}, "NaN"),
    ],
)
def test_what_does_not_fit_is_refused(a: Model, b: Model, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        compare(a, b, **{"samples": [np.ones((1, 2), np.float32)], **options})


def test_other_numbers_of_inputs_or_outputs_are_refused() -> None:
    b = Builder()
    x, y = b.input("x", (1, 2)), b.input("y", (1, 2))
    z = b.tensor("z", (1, 2))
    b.op("ADD", [x, y], z)
    with pytest.raises(InputError, match="the first model has 1 inputs, the second 2"):
        compare(times(1.0), b.model(z), [])
    with pytest.raises(InputError, match="the first model has 1 outputs, the second 2"):
        compare(b.model(z), b.model(z, z), [])


def row(index: int, isolated: float | None, cumulative: float) -> OperatorError:
    errors = [None if value is None else ErrorMetrics(value, 1.0, 0.0, 0.0, 0.0, 0.0) for value in (isolated, cumulative)]
    return OperatorError(index, "ADD", index, "ADD", f"t{index}", "int8", 0.1, *errors)


def test_the_order_is_worst_first_and_the_models_own_among_equals() -> None:
    values = [(0, 30.0, 9.0), (1, math.nan, 8.0), (2, None, 7.0), (3, -math.inf, 6.0), (4, 30.0, 5.0), (5, math.inf, 4.0)]
    comparison = Comparison(1, tuple(row(*value) for value in values), ())
    assert [r.index for r in comparison.worst()] == [1, 3, 0, 4, 5, 2]
    assert [r.index for r in comparison.worst(by="cumulative")] == [5, 4, 3, 2, 1, 0]
    assert [r.index for r in comparison.worst(2)] == [1, 3]
    assert [r["index"] for r in json.loads(comparison.to_json(2))["operators"]] == [1, 3]
    with pytest.raises(InputError, match="by='nothing'"):
        comparison.worst(by="nothing")  # type: ignore[arg-type]


def test_names_of_fused_operators_are_cut_in_the_table_only() -> None:
    rng = np.random.default_rng(0)
    model = dense(rng)
    model.tensor("y").name = name = "network/" * 9 + "Relu;network/BiasAdd"
    comparison = compare(model, model, samples(rng, (1, 64)))
    assert comparison.operators[0].tensor == name
    assert "...etwork/network/network/Relu " in rendered(comparison)


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_plot_takes_every_operator_and_every_edge_case(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    values = [(0, 30.0, -9.0), (1, math.nan, 8.0), (2, None, 7.0), (3, -math.inf, 6.0), (4, math.inf, math.inf)]
    Comparison(1, tuple(row(*value) for value in values), ()).plot(tmp_path / f"plot{suffix}")
    assert (tmp_path / f"plot{suffix}").stat().st_size > 1000
    Comparison(1, (), ()).plot(tmp_path / f"empty{suffix}")


def test_a_plot_that_cannot_be_drawn_is_an_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    comparison = Comparison(1, (row(0, 1.0, 1.0),), ())
    if pytest.importorskip("matplotlib", reason="needs matplotlib"):
        for path in (tmp_path / "none" / "x.png", tmp_path / "x.unknown"):
            with pytest.raises(InputError, match="plot "):
                comparison.plot(path)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match=r"pip install 'qcore\[plot\]'"):
        comparison.plot(tmp_path / "x.png")
