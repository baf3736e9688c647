"""The command vectors: what it writes and says, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from qcore import run
from qcore.cli.main import main

DIGITS = str(Path(run.__file__).parent / "data" / "digits_int8.tflite")


def test_one_operator_on_the_input_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 8, 8, 1), np.float32))
    assert (
        main(["vectors", DIGITS, "--op", "8", "-o", str(tmp_path / "v"), "--input", str(tmp_path / "x.npy"), "--arithmetic", "builtin"])
        == 0
    )
    assert "HalfUpRounding (16)" in capsys.readouterr().out
    with np.load(tmp_path / "v" / "op008_fully_connected.npz") as archive:
        assert archive["output"].shape == (5, 1, 10)
        assert archive["multiplier"].dtype == np.int32


def test_all_operators_as_headers_and_what_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vectors", DIGITS, "--all", "-o", str(tmp_path), "--format", "c", "--count", "0", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [Path(v["file"]).name for v in report["vectors"]] == sorted(path.name for path in tmp_path.glob("*.h"))
    assert [reason.split(" ")[0] for reason in report["left_out"]] == ["SHAPE", "STRIDED_SLICE", "PACK"]
    assert (tmp_path / "README.md").read_text().count(".h |") == len(report["vectors"])


@pytest.mark.parametrize("arguments", [["--op", "99"], ["--op", "4"], ["--op", "0", "--seed", "-1"], ["--op", "0", "--input", "none.npy"]])
def test_trouble_is_one_line_and_exit_code_2(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vectors", DIGITS, "-o", str(tmp_path / "v"), *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "v").exists()
