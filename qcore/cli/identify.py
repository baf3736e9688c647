"""Say whose arithmetic made somebody's outputs: operator by operator, or the first operator where none fits."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from qcore.analysis.identifying.identification import ARITHMETICS, Identification, Mismatch, Verdict
from qcore.analysis.identifying.identify import identify
from qcore.cli.inputs import fitted, read_arrays, read_inputs
from qcore.cli.terminal import console, print_json
from qcore.errors import InputError
from qcore.kernels.opdef import Array
from qcore.model import Model, Subgraph
from qcore.runtime.interpreter import Interpreter
from qcore.schema import load
from qcore.shown import short_name, table

OPERATORS = 4
"""Operators of a piece that a row names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("model", help="a .tflite file")
    add(
        "--input", action="append", required=True, metavar="[NAME=]FILE", help="what it was run on: .npy, .npz (arrays by name) or an image"
    )
    add("--output", required=True, metavar="FILE", help="what came out: an .npz by name, or the .npy of the only output")
    add("--tensors", metavar="PATH", help="intermediate tensors: an .npz by name, or a folder that qcore trace wrote")
    add("--image-range", nargs=2, type=float, default=(0.0, 1.0), metavar=("LOW", "HIGH"), help="of images in float inputs (default 0 1)")
    add("--all", action="store_true", help="show the tensors that tell nothing apart, too")
    add("--json", action="store_true", help="print one JSON object instead of tables")


def execute(args: argparse.Namespace) -> None:
    """Run the command."""
    model = load(args.model)
    inputs = read_inputs(Interpreter(model_content=model), args.input, tuple(args.image_range), seed=0)
    elements = [inputs[i] for i in model.subgraphs[0].inputs]
    tensors = None if args.tensors is None else read_tensors(Path(args.tensors))
    found = identify(model, elements, read_outputs(model, Path(args.output)), tensors)
    if args.json:
        print_json(found.to_dict())
    else:
        show(found, model.subgraphs[0], args.all)


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


def show(found: Identification, graph: Subgraph, everything: bool) -> None:
    """Print the conclusion, the tensors that it rests on, and what fits each kind of operator."""
    out = console()
    out.print(found.conclusion, markup=False)
    if (first := found.first_misfit) is not None:
        name = short_name(first.tensor)
        out.print(f"first operator where none fits: {operators(first, graph)} (op {first_and_last(first)}), tensor '{name}'", markup=False)
    chosen = [verdict for verdict in found.verdicts if everything or verdict.tells or not verdict.fits]
    columns = ("op", "operator", "tensor", "elements", *ARITHMETICS)
    rows = [
        (first_and_last(v), operators(v, graph), short_name(v.tensor), count(v), *(outcome(v.mismatches.get(a), v) for a in ARITHMETICS))
        for v in chosen
    ]
    out.print()
    out.print(table(f"{len(chosen)} of {len(found.verdicts)} tensors", columns, rows, numeric=("op", "elements")))
    kinds = {kind: fits for kind, fits in found.by_kind.items() if everything or set(fits) != set(ARITHMETICS)}
    if kinds:
        out.print()
        out.print(
            table("what fits wherever it stands alone", ("operator", "fits"), [(k, ", ".join(f) or "none") for k, f in kinds.items()])
        )
    for note in found.notes:
        out.print(note, markup=False)


def first_and_last(verdict: Verdict) -> str:
    """The positions of a piece."""
    first, last = verdict.operators[0], verdict.operators[-1]
    return str(first) if first == last else f"{first}..{last}"


def operators(verdict: Verdict, graph: Subgraph) -> str:
    """The operators of a piece."""
    names = [graph.operators[position].name for position in verdict.operators]
    return ", ".join(names[:OPERATORS]) + (f" and {len(names) - OPERATORS} more" if len(names) > OPERATORS else "")


def count(verdict: Verdict) -> object:
    """How many elements a tensor has, where that is known."""
    return next((mismatch.elements for mismatch in verdict.mismatches.values()), "")


def outcome(mismatch: Mismatch | None, verdict: Verdict) -> str:
    """How an arithmetic fared."""
    if mismatch is None:
        return verdict.note
    if mismatch.equal:
        return "equal"
    if not math.isfinite(mismatch.largest):
        return f"{mismatch.differing} differ, in shape or by NaN"
    steps = f"{mismatch.largest:.0f} step" + ("" if mismatch.largest == 1 else "s")
    size = f"{mismatch.largest:.1e} of the greatest" if verdict.dtype.startswith(("float", "bfloat")) else steps
    return f"{mismatch.differing} differ, by {size}" + (", fits" if mismatch.fits else "")
