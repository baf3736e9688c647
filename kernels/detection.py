"""NON_MAX_SUPPRESSION_V4, _V5 and TFLite_Detection_PostProcess: boxes that stand for themselves, not for a better box nearby.

A box is [y, x, y, x], from low to high. How much two boxes overlap is the area that both cover over the area that either covers.

* NON_MAX_SUPPRESSION_V4 picks boxes by falling score, but none that overlaps a picked one by the threshold or more; V5 also lowers a
  box's score by ``exp(-overlap**2 / (2 * sigma))`` for each picked one, and lets it wait for its new turn. A picked box waits for
  another turn too: one without area, which does not overlap even itself, is picked again and again. Boxes of equal score take the
  order of a binary heap.
* TFLite_Detection_PostProcess decodes boxes from anchors, and picks them by falling score, by class or by their best class, but none
  that overlaps a picked one by more than the threshold. Equal scores keep their order.

Source (TensorFlow Lite 2.21): tflite/kernels/non_max_suppression.cc, kernels/internal/reference/non_max_suppression.h,
kernels/detection_postprocess.cc. Soft suppression: Bodla et al., "Soft-NMS - Improving Object Detection With One Line of Code", 2017.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcore.errors import InputError
from qcore.kernels.common import require_rank, single_integer
from qcore.kernels.conversion import AffineParams, affine_params, dequantize
from qcore.kernels.custom_options import custom_options
from qcore.kernels.opdef import FLOAT_FUNCTION, Array, Node, OpDef, Operand, Step

Floats = NDArray[np.float32]

BYTES_PER_CANDIDATE = 256
"""Memory that a box takes while it waits, at most."""


@dataclass
class Waiting:
    """Something in a heap; what has the least key leaves it first.

    Items of equal keys leave in the order that heapq's sifting gives them, which is that of C++'s std::push_heap and std::pop_heap.
    """

    key: float
    index: int

    def __lt__(self, other: Waiting) -> bool:
        return self.key < other.key


@dataclass(frozen=True)
class SuppressionParams:
    """The greatest number of picks; soft: whether scores are lowered, and given back."""

    where: str
    most: int
    soft: bool


@dataclass(frozen=True, eq=False)
class DetectionParams:
    """TFLite_Detection_PostProcess.

    quantization: of boxes, scores and anchors, each None where they are float32.
    scale: float64[4], encoded units per anchor, of y, x, height and width.
    background: 1 where the scores' first class is the background, else 0.
    score_threshold: boxes with less are left out. overlap_threshold: of boxes that overlap more, one is left out.
    most: boxes that are picked in all. most_of_class: of one class, where each class is picked by itself; else None.
    classes_of_box: best classes that are given for a picked box.
    """

    where: str
    quantization: tuple[AffineParams | None, ...]
    scale: NDArray[np.float64]
    background: int
    score_threshold: np.float32
    overlap_threshold: np.float32
    most: int
    most_of_class: int | None
    classes_of_box: int


def prepare_suppression(node: Node) -> Step:
    """NON_MAX_SUPPRESSION_V4, _V5: boxes, scores, most, overlap threshold, score threshold and, where it is soft, sigma."""
    boxes, scores, most = node.input(0), node.input(1), node.input(2)
    require_rank(node, boxes, 2)
    node.require(boxes.shape[1] == 4, f"boxes '{boxes.name}' have shape {list(boxes.shape)}, expected 4 numbers each")
    node.require(scores.shape == boxes.shape[:1], f"{list(scores.shape)} scores of {boxes.shape[0]} boxes, expected one each")
    for i in (1, 3, 4, 5)[: len(node.inputs) - 2]:
        require_type(node, node.input(i), "float32")
        require_rank(node, node.input(i), 1 if i == 1 else 0)
    require_rank(node, most, 0)
    count = single_integer(node, most, ("int32",))
    node.require(count >= 0, f"at most {count} boxes are wanted, expected 0 or more")
    soft = len(node.inputs) == 6
    types = ("int32", "float32", "int32") if soft else ("int32", "int32")
    node.require(len(node.outputs) == len(types), f"has {len(node.outputs)} outputs, expected {len(types)}")
    for output, dtype in zip(node.outputs, types, strict=True):
        require_type(node, output, dtype)
    shapes = (*((count,),) * (len(types) - 1), ())
    return Step(suppress, SuppressionParams(node.where, count, soft), shapes, scratch=BYTES_PER_CANDIDATE * boxes.shape[0])


def prepare_detection(node: Node) -> Step:
    """TFLite_Detection_PostProcess: encoded boxes, scores, anchors."""
    boxes, scores, anchors = node.input(0), node.input(1), node.input(2)
    for operand, rank in ((boxes, 3), (scores, 3), (anchors, 2)):
        require_rank(node, operand, rank)
        require_type(node, operand, "float32", "uint8")
    require_type(node, anchors, boxes.dtype)
    for output in node.outputs:
        require_type(node, output, "float32")
    options = custom_options(node)
    count, classes, given = boxes.shape[1], options.integer("num_classes"), options.integer("max_classes_per_detection")
    most, most_of_class = options.integer("max_detections"), options.integer("detections_per_class", 100)
    by_class, overlap_threshold = options.real("use_regular_nms") != 0, np.float32(options.real("nms_iou_threshold"))
    background = scores.shape[2] - classes
    node.require(boxes.shape[0] == 1 and boxes.shape[2] >= 4, f"boxes have shape {list(boxes.shape)}, expected [1, n, 4] at least")
    node.require(classes > 0 and background in (0, 1), f"scores are of {scores.shape[2]} classes, num_classes is {classes}")
    node.require(scores.shape[:2] == (1, count), f"scores have shape {list(scores.shape)}, expected [1, {count}, {scores.shape[2]}]")
    node.require(
        anchors.shape[0] >= count and anchors.shape[1] == 4,
        f"anchors have shape {list(anchors.shape)}, expected 4 numbers for {count} boxes",
    )
    node.require(most >= 0 and given > 0, f"max_detections is {most}, max_classes_per_detection {given}, expected numbers above 0")
    node.require(bool(0 < overlap_threshold <= 1), f"nms_iou_threshold is {overlap_threshold}, expected one in (0, 1]")
    most_of_class = min(most_of_class, most)
    node.require(not by_class or most_of_class > 0, f"detections_per_class or max_detections is {most_of_class}, expected 1 or more")
    params = DetectionParams(
        node.where,
        tuple(None if operand.dtype == "float32" else affine_params(node, operand, operand.shape) for operand in (boxes, scores, anchors)),
        np.array([np.float32(options.real(f"{side}_scale")) for side in "yxhw"], np.float64),
        background,
        np.float32(options.real("nms_score_threshold")),
        overlap_threshold,
        most,
        most_of_class if by_class else None,
        given,
    )
    places = most * given
    return Step(detect, params, ((1, places, 4), (1, places), (1, places), (1,)))


def require_type(node: Node, operand: Operand, *types: str) -> None:
    """Refuse a tensor of any other type."""
    node.require(operand.dtype in types, f"'{operand.name}' is {operand.dtype}, expected {' or '.join(types)}")


def overlaps(box: Floats, others: Floats) -> Floats:
    """How much float32[4] overlaps each of float32[n, 4]; 0 where one of two has no area."""
    shared = np.maximum(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0).prod(axis=1)
    area, areas = (box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(axis=1)
    return np.where((area <= 0) | (areas <= 0), np.float32(0), shared / (area + areas - shared))


def suppress(
    p: SuppressionParams,
    boxes: Array,
    scores: Array,
    _most: Array,
    overlap_threshold: Array,
    score_threshold: Array,
    sigma: Array | None = None,
) -> tuple[Array, ...]:
    """Pick from float32[n, 4], any corner first, with scores float32[n]: int32[most] numbers, their scores where soft, and how many.

    Raises:
        InputError: sigma is negative.
    """
    width = 0.0 if sigma is None else float(sigma)
    if width < 0:
        raise InputError(f"{p.where}: sigma is {width}, expected 0 or more")
    decay = np.float32(-0.5 / width) if width > 0 else np.float32(0)
    corners = np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1)
    queue: list[Waiting] = []
    for box in np.flatnonzero(scores > score_threshold).tolist():
        heapq.heappush(queue, Waiting(-float(scores[box]), box))
    most = min(len(queue), p.most)
    picked, picked_corners, picked_scores = np.zeros(p.most, np.int32), np.empty((most, 4), np.float32), np.zeros(p.most, np.float32)
    compared_with = np.zeros(len(boxes), np.int64)
    count = 0
    while count < most and queue:
        candidate = heapq.heappop(queue)
        box, score = candidate.index, np.float32(-candidate.key)
        overlap = overlaps(corners[box], picked_corners[compared_with[box] : count])[::-1]
        compared_with[box] = count
        lowered = np.multiply.accumulate(np.append(score, np.exp(decay * overlap * overlap)))[-1] if width > 0 else score
        if (overlap >= overlap_threshold).any() or not lowered > score_threshold:
            continue
        if lowered == score:
            picked[count], picked_corners[count], picked_scores[count] = box, corners[box], score
            count += 1
        heapq.heappush(queue, Waiting(-float(lowered), box))
    return (picked, picked_scores, np.array(count, np.int32)) if p.soft else (picked, np.array(count, np.int32))


def decode(p: DetectionParams, encoded: Floats, anchors: Floats) -> Floats:
    """Boxes float32[n, 4] from offsets and logarithms of sizes, in units of anchors that are y, x, height and width; all float32[n, 4].

    Computed in float64, centres and half sizes rounded to float32.
    """
    wide, sizes = encoded / p.scale, anchors[:, 2:].astype(np.float64)
    centres = (wide[:, :2] * sizes + anchors[:, :2]).astype(np.float32)
    halves = (0.5 * np.exp(wide[:, 2:]) * sizes).astype(np.float32)
    return np.concatenate([centres - halves, centres + halves], axis=1)


def pick(p: DetectionParams, boxes: Floats, scores: Floats, most: int) -> list[int]:
    """Numbers of at most so many of the boxes float32[n, 4], by falling score, float32[n]."""
    enough = np.flatnonzero(scores >= p.score_threshold)
    waiting = enough[np.argsort(-scores[enough], kind="stable")]
    picked: list[int] = []
    while len(waiting) and len(picked) < most:
        picked.append(int(waiting[0]))
        overlap = overlaps(boxes[waiting[0]], boxes[waiting[1:]])
        waiting = waiting[1:][~(overlap > p.overlap_threshold)]
    return picked


def greatest(values: Sequence[float], count: int) -> list[int]:
    """Positions of the greatest values, falling; equal ones in the order that C++'s std::partial_sort leaves them in."""
    kept = [Waiting(value, i) for i, value in enumerate(values[:count])]
    heapq.heapify(kept)
    for i, value in enumerate(values[count:], count):
        if value > kept[0].key:
            heapq.heapreplace(kept, Waiting(value, i))
    return [heapq.heappop(kept).index for _ in range(len(kept))][::-1]


def by_best_class(p: DetectionParams, boxes: Floats, scores: Floats) -> tuple[int, list[tuple[int, int, int]]]:
    """Pick among float32[n, 4] by the best of float32[n, classes]; how many, and (place, box, class) of each best class of each."""
    picked = pick(p, boxes, scores.max(axis=1), p.most)
    best = (greatest(scores[box].tolist(), p.classes_of_box) for box in picked)
    chosen = [
        (row * p.classes_of_box + column, box, label)
        for row, (box, labels) in enumerate(zip(picked, best, strict=True))
        for column, label in enumerate(labels)
    ]
    return len(picked), chosen


def by_each_class(p: DetectionParams, most: int, boxes: Floats, scores: Floats) -> tuple[int, list[tuple[int, int, int]]]:
    """Pick among float32[n, 4], at most so many of each class of float32[n, classes]; how many in all, and (place, box, class) of each."""
    chosen = [(box, label) for label in range(scores.shape[1]) for box in pick(p, boxes, scores[:, label], most)]
    chosen = sorted(chosen, key=lambda pair: -scores[pair])[: p.most]
    return len(chosen), [(place, box, label) for place, (box, label) in enumerate(chosen)]


def detect(p: DetectionParams, encoded: Array, scores: Array, anchors: Array) -> tuple[Array, ...]:
    """Boxes, classes, scores, and how many boxes, all float32; places that nothing is picked for hold zeros.

    Args:
        p: thresholds and sizes.
        encoded: float32 | uint8[1, n, 4 or more], of which the first 4 count.
        scores: float32 | uint8[1, n, classes].
        anchors: float32 | uint8[n or more, 4].

    Raises:
        InputError: a box ends before it starts.
    """
    encoded, scores, anchors = (
        x if q is None else dequantize(q, x) for q, x in zip(p.quantization, (encoded, scores, anchors), strict=True)
    )
    boxes, scores = decode(p, encoded[0, :, :4], anchors[: encoded.shape[1]]), scores[0, :, p.background :]
    if (boxes[:, :2] > boxes[:, 2:]).any():
        raise InputError(f"{p.where}: a box ends before it starts")
    count, chosen = by_best_class(p, boxes, scores) if p.most_of_class is None else by_each_class(p, p.most_of_class, boxes, scores)
    places, numbers, labels = np.array(chosen, np.int64).reshape(-1, 3).T
    size = p.most * p.classes_of_box
    out_boxes, out_labels, out_scores = np.zeros((1, size, 4), np.float32), np.zeros((1, size), np.float32), np.zeros((1, size), np.float32)
    out_boxes[0, places], out_labels[0, places], out_scores[0, places] = boxes[numbers], labels, scores[numbers, labels]
    return out_boxes, out_labels, out_scores, np.array([count], np.float32)


NON_MAX_SUPPRESSION_V4 = OpDef("NON_MAX_SUPPRESSION_V4", prepare_suppression, ("float32",), (5, 6), (2, 3))
NON_MAX_SUPPRESSION_V5 = OpDef(
    "NON_MAX_SUPPRESSION_V5", prepare_suppression, ("float32",), (5, 6), (2, 3), tolerances={"float32": FLOAT_FUNCTION}
)
DETECTION_POST_PROCESS = OpDef(
    "TFLite_Detection_PostProcess",
    prepare_detection,
    ("float32", "uint8"),
    (3, 3),
    (4, 4),
    tolerances={"float32": FLOAT_FUNCTION, "uint8": FLOAT_FUNCTION},
    notes="a custom operator",
)
