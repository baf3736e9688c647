"""Run a model and show every tensor: codes and the real values that they stand for."""

from __future__ import annotations

import argparse
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np

from qcore.analysis.comparison import short_name
from qcore.analysis.tracing import Trace, Traced, trace
from qcore.cli.inputs import add_input_arguments, inputs_of
from qcore.cli.terminal import console, dimensions, print_json, table
from qcore.errors import InputError
from qcore.kernels.opdef import Arithmetic, Array
from qcore.runtime.plan import Engine
from qcore.schema import load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("model", help="a .tflite file")
    add_input_arguments(parser)
    add("--tensor", action="append", default=[], metavar="NAME", help="print the values of this tensor instead of the table")
    add("-o", "--output", metavar="PATH", help="write every tensor: a folder of .npy files and index.json, or an .npz by name")
    add("--arithmetic", choices=get_args(Arithmetic), default="reference", help="whose integers (default reference)")
    add("--engine", choices=get_args(Engine), default="reference", help="what runs it; changes no integer (default reference)")
    add("--json", action="store_true", help="print one JSON object instead of a table")


def execute(args: argparse.Namespace) -> None:
    """Run the command."""
    model = load(args.model)
    found = trace(model, *inputs_of(model, args), arithmetic=args.arithmetic, engine=args.engine)
    chosen = [named(found, name) for name in args.tensor]
    if args.output is not None:
        write_trace(found, Path(args.output))
    if args.json:
        print_json([described(found, t) | ({"elements": t.elements, "real": t.real} if chosen else {}) for t in chosen or found.tensors])
    elif chosen:
        for traced in chosen:
            print(f"{traced.name} {traced.tensor.dtype}[{dimensions(traced.elements.shape)}]\n{traced.elements}")
            if traced.quantized:
                print(f"real values\n{traced.real}")
    else:
        show(found)


def named(found: Trace, name: str) -> Traced:
    """The tensor of that name.

    Raises:
        InputError: there is none, or it holds no value.
    """
    if name not in found:
        raise InputError(f"--tensor {name}: the run has no such tensor; its last one is '{found.tensors[-1].name}'")
    return found[name]


def show(found: Trace) -> None:
    """Print a line for each input and each operator's output."""
    inputs = [traced for traced in found.tensors if traced.producer is None and not found.is_constant(traced.index)]
    outputs = [found.at(o) for operator in found.operators for o in operator.outputs]
    rows = [row(found, traced) for traced in (*inputs, *outputs)]
    columns = ("op", "operator", "tensor", "type", "shape", "codes", "least", "greatest", "mean")
    console().print(table(f"{found.arithmetic} arithmetic", columns, rows, numeric=("op", "codes", "least", "greatest", "mean")))


def row(found: Trace, traced: Traced) -> tuple[object, ...]:
    """A tensor's line."""
    position, real = traced.producer, traced.real
    operator = ("", "input") if position is None else (position, found.operators[position].name)
    codes = f"{traced.elements.min()}..{traced.elements.max()}" if traced.quantized and real.size else ""
    return (*operator, short_name(traced.name), traced.tensor.dtype, dimensions(real.shape), codes, *summary(real).values())


def summary(real: Array) -> dict[str, str]:
    """Least, greatest and mean of numbers."""
    if not real.size or real.dtype.kind not in "fiub":
        return {"least": "", "greatest": "", "mean": ""}
    wide = real.astype(np.float64)
    return {"least": f"{wide.min():.6g}", "greatest": f"{wide.max():.6g}", "mean": f"{wide.mean():.6g}"}


def described(found: Trace, traced: Traced) -> dict[str, Any]:
    """What a program wants to know of a tensor, but for its values."""
    q, position = traced.tensor.quantization, traced.producer
    return {
        "index": traced.index,
        "name": traced.name,
        "dtype": traced.tensor.dtype,
        "shape": list(traced.elements.shape),
        "producer": None if position is None else f"{found.operators[position].name} (op {position})",
        "scale": [] if q is None else q.scale.tolist(),
        "zero_point": [] if q is None else q.zero_point.tolist(),
        "quantized_dimension": 0 if q is None else q.quantized_dimension,
    }


def write_trace(found: Trace, path: Path) -> None:
    """Write every tensor: to an ``.npz`` by name; else into a folder, as ``NNNN.npy``, with an ``index.json`` that describes them.

    Raises:
        InputError: it cannot be written.
    """
    if path.suffix == ".npz":
        write_npz(path, {traced.name: traced.elements for traced in found.tensors})
        return
    entries = []
    try:
        path.mkdir(parents=True, exist_ok=True)
        for traced in found.tensors:
            file = f"{traced.index:04d}.npy"
            np.save(path / file, storable(traced.elements), allow_pickle=False)
            entries.append(described(found, traced) | {"file": file})
        (path / "index.json").write_text(json.dumps({"tensors": entries}, indent=1) + "\n")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays by name to an .npz file; NumPy's own function for it does not take every name.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, storable(array), allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error


def storable(array: Array) -> Array:
    """Strings as NumPy stores them, without Python objects."""
    return array.astype("S") if array.dtype == object else array
