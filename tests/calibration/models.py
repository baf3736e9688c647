"""Small float models for calibration tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qcore.model import Buffer, Model, Operator, OperatorCode, Signature, Subgraph, Table, Tensor
from qcore.schema import default_options, encode


def tensor(name: str, shape: Sequence[int] = (1, 4), dtype: str = "float32", signature: Sequence[int] | None = None) -> Tensor:
    return Tensor(name, dtype, tuple(shape), Buffer(), None if signature is None else tuple(signature), has_rank=True)


def constant(name: str, value: np.ndarray, dtype: str = "float32") -> Tensor:
    return Tensor(name, dtype, value.shape, Buffer(encode(value, dtype)), has_rank=True)


def operator(name: str, inputs: Sequence[int], outputs: Sequence[int], **options: object) -> Operator:
    table = default_options(name)
    if table is not None:
        assert set(options) <= set(table.fields)
        table = Table(table.name, {**table.fields, **options})
    return Operator(OperatorCode(name), list(inputs), list(outputs), table)


def one_input(shape: Sequence[int] = (1, 4), signature: Sequence[int] | None = None) -> Model:
    """x -> ABS -> y; every value is exact."""
    graph = Subgraph("main", [tensor("x", shape, signature=signature), tensor("y", shape)], [0], [1], [operator("ABS", [0], [1])])
    return Model([graph])


def two_inputs() -> Model:
    """a, b -> SUB -> d -> NEG -> y, by a signature that calls the inputs first and second."""
    tensors = [tensor(name) for name in ("a", "b", "d", "y")]
    graph = Subgraph("main", tensors, [0, 1], [3], [operator("SUB", [0, 1], [2]), operator("NEG", [2], [3])])
    return Model([graph], signatures=[Signature("serve", [("first", 0), ("second", 1)], [("result", 3)])])


def two_signatures() -> Model:
    """Signature "double" adds x to itself, signature "negate" negates it, each in a subgraph of its own."""
    double = Subgraph("double", [tensor("x"), tensor("sum")], [0], [1], [operator("ADD", [0, 0], [1])])
    negate = Subgraph("negate", [tensor("x"), tensor("minus")], [0], [1], [operator("NEG", [0], [1])])
    signatures = [Signature("double", [("in", 0)], [("out", 1)], 0), Signature("negate", [("in", 0)], [("out", 1)], 1)]
    return Model([double, negate], signatures=signatures)


def residual() -> Model:
    """x -> ABS -> p -> SUB of q = NEG(x), written over p -> s, then NEG -> y."""
    tensors = [tensor(name) for name in ("x", "p", "q", "s", "y")]
    operators = [operator("ABS", [0], [1]), operator("NEG", [0], [2]), operator("SUB", [1, 2], [3]), operator("NEG", [3], [4])]
    return Model([Subgraph("main", tensors, [0], [4], operators)])


def loop() -> Model:
    """x -> WHILE: doubled as long as its first element is below 100."""
    main = Subgraph("main", [tensor("x", (1,)), tensor("y", (1,))], [0], [1], [])
    main.operators.append(operator("WHILE", [0], [1], cond_subgraph_index=1, body_subgraph_index=2))
    limit = constant("limit", np.array([100], np.float32))
    condition = Subgraph("condition", [tensor("c", (1,)), limit, tensor("go", (1,), "bool")], [0], [2], [operator("LESS", [0, 1], [2])])
    body = Subgraph("body", [tensor("b", (1,)), tensor("twice", (1,))], [0], [1], [operator("ADD", [0, 0], [1])])
    return Model([main, condition, body])


def counter() -> Model:
    """Adds x to a resource variable that starts at 0, and gives the sum."""
    handle = Tensor("handle", "resource", (1,), Buffer(), has_rank=True)
    zero = constant("zero", np.zeros((1, 4), np.float32))
    start = Subgraph("start", [handle, zero], [], [], [operator("VAR_HANDLE", [], [0]), operator("ASSIGN_VARIABLE", [0, 1], [])])
    tensors = [tensor("x"), Tensor("handle", "resource", (1,), Buffer(), has_rank=True), tensor("old"), tensor("new")]
    operators = [
        operator("CALL_ONCE", [], [], init_subgraph_index=1),
        operator("VAR_HANDLE", [], [1]),
        operator("READ_VARIABLE", [1], [2]),
        operator("ADD", [2, 0], [3]),
        operator("ASSIGN_VARIABLE", [1, 3], []),
    ]
    return Model([Subgraph("main", tensors, [0], [3], operators), start])


def recurrent() -> Model:
    """A basic RNN cell: its hidden state is a variable tensor."""
    tensors = [
        tensor("x", (1, 2)),
        constant("weights", np.eye(2, dtype=np.float32)),
        constant("recurrent", np.eye(2, dtype=np.float32)),
        constant("bias", np.zeros(2, np.float32)),
        tensor("state", (1, 2)),
        tensor("y", (1, 2)),
    ]
    tensors[4].is_variable = True
    rnn = operator("RNN", [0, 1, 2, 3, 4], [5], fused_activation_function="RELU")
    return Model([Subgraph("main", tensors, [0], [5], [rnn])])
