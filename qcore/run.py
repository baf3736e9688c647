"""Run a model on files or random inputs; without a model, classify the bundled digits."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, get_args

import numpy as np

from qcore.analysis.trace_files import write_npz
from qcore.analysis.tracing import trace
from qcore.cli.inputs import add_input_arguments, read_inputs
from qcore.cli.terminal import console, guarded, print_json, size
from qcore.errors import InputError
from qcore.kernels.opdef import Arithmetic, Array
from qcore.runtime.interpreter import Interpreter
from qcore.runtime.plan import Engine
from qcore.runtime.real_values import to_real
from qcore.shown import dimensions, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("model", nargs="?", help="a .tflite file; left out: the bundled digit classifier on the bundled digits")
    add_input_arguments(parser)
    add("--output", metavar="FILE", help="write the outputs' elements by name to an .npz file")
    add("--top", type=int, default=5, help="how many classes to show of an output that looks like a classifier's (default 5)")
    add("--trace", metavar="FOLDER", help="write every tensor's value as .npy, and an index.json")
    add("--repeat", type=int, default=1, help="invoke so many times and give the best and median time")
    add("--arithmetic", choices=get_args(Arithmetic), default="reference", help="whose integers")
    add("--engine", choices=get_args(Engine), default="auto")
    add("--json", action="store_true", help="print one JSON object instead of tables")


def execute(args: argparse.Namespace) -> None:
    """Run the command."""
    if args.repeat < 1 or args.top < 1:
        raise InputError(f"--repeat is {args.repeat} and --top {args.top}, expected at least 1")
    if args.model is None:
        classify_digits(args.json)
        return
    interpreter = Interpreter(model_path=args.model, arithmetic=args.arithmetic, engine=args.engine)
    inputs = read_inputs(interpreter, args.input, tuple(args.image_range), args.seed)
    report = run(interpreter, inputs, args.repeat)
    if args.output:
        write_npz(args.output, report.outputs)
    if args.trace:
        elements = [inputs[i] for i in interpreter.model.subgraphs[0].inputs]
        trace(interpreter.model, *elements, arithmetic=args.arithmetic, engine=args.engine).save(args.trace)
    if args.json:
        print_json(report.as_dict())
    else:
        report.show(args.top)


@dataclass(frozen=True)
class Report:
    """What one run gave.

    inputs, outputs: elements by tensor name. real: outputs as real values. seconds: of each invoke. memory: bytes planned.
    """

    inputs: dict[str, Array]
    outputs: dict[str, Array]
    real: dict[str, Array]
    seconds: list[float]
    memory: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "inputs": {name: {"dtype": str(a.dtype), "shape": a.shape} for name, a in self.inputs.items()},
            "outputs": {name: {"dtype": str(a.dtype), "shape": a.shape, "values": a} for name, a in self.outputs.items()},
            "seconds": {"best": min(self.seconds), "median": statistics.median(self.seconds), "invokes": len(self.seconds)},
            "memory_bytes": self.memory,
        }

    def show(self, top: int) -> None:
        """Print tables; of an output that looks like a classifier's, the greatest values."""
        out = console()
        headings = ("name", "type", "shape", "least", "greatest", "mean")
        rows = [_row(name, a, a) for name, a in self.inputs.items()]
        out.print(table("inputs", headings, rows, numeric=headings[3:]))
        out.print()
        rows = [_row(name, a, self.real[name]) for name, a in self.outputs.items()]
        out.print(table("outputs (real values)", headings, rows, numeric=headings[3:]))
        for name, real in self.real.items():
            if looks_like_classifier(real):
                scores = real.ravel()
                best = np.argsort(-scores, kind="stable")[:top]
                out.print()
                out.print(
                    table(f"top {len(best)} of {name}", ("class", "value"), [(i, f"{scores[i]:.6g}") for i in best], ("class", "value"))
                )
        out.print()
        times = f"{min(self.seconds) * 1e3:.3f} ms"
        if len(self.seconds) > 1:
            times = f"best {times}, median {statistics.median(self.seconds) * 1e3:.3f} ms of {len(self.seconds)} invokes"
        out.print(f"time {times}; memory {size(self.memory)}")


def _row(name: str, elements: Array, real: Array) -> tuple[str, ...]:
    summary = ("", "", "")
    if real.size and real.dtype.kind in "fiub":
        wide = real.astype(np.float64)
        summary = (f"{wide.min():.6g}", f"{wide.max():.6g}", f"{wide.mean():.6g}")
    return (name, str(elements.dtype), dimensions(elements.shape), *summary)


def looks_like_classifier(values: Array) -> bool:
    """One row of 2 to 100,000 numbers."""
    return values.dtype.kind == "f" and 2 <= values.size <= 100_000 and values.shape[-1:] == (values.size,)


def run(interpreter: Interpreter, inputs: dict[int, Array], repeat: int) -> Report:
    """Set the inputs, invoke so many times, and collect the outputs."""
    for index, array in inputs.items():
        interpreter.set_tensor(index, array)
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        interpreter.invoke()
        seconds.append(time.perf_counter() - start)
    tensors = interpreter.model.subgraphs[0].tensors
    outputs = {d["index"]: interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()}
    return Report(
        {tensors[i].name: a for i, a in inputs.items()},
        {tensors[i].name: a for i, a in outputs.items()},
        {tensors[i].name: to_real(tensors[i], a) for i, a in outputs.items()},
        seconds,
        interpreter.planned_memory,
    )


def classify_digits(as_json: bool) -> None:
    """Classify the bundled 8x8 digits, and print each with its answer, and the accuracy."""
    folder = resources.files("qcore.data")
    interpreter = Interpreter(model_content=folder.joinpath("digits_int8.tflite").read_bytes())
    with folder.joinpath("digits.npz").open("rb") as file, np.load(file) as data:
        images, labels = data["images"], data["labels"]
    start = time.perf_counter()
    answers = []
    for image in images:
        (scores,) = interpreter.run(image[np.newaxis, ..., np.newaxis] / np.float32(16)).values()
        answers.append(int(scores.argmax()))
    seconds = time.perf_counter() - start
    right = int(np.sum(answers == labels))
    if as_json:
        print_json({"answers": answers, "labels": labels, "accuracy": right / len(labels), "seconds": seconds})
        return
    for first in range(0, len(images), 10):
        for line in drawn(images[first : first + 10]):
            print(line)
        cells = [
            f"{a}" if a == y else f"{a}, not {y}" for a, y in zip(answers[first : first + 10], labels[first : first + 10], strict=True)
        ]
        print("  ".join(f"{cell:^8}" for cell in cells).rstrip())
        print()
    print(f"{right} of {len(labels)} digits right ({right / len(labels):.1%}), int8, {seconds / len(labels) * 1e3:.2f} ms each")


def drawn(images: Array) -> list[str]:
    """8x8 images with values 0 to 16 side by side, two pixel rows to a line of text."""
    shades = " .:-=+*#%@"
    rows = images.reshape(len(images), 4, 2, 8).mean(axis=2)
    level = np.minimum(rows * len(shades) / 17, len(shades) - 1).astype(int)
    return ["  ".join("".join(shades[v] for v in image[line]) for image in level).rstrip() for line in range(4)]


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m qcore.run``: the exit code is 0, or 2 after an error in what was given."""
    parser = argparse.ArgumentParser(prog="python -m qcore.run", description=__doc__)
    add_arguments(parser)
    args = parser.parse_args(argv)
    return guarded(lambda: execute(args))


if __name__ == "__main__":
    sys.exit(main())
