"""What ``qcore.tune`` chooses for real models, beside files whose types are the same throughout: a Markdown table, that of docs/tune.md.

usage: python -m benchmarks.tune FOLDER [--models TEXT] [--weights TYPES]
FOLDER holds models/ and data/ as for benchmarks.recovery, whose data this takes; needs the test extra.

100 samples calibrate, half of the others are held out for tuning, and every figure is of the other half, which no file has seen. SQNR is
that of the outputs before a softmax. "float" is how many operators with weights compute in floating point; "exact" says that in 20 samples
LiteRT's default kernels gave the integers of qcore with arithmetic "xnnpack". Seconds are of one processor.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import qcore
from benchmarks.recovery import CALIBRATION_SAMPLES, COMPARED, Case, OtherPhotographs, cifar, digits, is_exact, keywords
from qcore.analysis.evaluation.result import in_words
from qcore.model import Model
from qcore.quantizer.recovery.recover import output_error

SQNR_SAMPLES = 300

Limits = tuple[dict[str, float], ...]


@dataclass(frozen=True)
class Tuned(Case):
    """A model, what to ask of ``tune``, and how files are recovered."""

    limits: Limits = ()
    accuracy: Any = ("bias_correction", "weight_scales", "gptq")
    trials: int = 4


CASES = (
    Tuned(
        "keyword spotting",
        "conv__mlperf_kws_ref_model_float",
        keywords,
        accuracy="max",
        limits=({"max_bytes": 39312}, {"max_loss": 0.01}),
    ),
    Tuned(
        "MNIST, convolutional",
        "aeq__conv_fc_mnist",
        digits,
        accuracy="max",
        limits=({"max_bytes": 30272}, {"max_loss": 0.003}),
    ),
    Tuned(
        "ResNet8, CIFAR-10",
        "mlperf_tiny__pretrainedResnet",
        cifar,
        limits=({"max_bytes": 57648}, {"max_bytes": 65000}, {"max_loss": 0.04}),
    ),
    Tuned(
        "MobileNetV1 0.25, 224x224",
        "tflite_support__mobilenet_v1_0.25_224_1_default_1",
        OtherPhotographs(224),
        limits=({"max_bytes": 400000}, {"max_loss": 0.15}),
    ),
    Tuned("MobileNetV2, 224x224", "mobilenetv2_float32", OtherPhotographs(224), limits=({"max_bytes": 3000000},), trials=1),
)

COLUMNS = ("model", "choice", "bytes", "SQNR", "agreement", "its 95 % interval", "float", "exact", "seconds")


@dataclass(frozen=True)
class Data:
    """Samples of a model: that calibrate, that are held out for tuning, and that nothing has seen."""

    calibration: list[Any]
    held_out: list[Any]
    unseen: list[Any]

    @classmethod
    def of(cls, case: Case, folder: Path, model: Model) -> Data:
        """The first draw of a case."""
        drawn, others, _ = case.data(folder / "data", np.random.default_rng(0))
        shape = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].shape
        given, rest = ([np.ascontiguousarray(sample.reshape(shape)) for sample in part] for part in (drawn, others))
        return cls(given[:CALIBRATION_SAMPLES], rest[: len(rest) // 2], rest[len(rest) // 2 :])


def line(case: Case, choice: str, model: Model, quantized: Model, unseen: list[Any], real: int, seconds: float) -> str:
    """A row of the table."""
    found = qcore.evaluate(quantized, unseen, metric="agreement", reference=model)
    decibels = -10 * math.log10(output_error(model, quantized, unseen[:SQNR_SAMPLES]))
    content, (low, high) = quantized.to_bytes(), found.interval
    exact = "yes" if is_exact(content, np.stack(unseen[:COMPARED])) else "no"
    cells = [case.title, choice, len(content), in_words("sqnr", decibels), f"{found.value:.3f}", f"{low:.3f} to {high:.3f}"]
    return f"| {' | '.join(map(str, [*cells, real, exact, f'{seconds:.0f}']))} |"


def uniform(case: Tuned, model: Model, data: Data) -> None:
    """Prints the files whose types are the same throughout."""
    statistics = qcore.calibrate(model, data.calibration)
    ends = qcore.Rules.first_and_last(model)
    for choice, options in (
        ("all int8", {}),
        ("all int4", {"weight_type": "int4"}),
        ("int4, first and last int8", {"weight_type": "int4", "rules": ends}),
    ):
        start = time.process_time()
        made = qcore.quantize_model(model, "int8", statistics, samples=data.calibration, accuracy=case.accuracy, **options)
        print(line(case, choice, model, made, data.unseen, 0, time.process_time() - start), flush=True)


def tuned(case: Tuned, model: Model, data: Data, weights: list[Any]) -> None:
    """Prints what is found within each limit."""
    for limit in case.limits:
        start = time.process_time()
        options: dict[str, Any] = {"accuracy": case.accuracy, "weights": weights, "trials": case.trials, **limit}
        found = qcore.tune(model, data.held_out, calibration=data.calibration, **options)
        seconds, real = time.process_time() - start, sum(one.chosen == "float32" for one in found.operators)
        choice = f"tuned to at most {limit['max_bytes']} bytes" if "max_bytes" in limit else f"tuned to lose at most {limit['max_loss']}"
        choice += "" if found.met else ", not met"
        print(line(case, choice, model, found.model, data.unseen, real, seconds), flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", default="")
    parser.add_argument("--weights", default="int4,int8")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for case in CASES:
        path = args.folder / "models" / f"{case.model}.tflite"
        if args.models.lower() in case.title.lower() and path.exists():
            model = qcore.load(path)
            data = Data.of(case, args.folder, model)
            uniform(case, model, data)
            tuned(case, model, data, args.weights.split(","))


if __name__ == "__main__":
    main()
