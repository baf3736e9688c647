"""A model as the operators that TensorFlow Lite makes of it: one flat graph in which each layer is one operator, or a part of one.

Nested models are inlined. Separable convolutions become two layers, an activation that no operator has built in a layer of its own, silu a
sigmoid and a product, hard_sigmoid its three steps, and joins of more than two tensors joins of two. Layers are new, with the weights of
the old.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from qcore.errors import UnsupportedError
from qcore.qat.graph import copy_of, functional, rebuild, run, unique

WEIGHTED = (layers.Conv1D, layers.Conv2D, layers.DepthwiseConv1D, layers.DepthwiseConv2D, layers.Conv2DTranspose, layers.Dense)
"""Layers whose kernel is rounded."""

_BUILT_IN = ("linear", "relu", "relu6")
_SEPARABLE = {
    layers.SeparableConv1D: (layers.DepthwiseConv1D, layers.Conv1D),
    layers.SeparableConv2D: (layers.DepthwiseConv2D, layers.Conv2D),
}
_BINARY = (layers.Add, layers.Multiply, layers.Maximum, layers.Minimum)
_FUNCTIONS = {"Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "Tanh": "tanh", "Silu": "silu", "HardSilu": "hard_silu"}
_FUNCTIONS |= {"HardSigmoid": "hard_sigmoid", "Gelu": "gelu", "Exp": "exponential"}
"""Activations by the names of the operations that compute them."""


def unsupported(layer: Any, reason: str) -> UnsupportedError:
    """The error about a layer that cannot be trained, with what can be done."""
    return UnsupportedError(f"quantize_model: layer {layer.name!r}: {reason}; skip=({layer.name!r},) leaves it in floating point")


def activation_name(layer: Any) -> str:
    """What a layer applies to what it computes: the name of Keras' function, "linear" for nothing, "" for a function of another kind."""
    if isinstance(layer, layers.ReLU):
        plain = layer.negative_slope == 0 and layer.threshold == 0
        return {None: "relu", 6.0: "relu6"}.get(layer.max_value, "") if plain else ""
    if isinstance(layer, layers.Softmax):
        return "softmax" if layer.axis in (-1, (-1,), [-1]) else ""
    if type(layer).__module__.startswith("keras.src.ops"):
        return _FUNCTIONS.get(type(layer).__name__, "linear")
    function = getattr(layer, "activation", keras.activations.linear)
    name = getattr(function, "__name__", "")
    return name if getattr(keras.activations, name, None) is function else ""


@dataclass
class Expansion:
    """A flat model under way.

    skip: names of layers, or nested models, of the original.
    skipped: names of the layers that came of them.
    made: by the id of an operation of the original, what makes its calls; so shared layers stay shared.
    weights: new layers, and the arrays that they get once they are built.
    names: all that were given.
    """

    skip: Collection[str]
    skipped: set[str] = field(default_factory=set)
    made: dict[int, Callable[..., Any]] = field(default_factory=dict)
    weights: list[tuple[Any, list[Any]]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
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
            if id(operation) not in self.made:
                self.made[id(operation)] = self._make(operation)
            return self.made[id(operation)](*args, **kwargs)
        finally:
            self.depth -= is_skipped

    def _make(self, layer: Any) -> Any:
        for separable, parts in _SEPARABLE.items():
            if isinstance(layer, separable):
                return self._separable(layer, *parts)
        activation = activation_name(layer)
        if self.depth:
            return self._copy(layer)
        if not activation:
            raise unsupported(layer, f"its activation {getattr(layer, 'activation', '')} is not trained in integers")
        if isinstance(layer, WEIGHTED) and (activation not in _BUILT_IN or isinstance(layer, layers.Conv2DTranspose)):
            linear, apply = self._copy(layer, activation="linear"), self._activation(layer, activation, f"{layer.name}_{activation}")
            return lambda x: apply(linear(x))
        if isinstance(layer, _BINARY):
            return self._chain(layer)
        if isinstance(layer, layers.Activation | layers.ReLU | layers.Softmax) or type(layer).__name__ in _FUNCTIONS:
            return self._activation(layer, activation, layer.name)
        return self._copy(layer)

    def _copy(self, layer: Any, **changes: Any) -> Any:
        new = self._new(copy_of(layer, name=unique(self.names, layer.name), **changes))
        if getattr(layer, "weights", None):
            self.weights.append((new, layer.get_weights()))
        return new

    def _activation(self, layer: Any, function: str, name: str) -> Any:
        if function == "linear":
            return lambda x: x
        if function in ("silu", "swish"):
            sigmoid, product = self._named(layers.Activation, f"{name}_sigmoid", "sigmoid"), self._named(layers.Multiply, name)
            return lambda x: product([x, sigmoid(x)])
        if function == "hard_sigmoid":
            relu6 = self._named(layers.Activation, f"{name}_relu6", "relu6")
            return lambda x: relu6(x + 3.0) * (1 / 6)
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
        options = {"use_bias": layer.use_bias, "data_format": layer.data_format}
        plain = self._named(pointwise, layer.name, layer.filters, 1, **options, activation="linear")
        activation = activation_name(layer)
        if activation in _BUILT_IN or not activation:
            plain.activation = layer.activation
            second: Callable[..., Any] = plain
        else:
            apply = self._activation(layer, activation, f"{layer.name}_{activation}")
            second = lambda x: apply(plain(x))  # noqa: E731
        arrays = layer.get_weights()
        self.weights += [(first, arrays[:1]), (plain, arrays[1:])]
        return lambda x: second(first(x))

    def _named(self, kind: Any, name: str, *args: Any, **options: Any) -> Any:
        return self._new(kind(*args, name=unique(self.names, name), **options))

    def _new(self, layer: Any) -> Any:
        if self.depth:
            self.skipped.add(layer.name)
        return layer


def expand(model: Any, skip: Collection[str]) -> tuple[Any, set[str]]:
    """A flat copy of a functional model.

    Args:
        model: functional.
        skip: names of layers that are copied as they are, and of nested models whose layers are.

    Returns:
        The copy, and the names in it of what was skipped.

    Raises:
        UnsupportedError: a nested model is a subclass with a ``call`` of its own.
    """
    under_way = Expansion(skip, names={tensor.name for tensor in model.inputs})
    flat = rebuild(model, under_way.call)
    for layer, arrays in under_way.weights:
        layer.set_weights(arrays)
    return flat, under_way.skipped
