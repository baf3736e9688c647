"""Accuracy of int8 models quantized by TensorFlow and by qcore, from the same float model and the same 100 samples, as a Markdown table.

usage: OMP_NUM_THREADS=1 python -m benchmarks.accuracy FOLDER [--limit N]     FOLDER holds models/ and data/; needs the test extra

Both files run in TensorFlow Lite, on its reference kernels and on its default ones (XNNPACK); qcore runs its own file with the arithmetic
of each. "differ" counts the samples for which these three do not give the same class. The last column counts those for which the files do
not where qcore quantizes from the ranges that TensorFlow found, rather than its own: float sums depend on their order, and so do the last
bits of a range.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import convert
from tensorflow.lite.python.optimize import calibrator

import qcore
from qcore.analysis.evaluation import evaluate
from qcore.cli.data import DataSet, Inputs, Scaling

CALIBRATION_SAMPLES = 100
KERNELS = (("BUILTIN_REF", "reference"), ("AUTO", "xnnpack"))
"""TensorFlow Lite's resolvers, and qcore's names for their arithmetic."""


@dataclass(frozen=True)
class Case:
    """A float model, and the data to calibrate and to measure it with."""

    title: str
    model: str
    calibration: str
    evaluation: str
    scaling: Scaling


CASES = (
    Case("MNIST, convolutional", "aeq__conv_fc_mnist", "mnist_t10k_even", "mnist_t10k_even", Scaling(1 / 255, 0)),
    Case("MNIST, dense", "gotflite__mnist_model", "mnist_t10k_even", "mnist_t10k_even", Scaling(1 / 255, 0)),
    Case("CIFAR-10, ResNet-8", "mlperf_tiny__pretrainedResnet", "cifar10_train_jpeg_calib500", "cifar10_test_jpeg_2000", Scaling(1, 0)),
    Case(
        "Speech commands, DS-CNN",
        "conv__mlperf_kws_ref_model_float",
        "mlperf_tiny_kws01_500",
        "mlperf_tiny_kws01_500",
        Scaling(0.58470291, -83 * 0.58470291),
    ),
)


def calibrated_by_tensorflow(content: bytes, samples: list[list[np.ndarray]]) -> bytes:
    """A float model whose tensors carry the ranges that TensorFlow's converter finds."""
    return calibrator.Calibrator(calibrator.add_intermediate_tensors(content)).calibrate(lambda: iter(samples))


def classes(content: bytes, resolver: str, samples: list[list[np.ndarray]]) -> np.ndarray:
    """The class of each sample by TensorFlow Lite."""
    kind = tf.lite.experimental.OpResolverType[resolver]
    interpreter = tf.lite.Interpreter(model_content=content, experimental_op_resolver_type=kind, num_threads=1)
    interpreter.allocate_tensors()
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for (value,) in samples:
        interpreter.set_tensor(given["index"], value)
        interpreter.invoke()
        found.append(np.argmax(interpreter.get_tensor(result["index"])))
    return np.array(found)


def lines(case: Case, folder: Path, limit: int | None) -> Iterator[str]:
    """A line of the table for each kind of kernels."""
    model = qcore.load(folder / "models" / f"{case.model}.tflite")
    inputs = Inputs.of(model, None, case.scaling)
    data = DataSet(case.evaluation, folder / "data" / f"{case.evaluation}.npz", inputs, limit)
    samples, labels = list(data), data.known_labels(None)
    calibration = list(DataSet(case.calibration, folder / "data" / f"{case.calibration}.npz", inputs, CALIBRATION_SAMPLES))
    calibrated = calibrated_by_tensorflow(model.to_bytes(), calibration)
    theirs = convert.mlir_quantize(calibrated, disable_per_channel=False)
    ours = qcore.quantize_model(model, "int8", calibration).to_bytes()
    from_their_ranges = qcore.quantize_model(qcore.load(calibrated), "int8").to_bytes()
    for resolver, arithmetic in KERNELS:
        real, by_tensorflow, by_qcore, check = (
            classes(content, resolver, samples) for content in (model.to_bytes(), theirs, ours, from_their_ranges)
        )
        run_by_qcore = evaluate(ours, samples, arithmetic=arithmetic).predictions
        accuracies = [f"{np.mean(found == labels):.2%}" for found in (real, by_tensorflow, by_qcore, run_by_qcore)]
        differ = np.sum((by_tensorflow != by_qcore) | (by_qcore != run_by_qcore)), np.sum(by_tensorflow != check)
        yield f"| {' | '.join((case.title, str(len(samples)), arithmetic, *accuracies, *map(str, differ)))} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, help="take so many samples of each data set only")
    arguments = parser.parse_args()
    print("| model | samples | kernels | float | int8 by TensorFlow | by qcore | run by qcore | differ | from the same ranges |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case in CASES:
        for line in lines(case, arguments.folder, arguments.limit):
            print(line, flush=True)
