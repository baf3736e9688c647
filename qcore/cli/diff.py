"""Show where two models differ: structure, quantization, constants, and with --run the values that they compute."""

from __future__ import annotations

import argparse
from typing import get_args

from qcore.analysis.diffing.diff import diff
from qcore.cli.inputs import add_input_arguments, inputs_of
from qcore.cli.terminal import console
from qcore.errors import InputError
from qcore.kernels.opdef import Arithmetic
from qcore.schema import load

ROWS = 20
"""Rows of a table, where nothing else is asked for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("a", metavar="A", help="a .tflite file")
    add("b", metavar="B", help="another")
    add("--run", action="store_true", help="run both on the same input, and compare tensors that correspond")
    add_input_arguments(parser)
    add("--arithmetic", choices=get_args(Arithmetic), default="reference", help="whose integers (default reference)")
    add("--top", type=int, default=ROWS, metavar="N", help=f"rows of a table (default {ROWS})")
    add("--json", action="store_true", help="print one JSON object instead of tables")


def execute(args: argparse.Namespace) -> int:
    """Run the command; the exit code is that of diff: 0 for equal models, 1 for others."""
    if args.top < 1:
        raise InputError(f"--top is {args.top}, expected at least 1")
    if args.input and not args.run:
        raise InputError("--input: only --run has a use for it")
    a, b = load(args.a), load(args.b)
    found = diff(a, b, inputs_of(a, args) if args.run else None, arithmetic=args.arithmetic)
    if args.json:
        print(found.to_json())
    else:
        console().print(found.table(args.top))
    return 0 if found.equal else 1
