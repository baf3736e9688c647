"""The int8 specification of every operator, as one table: what the passes, the documentation and the tests read.

It is the specification that TensorFlow Lite's converter quantizes by. An operator that has no row stays float, and so does one whose
row does not say ``integer``. ``runnable`` says which of them kernels do not take all the same.

Source: tflite/converter/ir/tfl_ops.td: the traits QuantizableResult, SameOperandsAndResultsScale, FixedOutputRangeInterface,
AccumulatorUniformScale and AffineOpCoefficient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from qcore.model import OPTIONAL, Operator, Subgraph
from qcore.numerics import QuantParams

PER_TENSOR = -1
"""In place of an axis: the weights have one scale."""


@dataclass(frozen=True)
class Bias:
    """The input that is added to products: int32, in the scale of these products.

    slot: which input it is.
    input, filter: the two inputs whose scales multiply to its own.
    """

    slot: int
    input: int
    filter: int


@dataclass(frozen=True)
class Recurrent:
    """The inputs of an operator that keeps states, by slot. Those that an operator leaves out have no part.

    weights: how many bits each takes, symmetric, with one scale. 10 bits are stored as int16.
    biases: the inputs whose scales multiply to that of each bias; HIDDEN is no input but what a projection projects.
    normalizers: with layer normalization, the weights whose scale times 2**-10 is that of each bias.
    states: the states in int16; True for a scale that is a power of two.
    output_state: the state that is the last output.
    """

    weights: Mapping[int, int]
    biases: Mapping[int, tuple[int, ...]]
    states: Mapping[int, bool]
    normalizers: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    output_state: int | None = None


_LSTM_INPUTS = 20
HIDDEN = -2
"""In place of a slot: the hidden state of an LSTM, before its projection."""


@dataclass(frozen=True)
class OperatorSpec:
    """How one operator is quantized to int8.

    integer: it has an integer form, taken where all its float inputs and outputs have parameters. Otherwise it only passes
        parameters on.
    weights: the inputs whose constants are weights, symmetric in [-127, 127], with the axis of their scales or PER_TENSOR. Any
        other constant spreads over [-128, 127].
    bias: the input that takes its scale from two others.
    same_scale: its float inputs and outputs share one scale and zero point. An operator with one float input hands that input's on
        to its outputs; one with several takes its output's and hands them back.
    output: scale and zero point of its outputs where what it computes fixes them.
    recurrent: what its inputs are, for an operator that keeps states.
    """

    integer: bool = True
    weights: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    bias: Bias | None = None
    same_scale: bool = False
    output: tuple[float, int] | None = None
    recurrent: Recurrent | None = None

    @property
    def required(self) -> int:
        """How many of its first inputs an operator cannot leave out, as far as the passes look at them."""
        factors = [] if self.bias is None else [self.bias.input, self.bias.filter]
        return 1 + max([0, *self.weights.keys(), *factors])

    @property
    def output_params(self) -> QuantParams | None:
        """Parameters of the outputs where they are fixed."""
        if self.output is None:
            return None
        scale, zero_point = self.output
        return QuantParams(np.array([scale], np.float32), np.array([zero_point]))


def _weighted(axis: int, bias: Bias | None = None) -> OperatorSpec:
    return OperatorSpec(weights=MappingProxyType({1: axis}), bias=bias)


_LSTM = Recurrent(
    weights=MappingProxyType(dict.fromkeys((*range(1, 9), 16), 8) | dict.fromkeys((9, 10, 11, 20, 21, 22, 23), 16)),
    biases=MappingProxyType({12: (0, 1), 13: (0, 2), 14: (0, 3), 15: (0, 4), 17: (16, HIDDEN)}),
    normalizers=MappingProxyType({12: 20, 13: 21, 14: 22, 15: 23}),
    states=MappingProxyType({19: True}),
    output_state=18,
)
_SVDF = Recurrent(weights=MappingProxyType({1: 8, 2: 10}), biases=MappingProxyType({3: (2, 4)}), states=MappingProxyType({4: False}))
_OWN_SCALE = OperatorSpec()
_SAME_SCALE = OperatorSpec(same_scale=True)

SPECIFICATION: Mapping[str, OperatorSpec] = MappingProxyType(
    {
        # Products: weights, and a bias in the scale of the products.
        "CONV_2D": _weighted(0, Bias(2, input=0, filter=1)),
        "DEPTHWISE_CONV_2D": _weighted(3, Bias(2, input=0, filter=1)),
        "FULLY_CONNECTED": _weighted(0, Bias(2, input=0, filter=1)),
        "TRANSPOSE_CONV": _weighted(0, Bias(3, input=2, filter=1)),
        "PRELU": _weighted(PER_TENSOR),
        # They keep states.
        "LSTM": OperatorSpec(recurrent=_LSTM),
        "SVDF": OperatorSpec(recurrent=_SVDF),
        "UNIDIRECTIONAL_SEQUENCE_LSTM": OperatorSpec(recurrent=_LSTM),
        # What they compute fixes the range of their output.
        "L2_NORMALIZATION": OperatorSpec(output=(1 / 128, 0)),
        "LOGISTIC": OperatorSpec(output=(1 / 256, -128)),
        "LOG_SOFTMAX": OperatorSpec(output=(16 / 256, 127)),
        "SOFTMAX": OperatorSpec(output=(1 / 256, -128)),
        "TANH": OperatorSpec(output=(1 / 128, 0)),
        # They move, select or compare codes, so that inputs and outputs must share parameters.
        "ADD_N": OperatorSpec(integer=False, same_scale=True),
        "AVERAGE_POOL_2D": _SAME_SCALE,
        "BATCH_TO_SPACE_ND": _SAME_SCALE,
        "BROADCAST_TO": _SAME_SCALE,
        "CONCATENATION": _SAME_SCALE,
        "DEPTH_TO_SPACE": _SAME_SCALE,
        "EXPAND_DIMS": _SAME_SCALE,
        "FILL": _SAME_SCALE,
        "GATHER": _SAME_SCALE,
        "GATHER_ND": _SAME_SCALE,
        "MAXIMUM": _SAME_SCALE,
        "MAX_POOL_2D": _SAME_SCALE,
        "MINIMUM": _SAME_SCALE,
        "MIRROR_PAD": _SAME_SCALE,
        "PACK": _SAME_SCALE,
        "PAD": _SAME_SCALE,
        "PADV2": _SAME_SCALE,
        "REDUCE_MAX": _SAME_SCALE,
        "REDUCE_MIN": _SAME_SCALE,
        "RESHAPE": _SAME_SCALE,
        "RESIZE_BILINEAR": _SAME_SCALE,
        "RESIZE_NEAREST_NEIGHBOR": _SAME_SCALE,
        "SCATTER_ND": _SAME_SCALE,
        "SELECT": _SAME_SCALE,
        "SELECT_V2": _SAME_SCALE,
        "SLICE": _SAME_SCALE,
        "SPACE_TO_BATCH_ND": _SAME_SCALE,
        "SPACE_TO_DEPTH": _SAME_SCALE,
        "SPLIT": _SAME_SCALE,
        "SPLIT_V": _SAME_SCALE,
        "SQUEEZE": _SAME_SCALE,
        "STRIDED_SLICE": _SAME_SCALE,
        "TILE": _SAME_SCALE,
        "TOPK_V2": _SAME_SCALE,
        "TRANSPOSE": _SAME_SCALE,
        "UNPACK": _SAME_SCALE,
        # Every input and output has its own parameters.
        "ABS": _OWN_SCALE,
        "ADD": _OWN_SCALE,
        "ARG_MAX": _OWN_SCALE,
        "ARG_MIN": _OWN_SCALE,
        "BATCH_MATMUL": _OWN_SCALE,
        "DIV": _OWN_SCALE,
        "EMBEDDING_LOOKUP": _OWN_SCALE,
        "EQUAL": _OWN_SCALE,
        "EXP": _OWN_SCALE,
        "GELU": _OWN_SCALE,
        "GREATER": _OWN_SCALE,
        "GREATER_EQUAL": _OWN_SCALE,
        "HARD_SWISH": _OWN_SCALE,
        "LEAKY_RELU": _OWN_SCALE,
        "LESS": _OWN_SCALE,
        "LESS_EQUAL": _OWN_SCALE,
        "LOG": _OWN_SCALE,
        "MATRIX_DIAG": _OWN_SCALE,
        "MATRIX_SET_DIAG": _OWN_SCALE,
        "MEAN": _OWN_SCALE,
        "MUL": _OWN_SCALE,
        "ONE_HOT": _OWN_SCALE,
        "RANK": _OWN_SCALE,
        "REDUCE_PROD": _OWN_SCALE,
        "RELU": _OWN_SCALE,
        "RELU6": _OWN_SCALE,
        "RELU_0_TO_1": _OWN_SCALE,
        "RELU_N1_TO_1": _OWN_SCALE,
        "REVERSE_SEQUENCE": _OWN_SCALE,
        "REVERSE_V2": _OWN_SCALE,
        "RSQRT": _OWN_SCALE,
        "SHAPE": _OWN_SCALE,
        "SPARSE_TO_DENSE": _OWN_SCALE,
        "SQRT": _OWN_SCALE,
        "SQUARED_DIFFERENCE": _OWN_SCALE,
        "SUB": _OWN_SCALE,
        "SUM": _OWN_SCALE,
        "UNIQUE": _OWN_SCALE,
    }
)
"""The row of each builtin operator that takes part."""


def spec_of(operator: Operator) -> OperatorSpec | None:
    """The operator's row; None where it has none, as custom operators and the LSTM of five inputs."""
    spec = SPECIFICATION.get(operator.code.name)
    return None if spec is not None and spec.recurrent is _LSTM and len(operator.inputs) < _LSTM_INPUTS else spec


def float_slots(subgraph: Subgraph, indices: list[int]) -> list[int]:
    """Which of an operator's inputs or outputs are float32 tensors, by position."""
    return [slot for slot, i in enumerate(indices) if i != OPTIONAL and subgraph.tensors[i].dtype == "float32"]
