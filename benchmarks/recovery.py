"""What accuracy recovery gains on real models, over several draws of calibration samples, as a Markdown table.

usage: python -m benchmarks.recovery FOLDER [--draws 3] [--models TEXT] [--settings TEXT]
FOLDER holds models/ and data/; needs the test extra.

For each model and setting: the file as quantize_model writes it without and with accuracy="max", run by LiteRT with its default kernels on
samples that were not calibrated on. Agreement is the part of them that it puts in the class of the float model; accuracy the part that it
puts in the right one, where that is known. A figure for each draw of 100 calibration samples stands side by side. "exact" says that in 20
samples the default kernels' integers were those of qcore with arithmetic "xnnpack"; weights alone are computed with in floats, whose sums
depend on their order.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

import qcore
from qcore.model import Model

CALIBRATION_SAMPLES = 100
COMPARED = 20
Samples = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Case:
    """A float model and its data: samples to draw from for calibration, and others to measure with; labels of these, if known."""

    title: str
    model: str
    data: Callable[[Path, np.random.Generator], tuple[Samples, Samples, Any]]
    settings: tuple[str, ...] = ("int8", "int4 weights, int8", "int4 weights alone")


def cifar(folder: Path, rng: np.random.Generator) -> tuple[Samples, Samples, Any]:
    """Training images; test images."""
    training, test = np.load(folder / "cifar10_train_jpeg_calib500.npz")["x"], np.load(folder / "cifar10_test_jpeg_2000.npz")
    return rng.permutation(training).astype(np.float32), test["x"].astype(np.float32), test["y"]


def split(samples: Samples, labels: Any, rng: np.random.Generator) -> tuple[Samples, Samples, Any]:
    """Some of a set for calibration, the others to measure with."""
    order = rng.permutation(len(samples))
    drawn, others = order[:CALIBRATION_SAMPLES], order[CALIBRATION_SAMPLES:]
    return samples[drawn], samples[others], labels[others]


def keywords(folder: Path, rng: np.random.Generator) -> tuple[Samples, Samples, Any]:
    """Spectrograms."""
    data = np.load(folder / "mlperf_tiny_kws01_500.npz")
    return split((data["x_int8"][..., np.newaxis].astype(np.float32) - 83) * np.float32(0.58470291), data["y"], rng)


def digits(folder: Path, rng: np.random.Generator) -> tuple[Samples, Samples, Any]:
    """Test images."""
    data = np.load(folder / "mnist_t10k_even.npz")
    return split(data["x"][..., np.newaxis].astype(np.float32) / 255, data["y"], rng)


def photographs(folder: Path, rng: np.random.Generator) -> tuple[Samples, Samples, Any]:
    """Half of the photographs for calibration, half to measure with: each whole, and less its edges, and both mirrored."""
    images = rng.permutation(np.load(folder / "coco64_train2017_det300.npz")["x"])

    def views(image: Any) -> list[Any]:
        cuts = [Image.fromarray(image[c : 300 - c, c : 300 - c]).resize((224, 224), Image.Resampling.BILINEAR) for c in (0, 10, 20)]
        seen = [np.asarray(cut, np.float32) / 127.5 - 1 for cut in cuts]
        return [*seen, *(view[:, ::-1] for view in seen)]

    calibration, others = (np.stack([view for image in half for view in views(image)]) for half in np.split(images, 2))
    return rng.permutation(calibration), others, None


CASES = (
    Case("ResNet8, CIFAR-10", "mlperf_tiny__pretrainedResnet", cifar),
    Case("keyword spotting", "mlperf_tiny__kws_ref_model_float32", keywords),
    Case("MNIST, convolutional", "aeq__conv_fc_mnist", digits),
    Case(
        "MobileNetV1 0.25, 224x224",
        "tflite_support__mobilenet_v1_0.25_224_1_default_1",
        photographs,
        ("int8", "int8, int16 at first", "int4 weights alone"),
    ),
)


def first_in_int16(model: Model) -> list[qcore.Rule]:
    """int16 activations for the first four operators."""
    graph = model.subgraphs[0]
    return [qcore.Rule(True, tensor=graph.tensors[operator.outputs[0]].name, activation_type="int16") for operator in graph.operators[:4]]


SETTINGS: dict[str, Callable[[Model], dict[str, Any]]] = {
    "int8": lambda model: {"mode": "int8"},
    "int8, int16 at first": lambda model: {"mode": "int8", "rules": first_in_int16(model)},
    "int4 weights, int8": lambda model: {"mode": "int8", "weight_type": "int4", "rules": qcore.Rules.first_and_last(model)},
    "int4 weights alone": lambda model: {"mode": "weight_only", "weight_type": "int4", "min_elements": 0},
}
"""Arguments of quantize_model. With "int4 weights, int8" the first and the last layer have int8 weights."""


def run(content: bytes, samples: Samples) -> Any:
    """LiteRT's outputs, a row for each sample."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for sample in samples:
        interpreter.set_tensor(source["index"], np.ascontiguousarray(sample).reshape(source["shape"]))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(target["index"]).reshape(-1).copy())
    return np.array(rows)


def is_exact(content: bytes, samples: Samples) -> bool:
    """The file gives in qcore what it does in LiteRT; outputs are real numbers that stand for integers."""
    interpreter = qcore.Interpreter(model_content=content, arithmetic="xnnpack")
    shape = interpreter.get_input_details()[0]["shape"]
    own = [next(iter(interpreter.run(sample.reshape(shape)).values())).reshape(-1) for sample in samples]
    return np.array_equal(own, run(content, samples))


def measure(case: Case, setting: str, folder: Path, draws: int) -> str:
    """A line of the table."""
    path = folder / "models" / f"{case.model}.tflite"
    model = qcore.load(path)
    figures: dict[str, list[str]] = {name: [] for name in ("plain", "recovered", "real right", "plain right", "right", "seconds")}
    size, exact = 0, True
    for draw in range(draws):
        drawn, others, labels = case.data(folder / "data", np.random.default_rng(draw))
        shape = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].shape
        calibration = [sample.reshape(shape) for sample in drawn[:CALIBRATION_SAMPLES]]
        real = run(path.read_bytes(), others).argmax(axis=1)
        options = SETTINGS[setting](model)
        start = time.perf_counter()
        recovered = qcore.quantize_model(model, calibration=calibration, accuracy="max", **options).to_bytes()
        figures["seconds"].append(f"{time.perf_counter() - start:.0f}")
        for prefix, content in (("plain", qcore.quantize_model(model, calibration=calibration, **options).to_bytes()), ("", recovered)):
            classes = run(content, others).argmax(axis=1)
            figures[prefix or "recovered"].append(f"{np.mean(classes == real):.3f}")
            if labels is not None:
                figures[f"{prefix} right".strip()].append(f"{np.mean(classes == labels):.3f}")
        if labels is not None:
            figures["real right"].append(f"{np.mean(real == labels):.3f}")
        size, exact = len(recovered), exact and (options["mode"] == "weight_only" or is_exact(recovered, others[:COMPARED]))
    is_real = SETTINGS[setting](model)["mode"] == "weight_only"
    cells = [" ".join(values) or "-" for values in figures.values()]
    return "| " + " | ".join([case.title, setting, *cells, str(size), "-" if is_real else "yes" if exact else "no"]) + " |"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--models", default="")
    parser.add_argument("--settings", default="")
    args = parser.parse_args()
    print("| model | setting | agreement | with recovery | accuracy: float | plain | with recovery | seconds | bytes | exact |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for case in CASES:
        for setting in case.settings:
            if args.models.lower() in case.title.lower() and args.settings.lower() in setting.lower():
                print(measure(case, setting, args.folder, args.draws), flush=True)


if __name__ == "__main__":
    main()
