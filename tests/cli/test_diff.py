"""``qcore diff``: tables, JSON, and exit codes as diff has them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import qcore
from qcore import edit
from qcore.cli.main import main

DIGITS = str(Path(qcore.__file__).parent / "data" / "digits_int8.tflite")
DENSE = "sequential_1/digit_1/MatMul"


@pytest.fixture
def other(tmp_path: Path) -> str:
    model = qcore.load(DIGITS)
    edit.set_constant(model, DENSE, np.zeros(model.tensor(DENSE).shape, np.int8))
    qcore.save(model, tmp_path / "other.tflite")
    return str(tmp_path / "other.tflite")


def test_equal_files_are_one_line_and_exit_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    qcore.save(qcore.load(DIGITS), tmp_path / "same.tflite")
    assert main(["diff", DIGITS, str(tmp_path / "same.tflite"), "--run"]) == 0
    assert capsys.readouterr().out == "the same model\n"


def test_differences_are_tables_and_exit_code_1(other: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", DIGITS, other, "--run"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("the models differ: constants 1, values 2\n")
    assert "first operator whose output differs although its inputs agree: FULLY_CONNECTED (op 8, op 8 of the second)" in out


def test_json_is_what_diff_finds(other: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = np.random.default_rng(0).integers(-128, 128, (1, 8, 8, 1)).astype(np.int8)
    np.save(tmp_path / "image.npy", image)
    assert main(["diff", DIGITS, other, "--run", "--input", str(tmp_path / "image.npy"), "--arithmetic", "xnnpack", "--json"]) == 1
    expected = qcore.diff(DIGITS, other, image, arithmetic="xnnpack").as_dict()
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(expected))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.tflite"], "missing.tflite"),
        ([__file__], "error: "),
        ([DIGITS, "--top", "0"], "--top is 0"),
        ([DIGITS, "--input", "x.npy"], "only --run has a use for it"),
        ([DIGITS, "--run", "--input", "missing.npy"], "missing.npy"),
    ],
)
def test_trouble_is_one_line_and_exit_code_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", DIGITS, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err
