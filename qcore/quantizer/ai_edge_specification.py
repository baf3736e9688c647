"""What litert-quantizer makes of every operator, as one table that code, documentation and tests read.

An operator without a row stays as it is in every mode.

Source: litert_quantizer/default_policy.py#DEFAULT_JSON_POLICY (which operators), algorithms/uniform_quantize/common_quantize.py (how),
utils/tfl_flatbuffer_utils.py#TFL_OP_TO_WEIGHT_QUANTIZED_DIM (axes), release 0.11.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from qcore.model import OPTIONAL, Operator
from qcore.numerics import QuantParams
from qcore.quantizer.graph import Graph
from qcore.quantizer.specification import float_slots

ACTIVATIONS = MappingProxyType({"int8": "int8", "int16x8": "int16"})
"""The element type of activations, by the modes that quantize them."""

COLUMN = -1
"""In place of an axis: the one that a matrix product does not sum over."""

FILTER = 1
"""The slot of weights."""

COMPOSITES = ("odml.npu_call", "odml.rms_norm", "odml.l2_norm")
"""Names of composites that are quantized, and their decompositions with them."""


@dataclass(frozen=True)
class Weights:
    """The weights of an operator: all its float32 constants but the bias.

    axis: of their scales, or COLUMN.
    input: the slot of what they are multiplied with.
    bias: the slot of what is added to the products, if there is any.
    int4: they may have 4 bits.
    blocks: so, with a scale for each run of elements of a row.
    float16: they may be float16.
    """

    axis: int
    input: int = 0
    bias: int | None = None
    int4: bool = False
    blocks: bool = False
    float16: bool = True


@dataclass(frozen=True)
class OperatorSpec:
    """How one operator is quantized.

    modes: those that quantize its activations.
    weights: what of it weight modes quantize, if anything.
    same_scale: all its inputs and outputs share the parameters of its only "input", or of its only "output".
    output: scale and zero point of its output by activation type, where what it computes fixes them.
    """

    modes: tuple[str, ...] = tuple(ACTIVATIONS)
    weights: Weights | None = None
    same_scale: Literal["input", "output"] | None = None
    output: Mapping[str, tuple[float, int]] | None = None

    @property
    def free(self) -> bool:
        """The kernel computes its output in whatever parameters that has."""
        return self.same_scale is None and self.output is None

    def fixed_output(self, dtype: str) -> QuantParams | None:
        """Parameters of the output where they are fixed."""
        if self.output is None:
            return None
        scale, zero_point = self.output[dtype]
        return QuantParams(np.array([scale], np.float32), np.array([zero_point]), dtype, narrow_range=dtype == "int16")


_OWN_SCALE = OperatorSpec()
_LIKE_INPUT = OperatorSpec(same_scale="input")
_LIKE_OUTPUT = OperatorSpec(same_scale="output")
_PROBABILITY = OperatorSpec(output=MappingProxyType({"int8": (1 / 256, -128), "int16": (1 / 32768, 0)}))
_INT8 = ("int8",)

SPECIFICATION: Mapping[str, OperatorSpec] = MappingProxyType(
    {
        # Products.
        "BATCH_MATMUL": OperatorSpec(weights=Weights(COLUMN, int4=True, float16=False)),
        "CONV_2D": OperatorSpec(weights=Weights(0, bias=2, int4=True)),
        "DEPTHWISE_CONV_2D": OperatorSpec(weights=Weights(3, bias=2)),
        "EMBEDDING_LOOKUP": OperatorSpec((), Weights(0, int4=True, blocks=True)),
        "FULLY_CONNECTED": OperatorSpec(weights=Weights(0, bias=2, int4=True, blocks=True)),
        "TRANSPOSE_CONV": OperatorSpec(weights=Weights(0, input=2, bias=3)),
        # What they compute fixes the range of their output.
        "LOGISTIC": _PROBABILITY,
        "SOFTMAX": _PROBABILITY,
        "TANH": OperatorSpec(output=MappingProxyType({"int8": (1 / 128, 0), "int16": (1 / 32768, 0)})),
        # They move codes of one tensor.
        "AVERAGE_POOL_2D": _LIKE_INPUT,
        "BROADCAST_TO": _LIKE_INPUT,
        "GATHER": _LIKE_INPUT,
        "GATHER_ND": _LIKE_INPUT,
        "MAX_POOL_2D": _LIKE_INPUT,
        "MIRROR_PAD": _LIKE_INPUT,
        "PAD": _LIKE_INPUT,
        "REDUCE_MIN": _LIKE_INPUT,
        "RESHAPE": _LIKE_INPUT,
        "RESIZE_BILINEAR": _LIKE_INPUT,
        "RESIZE_NEAREST_NEIGHBOR": _LIKE_INPUT,
        "SLICE": _LIKE_INPUT,
        "SPACE_TO_DEPTH": OperatorSpec(_INT8, same_scale="input"),
        "SPLIT": _LIKE_INPUT,
        "STRIDED_SLICE": _LIKE_INPUT,
        "TRANSPOSE": _LIKE_INPUT,
        "UNPACK": _LIKE_INPUT,
        # They bring several tensors together.
        "CONCATENATION": _LIKE_OUTPUT,
        "DYNAMIC_UPDATE_SLICE": _LIKE_OUTPUT,
        "MAXIMUM": _LIKE_OUTPUT,
        "PACK": _LIKE_OUTPUT,
        "PADV2": _LIKE_OUTPUT,
        "SELECT": _LIKE_OUTPUT,
        "SELECT_V2": _LIKE_OUTPUT,
        # Every input and output has its own parameters.
        "ADD": _OWN_SCALE,
        "DIV": _OWN_SCALE,
        "EQUAL": _OWN_SCALE,
        "GELU": _OWN_SCALE,
        "HARD_SWISH": OperatorSpec(_INT8),
        "MEAN": _OWN_SCALE,
        "MUL": _OWN_SCALE,
        "NOT_EQUAL": _OWN_SCALE,
        "RELU": _OWN_SCALE,
        "RSQRT": _OWN_SCALE,
        "SQRT": _OWN_SCALE,
        "SQUARED_DIFFERENCE": OperatorSpec(_INT8),
        "STABLEHLO_COMPOSITE": _OWN_SCALE,
        "SUB": _OWN_SCALE,
        "SUM": _OWN_SCALE,
    }
)
"""By the operator's name."""


def decomposition(operator: Operator) -> int | None:
    """The subgraph that stands for a composite; None of any other operator."""
    if operator.code.name != "STABLEHLO_COMPOSITE" or operator.options is None:
        return None
    index: int = operator.options["decomposition_subgraph_index"]
    return index


def float_inputs(graph: Graph, operator: Operator, spec: OperatorSpec) -> list[int]:
    """The slots of its float32 inputs, but for the bias."""
    bias = None if spec.weights is None else spec.weights.bias
    return [slot for slot in float_slots(graph.subgraph, operator.inputs) if slot != bias]


def bias_of(operator: Operator, spec: OperatorSpec) -> int | None:
    """The slot of its bias, if it has one."""
    slot = None if spec.weights is None else spec.weights.bias
    return slot if slot is not None and slot < len(operator.inputs) and operator.inputs[slot] != OPTIONAL else None
