"""``float_model`` against TensorFlow's converter, in TensorFlow Lite, and on other backends."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qcore

keras = pytest.importorskip("keras", reason="needs Keras 3", exc_type=ImportError)

from keras import layers as L  # noqa: E402

from qcore.qat.graph_export import float_model  # noqa: E402
from tests.qat.float_graphs import assert_same_as_keras, data_of, keras_results, model_of, operators  # noqa: E402

ROOT = Path(__file__).parents[2]


def classifier(x: Any) -> Any:
    """A small network with the layers that networks for small machines are made of."""
    x = L.ReLU(6)(L.BatchNormalization()(L.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)))
    y = L.ReLU(6)(L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same", use_bias=False)(x)))
    y = L.BatchNormalization()(L.Conv2D(8, 1, use_bias=False)(y))
    x = L.Add()([x, y])
    weights = L.Dense(8, activation="sigmoid")(L.Dense(4, activation="relu")(L.GlobalAveragePooling2D(keepdims=True)(x)))
    x = L.Multiply()([x, weights])
    x = L.Concatenate()([L.AveragePooling2D(2)(x), L.MaxPooling2D(2)(x)])
    return L.Dense(5, activation="softmax")(L.Flatten()(L.Conv2D(6, 3, activation="hard_silu")(x)))


@pytest.fixture(scope="module")
def tensorflow_route() -> tuple[Any, Any, Any]:
    """A model, and its float graph by either route."""
    pytest.importorskip("tensorflow", reason="needs tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("needs Keras on TensorFlow")
    from qcore.keras import from_keras

    model = model_of(classifier, (16, 16, 3))
    return model, float_model(model), from_keras(model, route="tensorflow")


def test_the_graph_is_that_of_tensorflows_converter(tensorflow_route: tuple[Any, Any, Any]) -> None:
    model, ours, theirs = tensorflow_route
    assert Counter(operators(ours).split()) == Counter(operators(theirs).split())
    versions = [{(code.name, code.version) for code in one.operator_codes} for one in (ours, theirs)]
    assert versions[0] == versions[1]
    assert_same_as_keras(model, ours)


def test_quantized_it_gives_the_codes_of_tensorflows_route(tensorflow_route: tuple[Any, Any, Any]) -> None:
    model, *both = tensorflow_route
    samples = [data_of(model, seed)[0] for seed in range(8)]
    results = []
    for exported in both:
        quantized = qcore.quantize_model(exported, "int8", samples, input_type="int8", output_type="int8")
        interpreter = qcore.Interpreter(model_content=quantized.to_bytes())
        results.append(np.concatenate([next(iter(interpreter.run(x).values())) for x in samples]))
    assert np.abs(results[0] - results[1]).max() <= 1 / 256, "one step of the softmax's codes"


@pytest.mark.parametrize("package", ["tensorflow", "ai_edge_litert.interpreter"])
def test_the_file_runs_in_tensorflow_lite(package: str, tensorflow_route: tuple[Any, Any, Any]) -> None:
    module = pytest.importorskip(package, reason=f"needs {package}", exc_type=ImportError)
    model, exported, _ = tensorflow_route
    interpreter = (module.lite if package == "tensorflow" else module).Interpreter(model_content=exported.to_bytes())
    (x,) = data_of(model)
    (got,) = interpreter.get_signature_runner()(**{model.inputs[0].name: x}).values()
    np.testing.assert_allclose(got, keras_results(model, [x])[0], rtol=1e-4, atol=1e-6)


def test_nothing_of_training_names_tensorflow() -> None:
    for file in (ROOT / "qcore" / "qat").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] in ("tensorflow", "tf_keras", "jax", "torch") for name in names), file


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_on_other_backends_no_tensorflow_is_loaded(backend: str, tmp_path: Path) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"needs {backend}")
    code = """
        import sys, keras, numpy as np, qcore
        from keras import layers
        x = inputs = keras.Input((8, 8, 3))
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, use_bias=False)(x)))
        model = keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
        exported = qcore.from_keras(model)
        x = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype("float32")
        (y,) = qcore.Interpreter(model_content=exported.to_bytes()).run(x).values()
        np.testing.assert_allclose(y, keras.ops.convert_to_numpy(model(x)), rtol=1e-5)
        print(keras.backend.backend(), "tensorflow" in sys.modules)
    """
    program = tmp_path / "program.py"
    program.write_text(code.replace("\n        ", "\n"))
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [backend, "False"]
