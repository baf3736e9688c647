"""``qcore compare``: its table, JSON and plot, and how it fails. Runs on the bundled digits."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import qcore
from qcore.analysis import compare
from qcore.cli.main import main
from tests.calibration.models import one_input

DATA = Path(qcore.__file__).parent / "data"
FLOAT, INT8, DIGITS = (str(DATA / name) for name in ("digits_float.tflite", "digits_int8.tflite", "digits.npz"))


def test_the_table_shows_the_worst_operators_and_the_outputs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", FLOAT, INT8, "--data", DIGITS, "--scale", "1/16", "--samples", "20", "--top", "3"]) == 0
    out = capsys.readouterr().out
    assert "3 of 10 operators, worst isolated SQNR first (20 samples)" in out
    for part in ("DEPTHWISE_CONV_2D", "RMSE/lsb", "top-1 agreement", "100.00%"):
        assert part in out
    assert "random" not in out


def test_json_is_what_compare_finds(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--data", DIGITS, "--scale", "1/16", "--samples", "5", "--by", "cumulative", "--arithmetic", "xnnpack"]
    assert main(["compare", FLOAT, INT8, "--json", *options]) == 0
    with np.load(DIGITS) as data:
        samples = data["images"][:5, ..., np.newaxis] / np.float32(16)
    expected = compare(FLOAT, INT8, samples, arithmetic="xnnpack").to_json(by="cumulative")
    assert capsys.readouterr().out == expected + "\n"


def test_random_inputs_are_announced_and_depend_on_the_seed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    results = []
    for seed in ("1", "1", "2"):
        assert main(["compare", FLOAT, INT8, "--samples", "2", "--seed", seed, "--json"]) == 0
        results.append(json.loads(capsys.readouterr().out))
        assert results[-1]["notes"] == [f"random inputs (seed {seed}); real ones, by --data, may give other errors"]
    assert results[0] == results[1]
    assert results[0]["operators"] != results[2]["operators"]
    assert results[0]["samples"] == 2


def test_random_inputs_are_values_that_the_codes_stand_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = one_input()
    quantized = qcore.quantize_model(model, mode="int8", calibration=[np.float32([[-500, 0, 1, 500]])], input_type="int8")
    for name, content in (("a", model), ("b", quantized)):
        qcore.save(content, tmp_path / f"{name}.tflite")
    assert main(["compare", str(tmp_path / "a.tflite"), str(tmp_path / "b.tflite"), "--json"]) == 0
    (output,) = json.loads(capsys.readouterr().out)["outputs"]
    assert output["error"]["mean_abs_error"] < 3
    assert output["error"]["sqnr_db"] > 30


def test_the_plot_is_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    assert main(["compare", FLOAT, INT8, "--samples", "1", "--plot", str(tmp_path / "out.png")]) == 0
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_a_plot_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["compare", FLOAT, "missing.tflite", "--plot", str(tmp_path / "out.png")]) == 2
    assert "pip install 'qcore[plot]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([FLOAT, "missing.tflite"], "missing.tflite"),
        ([FLOAT, __file__], "error: "),
        ([FLOAT, INT8, "--data", "missing.npz"], "missing.npz"),
        ([FLOAT, INT8, "--data", DIGITS], "--scale"),
        ([FLOAT, INT8, "--samples", "0"], "--samples is 0"),
        ([FLOAT, INT8, "--top", "0"], "--top 0"),
        ([FLOAT, INT8, "--signature", "none"], "no signature 'none'"),
        ([FLOAT, INT8, "--samples", "1", "--plot", "/nowhere/out.png"], "/nowhere/out.png"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_models_with_other_inputs_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    qcore.save(one_input(), tmp_path / "other.tflite")
    assert main(["compare", FLOAT, str(tmp_path / "other.tflite")]) == 2
    assert "of the first model is [-1, 8, 8, 1], 'x' of the second [1, 4]" in capsys.readouterr().err
