"""Show how one element of an operator's output came about: every product, sum, rounding and clamp, in each arithmetic."""

from __future__ import annotations

import argparse
from typing import get_args

from qcore.cli.inputs import add_input_arguments, inputs_of
from qcore.cli.terminal import console
from qcore.errors import InputError
from qcore.kernels.opdef import Arithmetic
from qcore.schema import load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("model", help="a .tflite file")
    add("--op", type=int, required=True, metavar="N", help="the operator, as qcore inspect numbers them")
    add("--element", required=True, metavar="I,J,...", help="the element's place in the output, a number for each dimension")
    add("--output", type=int, default=0, metavar="K", help="which of the operator's outputs (default 0)")
    add_input_arguments(parser)
    add(
        "--arithmetic",
        choices=get_args(Arithmetic),
        default="reference",
        help="whose run gives the operator its inputs (default reference); the operator itself is explained in all",
    )
    add("--full", action="store_true", help="with every product of a weighted operator")
    add("--json", action="store_true", help="print one JSON object instead of tables")


def execute(args: argparse.Namespace) -> None:
    """Run the command."""
    from qcore.analysis.explaining import explain  # loads the kernels of every family that it explains

    element, model = place(args.element), load(args.model)
    inputs = inputs_of(model, args)
    found = explain(model, *inputs, op=args.op, element=element, output=args.output, arithmetic=args.arithmetic)
    if args.json:
        print(found.to_json(args.full))
        return
    out = console()
    out.print(found.table(args.full), width=None if out.is_terminal else found.width)


def place(text: str) -> tuple[int, ...]:
    """The place in an output that the command line names; no numbers name the one element of a scalar.

    Raises:
        InputError: it is not made of numbers.
    """
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise InputError(f"--element {text}: expected whole numbers with commas between them, such as 0,3,4,12") from None
