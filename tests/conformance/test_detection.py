"""Suppression and detection against TensorFlow Lite's reference kernels: equal scores, boxes without area, soft and hard, by class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.conformance.harness import T, assert_same, one_operator
from tests.kernels.custom import custom_operator


def scalar(value: float, dtype: str = "float32") -> T:
    return T(dtype, (), value=value)


@pytest.mark.parametrize("sigma", [None, 0.0, 0.3])
@pytest.mark.parametrize("seed", range(12))
def test_suppression(seed: int, sigma: float | None) -> None:
    """Few distinct scores, so that many are equal, and boxes on a grid, some without area; as many picks as there are boxes, or more."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 60))
    boxes = rng.integers(0, 6, (count, 4)).astype(np.float32)
    scores = (rng.integers(0, 5, count) / 4 if seed % 2 else rng.random(count)).astype(np.float32)
    threshold = float(rng.choice([0.01, 0.2, 0.5, 1.0, 1.5]))
    inputs = [T("float32", (count, 4)), T("float32", (count,)), scalar(int(rng.choice([3, 20, 100])), "int32")]
    inputs += [scalar(threshold), scalar(float(rng.choice([-1, 0.1, 0.5])))]
    indices, number = T("int32", (1,)), T("int32", ())
    if sigma is None:
        model = one_operator("NON_MAX_SUPPRESSION_V4", inputs, [indices, number])
    else:
        model = one_operator("NON_MAX_SUPPRESSION_V5", [*inputs, scalar(sigma)], [indices, T("float32", (1,)), number])
    assert_same(model, [boxes, scores])


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_detection(seed: int, by_class: bool, dtype: str) -> None:
    """As many picks as places, as TensorFlow Lite leaves other places as they are; uint8 scores have many equals."""
    rng = np.random.default_rng(seed)
    count, classes, background = 30, int(rng.integers(1, 8)), int(rng.integers(0, 2))
    given = 1 if by_class else int(rng.integers(1, classes + 1))
    options: dict[str, Any] = {
        "max_detections": 2,
        "max_classes_per_detection": given,
        "detections_per_class": int(rng.choice([1, 2, 5])),
        "use_regular_nms": by_class,
        "nms_score_threshold": float(rng.choice([0.0, 0.1])),
        "nms_iou_threshold": float(rng.choice([0.2, 0.5, 1.0])),
        "num_classes": classes,
        **{f"{side}_scale": scale for side, scale in zip("yxhw", [10.0, 10.0, 5, 4.5], strict=True)},
    }
    shapes = (1, count, 4 + seed % 2), (1, count, classes + background), (count, 4)
    if dtype == "uint8":
        inputs = [T(dtype, shape, scale, zero) for shape, scale, zero in zip(shapes, [0.1, 1 / 256, 0.01], [100, 0, 0], strict=True)]
        arrays = [rng.integers(0, 256, shapes[0]), rng.integers(200, 204, shapes[1]), rng.integers(1, 100, shapes[2])]
    else:
        inputs = [T(dtype, shape) for shape in shapes]
        arrays = [rng.normal(size=shapes[0]), rng.random(shapes[1]), rng.random(shapes[2])]
    outputs = [T("float32", (1, 1, 4)), T("float32", (1, 1)), T("float32", (1, 1)), T("float32", (1,))]
    model = custom_operator("TFLite_Detection_PostProcess", inputs, outputs, options)
    assert_same(model, [array.astype(dtype) for array in arrays])
