"""Time and memory of int8 quantization, calibration included, in qcore and in TensorFlow's converter, side by side, in one thread.

usage: python -m benchmarks.quantize MODEL.tflite [--samples 100] [--rounds 3]

Both quantize the same float model with the same random samples. Each run has a process of its own, since memory only ever grows; runs of
the two alternate, and the ratios are medians of paired rounds. Time is that of the work, first calls included, without imports; memory is
the most that the process had, with them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ONE_THREAD = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}


def with_qcore(path: str, count: int) -> float:
    """Seconds that it takes."""
    import qcore
    from qcore.calibration import calibrate
    from qcore.quantizer import quantize_model

    start = time.perf_counter()
    model = qcore.load(path)
    quantize_model(model, "int8", calibrate(model, samples(shapes(path), count))).to_bytes()
    return time.perf_counter() - start


def with_tensorflow(path: str, count: int) -> float:
    """Seconds that it takes."""
    from tensorflow.lite.python import convert
    from tensorflow.lite.python.optimize import calibrator

    start = time.perf_counter()
    content = calibrator.add_intermediate_tensors(Path(path).read_bytes())
    calibrated = calibrator.Calibrator(content).calibrate(lambda: samples(shapes(path), count))
    convert.mlir_quantize(calibrated)
    return time.perf_counter() - start


SIDES = {"qcore": with_qcore, "tensorflow": with_tensorflow}


def shapes(path: str) -> list[tuple[int, ...]]:
    """Of the model's inputs."""
    import qcore

    graph = qcore.load(path).subgraphs[0]
    return [graph.tensors[i].shape for i in graph.inputs]


def samples(shapes: list[tuple[int, ...]], count: int) -> Iterator[list[np.ndarray]]:
    """Random arrays, made one after another."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        yield [rng.uniform(-1, 1, shape).astype(np.float32) for shape in shapes]


def measure(side: str, path: str, count: int) -> tuple[float, float]:
    """Seconds and megabytes of one run, in a new process."""
    command = [sys.executable, "-m", "benchmarks.quantize", path, "--samples", str(count), "--side", side]
    run = subprocess.run(command, env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    seconds, megabytes = json.loads(run.stdout.splitlines()[-1])
    return seconds, megabytes


def compare(path: str, count: int, rounds: int) -> str:
    """Two lines: medians of both sides, and their ratios."""
    runs = [[measure(side, path, count) for side in SIDES] for _ in range(rounds)]
    lines = []
    for i, (what, unit) in enumerate((("time", "s"), ("peak memory", "MB"))):
        medians = [statistics.median(run[side][i] for run in runs) for side in range(len(SIDES))]
        ratio = statistics.median(ours[i] / theirs[i] for ours, theirs in runs)
        lines.append(f"{what}: qcore {medians[0]:.1f} {unit}, TensorFlow {medians[1]:.1f} {unit}; ratio {ratio:.2f}")
    return f"{path}, {count} samples\n" + "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side is None:
        print(compare(arguments.model, arguments.samples, arguments.rounds))
    else:
        seconds = SIDES[arguments.side](arguments.model, arguments.samples)
        print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
