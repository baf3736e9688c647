"""CUMSUM: running sums along an axis.

Each output is the sum of the inputs up to its place; ``exclusive`` leaves the input at that place out, so that the first is 0;
``reverse`` starts from the other end. Sums are taken one after the other in the input's type; integers wrap.

Source (TensorFlow Lite 2.21): tflite/kernels/cumsum.cc, kernels/internal/optimized/optimized_ops.h#CumSum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qcore.kernels.common import normalize_axis, require_same_type, single_integer
from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Step


@dataclass(frozen=True)
class Params:
    """Axis, counted from the front, and the two options."""

    axis: int
    exclusive: bool
    reverse: bool


def prepare(node: Node) -> Step:
    """CUMSUM: the output has the input's shape."""
    input = node.input(0)
    require_same_type(node, input, node.output)
    axis = normalize_axis(node, single_integer(node, node.input(1), ("int32",)), input.rank)
    return Step(running_sums, Params(axis, node.options["exclusive"], node.options["reverse"]), (input.shape,))


def running_sums(p: Params, x: Array, _axis: Array) -> Array:
    """Sums of float32 | int32 | int64[...] along the axis."""
    sums = np.zeros(x.shape, x.dtype)
    values, places = (np.flip(x, p.axis), np.flip(sums, p.axis)) if p.reverse else (x, sums)
    if p.exclusive:
        before = (slice(None),) * p.axis
        values, places = values[(*before, slice(-1))], places[(*before, slice(1, None))]
    np.add.accumulate(values, axis=p.axis, out=places)
    return sums


CUMSUM = OpDef("CUMSUM", prepare, ("float32", "int32", "int64"), (2, 2), tolerances={"float32": FLOAT_ORDER})
