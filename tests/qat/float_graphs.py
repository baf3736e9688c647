"""Small Keras models and their files: what tests of ``float_model`` make, run and compare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import qcore

Build = Callable[[Any], Any]


def model_of(build: Build, *shapes: tuple[int, ...], dtype: str = "float32", batch: int | None = 1) -> Any:
    """A functional model of what build makes of its inputs, with random weights, also such that are none at first: zeros and ones."""
    inputs = [keras.Input(shape, batch_size=batch, dtype=dtype) for shape in shapes]
    return randomize(keras.Model(inputs[0] if len(inputs) == 1 else inputs, build(*inputs)))


def randomize(model: Any) -> Any:
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if str(weight.dtype).startswith("float"):
            values = rng.normal(0, 0.4, weight.shape)
            weight.assign(np.abs(values) + 0.3 if "variance" in weight.path else values)
    return model


def data_of(model: Any, seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = [[1 if size is None else size for size in tensor.shape] for tensor in model.inputs]
    return [
        rng.normal(0, 2, shape).astype(np.float32) if t.dtype == "float32" else rng.integers(0, 9, shape).astype(t.dtype)
        for shape, t in zip(shapes, model.inputs, strict=True)
    ]


def keras_results(model: Any, data: list[np.ndarray]) -> list[np.ndarray]:
    outputs = model(data if len(data) > 1 else data[0], training=False)
    return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(outputs)]


def run(exported: Any, data: list[np.ndarray]) -> list[np.ndarray]:
    (signature,) = exported.signatures
    interpreter = qcore.Interpreter(model_content=exported.to_bytes())
    given = dict(zip((name for name, _ in signature.inputs), data, strict=True))
    results = interpreter.get_signature_runner("serving_default")(**given)
    return [results[name] for name, _ in signature.outputs]


def operators(exported: Any) -> str:
    """The operators in the order they run, each with the activation built into it."""
    said = []
    for operator in exported.subgraphs[0].operators:
        fields = operator.options.fields if operator.options is not None else {}
        activation = fields.get("fused_activation_function", "NONE")
        said.append(operator.name + ("" if activation == "NONE" else f"+{activation}"))
    return " ".join(said)


def assert_same_as_keras(model: Any, exported: Any) -> None:
    data = data_of(model)
    for got, expected in zip(run(exported, data), keras_results(model, data), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-6 * max(1.0, float(np.abs(expected).max())))


def chain(*made: Any) -> Build:
    def build(x: Any) -> Any:
        for layer in made:
            x = layer(x)
        return x

    return build
