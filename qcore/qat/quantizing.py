"""``quantize_model``: a model to train with its rounding in sight."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import keras

from qcore.errors import InputError
from qcore.qat.expand import WEIGHTED, Expansion, activation_name, expand
from qcore.qat.graph import copy_of, functional, named, nodes, readers, rebuild, set_weights, unique
from qcore.qat.layers import FakeQuant, QuantizedKernel, codes_name
from qcore.qat.placement import FIXED, averages, check, is_part_of_reader, moves, shares_scale

Bits = int | Callable[[Any], int]


def quantize_model(model: Any, weight_bits: Bits = 8, activation_bits: int = 8, skip: Collection[str] = (), decay: float = 0.99) -> Any:
    """A copy of a Keras model that computes with rounded kernels and activations, as the integer model it is exported to does.

    The copy is a functional model with the inputs and outputs of the original, its weights, and two kinds of layers more: ``FakeQuant``,
    whose ranges follow the data in training, and ``QuantizedKernel``. It is compiled, fitted, saved and loaded as any other.

    Args:
        model: a Sequential or functional model, built; it is not changed.
        weight_bits: of kernels, 2 to 8: for all, or what a function says of each layer. Codes of up to 4 bits are stored in 4 where
            TensorFlow Lite has kernels for them, others in 8.
        activation_bits: of all activations, 8 or 16. Those of 16 bits are about zero, as in TensorFlow Lite's int16x8, which has fewer
            operators and no part in XNNPACK.
        skip: names of layers, or of nested models, that stay in floating point.
        decay: of the moving means that activation ranges are.

    Returns:
        A functional Keras model, not compiled.

    Raises:
        UnsupportedError: the model is a subclass with a ``call`` of its own, not built, or has a layer that no integer operator computes,
            or none with activations of these bits.
        InputError: an argument is wrong.
    """
    if activation_bits not in (8, 16):
        raise InputError(f"quantize_model: got activation_bits={activation_bits!r}, expected 8 or 16, for the whole model")
    if isinstance(skip, str):
        raise InputError(f"quantize_model: got skip={skip!r}, expected a collection of names: skip=({skip!r},)")
    source = functional(model, "quantize_model")
    if any(isinstance(layer, FakeQuant) for layer in source.layers):
        raise InputError(f"quantize_model: model {source.name!r} has FakeQuant layers already, expected the model that it was made of")
    _check_names(source, skip)
    flat, expansion = expand(source, skip)
    placement = _Placement(flat, expansion, weight_bits, activation_bits, decay)
    quantized = rebuild(flat, placement.call, behind_input=placement.round_input)
    for old, new in placement.copies:
        set_weights(new, old.get_weights())
    return quantized


def _check_names(model: Any, skip: Collection[str]) -> None:
    known: set[str] = set()
    pending = [model]
    while pending:
        for operation in {node.operation for node in nodes(pending.pop())}:
            known.add(operation.name)
            if isinstance(operation, keras.Model):
                pending.append(functional(operation, "quantize_model"))
    if missing := [name for name in skip if name not in known]:
        raise InputError(f"quantize_model: skip: the model has no layer {missing[0]!r}")


class _Placement:
    """Calls new layers for those of a flat model, with FakeQuant where operators end."""

    def __init__(self, flat: Any, expansion: Expansion, weight_bits: Bits, activation_bits: int, decay: float) -> None:
        self.readers, self.names = readers(flat), {operation.name for operation in flat.operations}
        self.origins, self.skipped = expansion.origins, expansion.skipped
        self.weight_bits, self.activation_bits, self.decay = weight_bits, activation_bits, decay
        self.made: dict[int, Any] = {}
        self.copies: list[tuple[Any, Any]] = []
        self.codes_of: dict[int, FakeQuant] = {}
        self.in_float: set[int] = set()

    def call(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls the new layer for a node's, and rounds what it computes where an operator ends."""
        layer = node.operation
        if id(layer) not in self.made:
            self.made[id(layer)] = self._make(node)
        if layer.name not in self.skipped and not moves(layer):
            args, kwargs = keras.tree.map_structure(self._as_real, (args, kwargs))
        output = self.made[id(layer)](*args, **kwargs)
        source = self.codes_of.get(id(keras.tree.flatten(args)[0]))
        is_float = layer.name in self.skipped or any(id(value) in self.in_float for value in keras.tree.flatten(args))
        if layer.name not in self.skipped and source is not None and (moves(layer) or averages(layer)):
            return self._remember(source(output, average=True) if averages(layer) else output, source)
        has_scale = shares_scale(layer) and any(id(value) in self.codes_of for value in keras.tree.flatten(args))
        if not has_scale and is_part_of_reader(node, self.readers[id(node.outputs[0])]):
            if is_float:
                self.in_float.add(id(output))
            return output
        fixed = FIXED[self.activation_bits].get(activation_name(layer)) if layer.name not in self.skipped else None
        return keras.tree.map_structure(lambda tensor: self.round(tensor, layer.name, fixed, is_float), output)

    def round_input(self, tensor: Any) -> Any:
        """Rounds an input of the model, if it is one of real numbers."""
        return self.round(tensor, tensor.name, None, False)

    def _as_real(self, value: Any) -> Any:
        """A tensor of whole numbers as real ones, which are rounded; anything else as it is."""
        if not isinstance(value, keras.KerasTensor) or keras.backend.is_float_dtype(value.dtype):
            return value
        name = unique(self.names, f"{value._keras_history.operation.name}_real")
        return self.round(named(keras.ops.cast(value, "float32"), name), name, None, True)

    def round(self, tensor: Any, source: str, fixed: tuple[float, float] | None, is_float: bool) -> Any:
        """A FakeQuant behind a tensor of real numbers; at each call of a shared layer one of its own."""
        if not keras.backend.is_float_dtype(tensor.dtype):
            return tensor
        name, count = codes_name(source), 0
        while name in self.names:
            count += 1
            name = codes_name(f"{source}_{count}")
        self.names.add(name)
        fake_quant = FakeQuant(self.decay, fixed, is_float, self.activation_bits, name=name)
        return self._remember(fake_quant(tensor), fake_quant)

    def _remember(self, tensor: Any, fake_quant: FakeQuant) -> Any:
        self.codes_of[id(tensor)] = fake_quant
        return tensor

    def _make(self, node: Any) -> Any:
        layer = node.operation
        new = copy_of(layer)
        if getattr(layer, "weights", None):
            self.copies.append((layer, new))
        if layer.name in self.skipped:
            return new
        check(node, self.origins.get(layer.name, layer.name), self.activation_bits)
        if isinstance(layer, WEIGHTED):
            return QuantizedKernel(new, self.weight_bits(layer) if callable(self.weight_bits) else self.weight_bits)
        return new
