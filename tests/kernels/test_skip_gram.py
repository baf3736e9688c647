"""SKIP_GRAM: words and runs of words, in order, and texts that give too many."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.errors import QCoreError
from qcore.kernels import skip_gram
from tests.conformance.harness import T, one_operator, run_qcore


def run(text: bytes, size: int, skip: int = 0, shorter: bool = False) -> list[bytes]:
    options = {"ngram_size": size, "max_skip_size": skip, "include_all_ngrams": shorter}
    model = one_operator("SKIP_GRAM", [T("string", (1,))], [T("string", (1,))], options)
    got = run_qcore(model, [np.array([text], object)])[0]
    assert got.ndim == 1
    return list(got)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"the quick fox", [b"the", b"quick", b"fox"]),
        (b"tabs\tand\nlines\r\v\fmany", [b"tabs", b"and", b"lines", b"many"]),
        (b"ends   ", [b"ends"]),
        (b" starts with", [b"with"]),
        (b" only", [b" only"]),
        (b"  two", [b"two"]),
        (b" ", [b" "]),
        (b"  ", []),
        (b"", []),
        ("gr\u00fcn \u00a0".encode(), ["gr\u00fcn".encode(), "\u00a0".encode()]),
    ],
)
def test_words_as_measured_on_tensorflow_lite(text: bytes, words: list[bytes]) -> None:
    assert run(text, 1) == words


def test_runs_of_neighbours_and_beyond() -> None:
    assert run(b"a b c d", 2) == [b"a b", b"b c", b"c d"]
    assert run(b"a b c d", 2, 1) == [b"a b", b"a c", b"b c", b"b d", b"c d"]
    assert run(b"a b c d", 3, 1) == [b"a b c", b"a b d", b"a c d", b"b c d"]
    assert run(b"a b c", 2, 0, True) == [b"a b", b"a", b"b c", b"b", b"c"]


def test_no_runs() -> None:
    assert run(b"a b", 3, 5) == []
    assert run(b"a b", 3, 5, True) == []
    assert run(b"a b", 0) == []
    assert run(b"a b", -1, 0, True) == []
    assert run(b"a b", 2, -1) == []
    assert run(b"a b", 2, -1, True) == [b"a", b"b"]


def test_only_the_first_string_counts() -> None:
    model = one_operator("SKIP_GRAM", [T("string", (2,))], [T("string", (1,))], {"ngram_size": 1})
    assert run_qcore(model, [np.array([b"a b", b"c"], object)])[0].tolist() == [b"a", b"b"]


def test_a_text_that_gives_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of 60 words can be chosen in 10**17 ways; what leads to no run of all 60 is not followed."""
    text = b" ".join([b"w"] * 60)
    assert run(text, 60, 60) == [text]
    monkeypatch.setattr(skip_gram, "MOST_BYTES", 10_000)
    with pytest.raises(QCoreError, match=r"^SKIP_GRAM \(op 0.*runs of up to 30 of 60 words, 60 skipped, take over 10000 bytes"):
        run(text, 30, 60)
    with pytest.raises(QCoreError, match="take over 10000 bytes"):
        run(text, 60, 60, True)


def test_nothing_to_split_is_refused() -> None:
    model = one_operator("SKIP_GRAM", [T("string", (0,))], [T("string", (1,))], {"ngram_size": 1})
    with pytest.raises(QCoreError, match="expected a string"):
        run_qcore(model, [np.zeros(0, object)])
