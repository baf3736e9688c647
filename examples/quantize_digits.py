"""Quantize the bundled digit classifier in every mode, without TensorFlow.

Ranges come from the last 20 of the bundled digits; the other 80 tell how often each model is right, and how often it agrees with the
float one.

usage: python examples/quantize_digits.py [FOLDER]     FOLDER: where the models go; left out, none is written

It prints:

    model           bytes  right  agreement
    float           28864  78/80     100.0%
    float16         18416  78/80     100.0%
    dynamic_range   13568  78/80     100.0%
    int8            13584  78/80     100.0%
    int16x8         13872  78/80     100.0%
    weight_only     13712  78/80     100.0%
"""

import sys
from importlib import resources
from pathlib import Path

import numpy as np

import qcore

MODES = ("float16", "dynamic_range", "int8", "int16x8", "weight_only")


def main(folder: Path | None) -> None:
    """Calibrate, quantize, evaluate, and print a line for each mode."""
    bundled = resources.files("qcore.data")
    model = qcore.load(bundled.joinpath("digits_float.tflite").read_bytes())
    with bundled.joinpath("digits.npz").open("rb") as file, np.load(file) as digits:
        images, labels = (digits["images"] / 16)[..., np.newaxis], digits["labels"]

    statistics = qcore.calibrate(model, images[80:])
    models = {"float": model} | {mode: qcore.quantize_model(model, mode, statistics) for mode in MODES}
    evaluations = {name: qcore.evaluate(quantized, images[:80], labels[:80]) for name, quantized in models.items()}

    print(f"{'model':14} {'bytes':>6} {'right':>6} {'agreement':>10}")
    for name, evaluation in evaluations.items():
        size = len(models[name].to_bytes())
        print(f"{name:14} {size:6} {evaluation.correct:3}/{evaluation.samples} {evaluation.agreement(evaluations['float']):10.1%}")
        if folder is not None:
            qcore.save(models[name], folder / f"digits_{name}.tflite")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
