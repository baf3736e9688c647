"""Quantize a float model, and weigh the result: size, accuracy, agreement with the float model."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from qcore.analysis.evaluation import Evaluation, evaluate
from qcore.calibration import Method, Statistics, calibrate
from qcore.calibration.calibrating import progress_bar
from qcore.calibration.samples import NanPolicy
from qcore.cli.chart import draw, require_matplotlib
from qcore.cli.data import DataSet, Inputs, Scaling, add_scaling_arguments
from qcore.cli.terminal import console, print_json, size
from qcore.errors import InputError
from qcore.kernels.opdef import Arithmetic, Array
from qcore.model import Model
from qcore.quantizer import Rules, quantize_model
from qcore.quantizer.api import CALIBRATED, CALIBRATIONS, MODES_OF, Convention, Mode
from qcore.quantizer.recovery.recover import METHODS
from qcore.schema import load, save
from qcore.shown import table

VARIANTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "float16": {"mode": "float16"},
        "dynamic_range": {"mode": "dynamic_range"},
        "int8": {"mode": "int8"},
        "int8_uint8_io": {"mode": "int8", "input_type": "uint8", "output_type": "uint8"},
        "int16x8": {"mode": "int16x8"},
    }
)
"""What --all-modes makes: arguments of ``quantize_model`` by name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("model", help="a float .tflite file")
    add("-o", "--output", metavar="FILE", help="where the quantized model goes, or a folder for it; left out: only the table")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--mode", choices=get_args(Mode), default="int8", help="default int8")
    modes.add_argument("--all-modes", action="store_true", help=f"side by side: {', '.join(VARIANTS)}; --output is a folder")
    add("--json", action="store_true", help="print one JSON object instead of the table")
    add("--plot", metavar="FILE", help="draw the table as a bar chart: out.png, .svg or .pdf")
    add_data_arguments(parser)
    add_option_arguments(parser)


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments about samples."""
    group = parser.add_argument_group(
        "samples", "DATA is an .npz (an array for each input, by name) or .npy with samples along the first axis, or a folder of one each"
    )
    add = group.add_argument
    add("--calibration", metavar="DATA", help="samples to calibrate on; int8 and int16x8 need them, unless the model carries ranges")
    add("--statistics", metavar="FILE", help="statistics instead of samples: a file of --save-statistics or of Statistics.save")
    add("--save-statistics", metavar="FILE", help="keep what calibration has seen: other modes and methods need no second pass")
    add("--calibration-samples", type=int, default=100, metavar="N", help="how many of them, from the first (default 100)")
    add("--method", choices=get_args(Method), help="how calibration finds ranges (default minmax, in convention ai-edge moving_average)")
    add("--percentile", type=float, default=99.99, metavar="P", help="of --method percentile (default 99.99)")
    add("--evaluate", metavar="DATA", help="samples that the float model and the quantized ones classify")
    add("--evaluate-samples", type=int, metavar="N", help="how many of them, from the first (default all)")
    add("--labels", metavar="NAME", help="their labels: an array of the .npz, or an .npy file (default: labels, label or y, if there)")
    add("--arithmetic", choices=get_args(Arithmetic), default="reference", help="whose integers they are run with (default reference)")
    add("--signature", metavar="KEY", help="that samples are for (default: the first subgraph)")
    add("--nan", choices=get_args(NanPolicy), default="raise", help="what becomes of samples with NaN or infinities (default raise)")
    add_scaling_arguments(group)


def add_option_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``quantize_model``, by its names."""
    group = parser.add_argument_group("options of qcore.quantize_model")
    add, switch = group.add_argument, argparse.BooleanOptionalAction
    add("--convention", choices=get_args(Convention), default="tensorflow", help="whose rules (default tensorflow)")
    add(
        "--input-type",
        choices=("float32", "int8", "uint8", "int16"),
        help="of the quantized model (default float32, in convention ai-edge that of activations)",
    )
    add("--output-type", choices=("float32", "int8", "uint8", "int16"), help="likewise")
    add("--float-fallback", action=switch, help="without: operators that would stay float32 are refused, each by name")
    add("--per-channel", action=switch, help="without: one scale for each weight tensor")
    add("--per-channel-dense", action=switch, help="without: one scale for each FULLY_CONNECTED weight tensor")
    add(
        "--min-elements",
        type=int,
        metavar="N",
        help="smaller weights stay float32 in dynamic_range and weight_only (default 1024, in convention ai-edge 0)",
    )
    add("--weight-type", choices=("int8", "int4"), help="of all modes but float16 (default int8)")
    add("--block-size", type=int, metavar="N", help="a scale for each N int4 weights of a row, a multiple of 32")
    add("--bias-type", choices=("int32", "int64"), help="of int16x8 (default int64)")
    add(
        "--ranges",
        choices=("graph",),
        help="graph: fake quantization in the model, as training leaves it, has all ranges of int8 or int16x8",
    )
    add("--runnable", action=switch, help="keeps float32, or mends, what no TensorFlow Lite kernel runs of int8 and int16x8")
    add(
        "--accuracy",
        metavar="METHODS",
        type=lambda names: names.split(","),
        help="choose weights and biases so that the model computes on the samples of --calibration what the float one does: max, or "
        f"some of {', '.join(METHODS)}, with commas between",
    )
    add("--rules", metavar="FILE", type=Path, help="which operators stay in floating point: JSON as qcore.Rules.to_json writes it")


@dataclass(frozen=True)
class Row:
    """A line of the closing table.

    file: where the model is, or None if it was not written. bytes: its size. evaluation: what it made of the samples of --evaluate.
    baseline: what the float model made of them.
    """

    name: str
    file: Path | None
    bytes: int
    evaluation: Evaluation | None
    baseline: Evaluation | None

    @property
    def accuracy(self) -> float | None:
        """The part of the samples that it classifies right."""
        return None if self.evaluation is None else self.evaluation.accuracy

    @property
    def agreement(self) -> float | None:
        """The part of the samples that it puts in the same class as the float model."""
        return None if self.evaluation is None or self.baseline is None else self.evaluation.agreement(self.baseline)


def execute(args: argparse.Namespace) -> None:
    """Run the command."""
    if args.plot is not None:
        require_matplotlib()
    variants = variants_of(args)
    files = {name: target(args, name) for name in variants}
    model = load(args.model)
    inputs = Inputs.of(model, args.signature, Scaling.of(args))
    data = evaluation_data(args, inputs)
    statistics = calibrated(args, model, inputs) if any(options["mode"] in CALIBRATED for options in variants.values()) else None
    baseline = evaluated(args, model, data)
    rows = [Row("float", Path(args.model), Path(args.model).stat().st_size, baseline, baseline)]
    for name, options in variants.items():
        recovering = "accuracy" in options
        samples = calibration_samples(args, inputs) if recovering else None
        with progress_bar(sys.stderr.isatty() and not recovering, None, f"quantizing to {name}"), warnings_as_lines():
            progress = recovering and sys.stderr.isatty()
            quantized = quantize_model(model, calibration=statistics, samples=samples, progress=progress, **options)
        if (file := files[name]) is not None:
            save(quantized, file)
        rows.append(Row(name, file, len(quantized.to_bytes()), evaluated(args, quantized, data), baseline))
    if args.json:
        print_json(described(rows, statistics))
    else:
        show(rows, statistics)
    if args.plot is not None:
        draw(rows, Path(args.plot))


def variants_of(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Arguments of ``quantize_model`` for each model to make, by its name in the table.

    Raises:
        InputError: the rules cannot be read, or an option applies to none of the modes.
    """
    common = {"convention": args.convention}
    chosen = given_options(args, MODES_OF)
    interface = given_options(args, ("input_type", "output_type"))
    if "rules" in chosen:
        chosen["rules"] = read_rules(chosen["rules"])
    if not args.all_modes:
        return {args.mode: {"mode": args.mode, **common, **chosen, **interface}}
    modes = {options["mode"] for options in VARIANTS.values()}
    if refused := [*interface, *(name for name in chosen if modes.isdisjoint(MODES_OF[name]))]:
        raise InputError(f"--all-modes: --{refused[0].replace('_', '-')} does not apply to it; give one --mode")
    applying = {mode: {name: value for name, value in chosen.items() if mode in MODES_OF[name]} for mode in modes}
    return {name: {**options, **common, **applying[options["mode"]]} for name, options in VARIANTS.items()}


def given_options(args: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Those of some arguments that the command line has."""
    return {name: value for name in names if (value := getattr(args, name)) is not None}


def read_rules(path: Path) -> Rules:
    """The rules in a file.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    try:
        return Rules.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--rules {path}: {error}") from error


def target(args: argparse.Namespace, name: str) -> Path | None:
    """The file for a quantized model, in a folder that is there.

    Raises:
        InputError: it would replace the float model, or there can be no such file.
    """
    if args.output is None:
        return None
    path = Path(args.output)
    try:
        if args.all_modes:
            path.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            path /= f"{Path(args.model).stem}_{name}.tflite"
        if path.exists() and path.samefile(args.model):
            raise InputError(f"--output {path}: is the model itself, which would be lost")
    except OSError as error:
        raise InputError(f"--output {args.output}: {error}") from error
    if not path.parent.is_dir():
        raise InputError(f"--output {path}: there is no folder {path.parent}")
    return path


def calibrated(args: argparse.Namespace, model: Model, inputs: Inputs) -> Statistics | None:
    """Statistics of the samples of --calibration, or those of --statistics, where there are some.

    Raises:
        InputError: they cannot be read or written, or do not fit.
    """
    if args.statistics is not None:
        return loaded_statistics(args)
    samples = calibration_samples(args, inputs)
    if samples is None:
        return None
    method, arithmetic = CALIBRATIONS[args.convention]
    statistics = calibrate(
        model,
        samples,
        args.method or method,
        percentile=args.percentile,
        signature=args.signature,
        nan=args.nan,
        progress=sys.stderr.isatty(),
        arithmetic=arithmetic,
    )
    if args.save_statistics is not None:
        statistics.save(args.save_statistics)
    return statistics


def calibration_samples(args: argparse.Namespace, inputs: Inputs) -> DataSet | None:
    """The samples of --calibration.

    Raises:
        InputError: they cannot be read.
    """
    if args.calibration is None:
        return None
    return DataSet(f"--calibration {args.calibration}", Path(args.calibration), inputs, args.calibration_samples, args.labels)


def loaded_statistics(args: argparse.Namespace) -> Statistics:
    """The statistics of --statistics, with the method that is asked for, if one is.

    Raises:
        InputError: they cannot be read, or samples are given besides.
    """
    if args.calibration is not None or args.save_statistics is not None:
        raise InputError("--statistics: takes the place of samples, it does not go with --calibration or --save-statistics")
    statistics = Statistics.load(args.statistics)
    return replace(statistics, method=args.method, percentile=args.percentile) if args.method else statistics


def evaluation_data(args: argparse.Namespace, inputs: Inputs) -> tuple[DataSet, Array | None] | None:
    """The samples of --evaluate, and their labels where they have some.

    Raises:
        InputError: they cannot be read, or have no labels where such are asked for.
    """
    if args.evaluate is None:
        return None
    samples = DataSet(f"--evaluate {args.evaluate}", Path(args.evaluate), inputs, args.evaluate_samples, args.labels)
    return samples, samples.known_labels(args.labels)


def evaluated(args: argparse.Namespace, model: Model, data: tuple[DataSet, Array | None] | None) -> Evaluation | None:
    """What a model makes of the samples, where there are some."""
    if data is None:
        return None
    samples, labels = data
    shown = sys.stderr.isatty()
    return evaluate(model, samples, labels, signature=args.signature, nan=args.nan, progress=shown, arithmetic=args.arithmetic)


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print warnings as errors are: each a line on standard error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        print(f"warning: {warning.message}", file=sys.stderr)


def described(rows: Sequence[Row], statistics: Statistics | None) -> dict[str, Any]:
    """The table as plain data."""
    return {
        "calibration": None if statistics is None else {"samples": statistics.samples, "method": statistics.method},
        "samples": None if rows[0].evaluation is None else rows[0].evaluation.samples,
        "models": [
            {
                "name": row.name,
                "file": None if row.file is None else str(row.file),
                "bytes": row.bytes,
                "correct": None if row.evaluation is None else row.evaluation.correct,
                "accuracy": row.accuracy,
                "agreement": row.agreement,
            }
            for row in rows
        ],
    }


def show(rows: Sequence[Row], statistics: Statistics | None) -> None:
    """Print the table, and below it what its numbers rest on."""
    columns = {
        "model": [row.name for row in rows],
        "size": [size(row.bytes) for row in rows],
        "of float": [f"{row.bytes / rows[0].bytes:.1%}" for row in rows],
    }
    if rows[0].accuracy is not None:
        columns["accuracy"] = [f"{row.accuracy:.2%}" for row in rows]
    if rows[0].agreement is not None:
        columns["agreement"] = [f"{row.agreement:.2%}" for row in rows]
    numeric = tuple(columns)[1:]
    if rows[-1].file is not None:
        columns["file"] = [str(row.file) for row in rows]
    out = console()
    out.print(table("", tuple(columns), zip(*columns.values(), strict=True), numeric))
    if statistics is not None:
        out.print(f"calibrated on {statistics.samples} samples ({statistics.method})")
    if rows[0].evaluation is not None:
        out.print(f"run on {rows[0].evaluation.samples} samples; agreement: in the same class as by the float model")
