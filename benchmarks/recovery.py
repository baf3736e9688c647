"""What accuracy recovery gains on real models, over draws of calibration samples, beside what others make: Markdown tables.

usage: python -m benchmarks.recovery FOLDER [--draws 3] [--models TEXT] [--settings TEXT]
FOLDER holds models/ and data/; needs the test extra, and litert-quantizer for its columns.

Every file is run by LiteRT with its default kernels, on samples that were not calibrated on. Agreement is the part of them that it puts in
the class of the float model; for a model that has no classes, the signal-to-noise ratio of its outputs stands there, in dB. The first table
has a line for each model and setting and a column for each quantizer, with the mean of the draws, each of 100 calibration samples. Notes
below it say why a cell is empty. The second has the files of accuracy="max", with a figure for each draw. "lint" is the targets whose rules
each file keeps. "exact" says that in 20 samples the default kernels' integers were those of qcore with arithmetic "xnnpack"; weights alone
are computed with in floats, whose sums depend on their order.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

import qcore
from benchmarks.other_quantizers import ALGORITHMS, Refusal, Setting, with_litert_quantizer, with_tensorflow
from qcore.analysis.lint import lint
from qcore.model import Model

CALIBRATION_SAMPLES = 100
COMPARED = 20
TARGETS = ("any", "tflm")
"""Of lint: what holds everywhere, and TensorFlow Lite Micro."""

Samples = np.ndarray[Any, np.dtype[np.float32]]

SETTINGS = MappingProxyType(
    {
        "int8": Setting(),
        "int8, int16 at first": Setting(wide=10),
        "int4 weights, int8": Setting("int4", ends_in_int8=True),
        "int4 weights alone": Setting("int4", "float32"),
    }
)


Measure = Callable[[list[Any], list[Any]], float]


def agreement(real: list[Any], got: list[Any]) -> float:
    """The part of the samples that are put in the same class."""
    return float(np.mean(real[0].argmax(axis=1) == got[0].argmax(axis=1)))


def sqnr(real: list[Any], got: list[Any]) -> float:
    """The mean over outputs, dB."""
    pairs = zip(real, got, strict=True)
    return float(np.mean([10 * np.log10(np.square(a).sum() / np.square(a - b).sum()) for a, b in pairs]))


@dataclass(frozen=True)
class Case:
    """A float model and its data: samples to draw from for calibration, and others to measure with; labels of these, if known."""

    title: str
    model: str
    data: Callable[[Path, np.random.Generator], tuple[Samples, Samples, Any]]
    settings: tuple[str, ...] = ("int8", "int4 weights, int8", "int4 weights alone")
    measure: Measure = agreement


def cifar(folder: Path, rng: np.random.Generator) -> tuple[Samples, Samples, Any]:
    """Training images; test images."""
    training, test = np.load(folder / "cifar10_train_jpeg_calib500.npz")["x"], np.load(folder / "cifar10_test_jpeg_2000.npz")
    return rng.permutation(training).astype(np.float32), test["x"].astype(np.float32), test["y"]


def centred_cifar(folder: Path, rng: np.random.Generator) -> tuple[Samples, Samples, Any]:
    """The same, from -1 to 1."""
    training, test, labels = cifar(folder, rng)
    return training / 128 - 1, test / 128 - 1, labels


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


def view(image: Any, size: int, top: int = 0, left: int = 0, side: int = 300) -> Any:
    """A square part of a photograph at a size, from -1 to 1."""
    part = Image.fromarray(image[top : top + side, left : left + side])
    return np.asarray(part.resize((size, size), Image.Resampling.BILINEAR), np.float32) / 127.5 - 1


@dataclass(frozen=True)
class OtherPhotographs:
    """Half of the photographs for calibration, half to measure with: each whole, and less its edges, and all mirrored."""

    size: int

    def __call__(self, folder: Path, rng: np.random.Generator) -> tuple[Samples, Samples, Any]:
        """A draw."""
        halves = np.split(rng.permutation(np.load(folder / "coco64_train2017_det300.npz")["x"]), 2)
        calibration, others = (np.stack([cut for image in half for cut in self._cuts(image)]) for half in halves)
        return rng.permutation(calibration), others, None

    def _cuts(self, image: Any) -> list[Any]:
        seen = [view(image, self.size, c, c, 300 - 2 * c) for c in (0, 10, 20)]
        return [*seen, *(cut[:, ::-1] for cut in seen)]


@dataclass(frozen=True)
class SamePhotographs:
    """Parts of all photographs at random for calibration, and the whole ones, also mirrored, to measure with."""

    size: int

    def __call__(self, folder: Path, rng: np.random.Generator) -> tuple[Samples, Samples, Any]:
        """A draw."""
        images = rng.permutation(np.load(folder / "coco64_train2017_det300.npz")["x"])
        cuts = []
        for i in range(CALIBRATION_SAMPLES):
            side = int(300 * np.sqrt(rng.uniform(0.5, 1)))
            cut = view(images[i % len(images)], self.size, *rng.integers(0, 301 - side, 2), side)
            cuts.append(cut[:, ::-1] if rng.random() < 0.5 else cut)
        whole = np.stack([view(image, self.size) for image in images])
        return np.stack(cuts), np.concatenate([whole, whole[:, :, ::-1]]), None


DEEP = ("int8", "int8, int16 at first", "int4 weights alone")
CASES = (
    Case("ResNet8, CIFAR-10", "mlperf_tiny__pretrainedResnet", cifar),
    Case("keyword spotting", "conv__mlperf_kws_ref_model_float", keywords),
    Case("MNIST, convolutional", "aeq__conv_fc_mnist", digits),
    Case("MobileNetV1 0.25, other photographs", "tflite_support__mobilenet_v1_0.25_224_1_default_1", OtherPhotographs(224), DEEP),
    Case("MobileNetV1 0.25, same photographs", "tflite_support__mobilenet_v1_0.25_224_1_default_1", SamePhotographs(224), DEEP),
    Case("ResNet8 of another training, CIFAR-10", "conv__mltk_image_classification_float", centred_cifar),
    Case("MNIST, dense", "gotflite__mnist_model", digits),
    Case("face detection, dB", "gotflite__face_detection_front", OtherPhotographs(128), measure=sqnr),
)


def with_qcore(accuracy: str | None) -> Callable[[Model, Setting, Any], bytes]:
    """quantize_model."""

    def quantize(model: Model, setting: Setting, samples: Any) -> bytes:
        rules = qcore.Rules.first_activations(model, setting.wide)
        options: dict[str, Any] = {
            "rules": rules + qcore.Rules.first_and_last(model) if setting.ends_in_int8 else rules,
            "accuracy": accuracy,
        }
        if setting.activations == "int8":
            return qcore.quantize_model(model, "int8", samples, weight_type=setting.weight_type, **options).to_bytes()
        given = samples if accuracy else None
        return qcore.quantize_model(
            model, "weight_only", weight_type=setting.weight_type, min_elements=0, samples=given, **options
        ).to_bytes()

    return quantize


RECOVERED = 'qcore, accuracy="max"'
QUANTIZERS = {
    "TensorFlow": with_tensorflow,
    **{f"litert-quantizer, {name}": with_litert_quantizer(name) for name in ALGORITHMS},
    "qcore": with_qcore(None),
    RECOVERED: with_qcore("max"),
}


def run(content: bytes, samples: Samples) -> list[Any]:
    """LiteRT's outputs, each with a row for each sample."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    source, targets = interpreter.get_input_details()[0], sorted(interpreter.get_output_details(), key=lambda detail: str(detail["name"]))
    rows = []
    for sample in samples:
        interpreter.set_tensor(source["index"], np.ascontiguousarray(sample).reshape(source["shape"]))
        interpreter.invoke()
        rows.append([interpreter.get_tensor(target["index"]).reshape(-1).astype(np.float64) for target in targets])
    return [np.array(output) for output in zip(*rows, strict=True)]


def is_exact(content: bytes, samples: Samples) -> bool:
    """The file gives in qcore what it does in LiteRT; outputs are real numbers that stand for integers."""
    interpreter = qcore.Interpreter(model_content=content, arithmetic="xnnpack")
    shape = interpreter.get_input_details()[0]["shape"]
    own = [interpreter.run(sample.reshape(shape)) for sample in samples]
    rows = [[values[name].reshape(-1) for name in sorted(values)] for values in own]
    return all(np.array_equal(np.array(a), b) for a, b in zip(zip(*rows, strict=True), run(content, samples), strict=True))


@dataclass
class Figures:
    """Of the files of one quantizer for a model and a setting, one for each draw of calibration samples."""

    close: list[float] = field(default_factory=list)
    right: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    size: int = 0
    targets: frozenset[str] = frozenset(TARGETS)
    exact: bool = True
    refusal: str = ""


def measure(case: Case, setting: Setting, folder: Path, draws: int) -> tuple[dict[str, Figures], list[float]]:
    """The figures of each quantizer; and the part of the samples that the float model puts in the right class, for each draw."""
    model = qcore.load(folder / "models" / f"{case.model}.tflite")
    figures, real_right = {name: Figures() for name in QUANTIZERS}, []
    shape = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].shape
    for draw in range(draws):
        drawn, others, labels = case.data(folder / "data", np.random.default_rng(draw))
        calibration = [np.ascontiguousarray(sample.reshape(shape)) for sample in drawn[:CALIBRATION_SAMPLES]]
        real = run(model.to_bytes(), others)
        if labels is not None:
            real_right.append(float(np.mean(real[0].argmax(axis=1) == labels)))
        for name, quantize in QUANTIZERS.items():
            of = figures[name]
            start = time.perf_counter()
            try:
                content = quantize(model, setting, calibration)
                seconds = time.perf_counter() - start
                got = run(content, others)
            except (Refusal, RuntimeError) as error:
                of.refusal = str(error) if isinstance(error, Refusal) else f"{name}: LiteRT does not run its file: {error}"
                continue
            of.seconds.append(seconds)
            of.close.append(case.measure(real, got))
            if labels is not None:
                of.right.append(float(np.mean(got[0].argmax(axis=1) == labels)))
            if name == RECOVERED:
                of.size = len(content)
                of.targets &= {target for target in TARGETS if lint(content, target).ok}
                of.exact = of.exact and (setting.activations == "float32" or is_exact(content, others[:COMPARED]))
    return figures, real_right


def shown(values: list[float], case: Case) -> str:
    """Figures of one kind, next to each other."""
    return " ".join(f"{value:.1f}" if case.measure is sqnr else f"{value:.3f}" for value in values) or "-"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--models", default="")
    parser.add_argument("--settings", default="")
    args = parser.parse_args()
    print(f"| model | setting | {' | '.join(QUANTIZERS)} |\n|---|---|{'---|' * len(QUANTIZERS)}")
    details, notes = [], set()
    for case in CASES:
        for title in case.settings:
            if args.models.lower() in case.title.lower() and args.settings.lower() in title.lower():
                figures, real_right = measure(case, SETTINGS[title], args.folder, args.draws)
                means = [shown([float(np.mean(of.close))] if of.close else [], case) for of in figures.values()]
                print(f"| {case.title} | {title} | {' | '.join(means)} |", flush=True)
                notes |= {of.refusal for of in figures.values() if of.refusal}
                of, plain = figures[RECOVERED], figures["qcore"]
                cells = [shown(values, case) for values in (of.close, real_right, plain.right, of.right)]
                cells += [" ".join(f"{seconds:.0f}" for seconds in of.seconds), str(of.size), ", ".join(sorted(of.targets))]
                exact = "-" if SETTINGS[title].activations == "float32" else "yes" if of.exact else "no"
                details.append(f"| {case.title} | {title} | {' | '.join(cells)} | {exact} |")
    print(
        "\n".join(
            [
                "",
                *sorted(notes),
                "",
                f"| model | setting | {RECOVERED} | accuracy: float | plain | recovered | seconds | bytes | lint | exact |",
            ]
        )
    )
    print("\n".join(["|---|---|---|---|---|---|---|---|---|---|", *details]))


if __name__ == "__main__":
    main()
