"""The table of operators: the planner, the registry-wide tests, the benchmarks and the operator table in the docs all read it."""

from __future__ import annotations

from types import MappingProxyType

from qcore.kernels import mean, pool, reduce
from qcore.kernels.opdef import OpDef

_ROWS = (
    # pooling
    pool.AVERAGE_POOL_2D,
    pool.MAX_POOL_2D,
    pool.L2_POOL_2D,
    # reductions
    reduce.REDUCE_MAX,
    reduce.REDUCE_MIN,
    reduce.REDUCE_PROD,
    reduce.REDUCE_ANY,
    reduce.REDUCE_ALL,
    mean.MEAN,
    mean.SUM,
)

OPERATORS = MappingProxyType({row.name: row for row in _ROWS})
"""Every operator that qcore runs, by its schema name."""
