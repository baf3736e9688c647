"""EMBEDDING_LOOKUP of codes whose rows become real numbers."""

from __future__ import annotations

import math

from qcore.analysis.explaining.case import Case, Derivation, Explainer, Real, place_text
from qcore.analysis.explaining.dynamic_range import signed
from qcore.kernels import lookup
from qcore.numerics.derivation import Line, decimal, exactly


def explain_row(case: Case) -> Derivation:
    """An element of a table's row."""
    ids, table, p = case.array(0), signed(case.array(1)), case.params
    row, rest = int(ids[case.element[0]]), case.element[1:]
    code = table[(row, *rest)]
    width, flat = math.prod(table.shape[1:]), 0
    for place, size in zip(rest, table.shape[1:], strict=True):
        flat = flat * size + place
    block = flat * p.scale.shape[1] // width
    scale = p.scale[row if len(p.scale) > 1 else 0, block]
    whose = f"block {block} of row {row}" if p.scale.shape[1] > 1 else f"row {row}" if len(p.scale) > 1 else "the table"
    real = exactly(scale) * int(code)
    lines = [
        Line("id", f"element {case.element[0]} of the ids: number of the row", row),
        Line("q2", f"element {place_text((row, *rest))} of the table", int(code)),
        Line("S2", f"scale of {whose}", scale),
        Line("r", f"S2 q2 = {decimal(scale)} * {int(code)} in {p.output.name}", (scale * code.astype(scale.dtype)).astype(p.output)),
    ]
    return Derivation(lines, (case.tensor("2", "table", case.node.input(1), (row, *rest)),), Real("S2 q2", real))


EXPLAINERS: dict[object, Explainer] = {lookup.dequantized_rows: explain_row}
"""By kernel."""
