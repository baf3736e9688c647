"""The 16x8 specification of every operator: which of its inputs are int16 activations, weights or a bias, and how its output is scaled.

Operators without a row stay in floating point. ``runnable`` says which of the others kernels do not take all the same.

Source: tflite/converter/tools/optimize/operator_property.cc#GetOperatorProperty, the rows with ``quantizable_int16``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Scaling(Enum):
    """Where the parameters of an operator's outputs come from."""

    OWN = "the calibrated range of each output"
    UNIT = "a scale of 2**-15, since what it computes lies within [-1, 1]"
    FROM_INPUT = "its first real input; others that differ are requantized to it"
    TO_INPUTS = "the calibrated range of its output; inputs that differ are requantized to it"


@dataclass(frozen=True)
class Row:
    """How one operator is quantized.

    inputs: the slots of its real inputs; () for all of them.
    scaling: of its outputs.
    weights: the slot of int8 weights, symmetric in [-127, 127].
    axis: of the weights' channels.
    bias: the slot of the bias, in the scale of the products.
    float_constant: the slot of an input that TensorFlow's quantizer leaves float32 where it is a constant, though no kernel takes that.
    """

    inputs: tuple[int, ...] = (0,)
    scaling: Scaling = Scaling.OWN
    weights: int | None = None
    axis: int = 0
    bias: int | None = None
    float_constant: int | None = None


_OWN = Row()
_BOTH = Row((0, 1))
_UNIT = Row(scaling=Scaling.UNIT)
_FROM_INPUT = Row(scaling=Scaling.FROM_INPUT)
_FROM_SECOND = Row((1,), Scaling.FROM_INPUT)
_TO_INPUTS = Row((), Scaling.TO_INPUTS)

SPECIFICATION = MappingProxyType(
    {
        # Products.
        "CONV_2D": Row(weights=1, bias=2),
        "DEPTHWISE_CONV_2D": Row(weights=1, axis=3, bias=2),
        "FULLY_CONNECTED": Row(weights=1, bias=2),
        "TRANSPOSE_CONV": Row((2,), weights=1, bias=3),
        # What they compute lies within [-1, 1].
        "LOGISTIC": _UNIT,
        "SOFTMAX": _UNIT,
        "TANH": _UNIT,
        # They move or select the codes of one input.
        "AVERAGE_POOL_2D": _FROM_INPUT,
        "BATCH_TO_SPACE_ND": _FROM_INPUT,
        "BROADCAST_TO": _FROM_INPUT,
        "EXPAND_DIMS": _FROM_INPUT,
        "FILL": _FROM_SECOND,
        "GATHER": _FROM_INPUT,
        "GATHER_ND": _FROM_INPUT,
        "MAX_POOL_2D": _FROM_INPUT,
        "MIRROR_PAD": _FROM_INPUT,
        "PAD": _FROM_INPUT,
        "PADV2": Row((0, 2), Scaling.FROM_INPUT, float_constant=2),
        "REDUCE_MAX": _FROM_INPUT,
        "REDUCE_MIN": _FROM_INPUT,
        "RESHAPE": _FROM_INPUT,
        "RESIZE_BILINEAR": _FROM_INPUT,
        "RESIZE_NEAREST_NEIGHBOR": _FROM_INPUT,
        "REVERSE_V2": _FROM_INPUT,
        "SCATTER_ND": _FROM_SECOND,
        "SELECT": Row((1, 2), Scaling.FROM_INPUT),
        "SLICE": _FROM_INPUT,
        "SPACE_TO_BATCH_ND": _FROM_INPUT,
        "SPLIT": _FROM_SECOND,
        "SPLIT_V": _FROM_INPUT,
        "SQUEEZE": _FROM_INPUT,
        "STRIDED_SLICE": _FROM_INPUT,
        "SUM": _FROM_INPUT,
        "TILE": _FROM_INPUT,
        "TRANSPOSE": _FROM_INPUT,
        "UNPACK": _FROM_INPUT,
        # They select among several inputs.
        "CONCATENATION": _TO_INPUTS,
        "MAXIMUM": _TO_INPUTS,
        "MINIMUM": _TO_INPUTS,
        "PACK": _TO_INPUTS,
        # Every input and output has its own scale.
        "ABS": _OWN,
        "ADD": _BOTH,
        "BATCH_MATMUL": _BOTH,
        "EXP": _OWN,
        "GELU": _OWN,
        "LEAKY_RELU": _OWN,
        "LOG": _OWN,
        "MEAN": _OWN,
        "MUL": _BOTH,
        "REDUCE_PROD": _OWN,
        "RELU": _OWN,
        "RELU6": _OWN,
        "RSQRT": _OWN,
        "SHAPE": _OWN,
        "SQUARED_DIFFERENCE": _BOTH,
        "SUB": _BOTH,
    }
)
"""The row of each operator, by its name."""
