"""What a report says: numbers right by hand, advice that can be carried out, and a page that holds nothing but text of a model's names."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qcore
from qcore.analysis import compare
from qcore.analysis.report import Report, gather, node_data, to_html, to_json
from qcore.analysis.report.charts import BARS
from qcore.analysis.report.scopes import CONSTANTS, scopes
from qcore.model import Buffer, Model, Quantization
from qcore.schema import constant, encode
from tests.calibration.models import loop, one_input
from tests.conformance.harness import T, one_operator
from tests.quantizer.builder import Builder, branches, dense

DATA = Path(qcore.__file__).parent / "data"
FLOAT, INT8 = DATA / "digits_float.tflite", DATA / "digits_int8.tflite"


def digits(count: int = 4) -> np.ndarray:
    with np.load(DATA / "digits.npz") as data:
        return data["images"][:count, ..., np.newaxis] / np.float32(16)


def moved(dtype: str = "float32", scale: float | None = None) -> Model:
    """Four numbers, moved: whatever error there is comes from the input's codes."""
    return one_operator("RESHAPE", [T(dtype, (1, 4), scale), T("int32", (2,), value=[2, 2])], [T(dtype, (2, 2), scale)])


def rows(rng: np.random.Generator, depth: int = 64, count: int = 8) -> list[np.ndarray]:
    return [rng.normal(size=(1, depth)).astype(np.float32) for _ in range(count)]


def advised(found: Report) -> dict[str, Any]:
    return {advice.rule: advice for advice in found.advice}


def carried_out(call: str, model: Model, samples: list[np.ndarray]) -> Model:
    """The model that the call of an advice gives."""
    names = {"qcore": qcore, "model": model, "samples": samples, "statistics": qcore.calibrate(model, samples)}
    exec(call.partition("\n# or")[0], names)
    quantized = names["quantized"]
    assert isinstance(quantized, Model)
    return quantized


def output_sqnr(model: Model, quantized: Model, samples: list[np.ndarray]) -> float:
    return compare(model, quantized, samples).outputs[0].error.sqnr_db


def test_what_was_seen_of_an_activation_by_hand() -> None:
    samples = [np.float32([[0.2, 0.6, -1.2, 3.0]]), np.float32([[-70.0, -64.1, 63.6, 64.0]])]
    found = gather(moved(), moved("int8", 0.5), samples)
    (activation,) = found.operators[0].activations
    assert (activation.low, activation.high, activation.count) == (-70.0, 64.0, 8)
    # Codes stand for -64 to 63.5; what is not nearest to one of them is beyond.
    assert activation.grid is not None
    assert (activation.grid.low, activation.grid.high, activation.grid.scale, activation.grid.zero_point) == (-64.0, 63.5, 0.5, 0)
    assert (activation.below, activation.above) == (1 / 8, 1 / 8)
    assert (activation.least, activation.greatest) == (-128, 127)
    assert sum(activation.bars.counts) == 8
    assert activation.bars.low <= -70 < activation.bars.low + activation.bars.width
    assert [c.index for c in activation.worst] == [0, 1]
    assert activation.worst[0].error == pytest.approx(math.sqrt((0.2**2 + 0.2**2 + 6**2 + 0.1**2) / 4), rel=1e-5)
    # The operator moves codes, so its range is not its own choice.
    assert activation.ranges == ()
    (given,) = found.input_activations
    assert (given.below, given.above, given.bars) == (activation.below, activation.above, activation.bars)


def test_samples_count_as_if_they_were_one() -> None:
    together = digits(6)
    found = gather(FLOAT, INT8, together)
    shuffled = gather(FLOAT, INT8, together[::-1])
    for a, b in zip(found.operators, shuffled.operators, strict=True):
        assert [(x.bars, x.below, x.above, x.least, x.greatest) for x in a.activations] == [
            (x.bars, x.below, x.above, x.least, x.greatest) for x in b.activations
        ]


def test_errors_are_those_of_compare() -> None:
    found = gather(FLOAT, INT8, digits())
    assert found.comparison == compare(FLOAT, INT8, digits())
    assert tuple(row for operator in found.operators for row in operator.errors) == found.comparison.operators


def test_sizes_add_up_and_shared_buffers_count_once() -> None:
    model = dense(np.random.default_rng(0))
    graph = model.subgraphs[0]
    second = Builder(graph.tensors, graph.operators, graph.inputs)
    z = second.tensor("z", (1, 32))
    second.op("FULLY_CONNECTED", [0, 1, 2], z)
    graph.outputs.append(z)
    found = gather(model, model, None)
    assert [operator.size for operator in found.operators] == [4 * (64 * 32 + 32), 0]
    (part,) = found.operator_types
    assert (part.name, part.float_count, part.float_bytes) == ("FULLY_CONNECTED", 2, 4 * (64 * 32 + 32))
    assert found.float_bytes == len(model.to_bytes())
    assert sum(p.float_bytes for p in found.element_types) == part.float_bytes


@pytest.mark.parametrize("mode", ["float", "float16", "dynamic_range", "weight_only", "int8", "int16x8"])
def test_the_mode_is_told_and_weights_are_compared(mode: Any) -> None:
    rng = np.random.default_rng(0)
    model, samples = dense(rng), rows(rng)
    calibration = samples if mode in ("int8", "int16x8") else None
    found = gather(model, model if mode == "float" else qcore.quantize_model(model, mode, calibration), samples)
    assert found.mode == mode
    weights = [w for operator in found.operators for w in operator.weights if found.tensors[w.tensor].shape == (32, 64)]
    assert len(weights) == (mode != "float")
    assert all(w.compared and w.error is not None and w.error.sqnr_db > 35 and sum(w.bars.counts) == 32 * 64 for w in weights)
    assert all(len(w.bars.counts) <= BARS for w in weights)
    assert advised(found) == {}


def test_a_channel_that_decides_the_only_scale_is_advised_against_and_the_call_mends_it() -> None:
    rng = np.random.default_rng(0)
    model, samples = dense(rng), rows(rng)
    weights = model.tensor("weights")
    values = np.array(constant(weights))
    values[5] *= 100
    weights.buffer = Buffer(encode(values, "float32"))
    quantized = qcore.quantize_model(model, "int8", samples, per_channel=False, per_channel_dense=False)
    found = gather(model, quantized, samples)
    advice = advised(found)["per-channel"]
    assert "per_channel_dense=True" in advice.call
    assert output_sqnr(model, carried_out(advice.call, model, samples), samples) > output_sqnr(model, quantized, samples)
    (w,) = found.operators[advice.findings[0].operator].weights
    assert w.error is not None
    assert w.per_channel_sqnr_db is not None
    assert w.per_channel_sqnr_db > w.error.sqnr_db + 3
    assert 5 not in [channel.index for channel in w.worst]
    assert all(channel.sqnr_db == pytest.approx(w.worst[0].sqnr_db, abs=6) for channel in w.worst)


def test_a_range_that_does_not_fit_is_advised_against_and_the_call_mends_it() -> None:
    rng = np.random.default_rng(0)
    model, samples = dense(rng), rows(rng)
    narrow = qcore.quantize_model(model, "int8", [0.2 * sample for sample in samples])
    found = gather(model, narrow, samples)
    assert {"input", "range"} <= advised(found).keys()
    assert advised(found)["input"].findings[0].operator is None
    for rule in ("input", "range"):
        mended = carried_out(advised(found)[rule].call, model, samples)
        assert output_sqnr(model, mended, samples) > output_sqnr(model, narrow, samples) + 10
        assert advised(gather(model, mended, samples)) == {}


def test_an_operator_with_much_error_of_its_own_is_advised_to_stay_in_floating_point() -> None:
    rng = np.random.default_rng(0)
    model, samples = dense(rng), rows(rng)
    bad = qcore.quantize_model(model, "int8", samples)
    graph = bad.subgraphs[0]
    operator = next(op for op in graph.operators if op.name == "FULLY_CONNECTED")
    weights = graph.tensors[operator.inputs[1]]
    # Weights in steps 32 times as wide.
    weights.buffer = Buffer(encode(np.round(constant(weights) / 32).astype(np.int8), "int8"))
    weights.quantization = Quantization(weights.quantization.scale * 32, weights.quantization.zero_point)
    advice = advised(gather(model, bad, samples))["own-error"]
    assert [finding.operator for finding in advice.findings] == [graph.operators.index(operator)]
    assert "qcore.Rule(quantize=False, tensor='y')" in advice.call
    kept = carried_out(advice.call, model, samples)
    assert "float32" in [kept.subgraphs[0].tensors[op.outputs[0]].dtype for op in kept.subgraphs[0].operators if op.name == operator.name]


def test_biases_that_do_not_fit_are_counted_and_the_call_mends_them() -> None:
    rng = np.random.default_rng(0)
    model, samples = dense(rng), rows(rng)
    quantized = qcore.quantize_model(model, "int8", samples)
    graph = quantized.subgraphs[0]
    bias = graph.tensors[next(op for op in graph.operators if op.name == "FULLY_CONNECTED").inputs[2]]
    codes = np.array(constant(bias))
    codes[3] = np.iinfo(np.int32).max
    bias.buffer = Buffer(encode(codes, "int32"))
    found = gather(model, quantized, samples)
    advice = advised(found)["bias"]
    assert "1 of 32 biases" in advice.findings[0].evidence
    assert "bias" not in advised(gather(model, carried_out(advice.call, model, samples), samples))
    (b,) = found.operators[advice.findings[0].operator].biases
    assert (b.ends, b.saturated, b.channels) == (1, 1, 32)


def test_operators_left_in_floating_point_are_listed_and_the_call_names_them() -> None:
    rng = np.random.default_rng(0)
    model = branches(rng)
    samples = [rng.normal(size=(1, 4, 4, 3)).astype(np.float32) for _ in range(4)]
    found = gather(model, qcore.quantize_model(model, "int8", samples), samples)
    advice = advised(found)["float"]
    assert "NEG" in [found.operators[finding.operator].name for finding in advice.findings if finding.operator is not None]
    with pytest.raises(qcore.QCoreError, match="NEG"):
        carried_out(advice.call, model, samples)


def test_without_samples_there_are_weights_and_sizes() -> None:
    found = gather(FLOAT, INT8, None)
    assert found.comparison is None
    assert not any(operator.activations or operator.errors for operator in found.operators)
    assert found.operators[0].weights[0].scales is not None
    assert found.tensors[found.operators[0].outputs[0]].grid is not None
    assert (found.float_name, found.quantized_name, found.quantized_bytes) == (FLOAT.name, INT8.name, INT8.stat().st_size)


def test_values_that_are_not_finite_are_counted() -> None:
    model = one_input()
    found = gather(model, model, [np.float32([[np.nan, np.inf, 1, 2]]), np.float32([[3, 4, 5, 6]])], nan="ignore")
    (activation,) = found.operators[0].activations
    assert (activation.nonfinite, activation.count, activation.low, activation.high) == (2, 6, 1, 6)
    assert "NaN" not in to_json(found).replace('"NaN"', "")
    nothing = gather(model, model, [np.float32([[np.nan] * 4])], nan="ignore")
    assert nothing.operators[0].activations == ()


def test_other_subgraphs_are_announced() -> None:
    model = loop()
    assert gather(model, model, None).notes == (
        f"{len(model.subgraphs) - 1} other subgraphs of the quantized model count in its sizes and are not looked into",
    )


def test_the_mode_is_that_of_all_subgraphs() -> None:
    model = loop()
    filter = T("int8", (4, 4), 0.1, value=np.ones((4, 4)))
    layer = one_operator("FULLY_CONNECTED", [T("float32", (1, 4)), filter, None], [T("float32", (1, 4))])
    quantized = Model([*model.subgraphs, *layer.subgraphs])
    assert gather(model, model, None).mode == "float"
    assert gather(model, quantized, None).mode == "dynamic_range"


def test_no_text_of_a_model_means_anything_to_html() -> None:
    hostile = "</script><!-- <script> & \u2028 {{SCRIPT}} {{POLICY}}"
    b = Builder()
    b.op("NEG", [b.input(hostile, (1, 4))], b.tensor("y" + hostile, (1, 4)))
    found = gather(b.model(1), b.model(1), [np.ones((1, 4), np.float32)])
    text = to_json(found)
    assert text.isascii()
    assert not set("<>&") & set(text)
    assert json.loads(text)["tensors"][0]["name"] == hostile
    page = to_html(found).decode()
    assert len(re.findall("<script", page)) == 2
    assert text in page
    # What the page may load: nothing; what it may run: its own script, by digest.
    assert "default-src 'none'; style-src 'sha256-" in page
    assert not re.search(r"(src|href)=.?(http|//)|@import|url\(", page)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    pages = []
    for name in ("a.html", "b.html"):
        qcore.report(FLOAT, INT8, digits(), tmp_path / name)
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]
    assert b"{{" not in pages[0]


def test_a_page_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(qcore.InputError, match="cannot write"):
        qcore.report(FLOAT, INT8, None, tmp_path / "none" / "report.html")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], []),
        (["a", "b"], ["", ""]),
        (["net/block_1_a/x", "net/block_1_b/y;net/z", "net/block_2/z"], ["block_1", "block_1", ""]),
        (["n/b_1/x", "n/b_1/x", "n/odd/y", "n/b_1/x"], ["b_1"] * 4),
        (["n/b1a_c/x", "n/b1a_d/x", "n/b1b_c/x", "n/b1b_d/x"], ["b1a", "b1a", "b1b", "b1b"]),
        (["/".join("x" * 10_000), "/".join("x" * 10_000)], ["", ""]),
        ([None, None, "n/a/x", None, "n/a/x", "n/c/x"], [CONSTANTS, CONSTANTS, "a", "a", "a", ""]),
    ],
)
def test_scopes(names: list[str | None], expected: list[str]) -> None:
    assert scopes(names) == expected


def test_node_data_names_the_graph_and_operators_as_model_explorer_does() -> None:
    model = qcore.load(INT8)
    comparison = compare(FLOAT, INT8, digits())
    (name, graph), *others = json.loads(node_data(comparison, model)).items()
    assert (name, others) == ("main", [])
    assert [t["value"] for t in graph["thresholds"]] == [10, 20, 30, 40]
    assert graph["results"]["1"] == {"value": round(comparison.worst(1)[0].isolated.sqnr_db, 2)}
    # Those without error have no value, since JSON has no infinity.
    assert set(graph["results"]) == {str(r.index) for r in comparison.operators if r.isolated and math.isfinite(r.isolated.sqnr_db)}
    model.subgraphs[0].name = None
    assert list(json.loads(node_data(comparison, model, "cumulative"))) == [model.signatures[0].key]
    model.signatures = None
    assert list(json.loads(node_data(comparison, model))) == ["main"]
