"""SKIP_GRAM: every run of words of a text in which at most so many words are skipped between one and the next.

A run has ``ngram_size`` words, or from one to so many with ``include_all_ngrams``; a longer run comes before the shorter one that it
starts with. Words are parted by single white spaces. A text that starts with white space loses its first word, unless it is its only
one.

Source (TensorFlow Lite 2.21): tflite/kernels/skip_gram.cc.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from qcore.errors import ModelError
from qcore.kernels.opdef import Array, Node, OpDef, Step

MOST_BYTES = 2**28
"""Memory that the runs may take: their number grows like a power of the number of words."""

BYTES_PER_RUN = 64
"""Memory that a run takes besides its text."""


@dataclass(frozen=True)
class Params:
    """Words of a run, words that may be skipped, and whether shorter runs count too."""

    where: str
    size: int
    skip: int
    shorter: bool


def prepare(node: Node) -> Step:
    """Check types; the number of runs is only known at run time."""
    input, options = node.input(0), node.options
    node.require(node.output.dtype == "string", f"output is {node.output.dtype}, expected string")
    node.require(input.size > 0, f"'{input.name}' has shape {list(input.shape)}, expected a string")
    return Step(join_runs, Params(node.where, options["ngram_size"], options["max_skip_size"], options["include_all_ngrams"]), (None,))


def split(text: bytes) -> list[bytes]:
    """The words of a text; see above for one that starts with white space."""
    first, *rest = re.split(rb"[ \t\n\v\f\r]", text[1:])
    words = [text[:1] + first, *rest]
    if rest and words[0][:1].isspace():
        del words[0]
    return [word for word in words if word]


def runs(p: Params, count: int) -> Iterator[tuple[int, ...]]:
    """Numbers of the words of each run, of so many words; what leads to no run is not followed."""

    def next_words(run: list[int]) -> Iterator[int]:
        start, stop = (run[-1] + 1, run[-1] + 2 + p.skip) if run else (0, count)
        still_needed = 0 if p.shorter else p.size - len(run) - 1
        return iter(range(start, min(stop, count - still_needed)))

    if p.size > count:
        return
    run: list[int] = []
    choices = [next_words(run)]
    while choices:
        word = next(choices[-1], None) if len(run) < p.size else None
        if word is not None:
            run.append(word)
            choices.append(next_words(run))
            continue
        if run and (p.shorter or len(run) == p.size):
            yield tuple(run)
        del run[-1:], choices[-1]


def join_runs(p: Params, text: Array) -> Array:
    """The runs of the first of some strings, an object array of bytes, each with a space between its words.

    Raises:
        ModelError: they take too much memory.
    """
    words = split(text.reshape(-1)[0])
    joined: list[bytes] = []
    memory = 0
    for run in runs(p, len(words)):
        joined.append(b" ".join(words[k] for k in run))
        memory += len(joined[-1]) + BYTES_PER_RUN
        if memory > MOST_BYTES:
            raise ModelError(f"{p.where}: runs of up to {p.size} of {len(words)} words, {p.skip} skipped, take over {MOST_BYTES} bytes")
    out = np.empty(len(joined), object)
    out[:] = joined
    return out


SKIP_GRAM = OpDef("SKIP_GRAM", prepare, ("string",), (1, 1))
