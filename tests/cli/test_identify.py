"""``qcore identify``: what it prints of dumps in files, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import qcore
from qcore.cli.main import main

DIGITS = str(Path(qcore.__file__).parent / "data" / "digits_int8.tflite")


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Options for a run of the builtin kernels on random images: inputs, outputs, all tensors."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(-128, 128, (64, 8, 8, 1)).astype(np.int8))
    options = ["--input", str(tmp_path / "x.npy"), "--arithmetic", "builtin"]
    assert main(["run", DIGITS, *options, "--output", str(tmp_path / "y.npz"), "--trace", str(tmp_path / "trace")]) == 0
    assert main(["trace", DIGITS, *options, "-o", str(tmp_path / "t.npz")]) == 0
    return ["--input", str(tmp_path / "x.npy"), "--output", str(tmp_path / "y.npz")]


def test_tensors_come_from_an_archive_or_a_folder(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents = []
    for tensors in ("t.npz", "trace"):
        capsys.readouterr()
        assert main(["identify", DIGITS, *files, "--tensors", str(tmp_path / tensors), "--json"]) == 0
        documents.append(json.loads(capsys.readouterr().out))
    assert documents[0] == documents[1]
    assert (documents[0]["arithmetic"], documents[0]["first_misfit"]) == ("builtin", None)


def test_the_table_shows_what_tells_arithmetics_apart(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["identify", DIGITS, *files, "--tensors", str(tmp_path / "t.npz")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("made by builtin\n")
    for part in ("CONV_2D", "differ, by 1 step ", "equal"):
        assert part in out
    assert "MAX_POOL_2D" not in out
    assert main(["identify", DIGITS, *files, "--tensors", str(tmp_path / "t.npz"), "--all"]) == 0
    assert "MAX_POOL_2D" in capsys.readouterr().out


def test_the_first_misfit_is_named(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load(tmp_path / "y.npz") as archive:
        (output,) = archive.values()
    np.save(tmp_path / "wrong.npy", output ^ 3)
    files[-1] = str(tmp_path / "wrong.npy")
    capsys.readouterr()
    assert main(["identify", DIGITS, *files, "--tensors", str(tmp_path / "t.npz")]) == 0
    assert "first operator where none fits: SOFTMAX (op 9), tensor 'StatefulPartitionedCall_1:0'" in capsys.readouterr().out


def test_an_error_is_one_line_and_exit_code_2(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken").mkdir()
    np.savez(tmp_path / "other.npz", other=np.zeros(3))
    np.save(tmp_path / "other.npy", np.zeros(3, np.int8))
    for arguments, message in [
        (["missing.tflite", *files], "missing.tflite"),
        ([DIGITS, *files, "--tensors", str(tmp_path / "broken")], "its index.json cannot be read"),
        ([DIGITS, *files, "--tensors", str(tmp_path / "other.npz")], "tensor 'other': the model has no tensor of that name"),
        ([DIGITS, *files[:2], "--output", str(tmp_path / "other.npz")], "output 'other': the model has no output of that name"),
        ([DIGITS, *files[:2], "--output", "missing.npy"], "--output missing.npy"),
    ]:
        capsys.readouterr()
        assert main(["identify", *arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert message in captured.err
