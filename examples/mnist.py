"""The MNIST tutorial: train a small Keras CNN, quantize it in every mode, and compare size and accuracy.

usage: python examples/mnist.py MNIST.npz [FOLDER]     needs tensorflow

MNIST.npz holds x, uint8[n, 28, 28], and y, uint8[n]; four fifths of them are for training, the rest for measuring. FOLDER is where the
models go; left out, none is written.

The 5000 images of MNIST's test set with even numbers gave, after the training:

    model             bytes  accuracy  agreement
    float             38976    95.40%    100.00%
    float16           22368    95.40%    100.00%
    dynamic range     13584    95.40%     99.80%
    int8              14624    95.20%     99.80%
    int8, uint8 I/O   14608    95.20%     99.80%
    int16x8           14800    95.40%    100.00%
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

import qcore

VARIANTS = {
    "float16": {"mode": "float16"},
    "dynamic range": {"mode": "dynamic_range"},
    "int8": {"mode": "int8"},
    "int8, uint8 I/O": {"mode": "int8", "input_type": "uint8", "output_type": "uint8"},
    "int16x8": {"mode": "int16x8"},
}


def trained(images: np.ndarray, labels: np.ndarray) -> tf.keras.Model:
    """A small CNN that has seen the images twelve times."""
    tf.keras.utils.set_random_seed(0)
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(12, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(24, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images, labels, 32, 12, verbose=2)
    return model


def main(path: Path, folder: Path | None) -> None:
    """Train, calibrate, quantize, evaluate, and print a line for each model."""
    with np.load(path) as data:
        images, labels = (data["x"] / 255).astype(np.float32)[..., np.newaxis], data["y"]
    split = len(images) * 4 // 5
    model = qcore.from_keras(trained(images[:split], labels[:split]))

    statistics = qcore.calibrate(model, images[:100])
    models = {"float": model} | {name: qcore.quantize_model(model, calibration=statistics, **how) for name, how in VARIANTS.items()}
    evaluations = {name: qcore.evaluate(quantized, images[split:], labels[split:]) for name, quantized in models.items()}

    print(f"{'model':16} {'bytes':>6} {'accuracy':>9} {'agreement':>10}")
    for name, evaluation in evaluations.items():
        size = len(models[name].to_bytes())
        print(f"{name:16} {size:6} {evaluation.accuracy:9.2%} {evaluation.agreement(evaluations['float']):10.2%}")
        if folder is not None:
            qcore.save(models[name], folder / f"mnist_{name.replace(', ', '_').replace(' ', '_').replace('/', '')}.tflite")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
