"""What docs/qat.md says is true: its blocks run one after the other, its commands exist, and its tables name what there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import qcore
from qcore.cli.main import main
from tests.quantizer.trained import trained

PAGE = (Path(__file__).parents[2] / "docs" / "qat.md").read_text()
FOUND = re.compile(r"^(float|\d bits, [a-z ]+?) +(\d\.\d{3})$", re.MULTILINE)


def test_the_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Trained too briefly to be of use: what the page says of accuracies is not looked at, but that the file has that of training."""
    pytest.importorskip("keras")
    pytest.importorskip("tensorflow")
    monkeypatch.chdir(tmp_path)
    qcore.save(trained(), "trained_float.tflite")
    names: dict[str, Any] = {}
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    for long, short in (
        ("EPOCHS = 12", "EPOCHS = 1"),
        ("x, y = digits(20)", "x, y = digits(5)"),
        ("= digits(5)\n\nlayers", "= digits(1)\n\nlayers"),
        ("= sounds(2000, ", "= sounds(200, "),
    ):
        assert code.count(long) == 1
        code = code.replace(long, short)
    exec(code, names)
    printed = capsys.readouterr().out
    accuracy = {name: float(value) for name, value in FOUND.findall(printed)}
    assert set(accuracy) == {
        "float",
        *(f"{bits} bits, {what}" for bits in (8, 4, 3) for what in ("after training", "file")),
        *(f"{bits} bits, trained" for bits in (4, 3)),
    }
    for bits, before in ((8, "after training"), (4, "trained"), (3, "trained")):
        assert accuracy[f"{bits} bits, file"] == pytest.approx(accuracy[f"{bits} bits, {before}"], abs=0.03)
    assert printed.count("at most 0 LSB apart") + printed.count("at most 1 LSB apart") == 3
    assert re.findall(r"^activations of (\d+) bits, trained ", printed, re.MULTILINE) == ["8", "16"]
    assert [operator.name for operator in names["integers"].subgraphs[0].operators].count("FULLY_CONNECTED") == 1


def test_the_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    qcore.save(trained(), "trained_float.tflite")
    (command,) = re.findall(r"^qcore (.*)$", PAGE, re.MULTILINE)
    assert main(shlex.split(command)) == 0
    assert (tmp_path / "trained_int8.tflite").exists()


def test_what_the_page_calls_by_name_is_there() -> None:
    pytest.importorskip("keras")
    pytest.importorskip("tensorflow")
    from qcore import qat

    for name in set(re.findall(r"qcore\.qat\.(\w+)", PAGE)):
        assert hasattr(qat, name), name
