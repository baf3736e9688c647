"""Time a whole model in qcore and in TensorFlow Lite's reference and default kernels, side by side, in one thread.

usage: OMP_NUM_THREADS=1 python -m benchmarks.model MODEL.tflite [...] [--rounds 15]

Rounds are interleaved, and the ratio is the median of paired rounds, so that a machine whose speed drifts compares fairly. The last
column says whether qcore's outputs equal the reference kernels' to the bit.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np

import qcore
from benchmarks.test_operators import tflite
from qcore.cli.inputs import random_elements
from qcore.model import Model


def prepared(interpreter: Any, model: Model) -> Any:
    """The interpreter with random inputs set, run once."""
    interpreter.allocate_tensors()
    rng = np.random.default_rng(0)
    for details in interpreter.get_input_details():
        tensor = model.subgraphs[0].tensors[details["index"]]
        interpreter.set_tensor(details["index"], random_elements(tensor, details["shape"], rng))
    interpreter.invoke()
    return interpreter


def seconds(interpreter: Any) -> float:
    """How long one invoke takes."""
    start = time.perf_counter()
    interpreter.invoke()
    return time.perf_counter() - start


def outputs(interpreter: Any) -> list[np.ndarray]:
    return [interpreter.get_tensor(details["index"]) for details in interpreter.get_output_details()]


def compare(path: str, rounds: int) -> str:
    """One line: qcore's median time, and its ratios to TensorFlow Lite's kernels."""
    model = qcore.load(path)
    mine = prepared(qcore.Interpreter(model_content=model), model)
    reference, default = (prepared(tflite(resolver)(model), model) for resolver in ("BUILTIN_REF", "AUTO"))
    times = [(seconds(mine), seconds(reference), seconds(default)) for _ in range(rounds)]
    to_reference = statistics.median(a / b for a, b, _ in times)
    to_default = statistics.median(a / c for a, _, c in times)
    same = all(np.array_equal(a, b) for a, b in zip(outputs(mine), outputs(reference), strict=True))
    return (
        f"{path}: qcore {statistics.median(a for a, _, _ in times) * 1e3:.2f} ms; {to_reference:.2f} of the reference kernels' time, "
        f"{to_default:.1f} of the default ones'; outputs {'equal' if same else 'differ from'} the reference kernels'"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    for path in arguments.models:
        print(compare(path, arguments.rounds))
