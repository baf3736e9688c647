"""Functional Keras models as graphs: what calls what, who reads a tensor, and how a graph is run with other calls in their place.

Keras shows a model's graph by attributes that it keeps to itself; they are read here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from qcore.errors import UnsupportedError

Call = Callable[..., Any]
"""``call(node, *args, **kwargs)``: what a node's operation would compute from these arguments."""


def functional(model: Any, what: str) -> Any:
    """A Sequential or functional model as a functional one that shares its layers.

    Args:
        model: what the caller gave.
        what: the call that speaks in the error.

    Raises:
        UnsupportedError: the model has no graph, because it is a subclass with a ``call`` of its own, or is not built.
    """
    if isinstance(model, keras.Sequential):
        if not model.built:
            raise UnsupportedError(f"{what}: model {model.name!r} is not built: give it an Input, or call it once")
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    if isinstance(model, keras.Function) and defines_call(type(model)).__module__.startswith("keras."):
        return model
    raise UnsupportedError(
        f"{what}: {type(model).__name__} {getattr(model, 'name', '')!r} computes in a call() of its own, whose operators cannot be seen; "
        "expected a Sequential or functional model: keras.Model(inputs, outputs)"
    )


def defines_call(kind: type) -> type:
    """The class that a class has its ``call`` from."""
    return next(parent for parent in kind.__mro__ if "call" in vars(parent))


def nodes(model: Any) -> list[Any]:
    """The calls of a functional model in an order in which they can run, but for its inputs. Calls of its layers elsewhere do not count."""
    return [node for depth in sorted(model._nodes_by_depth, reverse=True) for node in model._nodes_by_depth[depth] if not node.is_input]


def readers(model: Any) -> dict[int, list[Any]]:
    """The calls that read each tensor, by the tensor's id; None stands for the reader of an output."""
    found: dict[int, list[Any]] = {}
    for node in nodes(model):
        for tensor in node.input_tensors:
            found.setdefault(id(tensor), []).append(node)
    for tensor in model.outputs:
        found.setdefault(id(tensor), []).append(None)
    return found


def run(model: Any, inputs: list[Any], call: Call) -> Any:
    """What a functional model computes, each of its operations by ``call``.

    Args:
        model: a functional model.
        inputs: a value for each input, symbolic or not.
        call: see ``Call``.

    Returns:
        Values in the structure of the model's outputs.
    """
    values = {id(tensor): value for tensor, value in zip(model.inputs, inputs, strict=True)}
    for node in nodes(model):
        args, kwargs = node.arguments.fill_in(values)
        if not args and "inputs" in kwargs:
            args = (kwargs.pop("inputs"),)
        results = keras.tree.flatten(call(node, *args, **kwargs))
        values |= {id(tensor): result for tensor, result in zip(node.outputs, results, strict=True)}
    return keras.tree.map_structure(lambda tensor: values[id(tensor)], model._outputs_struct)


def follow(function: Any, args: Any, kwargs: Any, kind: Any) -> tuple[Any, list[Any]]:
    """The operations that a function calls, as a graph.

    Args:
        function: of Keras tensors; also a layer's ``call``.
        args: what it is given.
        kwargs: likewise.
        kind: the type of what stands for a tensor in them, with a shape and a dtype.

    Returns:
        a ``keras.Function``, and what its inputs stand for.
    """
    values = list({id(value): value for value in keras.tree.flatten((args, kwargs)) if isinstance(value, kind)}.values())
    symbols = {id(value): keras.KerasTensor(value.shape, value.dtype) for value in values}
    args, kwargs = keras.tree.map_structure(lambda value: symbols.get(id(value), value), (args, kwargs))
    with keras.StatelessScope():
        outputs = function(*args, **kwargs)
    return keras.Function(list(symbols.values()), outputs), values


def rebuild(model: Any, call: Call, batch: int | None = None, behind_input: Callable[[Any], Any] = lambda tensor: tensor) -> Any:
    """A new functional model with the name and the inputs of another, each of its operations by ``call``.

    Args:
        model: a functional model.
        call: see ``Call``; it must call new layers.
        batch: the size of a batch; None for any.
        behind_input: what operations read in place of an input.
    """
    inputs = [keras.Input(batch_shape=(batch, *t.shape[1:]), dtype=t.dtype, name=t.name) for t in model.inputs]
    structure = keras.tree.pack_sequence_as(model._inputs_struct, inputs)
    return keras.Model(structure, run(model, [behind_input(tensor) for tensor in inputs], call), name=model.name)


def set_weights(layer: Any, arrays: list[Any]) -> None:
    """Gives a layer its weights, and what it keeps of them beside."""
    layer.set_weights(arrays)
    if isinstance(layer, keras.layers.Normalization):
        layer.finalize_state()


def named(tensor: Any, name: str) -> Any:
    """A tensor, with a name for the operation that computes it: those that Keras gives are not new in a model that was loaded."""
    tensor._keras_history.operation.name = name
    return tensor


def unique(names: set[str], wanted: str, separator: str = "_") -> str:
    """The name wanted, with a number behind it where it is taken; it is taken from now on."""
    name, count = wanted, 0
    while name in names:
        count += 1
        name = f"{wanted}{separator}{count}"
    names.add(name)
    return name


def copy_of(layer: Any, **changes: Any) -> Any:
    """A new layer of the same configuration, but for what changes; its weights are still to come.

    Raises:
        UnsupportedError: Keras cannot make it.
    """
    try:
        return type(layer).from_config(layer.get_config() | changes)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise UnsupportedError(f"layer {layer.name!r}: Keras cannot make a second one from its configuration: {error}") from error
