"""Write test vectors of operators for those who write kernels: inputs, weights, parameters, accumulators, outputs."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import get_args

from qcore.analysis.tracing import trace
from qcore.analysis.vectors.content import Format, Vectors
from qcore.analysis.vectors.files import save
from qcore.analysis.vectors.making import vectors_of
from qcore.cli.inputs import generator, read_inputs
from qcore.cli.terminal import console, print_json
from qcore.errors import InputError, UnsupportedError
from qcore.kernels.opdef import Arithmetic
from qcore.runtime.interpreter import Interpreter
from qcore.schema import load
from qcore.shown import table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("model", help="a .tflite file")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--op", type=int, metavar="N", help="position of the operator, as qcore inspect numbers them")
    which.add_argument("--all", action="store_true", help="every operator that does not depend on constants alone")
    add("-o", "--output", required=True, metavar="DIR", help="the folder to write")
    add("--format", choices=get_args(Format), default="npz", help="npz for NumPy, c for headers of C99 (default npz)")
    add("--input", action="append", default=[], metavar="[NAME=]FILE", help="input of the model: .npy, .npz or an image; else random")
    add("--range", nargs=2, type=float, default=(0.0, 1.0), metavar=("LOW", "HIGH"), help="of images given to float inputs (default 0 1)")
    add("--arithmetic", choices=get_args(Arithmetic), default="reference", help="whose integers (default reference)")
    add("--count", type=int, default=1, metavar="N", help="how many random cases an operator has, besides the extremes (default 1)")
    add("--seed", type=int, default=0, help="of random inputs (default 0)")
    add("--json", action="store_true", help="print the manifests as JSON instead of a table")


def execute(args: argparse.Namespace) -> None:
    """Run the command."""
    generator(args.seed)
    model = load(args.model)
    interpreter = Interpreter(model_content=model)
    elements = read_inputs(interpreter, args.input, tuple(args.range), args.seed)
    run = trace(model, *(elements[i] for i in model.subgraphs[0].inputs), arithmetic=args.arithmetic)
    left_out: list[str] = []
    made: list[Vectors] = []

    def operators() -> Iterator[Vectors]:
        for op in range(len(run.operators)) if args.all else [args.op]:
            try:
                made.append(vectors_of(run, op, args.seed, args.count))
            except UnsupportedError as error:
                if not args.all:
                    raise
                left_out.append(str(error).removeprefix("vectors: "))
            else:
                yield made[-1]

    paths = save(operators(), args.output, args.format)
    if not paths:
        raise InputError(f"--all: no operator of the model has vectors: {'; '.join(left_out) or 'it has no operators'}")
    written = [*zip(made, paths, strict=True)]
    if args.json:
        print_json({"vectors": [found.as_dict() | {"file": str(path)} for found, path in written], "left_out": left_out})
        return
    rows = [(f.position, f.operator, f.rounding, len(f.cases), len(f.parameters), accumulated(f), path) for f, path in written]
    columns = ("op", "operator", "rounding", "cases", "parameters", "accumulator", "file")
    console().print(table(f"{args.arithmetic} arithmetic", columns, rows, numeric=("op", "cases", "parameters")))
    for reason in left_out:
        console().print(f"left out: {reason}", markup=False)


def accumulated(found: Vectors) -> str:
    """The type of accumulators."""
    return "" if found.accumulator is None else str(found.accumulator.dtype)
