"""``evaluate``: each metric, on models small enough to follow by hand and on the bundled digits."""

from __future__ import annotations

import json
import math
import tracemalloc
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qcore
from qcore.analysis.evaluation import Evaluation, evaluate
from qcore.analysis.evaluation.intervals import bootstrap_interval, mcnemar, paired_interval, wilson_interval
from qcore.calibration.sharding import SHARD
from qcore.model import Model, Quantization, Signature, Subgraph
from tests.calibration.executors import EXECUTORS
from tests.calibration.models import counter, one_input, operator, recurrent, tensor, two_inputs, two_signatures

ROWS = np.array([[-3, 0, 1, 2], [0, 1, 1, 0], [0, 0, -5, 4]], np.float32)
RNG = np.random.default_rng(7)
FOLDER = resources.files("qcore.data")


def digits(part: slice) -> tuple[np.ndarray, np.ndarray]:
    with FOLDER.joinpath("digits.npz").open("rb") as file, np.load(file) as archive:
        return (archive["images"][part, ..., np.newaxis] / 16).astype(np.float32), archive["labels"][part]


def bundled(name: str) -> bytes:
    return FOLDER.joinpath(f"digits_{name}.tflite").read_bytes()


def two_outputs(named: bool = True) -> Model:
    """x -> ABS -> a and x -> NEG -> n, by a signature that calls them absolute and negative."""
    operators = [operator("ABS", [0], [1]), operator("NEG", [0], [2])]
    graph = Subgraph("main", [tensor("x"), tensor("a"), tensor("n")], [0], [1, 2], operators)
    return Model([graph], signatures=[Signature("s", [("in", 0)], [("absolute", 1), ("negative", 2)])] if named else None)


def nameless() -> Model:
    """The same, whose outputs cannot be told apart by name."""
    model = two_outputs(named=False)
    for output in model.subgraphs[0].tensors[1:]:
        output.name = ""
    return model


def quantized_input() -> Model:
    """Codes of scale 0.5 and zero point 10 -> DEQUANTIZE -> y."""
    model = Model([Subgraph("main", [tensor("x", dtype="int8"), tensor("y")], [0], [1], [operator("DEQUANTIZE", [0], [1])])])
    model.subgraphs[0].tensors[0].quantization = Quantization(np.array([0.5], np.float32), np.array([10], np.int64))
    return model


def identity() -> Model:
    """x -> RESHAPE -> y."""
    model = one_input()
    model.subgraphs[0].operators = [operator("RESHAPE", [0], [1], new_shape=np.array([1, 4], np.int32))]
    return model


def test_the_class_is_the_place_of_the_greatest_value_of_equal_ones_the_first() -> None:
    assert evaluate(one_input(), ROWS).predictions.tolist() == [0, 1, 2]


def test_accuracy_is_the_part_of_predictions_that_are_the_label() -> None:
    result = evaluate(one_input(), list(ROWS), [0, 3, 2])
    assert (result.samples, result.correct, result.accuracy) == (3, 2, 2 / 3)


def test_without_labels_there_are_predictions_alone() -> None:
    result = evaluate(one_input(), ROWS)
    assert (result.labels, result.correct, result.accuracy) == (None, None, None)
    assert all(map(math.isnan, [result.value, *result.interval, *result.scores]))


def test_labels_may_stand_in_a_column_as_those_of_keras_do() -> None:
    assert evaluate(one_input(), ROWS, np.array([[0], [3], [2]], np.uint8)).correct == 2


def test_agreement_counts_equal_predictions() -> None:
    one, other = (Evaluation("top1", np.zeros(5), np.array(classes)) for classes in ([1, 2, 3, 4, -1], [1, 2, 0, 4, -1]))
    assert one.agreement(other) == other.agreement(one) == 0.6
    with pytest.raises(qcore.InputError, match="5 samples, the other 1"):
        one.agreement(Evaluation("top1", np.zeros(1), np.array([1])))
    with pytest.raises(qcore.InputError, match="metrics top1 and f do not both predict classes"):
        one.agreement(Evaluation("f", np.zeros(5)))


def test_samples_come_in_every_form_that_calibration_takes() -> None:
    a, b = np.array([0, 5, 0, 0], np.float32), np.array([0, 9, 0, 1], np.float32)
    for sample in ([a, b], {"a": a, "b": b}, ("serve", {"first": a, "second": b})):
        assert evaluate(two_inputs(), [sample]).predictions.tolist() == [1]
    assert evaluate(two_signatures(), ROWS[:1], signature="negate").predictions.tolist() == [0]
    assert evaluate(two_signatures(), ROWS[:1], signature="double").predictions.tolist() == [3]


def test_real_values_are_quantized_for_a_quantized_input_and_codes_are_taken_as_they_are() -> None:
    model = quantized_input()
    real = np.array([[0, 1.5, 1, -1]])
    assert evaluate(model, [real, np.array([[0, 3, 2, 9]], np.int8)]).predictions.tolist() == [1, 3]
    with pytest.raises(qcore.InputError, match=r"sample 0, input 'x': 1 values are NaN"):
        evaluate(model, [real * [1, np.nan, 1, 1]])


@pytest.mark.parametrize("model", [counter, recurrent])
def test_each_sample_starts_from_a_clean_state(model: object) -> None:
    built = model()  # type: ignore[operator]
    width = built.subgraphs[0].tensors[0].shape[-1]
    samples = [np.eye(width, dtype=np.float32)[k] * height for k, height in ((0, 9), (1, 1))]
    assert evaluate(built, samples).predictions.tolist() == [0, 1]


@pytest.mark.parametrize("arithmetic", ["reference", "builtin", "xnnpack"])
def test_the_bundled_digits_are_classified_in_each_arithmetic(arithmetic: Any) -> None:
    images, labels = digits(slice(20, 50))
    assert evaluate(bundled("int8"), images, labels, arithmetic=arithmetic).accuracy == 1


def test_the_value_of_top1_is_the_accuracy_with_the_score_interval() -> None:
    result = evaluate(one_input(), ROWS, [0, 3, 2])
    assert result.scores.tolist() == [1, 0, 1]
    assert (result.metric, result.value) == ("top1", 2 / 3)
    assert result.interval == wilson_interval(2, 3, 0.95)
    assert evaluate(one_input(), ROWS, [0, 3, 2], confidence=0.5).interval == wilson_interval(2, 3, 0.5)


def test_top5_counts_the_five_greatest_of_equal_ones_the_first() -> None:
    row = np.array([[3, 9, 5, 5, 5, 5, 5, 0]], np.float32)
    scores = evaluate(one_input((1, 8)), [row] * 8, range(8), "top5").scores
    assert scores.tolist() == [0, 1, 1, 1, 1, 1, 0, 0]
    order = np.argsort(-row[0], kind="stable")
    assert sorted(order[:5]) == np.flatnonzero(scores).tolist()


def test_a_row_with_nan_is_in_no_class() -> None:
    row = [np.array([[1, np.nan, 2, 0, 0, 0]], np.float32)]
    for metric, expected in (("top1", {"labels": [1]}), ("top5", {"labels": [2]}), ("agreement", {"reference": one_input((1, 6))})):
        result = evaluate(one_input((1, 6)), row, metric=metric, nan="ignore", **expected)  # type: ignore[arg-type]
        assert (result.value, result.predictions.tolist()) == (0, [-1])  # type: ignore[union-attr]


def test_agreement_with_another_model_is_that_of_predictions() -> None:
    result = evaluate(one_input(), ROWS, metric="agreement", reference=identity())
    assert result.predictions.tolist() == [0, 1, 2]  # type: ignore[union-attr]
    assert result.scores.tolist() == [0, 1, 0]
    assert result.value == evaluate(one_input(), ROWS).agreement(evaluate(identity(), ROWS))


def test_sqnr_is_that_of_all_samples_together() -> None:
    result = evaluate(one_input(), ROWS, metric="sqnr", reference=identity())
    assert result.scores.tolist() == [[14, 36], [2, 0], [41, 100]]
    assert result.value == pytest.approx(10 * math.log10(57 / 136))
    low, high = result.interval
    assert (low < result.value, high) == (True, math.inf), "one of 27 resamples has the second row alone, which has no error"


def test_sqnr_without_error_is_infinite() -> None:
    result = evaluate(one_input(), ROWS, metric="sqnr", reference=one_input())
    assert (result.value, result.interval) == (math.inf, (math.inf, math.inf))
    assert json.loads(result.to_json())["interval"] == ["Infinity", "Infinity"]
    assert math.isnan(result.minus(result).value)


@pytest.mark.parametrize("form", [lambda y: y, lambda y: y[0], lambda y: y[..., None].tolist(), lambda y: {"y": y}, lambda y: {"any": y}])
def test_a_reference_may_be_the_outputs_that_are_expected(form: Any) -> None:
    for metric in ("agreement", "sqnr"):
        expected = evaluate(one_input(), ROWS, metric=metric, reference=identity()).scores  # type: ignore[arg-type]
        given = (form(row[np.newaxis]) for row in ROWS)
        np.testing.assert_array_equal(evaluate(one_input(), iter(ROWS), metric=metric, reference=given).scores, expected)  # type: ignore[arg-type]


def test_a_quantized_model_is_fed_the_real_values_that_its_reference_gets() -> None:
    result = evaluate(quantized_input(), [np.array([[0.2, 1.5, -0.75, 1]])], metric="sqnr", reference=identity())
    np.testing.assert_allclose(result.scores, [[0.04 + 2.25 + 0.5625 + 1, 0.04 + 0.0625]], rtol=1e-5)


def test_inputs_and_outputs_of_a_reference_correspond_by_name() -> None:
    model, swapped = two_inputs(), two_inputs()
    swapped.subgraphs[0].inputs.reverse()
    samples = [[ROWS[0], ROWS[1]], {"first": ROWS[2], "second": ROWS[0]}]
    assert evaluate(swapped, samples, metric="sqnr", reference=model).value == math.inf


def test_a_function_gets_the_output_and_the_label_whatever_that_is() -> None:
    seen = []

    def largest(output: np.ndarray, label: object) -> float:
        seen.append((output.tolist(), label))
        return output.max()

    result = evaluate(one_input(), ROWS, iter(["a", None, {"boxes": []}]), largest)
    assert seen == [([[3, 0, 1, 2]], "a"), ([[0, 1, 1, 0]], None), ([[0, 0, 5, 4]], {"boxes": []})]
    assert (result.metric, result.scores.tolist(), result.value) == ("largest", [3, 1, 5], 3)
    assert result.interval == bootstrap_interval(result.scores[:, None], lambda means: means[..., 0], 0.95)
    assert (result.predictions, result.labels) == (None, None)


def test_a_function_whose_every_score_is_0_or_1_has_a_proportion() -> None:
    assert evaluate(one_input(), ROWS, metric=lambda output, label: bool(output.max() > 2)).interval == wilson_interval(2, 3, 0.95)


def test_a_function_gets_several_outputs_by_name_or_the_one_that_is_named() -> None:
    def total(output: Any, expected: Any) -> float:
        if isinstance(output, dict):
            assert output.keys() == {"absolute", "negative"}
            assert expected is None or expected.keys() == output.keys()
            output, expected = output["negative"], expected and expected["negative"]
        return float(output.sum()) + (0 if expected is None else 100 * float(expected.sum()))

    model = two_outputs()
    assert evaluate(model, ROWS, metric=total).scores.tolist() == [0, -2, 1]
    assert evaluate(model, ROWS, metric=total, output="negative").scores.tolist() == [0, -2, 1]
    assert evaluate(model, ROWS, metric=total, output="a").scores.tolist() == [6, 2, 9]
    assert evaluate(model, ROWS, metric=total, reference=two_outputs(named=False)).scores.tolist() == [0, -202, 101]
    assert evaluate(model, ROWS, metric=total, output="n", reference=model).scores.tolist() == [0, -202, 101]


def test_one_of_several_outputs_is_looked_at() -> None:
    assert evaluate(two_outputs(), ROWS, [0, 1, 2], output="absolute").value == 1
    assert evaluate(two_outputs(named=False), ROWS, [0, 0, 2], output="n").value == 1
    assert evaluate(two_outputs(), ROWS, metric="sqnr", output="negative", reference=two_outputs()).value == math.inf
    given = [{"absolute": np.abs(row), "negative": row} for row in ROWS]
    assert evaluate(two_outputs(), ROWS, metric="sqnr", output="absolute", reference=given).value == math.inf


def test_two_evaluations_are_compared_sample_by_sample() -> None:
    ours, theirs = (
        Evaluation("top1", np.repeat(scores, counts)) for scores, counts in (([1.0, 0.0], [30, 10]), ([1.0, 0.0, 1.0], [24, 11, 5]))
    )
    difference = ours.minus(theirs)
    assert (difference.better, difference.worse, difference.samples) == (6, 5, 40)
    assert difference.value == pytest.approx(0.025)
    assert (difference.interval, difference.p_value) == (paired_interval(6, 5, 40, 0.95), mcnemar(6, 5))


def test_other_scores_are_compared_by_the_bootstrap_of_pairs() -> None:
    """Two models that err alike differ by much less than either is uncertain."""
    easy = RNG.uniform(size=200)
    ours, theirs = Evaluation("f", easy + 0.01), Evaluation("f", easy)
    difference = ours.minus(theirs)
    assert difference.interval == pytest.approx((0.01, 0.01))
    assert difference.p_value is None
    power, noise = RNG.uniform(1, 2, 200), RNG.uniform(size=200)
    ours, theirs = (Evaluation("sqnr", np.stack([power, noise / part], axis=1)) for part in (2, 1))
    low, high = ours.minus(theirs).interval
    assert (low, high) == pytest.approx((10 * math.log10(2),) * 2)


def test_evaluations_of_different_things_have_no_difference() -> None:
    ours = evaluate(one_input(), ROWS, [0, 3, 2])
    for other, message in (
        (evaluate(one_input(), ROWS, [0, 3, 1]), "different labels"),
        (evaluate(one_input(), ROWS), "different labels"),
        (evaluate(one_input(), ROWS[:2], [0, 3]), "top1 of 3 samples, the other top1 of 2"),
        (evaluate(one_input(), ROWS, metric="sqnr", reference=identity()), "top1 of 3 samples, the other sqnr of 3"),
    ):
        with pytest.raises(qcore.InputError, match=message):
            ours.minus(other)


def test_evaluations_and_differences_print_as_tables() -> None:
    result = evaluate(one_input(), ROWS, [0, 3, 2])
    assert [line.split() for line in str(result).splitlines()] == [
        ["top1", "95%", "interval", "samples"],
        ["66.67%", "20.77%", "to", "93.85%", "3"],
    ]
    assert str(result.minus(evaluate(identity(), ROWS, [0, 3, 2]))).splitlines()[1].split() == [
        *("+66.67%", "-30.12%", "to", "+100.00%", "3", "2", "0", "0.5"),
    ]
    assert "-3.78 dB" in str(evaluate(one_input(), ROWS, metric="sqnr", reference=identity()))
    assert json.loads(result.to_json())["value"] == 2 / 3


def inverse(output: np.ndarray, label: int) -> float:
    """At the top of the module, so that other processes find it."""
    return 1 / (1 + float(output.max()) + label)


@pytest.mark.parametrize("kind", EXECUTORS)
def test_any_executor_gives_the_scores_and_the_errors_of_one_process(kind: str) -> None:
    samples = RNG.normal(size=(2 * SHARD + 5, 1, 4)).astype(np.float32)
    labels = RNG.integers(0, 4, len(samples))
    images, _ = digits(slice(SHARD + 1))
    with EXECUTORS[kind]() as executor:
        for metric, given in (("top1", labels), (inverse, labels.tolist())):
            alone = evaluate(one_input(), samples, given, metric)  # type: ignore[arg-type]
            spread = evaluate(one_input(), iter(samples), given, metric, executor=executor)  # type: ignore[arg-type]
            assert spread.scores.tobytes() == alone.scores.tobytes()
            assert spread.interval == alone.interval
        np.testing.assert_array_equal(
            evaluate(bundled("int8"), images, metric="sqnr", reference=bundled("float"), executor=executor).scores,
            evaluate(bundled("int8"), images, metric="sqnr", reference=bundled("float")).scores,
        )
        with pytest.raises(qcore.InputError, match=r"^sample 20, input 'x': got shape \[1, 3\], expected \[1, 4\]$"):
            evaluate(one_input(), [*samples[:20], np.zeros((1, 3), np.float32)], executor=executor)


def test_memory_does_not_grow_with_the_number_of_samples() -> None:
    def peak(count: int) -> int:
        data = (np.full((1, 4096), n % 7, np.float32) for n in range(count))
        tracemalloc.start()
        evaluate(one_input((1, 4096)), data, metric="sqnr", reference=one_input((1, 4096)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(10)
    # 250 samples more are 4 MB of inputs and 4 MB of outputs.
    assert peak(300) < peak(50) + 200_000


def test_a_reference_may_be_a_file(tmp_path: Path) -> None:
    qcore.save(identity(), tmp_path / "m.tflite")
    for source in (tmp_path / "m.tflite", str(tmp_path / "m.tflite"), identity().to_bytes()):
        assert evaluate(one_input(), ROWS, metric="agreement", reference=source).value == 1 / 3


def failing(output: object, label: object) -> float:
    raise KeyError("boxes")


@pytest.mark.parametrize(
    ("model", "samples", "options", "message"),
    [
        (one_input(), [], {}, "samples: there is none"),
        (one_input(), ROWS, {"labels": [1]}, "got 1 labels for 3 samples"),
        (one_input(), iter(ROWS), {"labels": [1, 2]}, "labels end after 2"),
        (one_input(), iter(ROWS), {"labels": [1] * 4}, "samples end after 3"),
        (one_input(), ROWS, {"metric": "sqnr", "reference": [ROWS[0]]}, "got 1 reference outputs for 3 samples"),
        (one_input(), ROWS, {"labels": [0.5] * 3}, r"got float64\[3\], expected one integer"),
        (one_input(), ROWS, {"labels": np.zeros((3, 2), int)}, r"got int64\[3, 2\]"),
        (one_input(), ROWS, {"labels": [1, [2], 3]}, "labels: not one integer for each sample"),
        (one_input(), ROWS, {"labels": 3}, "labels: got int, expected an iterable"),
        (one_input(), ROWS, {"labels": [1, 4, 0]}, "sample 1: label 4: the output has 4 classes, from 0"),
        (one_input(), ROWS, {"labels": [1, -1, 0]}, "sample 1: label -1"),
        (one_input(), ROWS, {"labels": [1, 0, 0], "metric": "top5"}, "has 4 classes, of which any is among the top 5"),
        (one_input(), [ROWS[0], ROWS[0][:3]], {}, r"sample 1, input 'x': got shape \[1, 3\]"),
        (one_input(), ROWS, {"arithmetic": "float"}, "arithmetic is 'float'"),
        (one_input(), ROWS, {"engine": "slow"}, "engine is 'slow'"),
        (one_input(), ROWS, {"confidence": 95}, "confidence is 95"),
        (one_input(), ROWS, {"metric": "top2"}, "metric is 'top2', expected top1, top5, agreement, sqnr or a function"),
        (one_input(), ROWS, {"metric": np.zeros(2)}, "expected top1"),
        (one_input(), ROWS, {"metric": "sqnr"}, "metric sqnr needs a reference"),
        (one_input(), ROWS, {"metric": "agreement", "reference": identity(), "labels": [1, 2, 3]}, "takes no labels"),
        (one_input(), ROWS, {"reference": identity()}, "metric top1 compares with labels"),
        (one_input(), ROWS, {"metric": failing, "reference": identity(), "labels": [1, 2, 3]}, "expected one of them"),
        (one_input(), ROWS, {"metric": failing}, "sample 0: metric failing: KeyError: 'boxes'"),
        (one_input(), ROWS, {"metric": lambda y, label: y}, "sample 0: metric <lambda>: TypeError"),
        (one_input(), ROWS, {"metric": lambda y, label: np.nan}, "sample 0: metric <lambda>: gives nan, expected a finite number"),
        (one_input(), [ROWS[0] * np.nan], {}, "4 values are NaN"),
        (one_input((1, 1)), [np.ones(1)], {}, r"sample 0: the output is float32\[1, 1\], a classifier's"),
        (one_input((2, 4)), [np.ones((2, 4))], {}, r"the output is float32\[2, 4\]"),
        (one_input(), ROWS, {"metric": "sqnr", "reference": ROWS[:, :3]}, r"is float32\[1, 4\], the reference float32\[3\]"),
        (one_input(), ROWS, {"metric": "sqnr", "reference": [{"a": 1, "b": 2}] * 3}, r"the reference has outputs \['a', 'b'\]"),
        (one_input(), ROWS, {"metric": "sqnr", "reference": [["a"] * 4] * 3}, r"the reference <U1\[1, 4\]"),
        (one_input(), ROWS, {"metric": "sqnr", "reference": two_outputs()}, "evaluate: the first model has 2 outputs, the second 1"),
        (two_outputs(), ROWS, {"labels": [0, 0, 0]}, "has 2 outputs, 'absolute', 'negative'; output= must name"),
        (two_outputs(), ROWS, {"output": "x"}, "output is 'x', which names 0 of the model's outputs: 'absolute', 'negative'"),
        (nameless(), ROWS, {"metric": failing}, "has 2 outputs, '', ''; output= must name"),
        (two_signatures(), ROWS, {"signature": "none"}, "no signature 'none'"),
        (
            two_signatures(),
            [("negate", {"in": ROWS[0]})],
            {"metric": "sqnr", "reference": two_signatures()},
            "sample 0: it is for subgraph 1",
        ),
    ],
)
def test_what_does_not_fit_is_refused(model: Model, samples: object, options: dict, message: str) -> None:
    with pytest.raises(qcore.InputError, match=message):
        evaluate(model, samples, **options)  # type: ignore[arg-type]
