"""Say what makes a quantized model's error: the parts of each operator's, operators by effect, what each calibrator would cost."""

from __future__ import annotations

import argparse
import sys

from rich.console import Group

from qcore.analysis.attributing.attribute import attribute
from qcore.analysis.attributing.calibration import calibrators
from qcore.calibration import Statistics
from qcore.cli.data import add_sample_arguments, read_inputs, read_samples
from qcore.cli.terminal import console, print_json
from qcore.errors import InputError
from qcore.schema import load
from qcore.shown import spaced

ROWS = 20
"""Operators in the table, where nothing else is asked for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("float_model", metavar="FLOAT", help="a .tflite file: the model that is right")
    add("quantized_model", metavar="QUANT", help="a .tflite file: the one to judge")
    add_sample_arguments(parser, "needed for all but --calibration")
    add("--effect-samples", type=int, default=4, metavar="N", help="how many of these to measure effects on (default 4; 0 for none)")
    add("--calibration", metavar="FILE", help="statistics of the float model (qcore quantize --save-statistics): what each method costs")
    add("--top", type=int, metavar="N", help=f"how many operators to show, of the greatest effect (default {ROWS}; with --json all)")
    add("--in-model", action="store_true", help="the parts of the errors in the model as a whole, instead of those of each operator alone")
    add("--json", action="store_true", help="print one JSON object instead of tables")
    add("--signature", metavar="KEY", help="look at the subgraphs of this signature (default: the first ones)")


def execute(args: argparse.Namespace) -> None:
    """Run the command."""
    if args.samples < 1 or args.effect_samples < 0 or (args.top is not None and args.top < 1):
        raise InputError(
            f"--samples is {args.samples}, --effect-samples {args.effect_samples} and --top {args.top}, expected at least 1, 0, 1"
        )
    if args.data is None and args.calibration is None:
        raise InputError("attribute: needs --data, or --calibration, or both")
    models = load(args.float_model), load(args.quantized_model)
    costs = None if args.calibration is None else calibrators(*models, Statistics.load(args.calibration), args.signature)
    found = None
    if args.data is not None:
        found = attribute(
            *models,
            read_samples(args, read_inputs(args, models[0])),
            effect_samples=args.effect_samples,
            signature=args.signature,
            nan=args.nan,
            progress=sys.stderr.isatty(),
            arithmetic=args.arithmetic,
        )
    if args.json:
        document = {} if found is None else found.as_dict(args.top)
        print_json(document if costs is None else document | {"calibrators": costs.as_dict()["tensors"]})
        return
    parts = (None if found is None else found.table(args.top or ROWS, args.in_model), None if costs is None else costs.table())
    console().print(Group(*spaced(parts)))
