"""What docs/explain.md shows is what its commands and programs print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from qcore.cli.main import main

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```\n\n```\n(.*?)```", (ROOT / "docs" / "explain.md").read_text(), re.DOTALL)


def test_every_block_prints_what_follows_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    assert len(BLOCKS) == 3
    for language, block, output in BLOCKS:
        if language == "sh":
            assert main(block.split()[1:]) == 0
        else:
            exec(block, names)
        assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == output.splitlines()
