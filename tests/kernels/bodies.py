"""One-operator models whose operator uses a subgraph of two numbers."""

from __future__ import annotations

from qcore.model import Buffer, Model, Operator, OperatorCode, Subgraph, Tensor
from qcore.schema import default_options


def with_body(model: Model, option: str, *operators: str, dtype: str = "float32") -> Model:
    """The model, with a second subgraph that holds these operators, one after the other, and that the option names."""
    empty = Buffer()
    tensors = [Tensor(f"t{k}", dtype, (), empty) for k in range(2 + len(operators))]
    codes = [OperatorCode(name) for name in operators]
    steps = [Operator(code, [k, k + 1], [k + 2], default_options(code.name)) for k, code in enumerate(codes)]
    model.subgraphs.append(Subgraph("body", tensors, [0, 1], [len(tensors) - 1], steps))
    model.operator_codes += codes
    options = model.subgraphs[0].operators[0].options
    assert options is not None
    options.fields[option] = 1
    return model
