"""A model of one table: it is filled from the first two inputs, and the third is looked up in it."""

from __future__ import annotations

from qcore.model import Buffer, Model, Operator, OperatorCode, Subgraph, Tensor
from qcore.schema import default_options


def table_model(keys: str, values: str, fill: bool = True) -> Model:
    """Inputs: keys, values, wanted keys, default; or the last two. Outputs: values, and how many keys there are."""
    empty = Buffer()
    kinds = [
        ("table", "resource"),
        ("keys", keys),
        ("values", values),
        ("wanted", keys),
        ("default", values),
        ("found", values),
        ("size", "int64"),
    ]
    tensors = [Tensor(name, dtype, (1,), empty) for name, dtype in kinds]
    uses = [("HASHTABLE", [], [0]), ("HASHTABLE_IMPORT", [0, 1, 2], []), ("HASHTABLE_FIND", [0, 3, 4], [5]), ("HASHTABLE_SIZE", [0], [6])]
    if not fill:
        del uses[1]
    operators = [Operator(OperatorCode(name), inputs, outputs, default_options(name)) for name, inputs, outputs in uses]
    assert operators[0].options is not None
    operators[0].options.fields |= {"table_id": 3, "key_dtype": keys, "value_dtype": values}
    graph = Subgraph("main", tensors, [1, 2, 3, 4] if fill else [3, 4], [5, 6], operators)
    return Model([graph], [operator.code for operator in operators], [empty])
