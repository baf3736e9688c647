"""Models from and to files: what counts as a source, and that a file is written whole or not at all."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qcore.errors import InputError, ModelError
from qcore.model import Model
from qcore.schema import load, save, verify, write


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_kind_of_source_gives_the_same_model(rich_bytes: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(rich_bytes)
    with path.open("rb") as file:
        from_file = load(file)
    spread = memoryview(b"".join(bytes([byte, 0]) for byte in rich_bytes))[::2]
    sources = [str(path), path, rich_bytes, bytearray(rich_bytes), memoryview(rich_bytes), spread, io.BytesIO(rich_bytes)]
    for model in [from_file, *map(load, sources)]:
        assert write(model) == rich_bytes


def test_bytes_that_may_change_are_copied(rich_bytes: bytes) -> None:
    source = bytearray(rich_bytes)
    model = load(source)
    source[:] = bytes(len(source))
    assert write(model) == rich_bytes
    assert not model.buffers[1].data.flags.writeable  # type: ignore[union-attr]


def test_bytes_that_cannot_change_are_not_copied(rich_bytes: bytes) -> None:
    for source in (rich_bytes, memoryview(rich_bytes)):
        data = load(source).buffers[1].data
        assert data is not None
        assert np.shares_memory(data, np.frombuffer(rich_bytes, np.uint8))
        assert not data.flags.writeable


@pytest.mark.parametrize("source", ["missing.tflite", ".", "a\0b", 5, None])
def test_what_cannot_be_read_is_named(source: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="^load: cannot read "):
        load(source)  # type: ignore[arg-type]


def test_a_file_opened_for_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_text("text")
    with path.open() as file, pytest.raises(InputError, match=r"gave str, expected bytes \(open files with mode 'rb'\)"):
        load(file)  # type: ignore[arg-type]


@pytest.mark.parametrize("source", [b"", b"TFL3", memoryview(b""), bytearray(8), b"PK\x03\x04" + bytes(60)])
def test_bytes_that_are_no_model_are_refused(source: bytes) -> None:
    with pytest.raises(ModelError, match="^file, byte "):
        load(source)
    with pytest.raises(ModelError, match="^file, byte "):
        verify(source)


def test_saving_replaces_a_file_and_leaves_nothing_else(rich_model: Model, rich_bytes: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"before")
    save(rich_model, path)
    assert path.read_bytes() == rich_bytes
    assert _names(tmp_path) == ["m.tflite"]


def test_saving_through_a_link_keeps_the_link(rich_model: Model, rich_bytes: bytes, tmp_path: Path) -> None:
    target, link = tmp_path / "target.tflite", tmp_path / "link.tflite"
    target.write_bytes(b"before")
    link.symlink_to(target)
    save(rich_model, link)
    assert link.is_symlink()
    assert target.read_bytes() == rich_bytes


def test_an_inconsistent_model_touches_no_file(rich_model: Model, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"before")
    rich_model.version = 4
    with pytest.raises(ModelError):
        save(rich_model, path)
    assert path.read_bytes() == b"before"
    assert _names(tmp_path) == ["m.tflite"]


@pytest.mark.parametrize("fails", ["os.fsync", "pathlib.Path.replace"])
def test_a_write_that_fails_leaves_what_was_there(fails: str, rich_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    path = tmp_path / "m.tflite"
    path.write_bytes(b"before")
    monkeypatch.setattr(fails, fail)
    with pytest.raises(InputError, match=r"^save: cannot write '.*m.tflite': disk full"):
        save(rich_model, path)
    assert path.read_bytes() == b"before"
    assert _names(tmp_path) == ["m.tflite"]


@pytest.mark.parametrize("path", ["missing/m.tflite", "folder"])
def test_a_path_that_cannot_be_written_is_named(path: str, rich_model: Model, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="^save: cannot write "):
        save(rich_model, tmp_path / path)
    assert _names(tmp_path) == ["folder"]


def test_importing_the_schema_loads_no_compiler_and_no_interpreter() -> None:
    code = "import sys, qcore.schema; print([name for name in ('numba', 'tensorflow', 'rich', 'qcore.runtime') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert result.stdout.strip() == "[]"
