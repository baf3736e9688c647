"""Bound every accumulator: proof that none overflows, or the input that does; saturation, constant channels, odd scales."""

from __future__ import annotations

import argparse
import sys

from qcore.analysis.ranging.ranges import ranges
from qcore.cli.data import add_sample_arguments, read_inputs, read_samples
from qcore.cli.terminal import console
from qcore.errors import InputError
from qcore.schema import load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("model", help="a quantized .tflite file")
    add_sample_arguments(parser, "nothing is observed where left out")
    add("--op", type=int, metavar="N", help="show the channels of this operator")
    add("--json", action="store_true", help="print one JSON object instead of tables")
    add("--signature", metavar="KEY", help="look at the subgraph of this signature (default: the first one)")


def execute(args: argparse.Namespace) -> None:
    """Run the command."""
    if args.samples < 1:
        raise InputError(f"--samples is {args.samples}, expected at least 1")
    model = load(args.model)
    samples = None if args.data is None else read_samples(args, read_inputs(args, model).as_real())
    found = ranges(model, samples, signature=args.signature, nan=args.nan, progress=sys.stderr.isatty(), arithmetic=args.arithmetic)
    if args.json:
        print(found.to_json(args.op))
    else:
        console().print(found.table(args.op))
