"""``qcore bench`` and ``qcore inspect --engine``: what they show, and how they fail. Runs on the bundled digits; no time is asserted."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import qcore
from qcore.cli.main import main
from qcore.model import Operator, OperatorCode
from tests.calibration.models import one_input

DATA = Path(qcore.__file__).parent / "data"
DIGITS = str(DATA / "digits_int8.tflite")


def test_the_table_names_operators_kernels_and_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", DIGITS, "--repeat", "1", "--top", "3"]) == 0
    out = capsys.readouterr().out
    assert "3 of 7 operators, slowest first (1 thread, medians of 1 rounds)" in out
    for part in ("GMAC/s", "native: Product", "invoke: ", "0.05632 MMAC", "7 of them native"):
        assert part in out
    assert "LiteRT" not in out


def test_json_holds_every_operator_slowest_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", DIGITS, "--repeat", "1", "--engine", "reference", "--arithmetic", "xnnpack", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["threads"], found["rounds"], found["rival"]) == (DIGITS, 1, 1, None)
    assert sorted(row["index"] for row in found["operators"]) == [0, 1, 2, 3, 7, 8, 9]
    seconds = [row["seconds"] for row in found["operators"]]
    assert seconds == sorted(seconds, reverse=True)
    assert {row["runner"] for row in found["operators"]} == {"NumPy: the reference engine"}


def test_litert_is_timed_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs LiteRT")
    assert main(["bench", DIGITS, "--repeat", "1", "--against", "litert"]) == 0
    assert "of that (median of paired rounds)" in capsys.readouterr().out


def test_without_litert_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    assert main(["bench", DIGITS, "--against", "litert"]) == 2
    assert capsys.readouterr().err == "error: --against litert: it is not installed: pip install ai-edge-litert\n"


@pytest.mark.parametrize("options", [[], ["--engine", "reference"], ["--against", "litert"]], ids=["native", "NumPy", "against"])
def test_the_plot_is_written(options: list[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    if "--against" in options:
        pytest.importorskip("ai_edge_litert", reason="needs LiteRT")
    assert main(["bench", DIGITS, "--repeat", "1", "--plot", str(tmp_path / "out.png"), *options]) == 0
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_a_plot_without_matplotlib_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["bench", "missing.tflite", "--plot", "out.png"]) == 2
    assert capsys.readouterr().err == "error: --plot: needs matplotlib: pip install 'qcore[plot]'\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.tflite"], "missing.tflite"),
        ([__file__], "error: "),
        ([DIGITS, "--repeat", "0"], "--repeat is 0"),
        ([DIGITS, "--threads", "0"], "--threads is 0"),
        ([DIGITS, "--top", "0"], "--top is 0"),
        ([DIGITS, "--seed", "-1"], "--seed is -1"),
        ([DIGITS, "--repeat", "1", "--plot", "/nowhere/out.png"], "/nowhere/out.png"),
        ([DIGITS, "--repeat", "1", "--plot", "out.unknown"], "--plot out.unknown"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_inspect_says_what_runs_each_operator(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", DIGITS, "--engine"]) == 0
    assert "native: Border, Depthwise" in capsys.readouterr().out
    assert main(["inspect", DIGITS, "--engine", "--json"]) == 0
    (graph,) = json.loads(capsys.readouterr().out)["subgraphs"]
    assert graph["operators"][2]["runs"] == "native: Product"
    assert main(["inspect", DIGITS, "--json"]) == 0
    (graph,) = json.loads(capsys.readouterr().out)["subgraphs"]
    assert "runs" not in graph["operators"][2]


def test_inspect_shows_a_model_that_cannot_be_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = one_input()
    model.subgraphs[0].operators[0] = Operator(OperatorCode("CALL"), [0], [1])
    qcore.save(model, tmp_path / "m.tflite")
    assert main(["inspect", str(tmp_path / "m.tflite"), "--engine", "--json"]) == 0
    (graph,) = json.loads(capsys.readouterr().out)["subgraphs"]
    assert graph["operators"][0]["runs"] == "nothing: no plan, CALL (op 0, output 'y'): qcore does not have this operator"
