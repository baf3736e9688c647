"""List the operators that qcore runs: types, and how exact their results are."""

from __future__ import annotations

import argparse

from qcore.cli import weight_page
from qcore.cli.terminal import console
from qcore.kernels.opdef import OpDef
from qcore.kernels.registry import CUSTOM_OPERATORS, OPERATORS
from qcore.shown import table

COLUMNS = ("operator", "types", "exactness", "notes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--weights", action="store_true", help="list which kernels take int8, int4 and int2 weights instead")
    parser.add_argument("--markdown", action="store_true", help="print docs/operators.md, or docs/int4.md")


def execute(args: argparse.Namespace) -> None:
    """Run the command."""
    if args.markdown:
        print(weight_page.markdown() if args.weights else markdown(), end="")
    elif args.weights:
        console().print(table("Weights and the kernels that take them", weight_page.COLUMNS, weight_page.rows()))
    else:
        console().print(table(f"{len(rows())} operators", COLUMNS, rows()))


def rows() -> list[tuple[str, str, str, str]]:
    """The table's lines: builtin operators by name, then custom ones."""
    return [row(kind[name]) for kind in (OPERATORS, CUSTOM_OPERATORS) for name in sorted(kind)]


def row(definition: OpDef) -> tuple[str, str, str, str]:
    """An operator's line in the table."""
    inexact = "; ".join(f"{dtype} within {t.relative:g}: {t.reason}" for dtype, t in definition.tolerances.items())
    exact = "exact" if not inexact else ("exact but " if len(definition.types) > len(definition.tolerances) else "") + inexact
    return definition.name, " ".join(definition.types) or "any", exact, definition.notes


def markdown() -> str:
    """The whole of docs/operators.md."""
    lines = [
        "# Operators",
        "",
        "Made by `qcore operators --markdown` from the table in `kernels/registry.py`; a test keeps this page equal to it.",
        "Types are those of the input that decides. *Exact* means the same bits as TensorFlow Lite's reference kernels;",
        "tolerances are relative to the largest magnitude of a tensor.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" for cells in rows()]
    return "\n".join(lines) + "\n"
