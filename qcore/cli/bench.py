"""Time a model operator by operator, and say what runs each: native code, or NumPy and why."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from qcore.analysis.litert import litert_invoke
from qcore.analysis.profile import OperatorProfile, Profile, profile
from qcore.cli.bench_chart import draw
from qcore.cli.chart import require_matplotlib
from qcore.cli.inputs import read_inputs
from qcore.cli.terminal import console, microseconds, print_json
from qcore.errors import InputError
from qcore.kernels.opdef import Arithmetic
from qcore.runtime.interpreter import Interpreter
from qcore.runtime.plan import Engine, Settings
from qcore.schema import load
from qcore.shown import dimensions, short_name, table

ROWS = 20
"""Operators in the table, where nothing else is asked for."""

COLUMNS = ("op", "operator", "output", "shape", "us", "share", "MMAC", "GMAC/s", "runs")
NUMERIC = ("op", "us", "share", "MMAC", "GMAC/s")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("model", help="a .tflite file; inputs are random")
    add("--seed", type=int, default=0, help="of the random inputs (default 0)")
    add("--threads", type=int, default=1, metavar="N", help="of the fast engine (default 1)")
    add("--repeat", type=int, default=25, metavar="N", help="rounds that medians are taken of (default 25)")
    add("--engine", choices=get_args(Engine), default="auto", help="auto is timed as fast, which it becomes (default auto)")
    add("--arithmetic", choices=get_args(Arithmetic), default="reference", help="whose integers (default reference)")
    add("--against", choices=("litert",), help="time the same file in LiteRT too, with as many threads, in the same rounds")
    add("--top", type=int, metavar="N", help=f"how many operators to show, the slowest (default {ROWS}; with --json all)")
    add("--json", action="store_true", help="print one JSON object instead of tables")
    add("--plot", metavar="FILE", type=Path, help="draw the times of the whole and of every operator, such as out.png")


def execute(args: argparse.Namespace) -> None:
    """Run the command."""
    for name in ("threads", "repeat", "top"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise InputError(f"--{name} is {getattr(args, name)}, expected at least 1")
    if args.plot is not None:
        require_matplotlib()
    model = load(args.model)
    inputs = read_inputs(Interpreter(model_content=model, engine="reference"), [], (0, 1), args.seed)
    rival = None if args.against is None else litert_invoke(args.model, list(inputs.values()), args.threads)
    settings = Settings(arithmetic=args.arithmetic, engine=args.engine, threads=args.threads)
    found = profile(model, settings, inputs, args.repeat, rival)
    if args.plot is not None:
        draw(found, Path(args.model).name, args.plot)
    if args.json:
        print_json({"model": args.model, "threads": args.threads, "rounds": args.repeat, **found.as_dict(args.top)})
    else:
        show(found, args)


def show(found: Profile, args: argparse.Namespace) -> None:
    """Print the profile as a table, and lines for the whole."""
    rows = found.slowest(args.top or ROWS)
    threads = f"{args.threads} thread{'s' if args.threads > 1 else ''}"
    title = f"{len(rows)} of {len(found.operators)} operators, slowest first ({threads}, medians of {args.repeat} rounds)"
    out = console()
    out.print(table(title, COLUMNS, [_cells(row, found) for row in rows], numeric=NUMERIC))
    native = sum(row.runner.reason is None for row in found.operators)
    speed = f", {found.macs / 1e6:.4g} MMAC, {found.macs / found.seconds / 1e9:.3g} GMAC/s" if found.macs else ""
    alone = f"operators, {native} of them native: {microseconds(found.operator_seconds)} us"
    out.print(f"\ninvoke: {microseconds(found.seconds)} us{speed}; {alone}")
    if found.rival is not None:
        out.print(f"LiteRT: {microseconds(found.rival.seconds)} us; qcore takes {found.rival.ratio:.3f} of that (median of paired rounds)")


def _cells(row: OperatorProfile, found: Profile) -> tuple[object, ...]:
    share = row.seconds / found.operator_seconds if found.operator_seconds else 0
    counted = row.macs > 0 and row.seconds > 0
    macs, speed = (f"{row.macs / 1e6:.4g}", f"{row.macs / row.seconds / 1e9:.3g}") if counted else ("", "")
    return (
        row.index,
        row.operator,
        short_name(row.output),
        dimensions(row.shape),
        microseconds(row.seconds),
        f"{share:.1%}",
        macs,
        speed,
        row.runner,
    )
