"""Models from and to files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from qcore.errors import InputError
from qcore.model import Model
from qcore.schema.reader import read
from qcore.schema.writer import file_parts


def load(source: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO) -> Model:
    """The model in a file.

    A file is read once, as a whole, and not mapped into memory: a mapped file that another process shortens takes this one down.

    Args:
        source: a path, the file's bytes, or a file open for reading bytes.

    Raises:
        InputError: there is no such file, or it cannot be read.
        ModelError: the bytes are no ``.tflite`` file, or a damaged one.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return read(source)
    return read(_contents(source))


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Writes a model to a file, whole or not at all.

    Raises:
        ModelError: the model is inconsistent; no file is touched.
        InputError: the file cannot be written; what was there before still is.
    """
    write_whole("save", path, file_parts(model))


def write_whole(what: str, path: str | os.PathLike[str], parts: Iterable[bytes | memoryview]) -> None:
    """Writes a file, whole or not at all; what: writes it, for messages.

    Raises:
        InputError: it cannot be written, or the path is none; what was there before still is.
    """
    try:
        _replace(path, parts)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{what}: cannot write {str(path)!r}: {error}") from error


def _replace(path: str | os.PathLike[str], parts: Iterable[bytes | memoryview]) -> None:
    """The bytes go to a new file in the same folder, which takes the place of ``path`` once they are all on the disk."""
    target = Path(path).resolve()
    temporary = target.with_name(f".{os.urandom(8).hex()}.tmp")
    try:
        with temporary.open("xb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _contents(source: str | os.PathLike[str] | BinaryIO) -> bytes:
    name = getattr(source, "name", source)
    try:
        if isinstance(source, str | os.PathLike):
            return Path(source).read_bytes()
        data = source.read()
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"load: cannot read {name!r}: {error}") from error
    if not isinstance(data, bytes):
        raise InputError(f"load: reading {name!r} gave {type(data).__name__}, expected bytes (open files with mode 'rb')")
    return data
