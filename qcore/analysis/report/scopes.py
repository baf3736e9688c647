"""Which part of a model an operator belongs to, told by the name of what it computes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

SHARED = 0.8
"""A scope that holds this part of all operators tells nothing."""
GAP = 3
"""So many operators with other names, between two of one scope, belong to it too: what converters put in."""
CONSTANTS = "dequantized constants"
"""The scope of operators that only give a constant another form, where they come together."""
LONGEST = 200
"""Characters of a name that count."""

_NUMBERED = re.compile(r"(?:[A-Za-z]+_){0,4}?[A-Za-z]+_?\d+[a-z]?(?=_|$)")


def scopes(names: Sequence[str | None]) -> list[str]:
    """A scope for each operator, in the order they run: runs of at least two share one, others have "".

    Names are paths: ``model/block_1_expand/Relu6``. The first step that is not nearly every operator's counts, up to its first number:
    ``block_1``.

    Args:
        names: of the operators' first outputs; None for an operator that only gives a constant another form.
    """
    paths = [name[:LONGEST].partition(";")[0].split("/")[:-1] for name in names if name is not None]
    while any(paths) and (shared := Counter(path[0] for path in paths if path).most_common(1)[0])[1] >= SHARED * len(paths):
        paths = [path[1:] if path[:1] == [shared[0]] else path for path in paths]
    steps = iter(paths)
    keys = [CONSTANTS if name is None else "".join(map(_stem, next(steps)[:1])) for name in names]
    for start, key in enumerate(keys):
        ahead = (i for i in range(start + 1 + GAP, start, -1) if i < len(keys) and keys[i] == key != CONSTANTS)
        end = next(ahead, start + 1)
        keys[start + 1 : end] = [key] * (end - start - 1)
    return [key if key and key in keys[max(i - 1, 0) : i] + keys[i + 1 : i + 2] else "" for i, key in enumerate(keys)]


def _stem(step: str) -> str:
    found = _NUMBERED.match(step)
    return found.group() if found else step
