"""Where activations are rounded: behind the input, and wherever an operator of TensorFlow Lite ends.

A tensor is left alone where

* a layer only moves numbers (reshape, pad, max pool, ...): it is rounded already;
* an average pool computes it: that is rounded to its input's codes, by the FakeQuant there;
* its only reader becomes part of the operator that computes it: BatchNormalization behind a kernel, and relu or relu6 behind a kernel, a
  sum, a difference or a product;
* its only reader is Concatenate, Maximum or Minimum, whose operands take its scale; but not where it is such itself, and an operand of it
  is rounded already.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import layers

from qcore.qat.expand import WEIGHTED, activation_name, unsupported

MOVES = frozenset(
    (
        "Reshape",
        "Flatten",
        "Permute",
        "RepeatVector",
        "ZeroPadding1D",
        "ZeroPadding2D",
        "Cropping1D",
        "Cropping2D",
        "UpSampling1D",
        "UpSampling2D",
        "MaxPooling1D",
        "MaxPooling2D",
        "GlobalMaxPooling1D",
        "GlobalMaxPooling2D",
        "Identity",
        "Dropout",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "GaussianNoise",
        "GaussianDropout",
        "AlphaDropout",
        "ActivityRegularization",
        "Transpose",
        "Swapaxes",
        "Max",
        "Amax",
        "Min",
        "Amin",
        "GetItem",
        "Squeeze",
        "ExpandDims",
    )
)
"""Types of layers and operations that give numbers of their input, and nothing else."""

AVERAGES = frozenset(("AveragePooling1D", "AveragePooling2D"))

AFFINE = frozenset(("BatchNormalization", "Rescaling", "Normalization"))
"""Types of layers that multiply each channel by a constant and add another."""

OPERATORS = AFFINE | frozenset(
    (
        "Conv1D",
        "Conv2D",
        "DepthwiseConv1D",
        "DepthwiseConv2D",
        "Conv2DTranspose",
        "Dense",
        "Add",
        "Subtract",
        "Multiply",
        "Maximum",
        "Minimum",
        "Concatenate",
        "Matmul",
        "GlobalAveragePooling1D",
        "GlobalAveragePooling2D",
        "Mean",
        "Activation",
        "LeakyReLU",
        "LeakyRelu",
        "Gelu",
        "PReLU",
    )
)
"""Types of layers and operations that are one integer operator each."""

FIXED: Mapping[int, Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        8: {"sigmoid": (0.0, 255 / 256), "softmax": (0.0, 255 / 256), "tanh": (-1.0, 127 / 128), "log_softmax": (-255 / 16, 0.0)},
        16: dict.fromkeys(("sigmoid", "softmax", "tanh"), (-32767 / 32768, 32767 / 32768)),
    }
)
"""Ranges of activations that TensorFlow Lite computes in parameters of their own, by the bits of these."""

_ACTIVATIONS = frozenset(("linear", "relu", "relu6", "hard_silu", "hard_swish", "gelu", "exponential", "leaky_relu", *FIXED[8]))
_EIGHT_BIT = MappingProxyType(
    {"PReLU": "PRELU", "RepeatVector": "TILE", "log_softmax": "LOG_SOFTMAX", "hard_silu": "HARD_SWISH", "hard_swish": "HARD_SWISH"}
)
"""Layers and activations whose operator has kernels for int8, but none for int16."""

_BUILDS_IN_RELU = (*(kind for kind in WEIGHTED if kind is not layers.Conv2DTranspose), layers.Add, layers.Subtract, layers.Multiply)
_SAME_SCALE = frozenset(("Concatenate", "Maximum", "Minimum"))
_SUMS = frozenset(("Add", "Subtract", "Multiply"))


def check(node: Any, name: str, activation_bits: int) -> None:
    """Refuses an operation that no integer operator computes.

    Args:
        node: a call in a flat model.
        name: of the layer that it came from.
        activation_bits: 8 or 16.

    Raises:
        UnsupportedError: with the name, and what can be done.
    """
    layer, kind = node.operation, type(node.operation).__name__
    reason = ""
    eight_bit = _EIGHT_BIT.get(kind, _EIGHT_BIT.get(activation_name(layer)))
    if activation_bits == 16 and eight_bit is not None:
        reason = f"TensorFlow Lite has no {eight_bit} with activations of 16 bits"
    elif kind not in OPERATORS | MOVES | AVERAGES:
        reason = f"{kind} is not a layer that is trained in integers"
    elif kind in OPERATORS and activation_name(layer) not in _ACTIVATIONS:
        reason = f"its activation {getattr(layer, 'activation', None)!r} is not trained in integers"
    elif getattr(layer, "data_format", None) == "channels_first":
        reason = 'its data_format is "channels_first", TensorFlow Lite has channels last'
    elif kind in AFFINE and not is_by_channel(layer, len(node.outputs[0].shape)):
        reason = "what it multiplies by or adds differs along another axis than the last"
    elif kind == "Matmul" and len(node.input_tensors) < 2:
        reason = "it multiplies by a constant, which is not trained; expected Dense"
    elif kind == "UpSampling2D" and layer.interpolation not in ("nearest", "bilinear"):
        reason = f"its interpolation is {layer.interpolation!r}, expected 'nearest' or 'bilinear'"
    if reason:
        raise unsupported(name, reason)


def is_by_channel(layer: Any, rank: int) -> bool:
    """What a layer of ``AFFINE`` multiplies by and adds differs along the last axis at most."""
    if isinstance(layer, layers.Rescaling):
        return all(size == 1 for part in (layer.scale, layer.offset) for size in np.shape(part)[:-1])
    return {axis % rank for axis in keras.tree.flatten(layer.axis)} <= {rank - 1}


def averages(layer: Any) -> bool:
    """The layer computes on the codes of its input."""
    return type(layer).__name__ in AVERAGES or getattr(layer, "interpolation", "") == "bilinear"


def moves(layer: Any) -> bool:
    """The layer gives numbers of its input as they are."""
    is_identity = isinstance(layer, layers.Activation) and activation_name(layer) == "linear"
    return not averages(layer) and (type(layer).__name__ in MOVES or is_identity)


def shares_scale(layer: Any) -> bool:
    """The layer's operands and what it computes have one scale."""
    return type(layer).__name__ in _SAME_SCALE


def is_part_of_reader(node: Any, readers: list[Any]) -> bool:
    """What a node computes is not the end of an operator: its only reader goes on with it.

    Args:
        node: a call in a flat model.
        readers: the calls that read its output, None for that of the model.
    """
    if len(readers) != 1 or readers[0] is None:
        return False
    layer, reader = node.operation, readers[0].operation
    if shares_scale(reader):
        return activation_name(layer) not in FIXED[8] and type(layer).__name__ in OPERATORS
    if activation_name(layer) != "linear":
        return False
    if isinstance(reader, layers.BatchNormalization):
        return isinstance(layer, WEIGHTED)
    if isinstance(reader, layers.Activation) and activation_name(reader) in ("relu", "relu6"):
        return builds_in_relu(node)
    return False


def builds_in_relu(node: Any) -> bool:
    """The operator that ends with a node has relu and relu6 built in."""
    layer = node.operation
    if type(layer).__name__ in AFFINE:
        producer = node.input_tensors[0]._keras_history.operation
        return not isinstance(producer, layers.Conv2DTranspose)
    return isinstance(layer, _BUILDS_IN_RELU) or type(layer).__name__ in _SUMS
