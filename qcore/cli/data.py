"""Data sets for the commands: samples from array files, as a model's inputs want them, and their labels."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import numpy as np

from qcore.calibration.samples import Feeder, Folder, NanPolicy, read_sample
from qcore.cli.inputs import fitted
from qcore.errors import InputError
from qcore.kernels.opdef import Arithmetic, Array
from qcore.model import Model, Tensor
from qcore.runtime.real_values import parameters

LABEL_NAMES = ("labels", "label", "y")
"""What an archive may call its labels."""


def add_scaling_arguments(parser: argparse._ActionsContainer) -> None:
    """Declare how data become the real values of float inputs."""
    scaling = parser.add_mutually_exclusive_group()
    scaling.add_argument(
        "--image-range",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="8-bit pixels: the real values of black and white in float inputs",
    )
    scaling.add_argument(
        "--scale", type=number, metavar="S", help="real values in float inputs are S * (data - Z); a number or a fraction such as 1/255"
    )
    parser.add_argument("--zero-point", type=float, metavar="Z", help="see --scale (default 0)")


def add_sample_arguments(parser: argparse.ArgumentParser, without: str | None = None, count: int | None = 16) -> None:
    """Declare which samples a command runs, and how.

    Args:
        parser: of the command.
        without: what becomes of it without --data; None where it needs them.
        count: how many it takes unless told; None for all.
    """
    add = parser.add_argument
    add(
        "--data",
        metavar="DATA",
        required=without is None,
        help="samples: an .npz (an array for each input, by name) or .npy with samples along the first axis, or a folder of one each"
        + ("" if without is None else f"; {without}"),
    )
    add("--samples", type=int, default=count, metavar="N", help=f"how many of them, from the first (default {count or 'all'})")
    add("--arithmetic", choices=get_args(Arithmetic), default="reference", help="whose integers (default reference)")
    add("--nan", choices=get_args(NanPolicy), default="raise", help="what becomes of samples with NaN or infinities (default raise)")
    add_scaling_arguments(parser)


def number(text: str) -> float:
    """A number, or a fraction of two."""
    try:
        return float(Fraction(text))
    except ZeroDivisionError:
        raise argparse.ArgumentTypeError(f"division by zero: {text!r}") from None


@dataclass(frozen=True)
class Scaling:
    """Real values from data: ``real = factor * data + offset``."""

    factor: float
    offset: float

    @classmethod
    def of(cls, args: argparse.Namespace) -> Scaling | None:
        """What the command line asks for.

        Raises:
            InputError: a zero point without a scale.
        """
        if args.image_range is not None:
            low, high = args.image_range
            return cls((high - low) / 255, low)
        if args.scale is not None:
            return cls(args.scale, -args.scale * (args.zero_point or 0))
        if args.zero_point is not None:
            raise InputError("--zero-point: it needs --scale")
        return None


@dataclass(frozen=True)
class Inputs:
    """The inputs that samples are for.

    numbers: tensor number of each input by the names it may be given.
    tensors: the inputs by number, in order.
    scaling: of data for float inputs; integers need one.
    """

    numbers: Mapping[str, int]
    tensors: Mapping[int, Tensor]
    scaling: Scaling | None

    @classmethod
    def of(cls, model: Model, signature: str | None, scaling: Scaling | None) -> Inputs:
        """Those of a signature, or of the first subgraph.

        Raises:
            InputError: there is no such signature.
        """
        subgraph, numbers = Feeder(model).entry(signature, "--signature")
        graph = model.subgraphs[subgraph]
        return cls(numbers, {i: graph.tensors[i] for i in graph.inputs}, scaling)

    def as_real(self) -> Inputs:
        """The same, as real numbers where a scaling says what data stand for: quantized inputs are then quantized from these."""
        if self.scaling is None:
            return self
        real = {i: replace(t, dtype="float32") if parameters(t) is not None else t for i, t in self.tensors.items()}
        return replace(self, tensors=real)

    def in_order(self, where: str, content: Any) -> Sequence[Array]:
        """A file's arrays in the order of the inputs; the array of a single input may have any name.

        Raises:
            InputError: they are not those of the inputs.
        """
        if isinstance(content, Mapping) and len(content) == len(self.tensors) == 1:
            return list(content.values())
        if isinstance(content, Mapping):
            given = {self.numbers[name]: array for name, array in content.items() if name in self.numbers}
            if given.keys() != self.tensors.keys() or len(given) != len(content):
                names = ", ".join({index: name for name, index in self.numbers.items()}.values())
                raise InputError(f"{where}: holds {', '.join(content) or 'nothing'}; expected labels and an array for each input: {names}")
            return [given[index] for index in self.tensors]
        arrays = [content] if isinstance(content, np.ndarray) else list(content)
        if len(arrays) != len(self.tensors):
            raise InputError(f"{where}: holds {len(arrays)} arrays, the model has {len(self.tensors)} inputs")
        return arrays

    def values(self, where: str, arrays: Sequence[Array]) -> list[Array]:
        """A sample's arrays in the inputs' shapes; real values for float inputs, else as they are.

        Raises:
            InputError: integers for a float input, and no scaling.
        """
        return [self._value(where, tensor, np.asarray(array)) for tensor, array in zip(self.tensors.values(), arrays, strict=True)]

    def _value(self, where: str, tensor: Tensor, array: Array) -> Array:
        array = fitted(array, tensor.shape)
        if tensor.dtype != "float32" or array.dtype.kind not in "fiu":
            return array
        if self.scaling is not None:
            return (array * self.scaling.factor + self.scaling.offset).astype(np.float32)
        if array.dtype.kind in "iu":
            raise InputError(
                f"{where}: holds {array.dtype} for the float32 input '{tensor.name}'; say which real values the model was trained on: "
                "--image-range LOW HIGH, or --scale S and --zero-point Z"
            )
        return array


def read_samples(args: argparse.Namespace, inputs: Inputs, labels: str | None = None) -> DataSet:
    """The samples that ``add_sample_arguments`` has declared; labels: what --data may call theirs, besides the usual names."""
    return DataSet(f"--data {args.data}", Path(args.data), inputs, args.samples, labels)


def read_inputs(args: argparse.Namespace, model: Model) -> Inputs:
    """The inputs of --signature that they are for."""
    return Inputs.of(model, args.signature, Scaling.of(args))


class DataSet:
    """Samples, each a list of arrays in the order of the inputs, and labels where they are known.

    Args:
        where: for messages: the option and the path.
        path: an .npz or .npy file with samples along each array's first axis, or a folder of such files that hold a sample each.
        inputs: that the samples are for.
        count: how many samples to take, from the first; None for all.
        labels: what an .npz calls its labels, if it is none of "labels", "label" and "y".

    Raises:
        InputError: the data cannot be read, or do not fit the inputs.
    """

    def __init__(self, where: str, path: Path, inputs: Inputs, count: int | None = None, labels: str | None = None):
        if count is not None and count < 1:
            raise InputError(f"{where}: {count} samples asked for, expected at least 1")
        self.where, self.inputs, self.count = where, inputs, count
        self.label_name: str | None = None
        self.labels: Array | None = None
        self.source: Folder | list[Any]
        if path.is_dir():
            self.source = Folder(path)
            return
        content = read_sample(path)
        if isinstance(content, Mapping):
            self.label_name = next((n for n in (labels, *LABEL_NAMES) if n in content and n not in inputs.numbers), None)
            self.labels = content.get(self.label_name)
            content = {name: array for name, array in content.items() if name != self.label_name}
        arrays = inputs.in_order(where, content)
        lengths = {array.shape[:1] for array in arrays}
        if len(lengths) != 1 or lengths <= {(), (0,)}:
            shapes = ", ".join(str(list(array.shape)) for array in arrays)
            raise InputError(f"{where}: arrays of shape {shapes}, expected as many samples along the first axis of each")
        self.source = list(zip(*arrays, strict=True))

    def __len__(self) -> int:
        return len(self.source) if self.count is None else min(self.count, len(self.source))

    def __iter__(self) -> Iterator[list[Array]]:
        for sample in islice(self.source, self.count):
            yield self.inputs.values(self.where, self.inputs.in_order(self.where, sample))

    def known_labels(self, asked: str | None) -> Array | None:
        """The labels of the samples taken.

        Args:
            asked: an .npy file that holds them; else the name they must be found by, or None if there may be none.

        Raises:
            InputError: there are none, or not as many as samples.
        """
        if asked is not None and asked.endswith(".npy"):
            labels: Array | None = np.asarray(read_sample(Path(asked)))
        elif asked in (None, self.label_name):
            labels = self.labels
        else:
            raise InputError(f"{self.where}: has no labels {asked!r}")
        if labels is not None and labels.shape[:1] != (len(self.source),):
            raise InputError(f"{self.where}: labels of shape {list(labels.shape)} for {len(self.source)} samples")
        return None if labels is None else labels[: len(self)]
