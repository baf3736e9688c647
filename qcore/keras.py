"""``from_keras``: from a Keras model to a float ``Model``, by qcore's own route or by an installed TensorFlow."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from typing import Any, Literal, get_args

from qcore.errors import InputError, UnsupportedError
from qcore.model import Model
from qcore.schema import load

Route = Literal["auto", "tensorflow", "graph"]


def from_keras(model: Any, route: Route = "auto") -> Model:
    """The float model that TensorFlow's converter makes of a Keras model; ``qcore.quantize_model`` takes it from there.

    Args:
        model: a Keras model, built.
        route: "tensorflow": TensorFlow's converter makes it, and Keras must run on TensorFlow. "graph": qcore makes it of the layers,
            on any backend of Keras 3, for batches of 1 where the size is not given; docs/keras.md lists the layers. "auto": by
            TensorFlow where Keras runs on it, else of the layers.

    Raises:
        UnsupportedError: TensorFlow is not installed where it is asked for, or the model has no expression in TensorFlow Lite's operators.
        InputError: not a Keras model, or no such route.
    """
    if route not in get_args(Route):
        raise InputError(f"from_keras: route is {route!r}, expected one of {', '.join(map(repr, get_args(Route)))}")
    if route == "auto":
        route = "tensorflow" if _runs_on_tensorflow(model) else "graph"
    if route == "tensorflow":
        return _converted(model)
    float_model = importlib.import_module("qcore.qat.graph_export").float_model
    exported: Model = float_model(model)
    return exported


def _runs_on_tensorflow(model: Any) -> bool:
    """The model's Keras computes by TensorFlow: always so of Keras 2, which is its own package or a part of TensorFlow."""
    homes = {kind.__module__.split(".")[0] for kind in type(model).__mro__}
    if "keras" in homes:
        return bool(sys.modules["keras"].backend.backend() == "tensorflow")
    if homes & {"tf_keras", "tensorflow"}:
        return True
    raise InputError(f"from_keras: got {type(model).__name__}, expected a Keras model")


def _converted(model: Any) -> Model:
    """What TensorFlow's converter makes of a model."""
    try:
        tf: Any = importlib.import_module("tensorflow")
    except ImportError as error:
        raise UnsupportedError(f"from_keras: needs TensorFlow, which cannot be imported ({error}): pip install tensorflow") from error
    if not isinstance(model, tf.keras.Model):
        raise InputError(f"from_keras: got {type(model).__name__}, expected a tf.keras.Model")
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    try:
        # Keras prints the signatures of what it exports on the way.
        with contextlib.redirect_stdout(io.StringIO()):
            content = converter.convert()
    except Exception as error:
        raise UnsupportedError(f"from_keras: TensorFlow's converter refuses the model: {error}") from error
    return load(content)
