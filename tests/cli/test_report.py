"""``qcore report``: the files it writes, what it prints, and how it fails. Runs on the bundled digits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import qcore
from qcore.cli.main import main

DATA = Path(qcore.__file__).parent / "data"
FLOAT, INT8, DIGITS = (str(DATA / name) for name in ("digits_float.tflite", "digits_int8.tflite", "digits.npz"))


def test_it_writes_the_page_and_node_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, nodes = tmp_path / "report.html", tmp_path / "out.json"
    options = ["--data", DIGITS, "--scale", "1/16", "--samples", "3", "--node-data", str(nodes), "--by", "cumulative"]
    assert main(["report", FLOAT, INT8, "-o", str(page), *options]) == 0
    out = capsys.readouterr().out
    assert "10 operators" in out
    assert "top-1 agreement 100.00%" in out
    assert page.read_bytes().startswith(b"<!doctype html>")
    assert json.loads(nodes.read_text())["main"]["name"] == "qcore: cumulative SQNR (dB)"


def test_json_is_what_the_page_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "report.html"
    assert main(["report", FLOAT, INT8, "-o", str(page), "--json"]) == 0
    out = capsys.readouterr().out
    assert out.strip() in page.read_text()
    assert json.loads(out)["comparison"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([FLOAT, "missing.tflite"], "missing.tflite"),
        ([FLOAT, INT8, "--data", DIGITS], "--scale"),
        ([FLOAT, INT8, "--samples", "0"], "--samples is 0"),
        ([FLOAT, INT8, "--node-data", "out.json"], "it needs --data"),
        ([FLOAT, INT8, "--signature", "none"], "no signature 'none'"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", *arguments, "-o", str(tmp_path / "out.html")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert list(tmp_path.iterdir()) == []
