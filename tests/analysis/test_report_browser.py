"""The page in a real browser: it draws itself without an error, fits, and is used with the keyboard. Skipped where there is no Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import qcore
from qcore.model import Model
from tests.analysis import chromium
from tests.quantizer.builder import Builder

DATA = Path(qcore.__file__).parent / "data"
EXECUTABLE = chromium.find()
pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium, of which none is installed")

FITS = "document.documentElement.scrollWidth === document.documentElement.clientWidth"
"""It does not scroll sideways."""
HOSTILE = (
    "</script><script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>/<!--/x",
    "{{DATA}}/{{SCRIPT}}'\"&amp;",
    "\u202eright-to-left \u0301\u0301\u0301 \U0001f600\u2028\x00",
    "wide" * 2500,
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Browser]:
    assert EXECUTABLE is not None
    found = chromium.Browser(EXECUTABLE, tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("digits") / "report.html"
    with np.load(DATA / "digits.npz") as data:
        samples = data["images"][:2, ..., np.newaxis] / np.float32(16)
    qcore.report(DATA / "digits_float.tflite", DATA / "digits_int8.tflite", samples, path)
    return path


def chain(length: int, names: tuple[str, ...]) -> Model:
    """x, then NEG upon NEG in scopes of ten, every fifth beside an ADD of what came three before."""
    b = Builder()
    last = [b.input("x", (1, 4))]
    for i in range(length):
        given = names[i % len(names)] if names else "value"
        last.append(b.tensor(f"model/block_{i // 10}_part/{given}{i}", (1, 4)))
        b.op("NEG", [last[-2]], last[-1]) if i % 5 or i < 3 else b.op("ADD", [last[-2], last[-5]], last[-1])
    return b.model(last[-1])


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1280])
def test_it_draws_itself_without_an_error_and_does_not_scroll_sideways(
    browser: chromium.Browser, digits: Path, width: int, dark: bool
) -> None:
    browser.open(digits, width=width, dark=dark)
    assert browser.messages == []
    assert browser.evaluate(FITS)
    assert browser.evaluate("document.querySelectorAll('#error-table tbody tr').length") == 10
    assert browser.evaluate("document.querySelectorAll('#detail svg').length") >= 3
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == ("rgb(23, 23, 21)" if dark else "rgb(252, 251, 248)")


def test_the_keyboard_reaches_operators_and_their_details(browser: chromium.Browser, digits: Path) -> None:
    browser.open(digits)
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.textContent") == "Skip to the summary"
    chosen = "document.querySelector('[aria-selected=true]')"
    for _ in range(100):
        browser.press("Tab")
        if browser.evaluate(f"document.activeElement === {chosen}"):
            break
    assert browser.evaluate("document.activeElement.getAttribute('role')") == "treeitem"
    browser.press("Home")
    assert browser.evaluate(f"{chosen}.textContent").startswith("inputs")
    browser.press("ArrowDown")
    # A scope: it folds with the arrow keys, and its operators with it.
    assert browser.evaluate(f"{chosen}.getAttribute('aria-expanded')") == "true"
    before = browser.evaluate("document.querySelectorAll('.item:not([hidden])').length")
    browser.press("ArrowLeft")
    assert browser.evaluate("document.querySelectorAll('.item:not([hidden])').length") < before
    browser.press("ArrowRight", "ArrowRight", "ArrowDown")
    assert browser.evaluate("document.querySelector('#detail h3').textContent") == "1 DEPTHWISE_CONV_2D"
    assert browser.evaluate("location.hash") == "#op-1"
    browser.press("Enter")
    assert browser.evaluate("document.activeElement.id") == "detail"


def test_links_choose_operators_columns_sort_and_words_filter(browser: chromium.Browser, digits: Path) -> None:
    browser.open(digits, fragment="#op-8")
    assert browser.evaluate("document.querySelector('#detail h3').textContent") == "8 FULLY_CONNECTED"
    first = "document.querySelector('#error-table tbody tr').textContent"
    worst = browser.evaluate(first)
    assert worst.startswith("1DEPTHWISE_CONV_2D")
    browser.evaluate("document.querySelector('#error-table th button').click()")
    assert browser.evaluate(first).startswith("0CONV_2D")
    browser.evaluate("document.querySelector('#error-table th button').click()")
    assert browser.evaluate(first).startswith("9SOFTMAX")
    assert browser.evaluate("document.querySelector('#error-table th').getAttribute('aria-sort')") == "descending"
    browser.evaluate("(f => { f.value = 'conv int8'; f.dispatchEvent(new Event('input')) })(document.getElementById('filter'))")
    assert browser.evaluate("document.getElementById('filtered').textContent") == "3 of 10"


def test_names_of_any_kind_stay_text(browser: chromium.Browser, tmp_path: Path) -> None:
    model = chain(2 * len(HOSTILE), HOSTILE)
    path = tmp_path / "report.html"
    qcore.report(model, model, [np.ones((1, 4), np.float32)], path)
    for width in (400, 1280):
        browser.open(path, fragment="#op-4", width=width)
        assert browser.messages == []
        assert browser.evaluate("window.hit") is None
        assert browser.evaluate(FITS)
        assert browser.evaluate("document.querySelectorAll('img').length + document.scripts.length") == 2
        assert browser.evaluate("document.querySelector('#detail .full').textContent.length") > 10_000
        browser.evaluate("location.hash = '#op-0'")
        while browser.evaluate("document.querySelector('#detail h3').textContent") != "0 NEG":
            pass
        assert HOSTILE[0] in browser.evaluate("document.querySelector('#detail .full').textContent")


def test_four_hundred_operators_begin_folded_and_unfold(browser: chromium.Browser, tmp_path: Path) -> None:
    model = chain(400, ())
    path = tmp_path / "report.html"
    qcore.report(model, model, None, path)
    browser.open(path)
    assert browser.messages == []
    assert "exact dB" not in browser.evaluate("document.body.textContent")
    rows = "document.querySelectorAll('.item:not([hidden])').length"
    # Inputs, outputs, 40 scopes, and the operators of the one that holds the first.
    assert browser.evaluate(rows) == 2 + 40 + 10
    browser.evaluate("document.getElementById('unfold').click()")
    assert browser.evaluate(rows) == 2 + 40 + 400
    browser.evaluate("document.getElementById('fold').click()")
    assert browser.evaluate(rows) == 2 + 40
    assert browser.evaluate(FITS)
