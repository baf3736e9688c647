"""The command lint: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qcore import run
from qcore.cli.main import main

DATA = Path(run.__file__).parent / "data"


@pytest.mark.parametrize(
    ("file", "target", "code"), [("digits_int8", "tflm", 0), ("digits_int8", "ethos-u", 0), ("digits_float", "edgetpu", 1)]
)
def test_exit_code_is_1_where_there_are_errors(file: str, target: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", str(DATA / f"{file}.tflite"), "--target", target]) == code
    assert f"{target}: " in capsys.readouterr().out


def test_trouble_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", str(tmp_path / "none.tflite")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_json_has_every_finding_and_the_table_one_line_for_those_alike(capsys: pytest.CaptureFixture[str]) -> None:
    model = str(DATA / "digits_float.tflite")
    main(["lint", model, "--target", "ethos-u", "--json"])
    report = json.loads(capsys.readouterr().out)
    alike = [f for f in report["findings"] if f["rule"] == "ethos-u/type"]
    assert len(alike) > 3
    main(["lint", model, "--target", "ethos-u"])
    assert capsys.readouterr().out.count("ethos-u/type ") == len({f["fix"] for f in alike}) < len(alike)
    main(["lint", model, "--target", "ethos-u", "--full"])
    assert capsys.readouterr().out.count("ethos-u/type ") == len(alike)
