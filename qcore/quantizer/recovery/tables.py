"""Tables that are looked up: nothing is multiplied, so that the scales of their rows follow from their own errors alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from qcore.model import OPTIONAL, Model, Operator, Tensor
from qcore.numerics import QuantParams
from qcore.numerics.dtypes import element_type
from qcore.quantizer.blocks import scales_of, stored_scales
from qcore.quantizer.graph import Graph, real_constant, set_constant, to_quantization
from qcore.quantizer.recovery.layers import GRIDS
from qcore.quantizer.recovery.moments import Real
from qcore.quantizer.recovery.solve import Grid, rounded, stored

_TABLE = 1
"""The slot of the table of an EMBEDDING_LOOKUP."""

_ELEMENTS = 1 << 20
"""How many are worked on at once."""

_REFITS = 3


def refit_tables(model: Model, quantized: Model, origins: Mapping[Operator, Operator]) -> None:
    """Gives tables the scales at which rounding errs least, in place, where rows or blocks have some of their own.

    Args:
        model: the float model.
        quantized: what became of it; edited.
        origins: by operator of the quantized model, that of the float one it came from.
    """
    for index in range(len(quantized.subgraphs)):
        graph, real = Graph(quantized, index), Graph(model, index)
        for table, origin in _tables(graph, origins):
            values = real_constant(real.tensors[origin.inputs[_TABLE]])
            if values is not None and values.shape == table.shape and np.isfinite(values).all():
                _refit(graph, table, values)


def _tables(graph: Graph, origins: Mapping[Operator, Operator]) -> Iterator[tuple[Tensor, Operator]]:
    """The tables that lookups of real numbers read, and nothing else does; each with one of these lookups in the float model."""
    producers, readers = graph.producers(), graph.consumers()
    for number, uses in readers.items():
        operator = uses[0].operator
        computed = [graph.tensors[output] for use in uses for output in use.operator.outputs if output != OPTIONAL]
        lookups = all(use.operator.name == "EMBEDDING_LOOKUP" and use.slot == _TABLE for use in uses)
        if operator not in origins or not lookups or any(tensor.dtype != "float32" for tensor in computed):
            continue
        if number in producers and producers[number].name == "DEQUANTIZE" and len(readers[producers[number].inputs[0]]) == 1:
            number = producers[number].inputs[0]
        if graph.tensors[number].is_constant and graph.tensors[number].dtype in GRIDS:
            yield graph.tensors[number], origins[operator]


def _refit(graph: Graph, table: Tensor, values: NDArray[np.float32]) -> None:
    grid, q, scales = GRIDS[table.dtype], table.quantization, scales_of(graph, table)
    assert q is not None
    if scales is None and (q.details is not None or q.scale.size != len(values) or q.quantized_dimension != 0):
        return
    groups = len(values) if scales is None else int(np.prod(scales.shape))
    rows = values.reshape(groups, -1)
    hold: Callable[[Real], Real] = stored if scales is None else lambda scale: stored_scales(scale).astype(np.float64)
    codes, scale = np.empty(rows.shape, element_type(table.dtype).storage), np.empty(groups, np.float32)
    step = max(1, _ELEMENTS // rows.shape[1])
    for start in range(0, groups, step):
        part = slice(start, start + step)
        codes[part], scale[part] = least_error(rows[part].astype(np.float64), grid, hold)
    if scales is None:
        params = QuantParams(scale, np.zeros(1, np.int64), table.dtype, 0)
        set_constant(table, codes.reshape(values.shape), table.dtype, to_quantization(params))
    else:
        set_constant(table, codes.reshape(values.shape), table.dtype, q)
        set_constant(scales, scale.reshape(scales.shape).astype(np.float16), "float16")


def least_error(rows: Real, grid: Grid, hold: Callable[[Real], Real]) -> tuple[Real, Real]:
    """Codes and scales of the least squared error, as far as a search over parts of each row's reach and a few refits find it.

    Args:
        rows: float64[rows, elements], real units.
        grid: of the codes.
        hold: rounds scales to those that a file can hold.

    Returns:
        Integers in float64[rows, elements], and float64[rows], real units per step.
    """
    best_codes, best, least = np.zeros_like(rows), np.ones(len(rows)), np.full(len(rows), np.inf)

    def keep(scale: Real) -> None:
        codes = rounded(rows, scale, grid)
        error = ((codes * scale[:, np.newaxis] - rows) ** 2).sum(axis=1)
        better = error < least
        best_codes[better], best[better], least[better] = codes[better], scale[better], error[better]

    reach = np.abs(rows).max(axis=1, initial=0)
    for part in grid.parts:
        keep(hold(reach * (part / grid.high)))
    for _ in range(_REFITS):
        squares, products = (best_codes**2).sum(axis=1), (best_codes * rows).sum(axis=1)
        keep(hold(np.divide(products, squares, out=best.copy(), where=squares > 0)))
    return best_codes, best
