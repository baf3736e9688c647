"""Show where two models differ: structure, quantization, constants, and with --run the values that they compute."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import get_args

from rich.console import Console

from qcore.analysis.comparison import short_name
from qcore.analysis.diffing.diff import diff
from qcore.analysis.diffing.difference import Change, Difference, QuantizationChange, ValueChange
from qcore.cli.inputs import add_input_arguments, inputs_of
from qcore.cli.terminal import console, print_json, table
from qcore.errors import InputError
from qcore.kernels.opdef import Arithmetic
from qcore.schema import load

ROWS = 20
"""Rows of a table, where nothing else is asked for."""

QUANTIZATION = ("tensor", "scales", "differ", "scale", "scale of second", "ratio", "zero point", "of second")
VALUES = ("tensor", "type", "elements", "differ", "codes", "real")

LONGEST = 60
"""Characters of a value in a table."""


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
        print_json(found.to_dict())
    else:
        show(found, args.top)
    return 0 if found.equal else 1


def show(found: Difference, top: int) -> None:
    """Print the conclusion and a table of each kind of difference."""
    out = console()
    out.print(found.conclusion, markup=False)
    missing = [(name, "first") for name in found.only_a] + [(name, "second") for name in found.only_b]
    section(out, "operators of one model only", ("operator", "model"), missing, top)
    for title, changes in (("structure", found.structure), ("model", found.model)):
        rows = [(place(change), change.what, shown(change.a), shown(change.b)) for change in changes]
        section(out, title, ("where", "what", "first", "second"), rows, top)
    section(out, "quantization", QUANTIZATION, [quantization_row(change) for change in found.quantization], top, QUANTIZATION[1:])
    section(out, "constants", VALUES, [value_row(change) for change in found.constants], top, VALUES[2:])
    if found.compared is not None:
        values = [(d.positions[0], d.operator, *value_row(d.change), "agree" if d.inputs_agree else "differ") for d in found.values]
        title = f"values: {len(values)} of {found.compared} tensors differ"
        section(out, title, ("op", "operator", *VALUES, "inputs"), values, top, ("op", *VALUES[2:]))
        out.print()
        out.print(arises(found), markup=False)


def arises(found: Difference) -> str:
    """Where differences of values arise."""
    first = found.first
    if first is None:
        return "no operator gives other outputs on inputs that agree"
    where = f"{first.operator} (op {first.positions[0]}, op {first.positions[1]} of the second)"
    return f"first operator whose output differs although its inputs agree: {where}, tensor '{short_name(first.change.tensor)}'"


def section(
    out: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], top: int, numeric: Sequence[str] = ()
) -> None:
    """Print a table, where it has rows."""
    if rows:
        out.print()
        out.print(table(title + (f" (first {top} of {len(rows)})" if len(rows) > top else ""), columns, rows[:top], numeric))


def place(change: Change) -> str:
    """Where a change is."""
    named = short_name(change.name) if change.position is None else f"op {change.position} {change.name}"
    return named + (f" of subgraph {change.subgraph}" if change.subgraph else "")


def shown(value: object) -> str:
    """A value, or the beginning of a long one."""
    text = "" if value is None else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def quantization_row(change: QuantizationChange) -> tuple[object, ...]:
    """A tensor's line."""
    scales, ratio = (None if s is None else f"{s:.6g}" for s in (change.scale_a, change.scale_b)), change.ratio
    count = str(change.scales[0]) if len(set(change.scales)) == 1 else f"{change.scales[0]}, {change.scales[1]}"
    numbers = (*scales, None if ratio is None else f"{ratio:.6g}", change.zero_point_a, change.zero_point_b)
    return short_name(change.tensor), count, *("" if n is None else n for n in (change.differing, *numbers))


def value_row(change: ValueChange) -> tuple[object, ...]:
    """A tensor's line."""
    types = change.types[0] if len(set(change.types)) == 1 else " to ".join(change.types)
    sizes = "" if change.codes is None else change.codes, "" if change.real is None else f"{change.real:.4g}"
    return short_name(change.tensor), types, change.elements, change.differing, *sizes
