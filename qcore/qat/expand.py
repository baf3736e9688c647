"""A model as the operators that TensorFlow Lite makes of it: one flat graph in which each layer is one operator, or a part of one.

Nested models are inlined. Separable convolutions become two layers, an activation that no operator has built in a layer of its own, silu a
sigmoid and a product, hard_sigmoid its three steps, joins of more than two tensors joins of two, and quotients by constants products. A
function, or a layer with a ``call`` of its own and no weights, becomes the operations that it is made of. Layers are new, with the weights
of the old.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers

from qcore.errors import UnsupportedError
from qcore.qat.graph import copy_of, defines_call, follow, functional, named, rebuild, run, set_weights, unique

WEIGHTED = (layers.Conv1D, layers.Conv2D, layers.DepthwiseConv1D, layers.DepthwiseConv2D, layers.Conv2DTranspose, layers.Dense)
"""Layers whose kernel is rounded."""

_KERAS = ("keras.src.layers", "keras.src.ops")
"""Where Keras' own layers and operations are at home."""

_BUILT_IN = ("linear", "relu", "relu6")
_SEPARABLE = {
    layers.SeparableConv1D: (layers.DepthwiseConv1D, layers.Conv1D),
    layers.SeparableConv2D: (layers.DepthwiseConv2D, layers.Conv2D),
}
_BINARY = (layers.Add, layers.Multiply, layers.Maximum, layers.Minimum)
_FUNCTIONS = {"Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "Tanh": "tanh", "Silu": "silu", "HardSilu": "hard_silu"}
_FUNCTIONS |= {"HardSigmoid": "hard_sigmoid", "Exp": "exponential", "Softmax": "softmax", "LogSoftmax": "log_softmax"}
"""Activations by the names of the operations that compute them."""


def unsupported(name: str, reason: str) -> UnsupportedError:
    """The error about a layer of the original that cannot be trained, with what can be done."""
    return UnsupportedError(f"quantize_model: layer {name!r}: {reason}; skip=({name!r},) leaves it in floating point")


def activation_name(layer: Any) -> str:
    """What a layer applies to what it computes: the name of Keras' function, "linear" for nothing, "" for a function of another kind."""
    if isinstance(layer, layers.ReLU):
        plain = layer.negative_slope == 0 and layer.threshold == 0
        return {None: "relu", 6.0: "relu6"}.get(layer.max_value, "") if plain else ""
    if isinstance(layer, layers.Softmax):
        return "softmax" if layer.axis in (-1, (-1,), [-1]) else ""
    if type(layer).__module__.startswith("keras.src.ops"):
        name = _FUNCTIONS.get(type(layer).__name__, "linear")
        return "" if name.endswith("softmax") and layer.axis != -1 else name
    function = getattr(layer, "activation", keras.activations.linear)
    name = getattr(function, "__name__", "")
    return name if getattr(keras.activations, name, None) is function else ""


def _settings(layer: Any) -> str:
    """What a layer was made with, in words."""
    own = {key: value for key, value in layer.get_config().items() if key not in ("name", "trainable", "dtype")}
    return ", ".join(f"{key}={value!r}" for key, value in own.items())


@dataclass
class Expansion:
    """A flat model under way.

    skip: names of layers, or nested models, of the original.
    skipped: names of the layers that came of them.
    made: by the id of an operation of the original, what makes its calls; so shared layers stay shared.
    weights: new layers, and the arrays that they get once they are built.
    names: all that were given.
    origins: by the name of a new layer, that of the original layer that it came from.
    origin: the name of the original layer whose call is under way.
    """

    skip: Collection[str]
    skipped: set[str] = field(default_factory=set)
    made: dict[int, Callable[..., Any]] = field(default_factory=dict)
    weights: list[tuple[Any, list[Any]]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    origins: dict[str, str] = field(default_factory=dict)
    origin: str = ""
    depth: int = 0

    def call(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls what stands for a node's operation."""
        operation = node.operation
        is_skipped = operation.name in self.skip
        if kwargs.get("mask", False) is None:
            del kwargs["mask"]
        self.depth += is_skipped
        try:
            if isinstance(operation, keras.Model):
                inner = functional(operation, "quantize_model")
                return run(inner, keras.tree.flatten(args[0]), self.call)
            self.origin = operation.name
            if id(operation) not in self.made:
                self.made[id(operation)] = self._make(operation)
            return self.made[id(operation)](*args, **kwargs)
        finally:
            self.depth -= is_skipped

    def _make(self, layer: Any) -> Any:
        activation, kind = activation_name(layer), type(layer).__name__
        if getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None):
            raise UnsupportedError(f"quantize_model: layer {layer.name!r}: LoRA, or quantized by Keras itself; expected one float kernel")
        if self.depth:
            return self._copy(layer)
        for separable, parts in _SEPARABLE.items():
            if isinstance(layer, separable):
                return self._separable(layer, *parts)
        if isinstance(layer, layers.Lambda) or not defines_call(type(layer)).__module__.startswith(_KERAS):
            if getattr(layer, "weights", None):
                raise unsupported(self.origin, f"{kind} has weights, and computes in a call() of its own")
            return partial(self._follow, layer.call)
        if isinstance(layer, WEIGHTED) and (activation not in _BUILT_IN or isinstance(layer, layers.Conv2DTranspose)):
            linear, apply = self._linear(layer), self._applied(layer, activation)
            return lambda x: apply(linear(x))
        if isinstance(layer, layers.Activation) and not activation:
            return self._applied(layer, activation)
        if isinstance(layer, layers.ReLU) and layer.negative_slope and layer.max_value is None and not layer.threshold:
            return self._named(layers.LeakyReLU, layer.name, negative_slope=float(layer.negative_slope))
        if not activation:
            raise unsupported(self.origin, f"{kind} with {_settings(layer)} is not trained in integers")
        if isinstance(layer, _BINARY):
            return self._chain(layer)
        if isinstance(layer, layers.Activation | layers.ReLU | layers.Softmax) or kind in _FUNCTIONS:
            return self._activation(layer, activation, layer.name)
        if kind == "Negative":
            return lambda x: self._product(x, -1.0, layer.name)
        if kind == "Cast" and keras.backend.is_float_dtype(layer.dtype):
            return lambda x: x
        return partial(self._quotient, layer.name) if kind in ("Divide", "TrueDivide") else self._copy(layer)

    def _copy(self, layer: Any) -> Any:
        new = self._new(copy_of(layer, name=unique(self.names, layer.name)))
        if getattr(layer, "weights", None):
            self.weights.append((new, layer.get_weights()))
        return new

    def _linear(self, layer: Any) -> Any:
        """A copy without the activation; if that is a layer with weights, they come last."""
        new = self._new(copy_of(layer, name=unique(self.names, layer.name), activation="linear"))
        own = len(layer.weights) - len(getattr(layer.activation, "weights", ()))
        self.weights.append((new, layer.get_weights()[:own]))
        return new

    def _product(self, x: Any, factor: Any, name: str) -> Any:
        return named(x * factor, unique(self.names, name))

    def _quotient(self, name: str, x: Any, divisor: Any) -> Any:
        if isinstance(divisor, keras.KerasTensor):
            raise unsupported(self.origin, "it divides by a tensor, expected a constant")
        return self._product(x, 1 / keras.ops.convert_to_numpy(divisor).astype(np.float32), name)

    def _applied(self, layer: Any, activation: str) -> Any:
        """The activation of a layer: by its name in Keras, or a layer, or a function made of operations of Keras, if it has none."""
        if activation:
            return self._activation(layer, activation, f"{layer.name}_{activation}")
        if isinstance(layer.activation, keras.Layer):
            return self._make(layer.activation)
        return partial(self._follow, layer.activation)

    def _follow(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls what stands for the operations that a function calls."""
        try:
            inside, tensors = follow(function, args, kwargs, keras.KerasTensor)
        except Exception as error:
            raise unsupported(self.origin, f"{function!r} is not made of keras.ops ({error})") from error
        return run(inside, tensors, lambda node, *args, **kwargs: self._make(node.operation)(*args, **kwargs))

    def _activation(self, layer: Any, function: str, name: str) -> Any:
        if function == "linear":
            return lambda x: x
        if function in ("silu", "swish"):
            sigmoid, product = self._named(layers.Activation, f"{name}_sigmoid", "sigmoid"), self._named(layers.Multiply, name)
            return lambda x: product([x, sigmoid(x)])
        if function == "hard_sigmoid":
            relu6 = self._named(layers.Activation, f"{name}_relu6", "relu6")
            return lambda x: self._product(relu6(named(x + 3.0, unique(self.names, f"{name}_shifted"))), 1 / 6, name)
        return self._named(layers.Activation, name, layer.activation if isinstance(layer, layers.Activation) else function)

    def _chain(self, layer: Any) -> Callable[..., Any]:
        """A join of many tensors as joins of two; made anew at each call, since it has no weights."""

        def call(tensors: list[Any]) -> Any:
            joined = tensors[0]
            for position, tensor in enumerate(tensors[1:], 1):
                last = position == len(tensors) - 1
                joined = self._named(type(layer), layer.name if last else f"{layer.name}_{position}")([joined, tensor])
            return joined

        return call

    def _separable(self, layer: Any, depthwise: Any, pointwise: Any) -> Callable[..., Any]:
        given = layer.get_config()
        same = {key: given[key] for key in ("kernel_size", "strides", "padding", "depth_multiplier", "dilation_rate", "data_format")}
        first = self._named(depthwise, f"{layer.name}_depthwise", **same, use_bias=False)
        activation, options = activation_name(layer), {"use_bias": layer.use_bias, "data_format": layer.data_format}
        built_in = activation if activation in _BUILT_IN else "linear"
        second = self._named(pointwise, layer.name, layer.filters, 1, **options, activation=built_in)
        apply = self._activation(layer, "linear", "") if activation == built_in else self._applied(layer, activation)
        arrays = layer.get_weights()
        self.weights += [(first, arrays[:1]), (second, arrays[1 : 2 + layer.use_bias])]
        return lambda x: apply(second(first(x)))

    def _named(self, kind: Any, name: str, *args: Any, **options: Any) -> Any:
        return self._new(kind(*args, name=unique(self.names, name), **options))

    def _new(self, layer: Any) -> Any:
        self.origins[layer.name] = self.origin
        if self.depth:
            self.skipped.add(layer.name)
        return layer


def expand(model: Any, skip: Collection[str]) -> tuple[Any, Expansion]:
    """A flat copy of a functional model.

    Args:
        model: functional.
        skip: names of layers that are copied as they are, and of nested models whose layers are.

    Returns:
        The copy, and how its layers came about.

    Raises:
        UnsupportedError: a nested model is a subclass with a ``call`` of its own.
    """
    under_way = Expansion(skip, names={tensor.name for tensor in model.inputs})
    flat = rebuild(model, under_way.call)
    for layer, arrays in under_way.weights:
        set_weights(layer, arrays)
    return flat, under_way
