"""``from_keras``: from a Keras model to a float ``Model``, by an installed TensorFlow."""

from __future__ import annotations

import contextlib
import importlib
import io
from typing import Any

from qcore.errors import InputError, UnsupportedError
from qcore.model import Model
from qcore.schema import load


def from_keras(model: Any) -> Model:
    """The float model that TensorFlow's converter makes of a Keras model; ``qcore.quantize_model`` takes it from there.

    This alone needs TensorFlow; everything else in qcore does without.

    Args:
        model: a ``tf.keras.Model``, built.

    Raises:
        UnsupportedError: TensorFlow is not installed, or its converter cannot express the model in TensorFlow Lite's operators.
        InputError: not a Keras model.
    """
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
