"""``evaluate``: predictions, accuracy and agreement, on models small enough to follow by hand and on the bundled digits."""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np
import pytest

import qcore
from qcore.analysis.evaluation import Evaluation, evaluate
from qcore.model import Model, Quantization, Subgraph
from tests.calibration.models import counter, one_input, operator, recurrent, tensor, two_inputs, two_signatures

ROWS = np.array([[-3, 0, 1, 2], [0, 1, 1, 0], [0, 0, -5, 4]], np.float32)


def test_the_class_is_the_place_of_the_greatest_value_of_equal_ones_the_first() -> None:
    assert evaluate(one_input(), ROWS).predictions.tolist() == [0, 1, 2]


def test_accuracy_is_the_part_of_predictions_that_are_the_label() -> None:
    result = evaluate(one_input(), list(ROWS), [0, 3, 2])
    assert (result.samples, result.correct, result.accuracy) == (3, 2, 2 / 3)


def test_without_labels_there_is_no_accuracy() -> None:
    result = evaluate(one_input(), ROWS)
    assert (result.labels, result.correct, result.accuracy) == (None, None, None)


def test_labels_may_stand_in_a_column_as_those_of_keras_do() -> None:
    assert evaluate(one_input(), ROWS, np.array([[0], [3], [2]], np.uint8)).correct == 2


def test_agreement_counts_equal_predictions() -> None:
    one, other = (Evaluation(np.array(classes)) for classes in ([1, 2, 3, 4], [1, 2, 0, 4]))
    assert one.agreement(other) == other.agreement(one) == 0.75
    with pytest.raises(qcore.InputError, match="4 samples, the other 1"):
        one.agreement(Evaluation(np.array([1])))


def test_samples_come_in_every_form_that_calibration_takes() -> None:
    a, b = np.array([0, 5, 0, 0], np.float32), np.array([0, 9, 0, 1], np.float32)
    for sample in ([a, b], {"a": a, "b": b}, ("serve", {"first": a, "second": b})):
        assert evaluate(two_inputs(), [sample]).predictions.tolist() == [1]
    assert evaluate(two_signatures(), ROWS[:1], signature="negate").predictions.tolist() == [0]
    assert evaluate(two_signatures(), ROWS[:1], signature="double").predictions.tolist() == [3]


def test_real_values_are_quantized_for_a_quantized_input_and_codes_are_taken_as_they_are() -> None:
    model = Model([Subgraph("main", [tensor("x", dtype="int8"), tensor("y")], [0], [1], [operator("DEQUANTIZE", [0], [1])])])
    model.subgraphs[0].tensors[0].quantization = Quantization(np.array([0.5], np.float32), np.array([10], np.int64))
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
    folder = resources.files("qcore.data")
    with folder.joinpath("digits.npz").open("rb") as file, np.load(file) as digits:
        images, labels = digits["images"][20:50, ..., np.newaxis] / 16, digits["labels"][20:50]
    assert evaluate(folder.joinpath("digits_int8.tflite").read_bytes(), images, labels, arithmetic=arithmetic).accuracy == 1


@pytest.mark.parametrize(
    ("model", "samples", "options", "message"),
    [
        (one_input(), [], {}, "samples: there is none"),
        (one_input(), ROWS, {"labels": [1]}, "got 1 labels for 3 samples"),
        (one_input(), ROWS, {"labels": [0.5] * 3}, r"got float64\[3\], expected one integer"),
        (one_input(), ROWS, {"labels": np.zeros((3, 2), int)}, r"got int64\[3, 2\]"),
        (one_input(), [ROWS[0], ROWS[0][:3]], {}, r"sample 1, input 'x': got shape \[1, 3\]"),
        (one_input(), ROWS, {"arithmetic": "float"}, "arithmetic is 'float'"),
        (one_input(), [ROWS[0] * np.nan], {}, "4 values are NaN"),
        (one_input((1, 1)), [np.ones(1)], {}, r"sample 0: evaluate: the first output is float32\[1, 1\], a classifier's"),
        (one_input((2, 4)), [np.ones((2, 4))], {}, r"the first output is float32\[2, 4\]"),
    ],
)
def test_what_does_not_fit_is_refused(model: Model, samples: object, options: dict, message: str) -> None:
    with pytest.raises(qcore.InputError, match=message):
        evaluate(model, samples, **options)  # type: ignore[arg-type]
