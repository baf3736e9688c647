"""Train the bundled digit classifier: a small CNN on scikit-learn's digits, in float and quantized to int8 by TensorFlow's converter.

Writes digits_float.tflite, digits_int8.tflite and digits.npz (100 held-out images, uint8[100, 8, 8] with values 0 to 16, and their labels).

usage: python examples/train_digits.py [FOLDER]     needs tensorflow and scikit-learn
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SHOWN = 100


def main(folder: Path) -> None:
    """Train, quantize, and write both files."""
    tf.keras.utils.set_random_seed(7)
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[..., np.newaxis]
    train, test, train_labels, test_labels = train_test_split(images, digits.target, test_size=360, random_state=7, stratify=digits.target)
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Input((8, 8, 1), name="image"),
            layers.Conv2D(16, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.Conv2D(32, 1, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    model.compile(tf.keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train, train_labels, 64, 40, verbose=0)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    (folder / "digits_float.tflite").write_bytes(converter.convert())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[np.newaxis]] for image in train[:200])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    (folder / "digits_int8.tflite").write_bytes(converter.convert())
    pixels = np.round(test[:SHOWN, ..., 0] * 16).astype(np.uint8)
    np.savez_compressed(folder / "digits.npz", images=pixels, labels=test_labels[:SHOWN].astype(np.uint8))
    print(f"float accuracy on {len(test)} held-out images: {model.evaluate(test, test_labels, verbose=0)[1]:.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "qcore/data"))
