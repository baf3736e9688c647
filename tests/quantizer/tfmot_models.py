"""Models that tensorflow-model-optimization trains: a script for an environment of its own, which knows nothing of qcore.

``python tfmot_models.py FOLDER`` writes, for each: what TensorFlow's converter makes of it in float mode and with Optimize.DEFAULT; as
JSON, the ranges that training found, those of kernels before a normalization with its factors; samples, and what it makes of them.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ |= {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


def images(layers: Any) -> list[Any]:
    """Convolutions, pooling, dense layers."""
    x = given = layers.Input((12, 12, 1), 1)
    for units in (4, 8):
        x = layers.MaxPooling2D()(layers.Conv2D(units, 3, padding="same", activation="relu")(x))
    x = layers.Dense(16, activation="relu")(layers.Dropout(0.2)(layers.Flatten()(x)))
    return [given, layers.Softmax()(layers.Dense(5)(x))]


def mobile(layers: Any) -> list[Any]:
    """Normalized depthwise blocks, a sum, a join, both poolings of means."""
    x = given = layers.Input((16, 16, 3), 1)
    x = normalized(layers, layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x), layers.ReLU(6.0))
    y = normalized(layers, layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x), layers.ReLU(6.0))
    y = normalized(layers, layers.Conv2D(8, 1, use_bias=False)(y))
    x = layers.Add()([x, y])
    y = normalized(layers, layers.Conv2D(4, 1, use_bias=False)(x), layers.Activation("relu"))
    x = layers.AveragePooling2D()(layers.Concatenate()([x, y]))
    return [given, layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling2D()(x))]


def dense(layers: Any) -> list[Any]:
    """A normalized dense layer, which the converter leaves in floating point."""
    x = given = layers.Input((20,), 1)
    x = normalized(layers, layers.Dense(16)(layers.Dense(12, activation="relu")(x)), layers.ReLU())
    return [given, layers.Dense(5, activation="tanh")(x)]


def normalized(layers: Any, x: Any, activation: Any = None) -> Any:
    """Batch normalization, with factors of both signs, then an activation."""
    x = layers.BatchNormalization(gamma_initializer="glorot_uniform", beta_initializer="random_normal")(x)
    return x if activation is None else activation(x)


def ranges(model: Any, np: Any) -> list[dict[str, Any]]:
    """What training found, in the order of the layers."""
    found: list[dict[str, Any]] = []
    for layer in model.layers:
        inner = getattr(layer, "layer", layer)
        if type(inner).__name__ == "BatchNormalization":
            kernel = next(entry for entry in reversed(found) if entry["kernel"])
            kernel["factor"] = (inner.gamma / np.sqrt(inner.moving_variance + inner.epsilon)).numpy().tolist()
        values = {weight.name.split("/")[-1].split(":")[0]: weight.numpy().tolist() for weight in layer.weights}
        for low in [name for name in values if name.endswith("min")]:
            ends = {"low": values[low], "high": values[low[:-3] + "max"]}
            found.append({"name": f"{layer.name}/{low}", "kernel": "kernel" in low, **ends})
    return found


def main(folder: Path) -> None:
    """Trains, converts, writes."""
    import numpy as np
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot

    tf.keras.utils.set_random_seed(0)
    for build in (images, mobile, dense):
        trained = tfmot.quantization.keras.quantize_model(tf.keras.Model(*build(tf.keras.layers)))
        x = np.random.default_rng(0).uniform(-0.5, 1, (48, *trained.input_shape[1:])).astype(np.float32)
        trained.compile("sgd", "mse")
        trained.fit(x, np.random.default_rng(1).uniform(0, 1, (48, 5)), epochs=1, batch_size=1, verbose=0)
        for kind, optimizations in (("float", []), ("int8", [tf.lite.Optimize.DEFAULT])):
            converter = tf.lite.TFLiteConverter.from_keras_model(trained)
            converter.optimizations = optimizations
            (folder / f"{build.__name__}_{kind}.tflite").write_bytes(converter.convert())
        (folder / f"{build.__name__}.json").write_text(json.dumps(ranges(trained, np)))
        np.savez(folder / f"{build.__name__}.npz", x=x[:20], y=np.concatenate([trained(x[i : i + 1]) for i in range(20)]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
