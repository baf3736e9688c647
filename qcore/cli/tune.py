"""Choose the types of each operator: the smallest file that keeps the accuracy, or the most accurate one of a size."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import get_args

from qcore.analysis.evaluation.scores import REFERRING, Named
from qcore.analysis.tuning import Tuning, tune
from qcore.analysis.tuning.choices import ActivationChoice
from qcore.analysis.tuning.plot import draw
from qcore.cli.chart import require_matplotlib
from qcore.cli.data import DataSet, Inputs, Scaling, add_scaling_arguments
from qcore.cli.jobs import add_jobs_argument, executor_of
from qcore.cli.quantize import warnings_as_lines
from qcore.cli.terminal import console, print_json
from qcore.errors import InputError
from qcore.schema import load, save


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("model", help="a float .tflite file")
    limit = parser.add_mutually_exclusive_group(required=True)
    limit.add_argument("--max-loss", type=float, metavar="L", help="find the smallest file that loses no more of the metric")
    limit.add_argument("--max-bytes", type=int, metavar="N", help="find the best file of no more bytes")
    add("-o", "--output", metavar="FILE", help="where the quantized model goes")
    add("--rules", metavar="FILE", help="where the rules go that make it; qcore quantize --rules reads them")
    add("--plot", metavar="FILE", help="draw what files lose over their bytes: out.png, .svg or .pdf")
    add("--json", action="store_true", help="print one JSON object instead of the tables")
    add(
        "--data",
        metavar="DATA",
        required=True,
        help="samples: an .npz (an array for each input, by name) or .npy with samples along the first axis, or a folder of one each; some "
        "calibrate, the others are held out",
    )
    add("--samples", type=int, metavar="N", help="how many of them, from the first (default all)")
    add("--labels", metavar="NAME", help="right classes: an array of the .npz, or an .npy file (default: labels, label or y, if there)")
    add("--calibration", metavar="DATA", help="samples that calibrate, likewise; all of --data are then held out")
    add_scaling_arguments(parser)
    add("--metric", choices=get_args(Named), help="default top1 with labels, else agreement with the float model")
    add("--output-name", metavar="NAME", help="the output that the metric looks at, where there are several")
    add("--accuracy", default="max", metavar="METHODS", help="as for qcore quantize (default max); none: as the converter does")
    add("--weights", default="int4,int8", metavar="TYPES", help="to choose from (default int4,int8; also float32: in floating point)")
    add("--activations", default=",".join(get_args(ActivationChoice)), metavar="TYPES", help="to choose from (default int8,int16)")
    add("--trials", type=int, default=4, metavar="N", help="files that are quantized with all of --accuracy at most (default 4)")
    add_jobs_argument(parser)


def execute(args: argparse.Namespace) -> None:
    """Run the command."""
    if args.plot is not None:
        require_matplotlib()
    for option, path in (("--output", args.output), ("--rules", args.rules)):
        if path is not None and not Path(path).absolute().parent.is_dir():
            raise InputError(f"{option} {path}: there is no folder {Path(path).parent}")
    model = load(args.model)
    inputs = Inputs.of(model, None, Scaling.of(args))
    samples = DataSet(f"--data {args.data}", Path(args.data), inputs, args.samples, args.labels)
    labels = None if args.metric in REFERRING else samples.known_labels(args.labels)
    if args.metric is not None and args.metric not in REFERRING and labels is None:
        raise InputError(f"--metric {args.metric}: --data {args.data} holds no labels, and --labels says nothing of them")
    calibration = None
    if args.calibration is not None:
        calibration = DataSet(f"--calibration {args.calibration}", Path(args.calibration), inputs, None, args.labels)
    with executor_of(args) as executor, warnings_as_lines():
        found = tune(
            model,
            samples,
            labels,
            max_loss=args.max_loss,
            max_bytes=args.max_bytes,
            metric=args.metric,
            calibration=calibration,
            accuracy=None if args.accuracy == "none" else args.accuracy.split(","),
            output=args.output_name,
            weights=args.weights.split(","),
            activations=args.activations.split(","),
            trials=args.trials,
            executor=executor,
            progress=sys.stderr.isatty(),
        )
    write(args, found)
    if args.json:
        print_json(found.as_dict())
    else:
        console().print(found.table())


def write(args: argparse.Namespace, found: Tuning) -> None:
    """Write the files that are asked for.

    Raises:
        InputError: one cannot be written.
    """
    if args.output is not None:
        save(found.model, args.output)
    if args.rules is not None:
        try:
            Path(args.rules).write_text(found.rules.to_json() + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"--rules {args.rules}: {error}") from error
    if args.plot is not None:
        draw(found, args.plot)
