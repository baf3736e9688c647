"""A report as one HTML file that needs nothing else: data, style and script are in it.

Names in a model may be anything. They come into the page as JSON alone, in which every character that HTML gives a meaning is escaped, and
the script makes nothing but text of them. The page's own policy lets run just its own script, and nothing load.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from qcore.analysis.report.data import Report

DIGITS = 6
"""Of real numbers in the page."""
SCRIPTS = ("charts.js", "graph.js", "detail.js", "page.js")
"""In the order in which they make the page's script."""


def plain(value: Any) -> Any:
    """Plain data of which JSON can be made: real numbers to DIGITS digits, those that are none as "Infinity", "-Infinity" and "NaN"."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float):
        if math.isfinite(value):
            return int(value) if value.is_integer() and abs(value) < 2**53 else float(f"{value:.{DIGITS}g}")
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def to_json(report: Report) -> str:
    """The report as JSON in ASCII, without a character that could end a script element or mean anything else in HTML."""
    text = json.dumps(plain(asdict(report)), separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def to_html(report: Report) -> bytes:
    """The page; the same report gives the same bytes."""
    style, script = _read("page.css"), "".join(_read(name) for name in SCRIPTS)
    policy = f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    page = _read("page.html")
    for mark, content in (("POLICY", policy), ("STYLE", style), ("SCRIPT", script), ("DATA", to_json(report))):
        page = page.replace(f"{{{{{mark}}}}}", content, 1)
    return page.encode()


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
