"""Say what of a model will not run on a target, or runs badly there, and what to change."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from qcore.analysis.lint import Finding, Lint, lint
from qcore.analysis.lint.targets import HOMES
from qcore.cli.terminal import console, print_json, table

SHOWN = 6
"""Operators that a line names, of all that it is about."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("model", help="a .tflite file")
    add("--target", choices=tuple(HOMES), default="tflm", help="where it is to run; any: rules that hold everywhere (default tflm)")
    add("--full", action="store_true", help="a line for every finding; else one for all operators that break a rule likewise")
    add("--json", action="store_true", help="print one JSON object instead of a table")


def execute(args: argparse.Namespace) -> int:
    """Run the command; 1 where there are errors among the findings."""
    found = lint(args.model, args.target)
    if args.json:
        print_json(found.as_dict())
    else:
        show(found, args.full)
    return 0 if found.ok else 1


def show(found: Lint, full: bool) -> None:
    """Print findings as a table, and a line that sums up."""
    out = console()
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for number, finding in enumerate(found):
        alike = (number,) if full else (finding.severity, finding.rule, finding.fix)
        groups.setdefault(alike, []).append(finding)
    if groups:
        columns = ("severity", "rule", "operator", "op", "found", "what to do", *(("source",) if full else ()))
        out.print(table(f"{found.target}: {found.edition}", columns, [row(alike)[: len(columns)] for alike in groups.values()]))
        out.print()
    counts = ", ".join(f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in found.counts.items() if count)
    mapped = f"; {found.mapped} of {found.operators} operators run there" if found.partitions is not None else ""
    pieces = f" in {found.partitions} piece{'' if found.partitions == 1 else 's'}" if found.partitions else ""
    out.print(f"{found.target}: {counts or 'nothing found'}{mapped}{pieces}")


def row(alike: Sequence[Finding]) -> tuple[str, ...]:
    """A line for findings that are alike: what the first says, and where the others are."""
    first = alike[0]
    places = [f"{f.op}" if f.subgraph == 0 else f"{f.subgraph}:{f.op}" for f in alike if f.op is not None]
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    operators = ", ".join(dict.fromkeys(f.operator for f in alike))
    return first.severity, first.rule, operators, " ".join(places[:SHOWN]) + more, first.message, first.fix, first.source
