"""NON_MAX_SUPPRESSION_V4, _V5 and TFLite_Detection_PostProcess: boxes that stand for themselves, not for a better box nearby.

A box is [y, x, y, x]. Two boxes overlap by the area that they share over the area that either covers.

* NON_MAX_SUPPRESSION_V4 picks boxes by falling score, unless they overlap one that is picked by the threshold or more; V5 also lowers
  a box's score by ``exp(-overlap**2 / (2 * sigma))`` for each that is picked, and returns it to the queue. A picked box goes back into
  the queue too: one without area, which does not overlap itself, is picked again and again. Boxes of equal score leave the queue in a
  binary heap's order.
* TFLite_Detection_PostProcess decodes boxes from anchors, and picks them, each class by itself or by their best class, unless they
  overlap one that is picked by more than the threshold. Equal scores keep their order.

Source (TensorFlow Lite 2.21): tflite/kernels/non_max_suppression.cc, kernels/internal/reference/non_max_suppression.h,
kernels/detection_postprocess.cc. Soft suppression: Bodla et al., "Soft-NMS - Improving Object Detection With One Line of Code", 2017.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.errors import InputError
from qcore.kernels.common import parameters, require_rank, single_integer
from qcore.kernels.custom_options import custom_options
from qcore.kernels.opdef import FLOAT_FUNCTION, FLOAT_ORDER, Array, Node, OpDef, Operand, Shape, Step
from qcore.numerics.casting import ...

Floats = NDArray[np.float32]
