"""Say whose arithmetic made somebody's outputs: operator by operator, or the first operator where none fits."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import get_args

from qcore.analysis.identifying.floats import Package
from qcore.analysis.identifying.identify import identify
from qcore.cli.inputs import fitted, read_arrays, read_inputs
from qcore.cli.terminal import console
from qcore.errors import InputError
from qcore.kernels.opdef import Array
from qcore.model import Model
from qcore.runtime.interpreter import Interpreter
from qcore.schema import load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("model", help="a .tflite file")
    add(
        "--input", action="append", required=True, metavar="[NAME=]FILE", help="what it was run on: .npy, .npz (arrays by name) or an image"
    )
    add("--output", required=True, metavar="FILE", help="what came out: an .npz by name, or the .npy of the only output")
    add("--tensors", metavar="PATH", help="intermediate tensors: an .npz by name, or a folder that qcore trace wrote")
    add("--package", choices=get_args(Package), help="whose Python package gave the output, where that is known")
    add("--image-range", nargs=2, type=float, default=(0.0, 1.0), metavar=("LOW", "HIGH"), help="of images in float inputs (default 0 1)")
    add("--all", action="store_true", help="show the tensors that tell nothing apart, too")
    add("--json", action="store_true", help="print one JSON object instead of tables")


def execute(args: argparse.Namespace) -> None:
    """Run the command."""
    model = load(args.model)
    inputs = read_inputs(Interpreter(model_content=model), args.input, tuple(args.image_range), seed=0)
    elements = [inputs[i] for i in model.subgraphs[0].inputs]
    tensors = None if args.tensors is None else read_tensors(Path(args.tensors))
    found = identify(model, elements, read_outputs(model, Path(args.output)), tensors, args.package)
    if args.json:
        print(found.to_json())
    else:
        console().print(found.table(args.all))


def read_outputs(model: Model, path: Path) -> dict[str, Array] | list[Array]:
    """Outputs by name, or the only one; dimensions of size 1 may be missing."""
    graph = model.subgraphs[0]
    if path.suffix == ".npz":
        shapes = {graph.tensors[i].name: graph.tensors[i].shape for i in graph.outputs}
        arrays: dict[str, Array] = read_arrays("--output", path, archive=True)
        return {name: fitted(array, shapes.get(name, array.shape)) for name, array in arrays.items()}
    if len(graph.outputs) != 1:
        raise InputError(f"--output {path}: the model has {len(graph.outputs)} outputs, expected an .npz of arrays by name")
    return [fitted(read_arrays("--output", path, archive=False), graph.tensors[graph.outputs[0]].shape)]


def read_tensors(path: Path) -> dict[str, Array]:
    """Tensors by name, from an .npz or from a folder with an index."""
    if not path.is_dir():
        tensors: dict[str, Array] = read_arrays("--tensors", path, archive=True)
        return tensors
    try:
        entries = json.loads((path / "index.json").read_text())["tensors"]
        files = {str(entry["name"]): path / Path(entry["file"]).name for entry in entries}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"--tensors {path}: its index.json cannot be read: {error}") from error
    return {name: read_arrays("--tensors", file, archive=False) for name, file in files.items()}
