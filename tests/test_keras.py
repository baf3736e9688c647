"""``from_keras``: the float model is the Keras model, and what cannot be made is refused in qcore's own words."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import qcore
from qcore.keras import from_keras


@pytest.fixture
def tf() -> Any:
    return pytest.importorskip("tensorflow", reason="needs tensorflow")


def test_the_model_computes_what_keras_computes(tf: Any, capfd: pytest.CaptureFixture[str]) -> None:
    layers = tf.keras.layers
    keras = tf.keras.Sequential([layers.Input((6, 6, 1)), layers.Conv2D(3, 3, activation="relu"), layers.Flatten(), layers.Dense(4)])
    model = from_keras(keras)
    x = np.random.default_rng(0).normal(size=(1, 6, 6, 1)).astype(np.float32)
    (y,) = qcore.Interpreter(model_content=model).run(x).values()
    np.testing.assert_allclose(y, keras(x), rtol=1e-5, atol=1e-6)
    assert capfd.readouterr().out == ""


def test_the_model_can_be_quantized(tf: Any) -> None:
    keras = tf.keras.Sequential([tf.keras.layers.Input((8,)), tf.keras.layers.Dense(4)])
    quantized = qcore.quantize_model(from_keras(keras), calibration=np.eye(8, dtype=np.float32))
    assert [operator.name for operator in quantized.subgraphs[0].operators] == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]


def test_anything_but_a_keras_model_is_refused(tf: Any) -> None:
    with pytest.raises(qcore.InputError, match=r"got int, expected a Keras model"):
        from_keras(3)
    with pytest.raises(qcore.InputError, match=r"got int, expected a tf\.keras\.Model"):
        from_keras(3, route="tensorflow")
    with pytest.raises(qcore.InputError, match=r"route is 'onnx', expected one of 'auto', 'tensorflow', 'graph'"):
        from_keras(3, route="onnx")  # type: ignore[arg-type]


def test_what_the_converter_refuses_is_refused_in_its_words(tf: Any) -> None:
    with pytest.raises(qcore.UnsupportedError, match="converter refuses the model: .*input shapes have not been set"):
        from_keras(tf.keras.Sequential([tf.keras.layers.Dense(4)]))


def test_without_tensorflow_the_message_says_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(qcore.UnsupportedError, match=r"needs TensorFlow.*pip install tensorflow"):
        from_keras(None, route="tensorflow")


def test_the_model_is_made_of_its_layers_where_keras_runs_on_another_backend(tf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    keras = tf.keras.Sequential([tf.keras.layers.Input((8,)), tf.keras.layers.Dense(4)])
    assert from_keras(keras).description == "MLIR Converted."
    monkeypatch.setattr(tf.keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    assert from_keras(keras).description == from_keras(keras, route="graph").description == "Made by qcore from a Keras model."
