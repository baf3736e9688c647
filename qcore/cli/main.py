"""The command ``qcore`` (also ``python -m qcore``): one file per subcommand."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from qcore import run
from qcore.cli import (
    attribute,
    bench,
    compare,
    diff,
    edit,
    evaluate,
    explain,
    identify,
    inspect,
    lint,
    operators,
    quantize,
    ranges,
    report,
    trace,
    tune,
    vectors,
)
from qcore.cli.terminal import guarded

_COMMANDS = {
    "run": run,
    "quantize": quantize,
    "evaluate": evaluate,
    "tune": tune,
    "compare": compare,
    "inspect": inspect,
    "explain": explain,
    "ranges": ranges,
    "attribute": attribute,
    "report": report,
    "trace": trace,
    "diff": diff,
    "identify": identify,
    "edit": edit,
    "bench": bench,
    "operators": operators,
    "vectors": vectors,
    "lint": lint,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit code is 0, or 2 after an error in what was given."""
    parser = argparse.ArgumentParser(prog="qcore", description="The readable, executable specification of TensorFlow Lite quantization.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, module in _COMMANDS.items():
        summary = (module.__doc__ or "").splitlines()[0]
        command = commands.add_parser(name, help=summary, description=summary)
        module.add_arguments(command)
        command.set_defaults(command=module.execute)
    args = parser.parse_args(argv)
    return guarded(lambda: args.command(args))
