"""STABLEHLO_REDUCE_WINDOW and REDUCE_WINDOW: each window of a tensor reduced to one element.

    output[o] = init op (op over k of padded[o * stride + k * dilation])    along all axes

Before its windows are taken, STABLEHLO_REDUCE_WINDOW spreads the input out and pads it, as STABLEHLO_PAD does, with init; what it adds
is reduced like anything else. The operation is the only operator of a subgraph, or an option of REDUCE_WINDOW: addition and
multiplication, which wrap, the greatest, the least, and whether all or any elements are not 0. One axis is reduced after the other.

Source (TensorFlow Lite 2.21): tflite/kernels/stablehlo_reduce_window.cc.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qcore.kernels.common import Window, integers, option_integers, require_rank, require_same_type
from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Step
from qcore.kernels.pool import reduce_windows
from qcore.kernels.stablehlo_pad import Params as Spread
from qcore.kernels.stablehlo_pad import pad, spread_params

TYPES = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")
MAX_RANK = 6

OPERATORS = {
    "ADD": "ADD",
    "STABLEHLO_ADD": "ADD",
    "MUL": "MUL",
    "STABLEHLO_MULTIPLY": "MUL",
    "MAXIMUM": "MAXIMUM",
    "STABLEHLO_MAXIMUM": "MAXIMUM",
    "MINIMUM": "MINIMUM",
    "STABLEHLO_MINIMUM": "MINIMUM",
    "LOGICAL_AND": "ALL",
    "STABLEHLO_AND": "ALL",
    "LOGICAL_OR": "ANY",
    "STABLEHLO_OR": "ANY",
}
"""The reduction that a subgraph of one such operator stands for."""

REDUCTIONS = {
    "ADD": np.add,
    "MUL": np.multiply,
    "MAXIMUM": np.maximum,
    "MINIMUM": np.minimum,
    "ALL": np.logical_and,
    "ANY": np.logical_or,
}


@dataclass(frozen=True)
class Params:
    """How the input is spread out, None where it is not; the windows along each axis, and the reduction."""

    spread: Spread | None
    windows: tuple[Window, ...]
    reduction: str


def infer_window(input: int, size: int, stride: int, dilation: int) -> Window:
    """The windows along an axis: those that lie within it."""
    extent = (size - 1) * dilation + 1
    return Window(input, max(0, (input - extent) // stride + 1), size, stride, dilation, 0)


def prepare_params(node: Node, spread: Spread | None, sizes: Sequence[Sequence[int]], reduction: str) -> Step:
    """The windows, by their sizes, strides and dilations."""
    input, init = node.input(0), node.input(1)
    require_same_type(node, input, init, node.output)
    require_rank(node, input, 1, MAX_RANK)
    node.require(init.size == 1, f"init '{init.name}' has shape {list(init.shape)}, expected one value")
    for what, values in zip(("size", "stride", "dilation"), sizes, strict=True):
        node.require(
            len(values) == input.rank and min(values) > 0, f"window {what} is {list(values)}, expected {input.rank} numbers above 0"
        )
    shape = input.shape if spread is None else spread.shape
    windows = tuple(infer_window(*along) for along in zip(shape, *sizes, strict=True))
    output = tuple(along.output for along in windows)
    return Step(reduce_all, Params(spread, windows, reduction), (output,), scratch=3 * math.prod(shape) * input.storage.itemsize)


def prepare(node: Node) -> Step:
    """STABLEHLO_REDUCE_WINDOW; what is left out of the options means no stride, dilation or padding."""
    rank, session = node.input(0).rank, node.needs_session()
    operators = session.operators(node.options["body_subgraph_index"])
    if len(operators) != 1 or operators[0] not in OPERATORS:
        raise node.unsupported(f"its subgraph holds {', '.join(operators) or 'nothing'}, qcore has one of {', '.join(OPERATORS)}")
    ones = (1,) * rank
    size, stride, dilation, base = (
        option_integers(node, name) or ones for name in ("window_dimensions", "window_strides", "window_dilations", "base_dilations")
    )
    padding = option_integers(node, "padding") or (0,) * 2 * rank
    node.require(len(padding) == 2 * rank, f"padding is {list(padding)}, expected {2 * rank} numbers")
    node.require(len(base) == rank and min(base, default=1) > 0, f"base dilation is {list(base)}, expected {rank} numbers above 0")
    spread = None
    if any(padding) or base != ones:
        spread = spread_params(node.input(0).shape, padding[::2], padding[1::2], tuple(b - 1 for b in base))
        node.require(0 not in spread.shape, f"padding {list(padding)} leaves nothing of {list(node.input(0).shape)}")
    return prepare_params(node, spread, (size, stride, dilation), OPERATORS[operators[0]])


def prepare_plain(node: Node) -> Step:
    """REDUCE_WINDOW: sizes, strides and dilations are inputs."""
    reduction = node.options["reduce_function"]
    if reduction not in REDUCTIONS:
        raise node.unsupported(f"reduce_function {reduction}, qcore has {', '.join(REDUCTIONS)}")
    return prepare_params(node, None, [integers(node, node.input(i), ("int64",)) for i in (2, 3, 4)], reduction)


def identity(reduction: str, dtype: np.dtype[Any]) -> Any:
    """What an element may be reduced with and stay as it is."""
    if reduction in ("ADD", "ANY"):
        return 0
    if reduction in ("MUL", "ALL") or dtype.kind == "b":
        return int(reduction != "MAXIMUM")
    least, greatest = (-np.inf, np.inf) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return least if reduction == "MAXIMUM" else greatest


def reduce_all(p: Params, x: Array, init: Array, *_sizes: Array) -> Array:
    """Windows of any numbers, reduced with one number to start with."""
    reduction = REDUCTIONS[p.reduction]
    if p.spread is not None:
        x = pad(p.spread, x, init)
    for axis, along in enumerate(p.windows):
        x = reduce_windows(x, axis, along, reduction, identity(p.reduction, x.dtype))
    return np.asarray(reduction(init.reshape(()), x), x.dtype)


STABLEHLO_REDUCE_WINDOW = OpDef(
    "STABLEHLO_REDUCE_WINDOW", prepare, TYPES, (2, 2), tolerances={"float32": FLOAT_ORDER, "float64": FLOAT_ORDER}
)
REDUCE_WINDOW = OpDef("REDUCE_WINDOW", prepare_plain, TYPES, (5, 5), tolerances={"float32": FLOAT_ORDER, "float64": FLOAT_ORDER})
