"""Say how good models are on samples, and how sure that is: accuracy, agreement with a float model, or SQNR."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from qcore.analysis.evaluation import Evaluation, PairedDifference, evaluate
from qcore.analysis.evaluation.result import in_words, interval_in_words
from qcore.analysis.evaluation.scores import LABELLED, Metric, Named
from qcore.cli.data import DataSet, Inputs, Scaling, add_sample_arguments, read_samples
from qcore.cli.jobs import add_jobs_argument, executor_of
from qcore.cli.terminal import console, print_json, size
from qcore.errors import InputError
from qcore.kernels.opdef import Array
from qcore.schema import load
from qcore.shown import table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("models", nargs="+", metavar="MODEL", help=".tflite files, side by side; those after the first are compared with it")
    add("--metric", choices=get_args(Named), help="default top1, with --against agreement")
    add("--against", metavar="FLOAT", help="the model that agreement and sqnr compare with; samples are then for its inputs")
    add("--output", metavar="NAME", help="the output to look at, where there are several")
    add_sample_arguments(parser, count=None)
    add("--labels", metavar="NAME", help="right classes: an array of the .npz, or an .npy file (default: labels, label or y)")
    add("--signature", metavar="KEY", help="that samples are for (default: the first subgraph)")
    add_jobs_argument(parser)
    add("--json", action="store_true", help="print one JSON object instead of the table")


@dataclass(frozen=True)
class Row:
    """A line of the table; difference: from the first model, None for that one."""

    file: str
    bytes: int
    evaluation: Evaluation
    difference: PairedDifference | None


def execute(args: argparse.Namespace) -> None:
    """Run the command."""
    metric: Metric = args.metric or ("top1" if args.against is None else "agreement")
    models = [load(file) for file in args.models]
    reference = None if args.against is None else load(args.against)
    inputs = Inputs.of(reference or models[0], args.signature, Scaling.of(args)).as_real()
    samples = read_samples(args, inputs, args.labels)
    labels = known_labels(args, samples) if metric in LABELLED else None
    rows: list[Row] = []
    with executor_of(args) as executor:
        for file, model in zip(args.models, models, strict=True):
            found = evaluate(
                model,
                samples,
                labels,
                metric,
                reference=reference,
                output=args.output,
                signature=args.signature,
                nan=args.nan,
                executor=executor,
                progress=sys.stderr.isatty(),
                arithmetic=args.arithmetic,
            )
            rows.append(Row(file, Path(file).stat().st_size, found, found.minus(rows[0].evaluation) if rows else None))
    if args.json:
        print_json(described(args, rows))
    else:
        show(args, rows)


def known_labels(args: argparse.Namespace, samples: DataSet) -> Array:
    """The labels of the samples.

    Raises:
        InputError: there are none.
    """
    labels = samples.known_labels(args.labels)
    if labels is None:
        raise InputError(f"--data {args.data}: holds no labels; --against FLOAT needs none, and --labels says where they are")
    return labels


def described(args: argparse.Namespace, rows: Sequence[Row]) -> dict[str, Any]:
    """The table as plain data."""
    return {
        "against": args.against,
        "arithmetic": args.arithmetic,
        "models": [
            {
                "file": row.file,
                "bytes": row.bytes,
                **row.evaluation.as_dict(),
                "difference": None if row.difference is None else row.difference.as_dict(),
            }
            for row in rows
        ],
    }


def show(args: argparse.Namespace, rows: Sequence[Row]) -> None:
    """Print the table, and what its numbers rest on."""
    first = rows[0].evaluation
    percent = f"{first.confidence:.0%}"
    columns = {
        "model": [row.file for row in rows],
        "size": [size(row.bytes) for row in rows],
        first.metric: [in_words(first.metric, row.evaluation.value) for row in rows],
        f"{percent} interval": [interval_in_words(row.evaluation) for row in rows],
    }
    differences = [row.difference for row in rows]
    if len(rows) > 1:
        columns["difference"] = ["" if d is None else in_words(d.metric, d.value, "+") for d in differences]
        columns[f"its {percent} interval"] = ["" if d is None else interval_in_words(d) for d in differences]
        if differences[1] is not None and differences[1].p_value is not None:
            columns["p"] = ["" if d is None or d.p_value is None else f"{d.p_value:.2g}" for d in differences]
    out = console()
    out.print(table("", tuple(columns), zip(*columns.values(), strict=True), tuple(columns)[1:]))
    notes = [f"{first.samples} samples"]
    if args.against is not None:
        notes.append(f"against {args.against}")
    if len(rows) > 1:
        notes.append("differences are from the first model, sample by sample" + ("; p: McNemar's test" if "p" in columns else ""))
    out.print("; ".join(notes), markup=False)
