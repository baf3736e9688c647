"""``qcore evaluate``: its table and JSON, and how it fails. Runs on the bundled digits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import qcore
from qcore.analysis.evaluation import evaluate
from qcore.cli.main import main
from qcore.cli.terminal import size

DATA = Path(qcore.__file__).parent / "data"
FLOAT, INT8, DIGITS = (str(DATA / name) for name in ("digits_float.tflite", "digits_int8.tflite", "digits.npz"))
SAMPLES = ["--data", DIGITS, "--scale", "1/16", "--samples", "40"]


def digits() -> tuple[np.ndarray, np.ndarray]:
    with np.load(DIGITS) as data:
        return data["images"][:40, ..., np.newaxis] / np.float32(16), data["labels"][:40]


def test_the_table_shows_models_side_by_side_with_intervals_and_differences(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", FLOAT, INT8, *SAMPLES]) == 0
    header, first, second, notes = (line.split() for line in capsys.readouterr().out.splitlines())
    images, labels = digits()
    found = [evaluate(model, images, labels) for model in (FLOAT, INT8)]
    assert " ".join(header) == "model size top1 95% interval difference its 95% interval p"
    for cells, file, evaluation in ((first, FLOAT, found[0]), (second, INT8, found[1])):
        low, high = evaluation.interval
        shown = [file, *size(Path(file).stat().st_size).split(), f"{evaluation.value:.2%}", f"{low:.2%}", "to", f"{high:.2%}"]
        assert cells[: len(shown)] == shown
    difference = found[1].minus(found[0])
    assert second[7:] == [f"{difference.value:+.2%}", f"{difference.interval[0]:+.2%}", "to", f"{difference.interval[1]:+.2%}", "1"]
    assert " ".join(notes) == "40 samples; differences are from the first model, sample by sample; p: McNemar's test"


def test_json_is_what_evaluate_finds_whatever_the_number_of_processes(capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for jobs in ("1", "2"):
        assert main(["evaluate", INT8, FLOAT, *SAMPLES, "--against", FLOAT, "--metric", "sqnr", "--json", "--jobs", jobs]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    document = json.loads(printed[0])
    found = evaluate(INT8, digits()[0], metric="sqnr", reference=FLOAT)
    assert document["models"][0] == {
        "file": INT8,
        "bytes": Path(INT8).stat().st_size,
        "metric": "sqnr",
        "value": found.value,
        "interval": list(found.interval),
        "confidence": 0.95,
        "samples": 40,
        "difference": None,
    }
    assert document["models"][1]["value"] == document["models"][1]["difference"]["value"] == "Infinity"


def test_against_another_model_agreement_is_what_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", INT8, *SAMPLES, "--against", FLOAT]) == 0
    out = capsys.readouterr().out
    assert f"40 samples; against {FLOAT}\n" in out
    assert " ".join(out.splitlines()[0].split()) == "model size agreement 95% interval"


def test_labels_may_have_a_file_of_their_own_and_all_samples_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = digits()
    np.save(tmp_path / "x.npy", images)
    np.save(tmp_path / "y.npy", labels)
    assert main(["evaluate", INT8, "--data", str(tmp_path / "x.npy"), "--labels", str(tmp_path / "y.npy"), "--json"]) == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    assert (model["samples"], model["value"]) == (40, evaluate(INT8, images, labels).value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--data"),
        ([*SAMPLES, "--jobs", "0"], "--jobs is 0, expected at least 1"),
        ([*SAMPLES, "--metric", "agreement"], "metric agreement needs a reference"),
        ([*SAMPLES, "--metric", "top1", "--against", FLOAT], "metric top1 compares with labels"),
        ([*SAMPLES, "--labels", "none"], "has no labels 'none'"),
        ([*SAMPLES, "--output", "none"], "output is 'none'"),
        (["--data", DIGITS], "holds uint8 for the float32 input"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert main(["evaluate", FLOAT, *arguments]) == 2
    except SystemExit as stop:  # argparse's own
        assert stop.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err.splitlines()[-1]


def test_top1_without_labels_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "x.npy", digits()[0])
    assert main(["evaluate", FLOAT, "--data", str(tmp_path / "x.npy")]) == 2
    assert "holds no labels; --against FLOAT needs none" in capsys.readouterr().err
