"""Say what makes a quantized model's error: the parts of each operator's, operators by effect, what each calibrator would cost."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, get_args

from rich.text import Text

from qcore.analysis.attributing.attribute import attribute
from qcore.analysis.attributing.calibration import TensorCosts, calibrators, mean_excess_db
from qcore.analysis.attributing.result import Attribution, OperatorAttribution
from qcore.analysis.attributing.split import PARTS, Split
from qcore.analysis.comparison import short_name
from qcore.calibration import Method, Statistics
from qcore.cli.data import add_sample_arguments, read_inputs, read_samples
from qcore.cli.terminal import console, print_json, table
from qcore.errors import InputError
from qcore.schema import load

ROWS = 20
"""Operators in the table, where nothing else is asked for."""

FAR = 0.25
"""How far from 1 shares may add up before that is remarked."""


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
        print_json(document if costs is None else document | {"calibrators": [asdict(row) | {"best": row.best} for row in costs]})
        return
    out = console()
    if found is not None:
        show(found, args.top or ROWS, args.in_model)
    if costs is not None:
        if found is not None:
            out.print()
        out.print(_costs(costs))


def show(found: Attribution, count: int, in_model: bool) -> None:
    """Print a row for each operator, and what else there is to know."""
    rows, out = found.ranked(count), console()
    which = "in the model as a whole" if in_model else "alone"
    title = f"{len(rows)} of {len(found.operators)} operators, greatest effect first; parts of the error {which} ({found.samples} samples)"
    columns = ("op", "operator", "output", "type", "RMSE", "RMSE/lsb", *PARTS, "effect", "share")
    cells = [
        (row.index, row.measured.operator, short_name(row.measured.tensor), row.measured.dtype)
        + (*_split(row, row.in_model if in_model else row.alone), *_effect(row))
        for row in rows
    ]
    out.print(table(title, columns, cells, ("op", "RMSE", "RMSE/lsb", *PARTS, "effect", "share")))
    if found.effect_samples:
        effects = [row.effect for row in found.operators if row.effect is not None]
        out.print(
            Text(f"\nshares of all operators add up to {sum(e.share for e in effects):.1%} (effects on {found.effect_samples} samples)")
        )
    for output in found.outputs:
        out.print(Text(f"output '{output.tensor}': {output.error.sqnr_db:.1f} dB SQNR, RMSE {output.error.root_mean_squared_error:.3g}"))
    notes = [*found.notes, *(f"{row.measured.operator} (op {row.index}): {row.note}" for row in rows if row.note)]
    if found.unmatched:
        notes.append(f"without a counterpart in the float model: {', '.join(found.unmatched)}")
    if notes:
        out.print()
        out.print(Text("\n".join(f"note: {note}" for note in dict.fromkeys(notes))))


def _split(row: OperatorAttribution, split: Split | None) -> tuple[str, ...]:
    if split is None:
        return ("",) * (2 + len(PARTS))
    scale = row.measured.scale
    lsb = f"{split.rmse / scale:.2f}" if scale else ""
    return (f"{split.rmse:.3g}", lsb, *(f"{share:.0%}" if abs(share) >= 0.005 else "" for share in split.shares.values()))


def _effect(row: OperatorAttribution) -> tuple[str, str]:
    return ("", "") if row.effect is None else (f"{row.effect.change:.2%}", f"{row.effect.share:.1%}")


def _costs(rows: Sequence[TensorCosts]) -> Any:
    methods = get_args(Method)
    columns = ("tensor", "codes", "best RMSE", "by", "present", *methods, "clipped by the best")
    cells = [
        (
            short_name(row.tensor),
            row.dtype,
            f"{row.choices[row.best].mean_squared_error ** 0.5:.3g}",
            row.best,
            f"{row.excess_db(row.present):+.1f}",
            *(f"{row.excess_db(row.choices[method]):+.1f}" for method in methods),
            f"{row.choices[row.best].clipped:.3%}",
        )
        for row in rows
    ]
    present = sum(row.excess_db(row.present) for row in rows) / max(len(rows), 1)
    means = (f"{mean_excess_db(rows, method):+.1f}" for method in methods)
    cells.append(("mean", "", "", "", f"{present:+.1f}", *means, ""))
    title = f"{len(rows)} tensors: squared error of quantizing them, by each calibrator and as the model is at present, in dB over the best"
    return table(title, columns, cells, ("best RMSE", "present", *methods, "clipped by the best"))
