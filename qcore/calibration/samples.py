"""Sample data in all the forms it comes in, and what each sample gives the model's inputs."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from qcore.errors import InputError, QCoreError
from qcore.kernels.opdef import Array
from qcore.model import Model, Tensor
from qcore.numerics.dtypes import element_type
from qcore.runtime.real_values import parameters, to_elements

Sample = Any
"""An array, a list of arrays, a mapping from input name to array, or a pair of a signature's key and such a mapping."""
Samples = Iterable[Sample] | Callable[[], Iterable[Sample]] | str | os.PathLike[str]

NanPolicy = Literal["raise", "ignore"]

LARGEST_ARCHIVE = 1 << 32
"""Bytes that the arrays of an ``.npz`` file may take in memory."""


def iterate(samples: Samples, what: str = "samples") -> Iterable[Sample]:
    """The samples one after another.

    Args:
        samples: an iterable of them; a function that gives one, as TensorFlow's representative_dataset; or a folder, whose ``.npy`` (one
            array) and ``.npz`` files (arrays by input name) are a sample each, in the order of their names.
        what: they are, for messages.

    Raises:
        InputError: none of these, a folder that cannot be read, or a function that fails. Where an iterable fails, drawing from what is
            returned does.
    """
    if isinstance(samples, str | os.PathLike):
        return Folder(Path(samples))
    try:
        found = samples() if callable(samples) else samples
    except QCoreError:
        raise
    except Exception as error:
        raise InputError(f"{what}: the function that gives them failed: {type(error).__name__}: {error}") from error
    if isinstance(found, Mapping) or not isinstance(found, Iterable) or (isinstance(found, np.ndarray) and found.ndim == 0):
        raise InputError(f"{what}: got {type(found).__name__}, expected an iterable of {what}; a single one goes into a list")
    return Counted(found, what) if isinstance(found, Sized) else Drawn(found, what)


class Drawn:
    """What an iterable of the caller's gives; an InputError where it fails."""

    def __init__(self, samples: Iterable[Sample], what: str):
        self.samples, self.what = samples, what

    def __iter__(self) -> Iterator[Sample]:
        count = 0
        try:
            for sample in self.samples:
                yield sample
                count += 1
        except QCoreError:
            raise
        except Exception as error:
            raise InputError(f"{self.what}: drawing failed after {count}: {type(error).__name__}: {error}") from error


class Counted(Drawn):
    """The same of one that knows how many there are."""

    def __len__(self) -> int:
        assert isinstance(self.samples, Sized)
        return len(self.samples)


class Folder:
    """The array files of a folder, each read when its turn comes.

    Raises:
        InputError: the folder cannot be read.
    """

    def __init__(self, path: Path):
        try:
            self.files = sorted(file for file in path.iterdir() if file.suffix in (".npy", ".npz"))
        except (OSError, ValueError) as error:
            raise InputError(f"samples: cannot read the folder {str(path)!r}: {error}") from error

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Sample]:
        return map(read_sample, self.files)


def read_sample(file: Path) -> Sample:
    """The sample in an array file. Arrays that ``np.savez`` was given without names go to the inputs in order.

    Raises:
        InputError: it cannot be read, is damaged, or unpacks to more than LARGEST_ARCHIVE.
    """
    try:
        if not file.is_file():
            raise OSError("no regular file")
        with file.open("rb") as stream:
            if zipfile.is_zipfile(stream):
                size = sum(entry.file_size for entry in zipfile.ZipFile(stream).infolist())
                if size > LARGEST_ARCHIVE:
                    raise OSError(f"it unpacks to {size} bytes, at most {LARGEST_ARCHIVE} are read")
            stream.seek(0)
            loaded = np.load(stream, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                return loaded
            arrays = dict(loaded)
    except Exception as error:
        raise InputError(f"samples: cannot read {str(file)!r}: {error}") from error
    in_order = [f"arr_{n}" for n in range(len(arrays))]
    return [arrays[name] for name in in_order] if arrays.keys() == set(in_order) else arrays


@dataclass(frozen=True)
class Feed:
    """What a sample gives the model: values of a subgraph's inputs, by tensor number."""

    subgraph: int
    values: dict[int, Array]


class Feeder:
    """Turns samples into feeds for one model, and refuses those that do not fit.

    Args:
        model: the one to run.
        signature: key of the signature that samples go to which name none; None for the first subgraph.
        nan: "raise" refuses samples with NaN or infinities.

    Raises:
        InputError: no such signature, or no such policy.
    """

    def __init__(self, model: Model, signature: str | None = None, nan: NanPolicy = "raise"):
        if nan not in ("raise", "ignore"):
            raise InputError(f"calibrate: nan is {nan!r}, expected 'raise' or 'ignore'")
        self.model = model
        self.nan = nan
        self.entries = {s.key: (s.subgraph_index, dict(s.inputs)) for s in model.signatures or []}
        if signature is not None:
            self.entry(signature, "calibrate")
        self.signature = signature

    def entry(self, signature: str | None, where: str) -> tuple[int, dict[str, int]]:
        """A subgraph, and its inputs by the names they may be given."""
        if signature is None:
            graph = self.model.subgraphs[0]
            names = {graph.tensors[i].name: i for i in graph.inputs}
            for subgraph, inputs in self.entries.values():
                names.update(inputs if subgraph == 0 else {})
            return 0, names
        if signature not in self.entries:
            raise InputError(f"{where}: no signature {signature!r}, the model has {sorted(self.entries)}")
        return self.entries[signature]

    def feed(self, number: int, sample: Sample) -> Feed:
        """What a sample gives the model.

        Args:
            number: of the sample, for messages.
            sample: in one of its forms.

        Raises:
            InputError: it does not fit the model; the message names sample and input.
        """
        where = f"sample {number}"
        signature = self.signature
        if isinstance(sample, tuple) and len(sample) == 2 and isinstance(sample[0], str) and isinstance(sample[1], Mapping):
            signature, sample = sample
        subgraph, names = self.entry(signature, where)
        graph = self.model.subgraphs[subgraph]
        if isinstance(sample, Mapping):
            given = {names[name]: value for name, value in sample.items() if name in names}
            if len(given) != len(sample) or given.keys() != set(graph.inputs):
                expected = {index: name for name, index in names.items()}
                raise InputError(f"{where}: got inputs {list(sample)}, expected {list(expected.values())}")
        else:
            arrays = list(sample) if isinstance(sample, list | tuple) else [sample]
            if len(arrays) != len(graph.inputs):
                raise InputError(f"{where}: got {len(arrays)} arrays, the model has {len(graph.inputs)} inputs")
            given = dict(zip(graph.inputs, arrays, strict=True))
        return Feed(subgraph, {i: self.value(f"{where}, input '{graph.tensors[i].name}'", graph.tensors[i], v) for i, v in given.items()})

    def value(self, where: str, tensor: Tensor, value: Any) -> Array:
        """One input's value in its type and shape."""
        try:
            array = np.asarray(value)
        except Exception as error:
            raise InputError(f"{where}: not an array: {error}") from error
        array = in_shape(where, tensor, array)
        array = in_type(where, tensor, array)
        if array.dtype.kind == "f" and self.nan == "raise":
            finite = np.isfinite(array)
            if not finite.all():
                place = tuple(int(i) for i in np.argwhere(~finite)[0])
                raise InputError(
                    f"{where}: {array.size - int(finite.sum())} values are NaN or infinite, the first, {array[place]}, at {place}; "
                    "nan='ignore' lets them through"
                )
        return to_elements(tensor, array)


def in_shape(where: str, tensor: Tensor, array: Array) -> Array:
    """The array, with a first dimension of 1 where just that is missing; dimensions that the file leaves open may have any size."""
    fixed = tensor.shape if tensor.shape_signature is None else tensor.shape_signature
    if array.ndim == len(fixed) - 1 and fixed[0] in (-1, 1):
        array = array[np.newaxis]
    if array.ndim != len(fixed) or any(f not in (-1, n) for f, n in zip(fixed, array.shape, strict=True)):
        raise InputError(f"{where}: got shape {list(array.shape)}, expected {list(fixed)}")
    if not array.size:
        raise InputError(f"{where}: got shape {list(array.shape)}, which holds nothing")
    return array


def in_type(where: str, tensor: Tensor, array: Array) -> Array:
    """The array in the input's type: floats of another width are rounded, integers must keep their value. Floats for a quantized input,
    which are real values, are left.
    """
    storage = element_type(tensor.dtype).storage
    if array.dtype.kind == "f" and parameters(tensor) is not None:
        return array
    if tensor.dtype == "string" and array.dtype.kind in "SUO":
        return array
    if storage is not None and array.dtype == storage:
        return array
    if storage is not None and storage.kind == "f" and array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return array.astype(storage)
    if storage is not None and storage.kind in "iu" and array.dtype.kind in "iu":
        cast = array.astype(storage)
        if np.array_equal(cast, array):
            return cast
    hint = "; scale it as the model was trained on" if array.dtype.kind in "iub" and storage is not None and storage.kind == "f" else ""
    raise InputError(f"{where}: got {array.dtype}, expected {tensor.dtype}{hint}")
