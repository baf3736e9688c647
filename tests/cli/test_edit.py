"""``qcore edit``: the file that comes out, what is said of it, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import qcore
from qcore.cli.main import main

DIGITS = str(Path(qcore.__file__).parent / "data" / "digits_int8.tflite")
IMAGE, DENSE = "serving_default_image:0", "sequential_1/digit_1/MatMul"


def test_all_edits_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names of the file hold for every option; the new name is there in the end."""
    np.save(tmp_path / "zeros.npy", np.zeros(qcore.load(DIGITS).tensor(DENSE).shape, np.float32))
    options = ["--rescale", f"{IMAGE}=0.005,-100", "--constant", f"{DENSE}={tmp_path}/zeros.npy", "--rename", f"{IMAGE}=image"]
    out = str(tmp_path / "out.tflite")
    assert main(["edit", DIGITS, "-o", out, *options, "--input-type", "float32", "--strip", "metadata"]) == 0
    assert capsys.readouterr().out.startswith(f"{out}: 1")
    model = qcore.load(out)
    assert model.metadata is None
    assert model.tensor("image").dtype == "float32"
    q = model.tensor(f"{IMAGE}_int8").quantization
    assert q is not None
    assert (q.scale[0], q.zero_point[0]) == (np.float32(0.005), -100)


def test_json_is_the_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out.tflite")
    assert main(["edit", DIGITS, "-o", out, "--strip", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(qcore.diff(DIGITS, out).as_dict()))


def test_operators_that_no_longer_fit_are_refused_unless_unchecked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.tflite"
    arguments = ["edit", DIGITS, "-o", str(out), "--rescale", "sequential_1/flatten_1/Reshape=0.05"]
    assert main(arguments) == 2
    assert "RESHAPE (op 7" in capsys.readouterr().err
    assert not out.exists()
    assert main([*arguments, "--unchecked"]) == 0
    assert out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rename", "x"], "--rename x: expected NAME=VALUE"),
        (["--rename", "none=x"], "no tensor named 'none'"),
        (["--rescale", f"{IMAGE}=much"], "'much' is no float"),
        (["--rescale", f"{IMAGE}=0.1,half"], "'half' is no int"),
        (["--constant", f"{DENSE}=missing.npy"], "--constant missing.npy"),
        (["--input-type", "int16"], "has other codes"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["edit", DIGITS, "-o", str(tmp_path / "out.tflite"), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert list(tmp_path.iterdir()) == []
