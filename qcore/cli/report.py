"""Write a page that shows what quantization did to a model, and what to do about it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from rich.text import Text

from qcore.analysis.comparison import View
from qcore.cli.data import add_sample_arguments, read_inputs, read_samples
from qcore.cli.terminal import console, size
from qcore.errors import InputError
from qcore.schema import load
from qcore.schema.files import write_whole
from qcore.shown import table

if TYPE_CHECKING:
    from qcore.analysis.report import Report
    from qcore.analysis.report.data import Finding


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("float_model", metavar="FLOAT", help="a .tflite file: the model that is right, float as a rule")
    add("quantized_model", metavar="QUANT", help="a .tflite file: the one to judge")
    add("-o", "--output", required=True, metavar="FILE", help="the page to write, such as report.html")
    add_sample_arguments(parser, "without, the page has no errors of activations")
    add("--node-data", metavar="FILE", help="also write the SQNR of every operator as node data for Model Explorer, such as out.json")
    add(
        "--by",
        choices=get_args(View),
        default="isolated",
        help="whose SQNR that is: the operator's alone, or in the model (default isolated)",
    )
    add("--json", action="store_true", help="print what the page shows as one JSON object")
    add("--signature", metavar="KEY", help="look at the subgraphs of this signature (default: the first ones)")


def execute(args: argparse.Namespace) -> None:
    """Run the command."""
    from qcore.analysis.report import node_data, report, to_json

    if args.samples < 1:
        raise InputError(f"--samples is {args.samples}, expected at least 1")
    if args.node_data is not None and args.data is None:
        raise InputError("--node-data: it needs --data, since it holds errors of activations")
    samples = None if args.data is None else read_samples(args, read_inputs(args, load(args.float_model)))
    found = report(
        args.float_model,
        args.quantized_model,
        samples,
        args.output,
        signature=args.signature,
        nan=args.nan,
        progress=sys.stderr.isatty(),
        arithmetic=args.arithmetic,
    )
    if args.node_data is not None and found.comparison is not None:
        content = node_data(found.comparison, load(args.quantized_model), args.by, args.signature)
        write_whole("report", args.node_data, [content.encode()])
    if args.json:
        print(to_json(found))
    else:
        show(found, args.output)


def show(found: Report, path: str) -> None:
    """Print what a look at the page would say first."""
    out = console()
    out.print(Text(f"{path}: {size(Path(path).stat().st_size)}, {len(found.operators)} operators"))
    for output in () if found.comparison is None else found.comparison.outputs:
        agreement = "" if output.top1_agreement is None else f", top-1 agreement {output.top1_agreement:.2%}"
        out.print(Text(f"output {output.tensor}: SQNR {output.error.sqnr_db:.1f} dB{agreement}"))
    rows = [(advice.title, len(advice.findings), place(found, advice.findings[0])) for advice in found.advice]
    if rows:
        out.print()
        out.print(table("suggested fixes", ("fix", "places", "the worst"), rows, numeric=("places",)))


def place(found: Report, finding: Finding) -> str:
    """What a rule found, and where."""
    operator = "" if finding.operator is None else f"{found.operators[finding.operator].name} (op {finding.operator}): "
    return f"{operator}{finding.evidence}"
