"""NON_MAX_SUPPRESSION_V4, _V5 and TFLite_Detection_PostProcess: picks that can be worked out by hand, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import QCoreError
from tests.conformance.harness import T, one_operator, run_qcore
from tests.kernels.custom import custom_operator

BOXES = [[0, 0, 2, 2], [0, 0, 2, 1], [2, 2, 0, 0.5], [5, 5, 6, 6]]
"""The second and third cover a half and three quarters of the first; the third's corners come the other way round."""


def suppress(scores: Any, overlap: float, sigma: float | None = None, most: int = 4, least: float = 0, boxes: Any = BOXES) -> list[Any]:
    values, counted = [most, overlap, least], T("int32", ())
    inputs = [T("float32", np.shape(boxes)), T("float32", (len(boxes),)), counted, T("float32", ()), T("float32", ())]
    outputs = [T("int32", (1,)), counted]
    if sigma is not None:
        values.append(sigma)
        inputs.append(T("float32", ()))
        outputs.insert(1, T("float32", (1,)))
    model = one_operator("NON_MAX_SUPPRESSION_V4" if sigma is None else "NON_MAX_SUPPRESSION_V5", inputs, outputs)
    arrays = [np.array(boxes, np.float32), np.array(scores, np.float32), np.int32(values[0]), *np.array(values[1:], np.float32)]
    return [got.tolist() for got in run_qcore(model, [np.asarray(array) for array in arrays])]


def test_the_best_box_suppresses_those_that_overlap_it_by_the_threshold() -> None:
    """The second box shares 2 of 4, the third 3 of 4, with each other 1 of 4."""
    assert suppress([0.9, 0.8, 0.7, 0.6], 0.75) == [[0, 1, 3, 0], 3]
    assert suppress([0.9, 0.8, 0.7, 0.6], 0.5) == [[0, 3, 0, 0], 2]
    assert suppress([0.1, 0.8, 0.7, 0.6], 0.5) == [[1, 2, 3, 0], 3]


def test_scores_must_be_above_the_threshold_and_picks_are_limited() -> None:
    assert suppress([0.9, 0.8, 0.7, 0.6], 0.75, least=0.8) == [[0, 0, 0, 0], 1]
    assert suppress([0.9, 0.8, 0.7, 0.6], 0.75, most=2) == [[0, 1], 2]
    assert suppress([0.9, 0.8, 0.7, 0.6], 0.75, most=0) == [[], 0]
    assert suppress([], 0.5, most=2, boxes=np.zeros((0, 4))) == [[0, 0], 0]


def test_soft_suppression_lowers_scores() -> None:
    """The second box falls by exp(-1/8), below the last."""
    indices, scores, count = suppress([0.9, 0.8, 0.01, 0.75], 1.0, sigma=1.0)
    assert (indices[:3], count) == ([0, 3, 1], 4)
    np.testing.assert_allclose(scores[:3], [0.9, 0.75, 0.8 * np.exp(-1 / 8)], rtol=1e-6)


def test_a_box_without_area_is_picked_again_and_again() -> None:
    assert suppress([0.9, 0.8, 0.7], 0.5, boxes=[[0, 0, 0, 1], [0, 0, 1, 1], [0, 0, 1, 1]]) == [[0, 0, 0, 0], 3]


def test_equal_scores_leave_a_heap() -> None:
    """As measured on TensorFlow Lite."""
    boxes = [[2 * k, 0, 2 * k + 1, 1] for k in range(7)]
    assert suppress([0.5] * 7, 0.5, most=7, boxes=boxes) == [[0, 2, 5, 6, 4, 1, 3], 7]


OPTIONS: dict[str, Any] = {
    "max_detections": 3,
    "max_classes_per_detection": 1,
    "nms_score_threshold": 0.3,
    "nms_iou_threshold": 0.5,
    "num_classes": 2,
    "y_scale": 1.0,
    "x_scale": 1.0,
    "h_scale": 1.0,
    "w_scale": 1.0,
}
ANCHORS = np.array([[1, 1, 2, 2], [1, 0.5, 2, 1], [5.5, 5.5, 1, 1]], np.float32)
"""Centre and size of three boxes, of which the second is half of the first."""
SCORES = np.array([[[0.1, 0.9, 0.2], [0.1, 0.2, 0.8], [0.1, 0.7, 0.6]]], np.float32)
"""A background and two classes."""


UNMOVED = np.zeros((1, 3, 4))


def detect(encoded: Any = UNMOVED, scores: Any = SCORES, anchors: Any = ANCHORS, **options: Any) -> list[Any]:
    arrays = [np.asarray(array, np.float32) for array in (encoded, scores, anchors)]
    inputs = [T("float32", array.shape) for array in arrays]
    outputs = [T("float32", (1, 1, 4)), T("float32", (1, 1)), T("float32", (1, 1)), T("float32", (1,))]
    model = custom_operator("TFLite_Detection_PostProcess", inputs, outputs, OPTIONS | options)
    return [got.tolist() for got in run_qcore(model, arrays)]


def test_boxes_are_picked_by_their_best_class() -> None:
    """The second overlaps the first by a half, which is not more than the threshold."""
    boxes, labels, scores, count = detect()
    assert boxes == [[[0, 0, 2, 2], [0, 0, 2, 1], [5, 5, 6, 6]]]
    assert (labels, count) == ([[0, 1, 0]], [3])
    np.testing.assert_allclose(scores, [[0.9, 0.8, 0.7]])
    assert detect(nms_iou_threshold=0.4)[1::2] == [[[0, 0, 0]], [2]]


def test_a_picked_box_is_given_with_its_best_classes() -> None:
    boxes, labels, scores, count = detect(max_classes_per_detection=3, max_detections=1)
    assert (boxes, labels, count) == ([[[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 0, 0]]], [[0, 1, 0]], [1])
    np.testing.assert_allclose(scores, [[0.9, 0.2, 0]])


def test_each_class_is_picked_by_itself() -> None:
    boxes, labels, _, count = detect(use_regular_nms=True)
    assert (boxes, labels, count) == ([[[0, 0, 2, 2], [0, 0, 2, 1], [5, 5, 6, 6]]], [[0, 1, 0]], [3])
    assert detect(use_regular_nms=True, detections_per_class=1)[1::2] == [[[0, 1, 0]], [2]]
    assert detect(use_regular_nms=True, max_detections=1)[1::2] == [[[0]], [1]]


def test_boxes_are_decoded_from_anchors() -> None:
    """A centre moves by anchor sizes, a size grows by a power of e."""
    encoded = np.array([[[5, -10, 0, np.log(4)]]])
    got = detect(encoded, [[[0.9, 0.1]]], [[1, 2, 4, 3]], y_scale=10, x_scale=10, w_scale=2, max_detections=1)
    np.testing.assert_allclose(got[0], [[[1 + 2 - 2, 2 - 3 - 3, 1 + 2 + 2, 2 - 3 + 3]]], rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_classes": 5}, "scores are of 3 classes, num_classes is 5"),
        ({"num_classes": 0}, "num_classes is 0"),
        ({"num_classes": "two"}, "option num_classes cannot be read as a number"),
        ({"max_detections": -1}, "max_detections is -1"),
        ({"max_detections": 2**40}, "option max_detections is .*, expected an int32"),
        ({"max_detections": 2**30}, "the memory limit is"),
        ({"max_classes_per_detection": 0}, "max_classes_per_detection 0"),
        ({"nms_iou_threshold": 0.0}, r"expected one in \(0, 1\]"),
        ({"nms_iou_threshold": float("nan")}, r"expected one in \(0, 1\]"),
        ({"use_regular_nms": True, "detections_per_class": 0}, "expected 1 or more"),
        ({"encoded": np.zeros((1, 3, 3))}, r"boxes have shape \[1, 3, 3\]"),
        ({"encoded": np.zeros((2, 3, 4))}, r"boxes have shape \[2, 3, 4\]"),
        ({"scores": np.zeros((1, 2, 3))}, r"scores have shape \[1, 2, 3\], expected \[1, 3, 3\]"),
        ({"anchors": np.zeros((2, 4))}, r"anchors have shape \[2, 4\], expected 4 numbers for 3 boxes"),
        ({"anchors": -ANCHORS}, "a box ends before it starts"),
    ],
)
def test_refused_detections(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(QCoreError, match=r"^TFLite_Detection_PostProcess \(op 0.*" + message):
        detect(**changes)


def test_refused_suppressions() -> None:
    with pytest.raises(QCoreError, match="at most -1 boxes are wanted"):
        suppress([1] * 4, 0.5, most=-1)
    with pytest.raises(QCoreError, match="sigma is -1"):
        suppress([1] * 4, 0.5, sigma=-1)
    with pytest.raises(QCoreError, match="expected 4 numbers each"):
        suppress([1] * 4, 0.5, boxes=np.zeros((4, 5)))


def test_a_custom_code_that_is_a_builtin_name_names_no_builtin() -> None:
    model = custom_operator("RELU", [T("float32", (1,))], [T("float32", (1,))], {})
    with pytest.raises(QCoreError, match="qcore does not have this operator"):
        run_qcore(model, [np.zeros(1, np.float32)])
