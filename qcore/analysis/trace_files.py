"""Tensors of a run as files of NumPy."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from qcore.analysis.tracing import Traced
from qcore.errors import InputError
from qcore.kernels.opdef import Array


def write_folder(path: str | os.PathLike[str], tensors: Iterable[Traced]) -> None:
    """Write tensors as ``NNNN.npy`` into a folder, with an ``index.json`` that describes them.

    Raises:
        InputError: it cannot be written.
    """
    folder, entries = Path(path), []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for traced in tensors:
            file = f"{traced.index:04d}.npy"
            np.save(folder / file, storable(traced.elements), allow_pickle=False)
            entries.append(traced.as_dict() | {"file": file})
        (folder / "index.json").write_text(json.dumps({"tensors": entries}, indent=1) + "\n")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, Array]) -> None:
    """Write arrays by name to an .npz file; NumPy's own function for it does not take every name.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, storable(array), allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error


def storable(array: Array) -> Array:
    """Strings as fixed-length bytes, and types that NumPy's files do not know as the bits of their elements."""
    if array.dtype == object:
        return array.astype("S")
    return array.view(f"u{array.itemsize}") if array.dtype.kind == "V" else array
