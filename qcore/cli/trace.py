"""Writing every tensor of a run to a folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from qcore.errors import InputError
from qcore.model import OPTIONAL
from qcore.runtime.interpreter import Interpreter


def write_trace(interpreter: Interpreter, folder: Path) -> None:
    """Write each tensor that the first subgraph's operators touch as ``NNNN.npy``, and ``index.json`` that describes them.

    The interpreter must keep all tensors, and have run.

    Raises:
        InputError: the folder cannot be written.
    """
    graph = interpreter.model.subgraphs[0]
    touched = {i for op in graph.operators for i in (*op.inputs, *op.outputs) if i != OPTIONAL} | {*graph.inputs, *graph.outputs}
    producer = {o: f"{op.name} (op {k})" for k, op in enumerate(graph.operators) for o in op.outputs}
    entries = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for index in sorted(touched):
            tensor, value = graph.tensors[index], interpreter.get_tensor(index)
            file = f"{index:04d}.npy"
            np.save(folder / file, value.astype("S") if value.dtype == object else value, allow_pickle=False)
            q = tensor.quantization
            entries.append(
                {
                    "index": index,
                    "name": tensor.name,
                    "file": file,
                    "dtype": tensor.dtype,
                    "shape": list(value.shape),
                    "producer": producer.get(index),
                    "scale": [] if q is None else q.scale.tolist(),
                    "zero_point": [] if q is None else q.zero_point.tolist(),
                    "quantized_dimension": 0 if q is None else q.quantized_dimension,
                }
            )
        (folder / "index.json").write_text(json.dumps({"tensors": entries}, indent=1) + "\n")
    except OSError as error:
        raise InputError(f"--trace {folder}: {error.strerror}") from error
