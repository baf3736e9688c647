"""Time whole models, or single layers, in qcore, TensorFlow Lite's kernels and ONNX Runtime, side by side, in one thread; a Markdown table.

usage: OMP_NUM_THREADS=1 python -m benchmarks.model [MODEL.tflite ...] [--layers TEXT] [--rounds 11]

Ratios are those of the fast engine's time to each of the others'. Rounds are interleaved, and ratios are medians of paired rounds, so that
a machine whose speed drifts compares fairly. The last column says how far outputs are from those of qcore's reference engine on random
inputs: the mean difference of every runtime, in order, in steps of the output where it is quantized.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import qcore
from benchmarks.cases import cases
from benchmarks.runtimes import RUNTIMES, Unavailable, outputs, ready
from qcore.model import Model
from qcore.runtime.real_values import random_elements

FAST, *OTHERS = RUNTIMES

ROUND = 0.02
"""Seconds that a runtime is timed for in a round, at least."""


def seconds(interpreter: Any, loops: int) -> float:
    """How long an invoke takes, the mean of some, after one that brings the model back into the caches."""
    interpreter.invoke()
    start = time.perf_counter()
    for _ in range(loops):
        interpreter.invoke()
    return (time.perf_counter() - start) / loops


def distance(interpreter: Any, expected: Any) -> float:
    """The mean absolute difference of two interpreters' outputs."""
    pairs = zip(outputs(interpreter), outputs(expected), strict=True)
    return float(np.mean(np.concatenate([np.abs(a.astype(float) - b).ravel() for a, b in pairs])))


def line(name: str, model: Model, rounds: int) -> str:
    """A line of the table: the fast engine's time, and its ratio to every other runtime's."""
    rng, tensors = np.random.default_rng(0), [model.subgraphs[0].tensors[i] for i in model.subgraphs[0].inputs]
    inputs = [random_elements(tensor, tensor.shape, rng) for tensor in tensors]
    interpreters = {}
    for runtime in RUNTIMES:
        try:
            interpreters[runtime] = ready(runtime, model, inputs)
        except Unavailable as error:
            print(f"{name}: {error}", file=sys.stderr)
    loops = {runtime: max(1, int(ROUND / seconds(one, 1))) for runtime, one in interpreters.items()}
    times = [{runtime: seconds(one, loops[runtime]) for runtime, one in interpreters.items()} for _ in range(rounds)]
    ratios = [f"{statistics.median(t[FAST] / t[runtime] for t in times):.2g}" if runtime in interpreters else "-" for runtime in OTHERS]
    reference = interpreters["qcore-reference"]
    distances = [f"{distance(interpreters[runtime], reference):.1g}" if runtime in interpreters else "-" for runtime in RUNTIMES]
    return f"| {name} | {statistics.median(t[FAST] for t in times) * 1e3:.3g} ms | {' | '.join(ratios)} | {' '.join(distances)} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL.tflite")
    parser.add_argument("--layers", metavar="TEXT", help="time the layers of cases.py whose names hold this, such as 'CONV_2D int8'")
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    print(f"| | {' | '.join(RUNTIMES)} | difference |\n|---|{'---|' * len(RUNTIMES)}---|")
    for path in arguments.models:
        print(line(Path(path).stem, qcore.load(path), arguments.rounds), flush=True)
    for case in cases():
        if arguments.layers is not None and arguments.layers in case.name:
            print(line(case.name, case.build(), arguments.rounds), flush=True)
