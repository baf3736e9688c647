"""Run a model and show every tensor: codes and the real values that they stand for."""

from __future__ import annotations

import argparse
from typing import get_args

from qcore.analysis.tracing import Trace, Traced, trace
from qcore.cli.inputs import add_input_arguments, inputs_of
from qcore.cli.terminal import console, print_json
from qcore.errors import InputError
from qcore.kernels.opdef import Arithmetic
from qcore.runtime.plan import Engine
from qcore.schema import load
from qcore.shown import dimensions


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
        found.save(args.output)
    if args.json and chosen:
        tensors = [traced.as_dict() | {"elements": traced.elements, "real": traced.real} for traced in chosen]
        print_json(found.as_dict() | {"tensors": tensors})
    elif args.json:
        print(found.to_json())
    elif chosen:
        for traced in chosen:
            print(f"{traced.name} {traced.tensor.dtype}[{dimensions(traced.elements.shape)}]\n{traced.elements}")
            if traced.quantized:
                print(f"real values\n{traced.real}")
    else:
        console().print(found.table())


def named(found: Trace, name: str) -> Traced:
    """The tensor of that name.

    Raises:
        InputError: there is none, or it holds no value.
    """
    if name not in found:
        raise InputError(f"--tensor {name}: the run has no such tensor; its last one is '{found.tensors[-1].name}'")
    return found[name]
