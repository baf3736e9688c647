"""Say what of a model will not run on a target, or runs badly there, and what to change."""

from __future__ import annotations

import argparse

from qcore.analysis.lint import lint
from qcore.analysis.lint.targets import HOMES
from qcore.cli.terminal import console


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
        print(found.to_json())
    else:
        console().print(found.table(args.full))
    return 0 if found.ok else 1
