"""What a call in a graph of Keras becomes: the row of the table for its layer or operation, or the graph that lies within."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import keras

from qcore.errors import QCoreError
from qcore.qat.emitting.emitter import Emitter, Value
from qcore.qat.emitting.table import LAYERS, OPERATIONS, Row
from qcore.qat.graph import follow, functional, run


def call(e: Emitter, operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Adds what a layer, a model, an operation of ``keras.ops`` or a function made of such computes.

    Args:
        e: takes the operators.
        operation: of Keras, or a function.
        *args: those of its call, with values of the graph for tensors.
        **kwargs: likewise.

    Returns:
        Values in the structure of what the operation gives.

    Raises:
        UnsupportedError: there is no row for it, or not with these settings.
    """
    with e.within(operation):
        if isinstance(operation, keras.Model):
            return run(functional(operation, "float_model"), keras.tree.flatten(args), partial(call_node, e))
        if not isinstance(operation, keras.Operation):
            return _traced(e, operation, args, kwargs, "expected a function made of keras.ops")
        arguments = _arguments(e, operation, args, kwargs)
        row = _row(operation)
        if row is not None:
            outputs = row.emit(e, operation, *arguments.values())
        elif isinstance(operation, keras.Layer):
            reason = "expected a layer of the table in docs/keras.md, or one whose call is made of keras.ops"
            outputs = _traced(e, operation.call, (), arguments, f"{reason}: {', '.join(LAYERS)}")
        else:
            raise e.refusal(f"expected one of {', '.join(OPERATIONS)}")
    for output in keras.tree.flatten(outputs):
        e.name(output, operation)
    return outputs


def call_node(e: Emitter, node: Any, *args: Any, **kwargs: Any) -> Any:
    """The same of a node's operation."""
    return call(e, node.operation, *args, **kwargs)


def _row(operation: Any) -> Row | None:
    """The row of an operation's class, or of that whose ``call`` it has, since who subclasses a layer may change what it computes."""
    table = LAYERS if isinstance(operation, keras.Layer) else OPERATIONS
    for kind in type(operation).__mro__:
        if (
            kind.__module__.startswith(("keras.", "qcore."))
            and kind.__name__ in table
            and type(operation).call is getattr(kind, "call", None)
        ):
            return table[kind.__name__]
    return None


def _arguments(e: Emitter, operation: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """What an operation is called with, by name and in its own order. Keras itself sets ``training``, whatever the graph says."""
    bound = inspect.signature(operation.call).bind(*args, **kwargs)
    bound.apply_defaults()
    arguments = {name: given for name, given in bound.arguments.items() if name not in ("training", "mask")}
    if bound.arguments.get("mask") is not None:
        raise e.refusal("is called with a mask; TensorFlow Lite has none")
    if getattr(operation, "quantization_mode", None) is not None:
        raise e.refusal(f"is quantized by Keras itself ({operation.quantization_mode}); expected a float model")
    return arguments


def _traced(e: Emitter, function: Any, args: Any, kwargs: Any, expected: str) -> Any:
    """Adds what a function computes, by following it to the operations of ``keras.ops`` that it is made of."""
    try:
        inside, values = follow(function, args, kwargs, Value)
    except QCoreError:
        raise
    except Exception as error:
        raise e.refusal(f"its call cannot be followed ({error}); {expected}") from error
    return run(inside, values, partial(call_node, e))
