"""Find where a quantized model departs from its float model, operator by operator."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

from qcore.analysis import compare
from qcore.analysis.comparison import View
from qcore.analysis.sides import Side, corresponding
from qcore.cli.chart import require_matplotlib
from qcore.cli.data import DataSet, add_sample_arguments, read_inputs, read_samples
from qcore.cli.inputs import generator
from qcore.cli.terminal import console
from qcore.errors import InputError
from qcore.kernels.opdef import Array
from qcore.model import Model
from qcore.runtime.plan import Settings
from qcore.runtime.real_values import random_elements
from qcore.schema import load

ROWS = 20
"""Operators in the table, where nothing else is asked for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("float_model", metavar="A", help="a .tflite file: the model that is right, float as a rule")
    add("quantized_model", metavar="B", help="a .tflite file: the one to judge")
    add_sample_arguments(parser, "random inputs where left out")
    add("--seed", type=int, default=0, help="of random inputs (default 0)")
    add("--top", type=int, metavar="N", help=f"how many operators to show, the worst (default {ROWS}; with --json all)")
    add(
        "--by",
        choices=get_args(View),
        default="isolated",
        help="whose SQNR is the worst: the operator's alone, or in the model (default isolated)",
    )
    add("--json", action="store_true", help="print one JSON object instead of tables")
    add("--plot", metavar="FILE", help="draw the SQNR of every operator, in the model's order, such as out.png")
    add("--signature", metavar="KEY", help="compare the subgraphs of this signature (default: the first ones)")


def execute(args: argparse.Namespace) -> None:
    """Run the command."""
    if args.samples < 1 or (args.top is not None and args.top < 1):
        raise InputError(f"--samples is {args.samples} and --top {args.top}, expected at least 1")
    if args.plot is not None:
        require_matplotlib()
    models = load(args.float_model), load(args.quantized_model)
    found = compare(
        *models,
        samples(args, *models),
        signature=args.signature,
        nan=args.nan,
        progress=sys.stderr.isatty(),
        arithmetic=args.arithmetic,
    )
    if args.data is None:
        found = replace(found, notes=(f"random inputs (seed {args.seed}); real ones, by --data, may give other errors", *found.notes))
    if args.plot is not None:
        found.plot(args.plot)
    if args.json:
        print(found.to_json(args.top, args.by))
    else:
        console().print(found.table(args.top or ROWS, args.by))


def samples(args: argparse.Namespace, float_model: Model, quantized_model: Model) -> DataSet | Iterator[list[Array]]:
    """The samples of --data, else random ones."""
    if args.data is None:
        return random_samples(args, float_model, quantized_model)
    return read_samples(args, read_inputs(args, float_model))


def random_samples(args: argparse.Namespace, float_model: Model, quantized_model: Model) -> Iterator[list[Array]]:
    """Random inputs of the float model: where the quantized one quantizes an input, any values that its codes stand for."""
    (a, b), ends, _ = corresponding(float_model, quantized_model, args.signature)
    graph, quantized, counterparts = float_model.subgraphs[a], Side(quantized_model, b, Settings()), dict(ends)
    rng = generator(args.seed)

    def draw(i: int) -> Array:
        tensor = graph.tensors[i]
        codes = next((form for form in quantized.flow.forms[counterparts[i]] if quantized.scale(form) is not None), None)
        if codes is None or tensor.dtype != "float32":
            return random_elements(tensor, tensor.shape, rng)
        return quantized.to_real(codes, random_elements(quantized.graph.tensors[codes], tensor.shape, rng))

    for _ in range(args.samples):
        yield [draw(i) for i in graph.inputs]
