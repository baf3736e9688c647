"""``qcore tune``: the files that it writes, its tables, and how it fails. Runs on the bundled digits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import qcore
from qcore.cli.main import main

DATA = Path(qcore.__file__).parent / "data"
FLOAT, DIGITS = str(DATA / "digits_float.tflite"), str(DATA / "digits.npz")
SAMPLES = ["--data", DIGITS, "--scale", "1/16"]
QUICK = ["--accuracy", "none", "--activations", "int8"]


def tune(*arguments: str) -> int:
    return main(["tune", FLOAT, *SAMPLES, *QUICK, *arguments])


def test_it_writes_the_model_the_rules_and_the_chart_and_says_what_was_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, rules = tmp_path / "tuned.tflite", tmp_path / "rules.json"
    assert tune("--max-bytes", "11500", "--metric", "sqnr", "-o", str(model), "--rules", str(rules), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert model.stat().st_size == found["chosen"]["bytes"] <= 11500
    assert found["met"]
    with np.load(DIGITS) as data:
        calibration = data["images"][::2, ..., np.newaxis] / np.float32(16)
    again = qcore.quantize_model(qcore.load(FLOAT), "int8", calibration, rules=qcore.Rules.from_json(rules.read_text()), runnable=True)
    assert again.to_bytes() == model.read_bytes()


def test_labels_in_the_data_make_accuracy_the_metric(capsys: pytest.CaptureFixture[str]) -> None:
    assert tune("--max-loss", "0.5") == 0
    out = capsys.readouterr().out
    assert "Operators with weights" in out
    assert "bytes, top1" in out
    assert "chosen" in out


def test_the_chart_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert tune("--max-loss", "0.5", "--plot", str(tmp_path / "pareto.png")) == 0
    assert (tmp_path / "pareto.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-bytes", "100"], "the smallest file has 10640 bytes"),
        (["--max-loss", "0.1", "--weights", "int4"], "weights is ['int4']"),
        (["--max-loss", "0.1", "-o", "nowhere/tuned.tflite"], "there is no folder nowhere"),
        (["--max-loss", "0.1", "--jobs", "0"], "--jobs is 0"),
        (["--max-loss", "0.1", "--output-name", "logits"], "output is 'logits'"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_metric_of_labels_needs_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "images.npz", images=np.zeros((4, 8, 8), np.float32))
    assert main(["tune", FLOAT, "--data", str(tmp_path / "images.npz"), "--max-loss", "0.1", "--metric", "top5"]) == 2
    assert "holds no labels" in capsys.readouterr().err
