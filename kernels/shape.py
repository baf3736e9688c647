"""SHAPE and RANK: a tensor's shape, and how many axes it has.

Both are known as soon as the input's shape is, whatever its values.

Source (TensorFlow Lite 2.21; element types: LiteRT 2.3): tflite/kernels/shape.cc, tflite/kernels/rank.cc.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qcore.kernels.common import EVERY_TYPE
from qcore.kernels.opdef import Array, Node, OpDef, Step


@dataclass(frozen=True)
class Params:
    """answer: the output."""

    answer: Array


def prepare_shape(node: Node) -> Step:
    """SHAPE."""
    input, output, wanted = node.input(0), node.output, node.options["out_type"]
    if wanted not in ("int32", "int64"):
        raise node.unsupported(f"out_type {wanted}, qcore has int32, int64")
    node.require(output.dtype == wanted, f"'{output.name}' is {output.dtype}, out_type {wanted}")
    return Step(answer, Params(np.array(input.shape, output.storage)), ((input.rank,),), known=True)


def prepare_rank(node: Node) -> Step:
    """RANK."""
    input, output = node.input(0), node.output
    node.require(output.dtype == "int32", f"'{output.name}' is {output.dtype}, expected int32")
    return Step(answer, Params(np.array(input.rank, output.storage)), ((),), known=True)


def answer(p: Params, _x: Array | None) -> Array:
    """What is known of a tensor without looking at its values."""
    return p.answer


SHAPE = OpDef("SHAPE", prepare_shape, EVERY_TYPE, (1, 1))
RANK = OpDef("RANK", prepare_rank, EVERY_TYPE, (1, 1))
