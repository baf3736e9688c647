"""Edit a model: names, scales, constants, types of inputs and outputs, and what it carries along."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from qcore import edit
from qcore.analysis.diffing.diff import diff
from qcore.cli.inputs import read_arrays
from qcore.cli.terminal import console, size
from qcore.errors import InputError
from qcore.schema import load, save


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("model", help="a .tflite file")
    add("-o", "--output", required=True, metavar="FILE", help="the file to write")
    add("--rename", action="append", default=[], metavar="OLD=NEW", help="give a tensor another name")
    add(
        "--rescale",
        action="append",
        default=[],
        metavar="NAME=SCALE[,ZERO_POINT]",
        help="give a tensor another scale; constants and biases follow",
    )
    add(
        "--constant",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="replace a constant by an .npy: codes, or real values as floats",
    )
    add("--input-type", choices=get_args(edit.IoType), help="of the inputs, by QUANTIZE at the ends")
    add("--output-type", choices=get_args(edit.IoType), help="of the outputs, by DEQUANTIZE or QUANTIZE at the ends")
    add(
        "--strip",
        nargs="*",
        choices=get_args(edit.Part),
        metavar="PART",
        help=f"leave out: {', '.join(get_args(edit.Part))}; all by default",
    )
    add("--unchecked", action="store_true", help="write the file even where operators do not fit together any more")
    add("--json", action="store_true", help="print what changed as one JSON object")


def execute(args: argparse.Namespace) -> None:
    """Run the command: names last, so that every other option takes those of the file."""
    original = load(args.model)
    model = load(args.model)
    for entry in args.rescale:
        name, numbers = assigned("--rescale", entry)
        scale, _, zero_point = numbers.partition(",")
        edit.rescale(model, name, number(entry, scale, float), number(entry, zero_point, int) if zero_point else None)
    for entry in args.constant:
        name, file = assigned("--constant", entry)
        edit.set_constant(model, name, read_arrays("--constant", Path(file), archive=False))
    if args.input_type is not None or args.output_type is not None:
        model = edit.set_io_types(model, args.input_type, args.output_type)
    for entry in args.rename:
        edit.rename(model, *assigned("--rename", entry))
    if args.strip is not None:
        model = edit.strip(model, args.strip or get_args(edit.Part))
    (save if args.unchecked else edit.save)(model, args.output)
    found = diff(original, model)
    if args.json:
        print(found.to_json())
    else:
        console().print(f"{args.output}: {size(Path(args.output).stat().st_size)}; {found.conclusion}", markup=False)


def assigned(option: str, entry: str) -> tuple[str, str]:
    """The two sides of ``NAME=VALUE``."""
    name, separator, value = entry.rpartition("=")
    if not separator or not name or not value:
        raise InputError(f"{option} {entry}: expected NAME=VALUE")
    return name, value


def number(entry: str, text: str, kind: Callable[[str], float]) -> float:
    """A number of an entry."""
    try:
        return kind(text)
    except ValueError:
        raise InputError(f"--rescale {entry}: {text!r} is no {kind.__name__}") from None
