"""What the README says is true: its example runs, its links lead somewhere, its commands exist."""

from __future__ import annotations

import re
import shutil
from importlib import resources
from pathlib import Path

import pytest

from qcore.cli.main import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    model = resources.files("qcore.data").joinpath("digits_int8.tflite")
    with resources.as_file(model) as path:
        shutil.copy(path, tmp_path / "model.tflite")
    monkeypatch.chdir(tmp_path)
    exec(README.split("```python\n")[1].split("```")[0], {})
    assert "sqnr" in capsys.readouterr().out.lower()


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "benchmarks/README.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]
)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text()):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target


def test_every_command_named_is_there() -> None:
    blocks = "".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    for name in set(re.findall(r"^qcore (\w+)", blocks, re.MULTILINE)):
        with pytest.raises(SystemExit) as stop:
            main([name, "--help"])
        assert stop.value.code == 0


def test_it_names_two_commands() -> None:
    section = README.split("## Two commands")[1].split("\n## ")[0]
    assert len(re.findall(r"^pip install", section, re.MULTILINE)) == 2


def test_the_tour_prints_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a command prints errors of the float model, which follow the processor's order of sums, it must run; the rest to the letter."""
    shutil.copytree(ROOT / "qcore" / "data", tmp_path / "qcore" / "data")
    monkeypatch.chdir(tmp_path)
    tour = README.split("## A tour in ten minutes")[1].split("\n## ")[0]
    blocks = re.findall(r"```sh\nqcore (.*?)\n```\n\n```\n(.*?)\n```", tour, re.DOTALL)
    assert len(blocks) == 5
    for command, output in blocks:
        assert main(command.split()) == 0
        printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
        if command.split()[0] in ("quantize", "explain", "ranges"):
            assert printed == output.splitlines()
