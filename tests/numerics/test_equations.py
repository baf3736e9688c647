"""docs/quantization.md: numbers run without a gap, and whatever the code cites exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "quantization.md"
SOURCES = sorted(path for folder in ("qcore", "kernels", "schema") for path in (ROOT / folder).rglob("*.py"))


@pytest.fixture(scope="module")
def numbers() -> list[int]:
    return [int(n) for n in re.findall(r"\\tag\{(\d+)\}", DOCUMENT.read_text(encoding="utf-8"))]


def test_equations_are_numbered_from_one_without_a_gap(numbers: list[int]) -> None:
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_equation_has_a_name_of_its_own(numbers: list[int]) -> None:
    headings = re.findall(r"^\*\*\((\d+)\)\*\* \[([a-z0-9-]+)\]", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(n) for n, _ in headings] == numbers
    assert len({name for _, name in headings}) == len(headings)


def test_code_cites_only_equations_that_exist(numbers: list[int]) -> None:
    for source in SOURCES:
        text = source.read_text(encoding="utf-8")
        for sentence in re.findall(r"[Ee]quations? \((\d+)\)((?:,? (?:and|to|or) \(\d+\)|, \(\d+\))*)", text):
            cited = [int(sentence[0]), *map(int, re.findall(r"\d+", sentence[1]))]
            assert set(cited) <= set(numbers), f"{source.relative_to(ROOT)} cites {cited}"
