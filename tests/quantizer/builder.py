"""Float models for quantizer tests, put together operator by operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qcore.model import OPTIONAL, Buffer, Model, Operator, OperatorCode, Signature, Subgraph, Table, Tensor
from qcore.schema import default_options, encode


@dataclass
class Builder:
    """One subgraph; every method gives tensor numbers."""

    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)

    def tensor(self, name: str, shape: Sequence[int], dtype: str = "float32") -> int:
        self.tensors.append(Tensor(name, dtype, tuple(shape), Buffer(), has_rank=True))
        return len(self.tensors) - 1

    def input(self, name: str, shape: Sequence[int], dtype: str = "float32") -> int:
        self.inputs.append(self.tensor(name, shape, dtype))
        return self.inputs[-1]

    def constant(self, name: str, values: Any, dtype: str = "float32") -> int:
        array = np.asarray(values, {"float32": np.float32, "int32": np.int32}[dtype])
        index = self.tensor(name, array.shape, dtype)
        self.tensors[index].buffer = Buffer(encode(array, dtype))
        return index

    def op(self, name: str, inputs: Sequence[int], outputs: Sequence[int] | int, **options: Any) -> Operator:
        table = default_options(name)
        assert set(options) <= set(table.fields), f"{name} has no such options"
        outputs = [outputs] if isinstance(outputs, int) else list(outputs)
        self.operators.append(Operator(OperatorCode(name), list(inputs), outputs, Table(table.name, {**table.fields, **options})))
        return self.operators[-1]

    def model(self, *outputs: int) -> Model:
        """The model, with a signature that calls inputs and outputs by their tensors' names."""
        graph = Subgraph("main", self.tensors, self.inputs, list(outputs), self.operators)
        names = ([(self.tensors[i].name, i) for i in which] for which in (self.inputs, outputs))
        return Model([graph], signatures=[Signature("serve", *names)])


def dense(rng: np.random.Generator, units: int = 32, depth: int = 64, activation: str = "NONE") -> Model:
    """x[1, depth] -> FULLY_CONNECTED -> y[1, units], with a bias."""
    b = Builder()
    x = b.input("x", (1, depth))
    weights, bias = b.constant("weights", rng.normal(size=(units, depth))), b.constant("bias", rng.normal(size=units))
    y = b.tensor("y", (1, units))
    b.op("FULLY_CONNECTED", [x, weights, bias], y, fused_activation_function=activation)
    return b.model(y)


def branches(rng: np.random.Generator) -> Model:
    """x -> CONV_2D -> c; c -> NEG (which no integer mode takes) -> n; c, n, a constant -> CONCATENATION -> y."""
    b = Builder()
    x = b.input("x", (1, 4, 4, 3))
    filter, bias = b.constant("filter", rng.normal(size=(5, 3, 3, 3))), b.constant("bias", rng.normal(size=5))
    c, n, y = b.tensor("c", (1, 4, 4, 5)), b.tensor("n", (1, 4, 4, 5)), b.tensor("y", (1, 4, 4, 11))
    extra = b.constant("extra", rng.normal(size=(1, 4, 4, 1)))
    b.op("CONV_2D", [x, filter, bias], c, padding="SAME", stride_w=1, stride_h=1, fused_activation_function="RELU")
    b.op("NEG", [c], n)
    b.op("CONCATENATION", [c, n, extra], y, axis=3)
    return b.model(y)


def lstm(leave_out: tuple[int, ...] = (), projection: bool = False) -> Model:
    """x[1, 2, 4] -> UNIDIRECTIONAL_SEQUENCE_LSTM of three units -> y."""
    units, depth = 3, 4
    rng = np.random.default_rng(0)
    b = Builder()
    x = b.input("x", (1, 2, depth))
    inputs = [x] + [OPTIONAL] * 23
    for slot in range(1, 9):
        inputs[slot] = b.constant(f"w{slot}", rng.uniform(-1.27, 1.27, (units, depth if slot < 5 else units)))
    for slot in range(12, 16):
        inputs[slot] = b.constant(f"b{slot}", rng.uniform(-1, 1, units))
    if projection:
        inputs[16] = b.constant("projection", rng.uniform(-1, 1, (units, units)))
    for slot in (18, 19):
        inputs[slot] = b.tensor(f"state{slot}", (1, units))
        b.tensors[inputs[slot]].is_variable = True
    for slot in leave_out:
        inputs[slot] = OPTIONAL
    y = b.tensor("y", (1, 2, units))
    b.op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, y, fused_activation_function="TANH")
    return b.model(y)


def names(model: Model, subgraph: int = 0) -> list[str]:
    """The operators, in the order they run."""
    return [operator.name for operator in model.subgraphs[subgraph].operators]


def find(model: Model, name: str, subgraph: int = 0) -> Operator:
    """The only operator of that name."""
    (found,) = [operator for operator in model.subgraphs[subgraph].operators if operator.name == name]
    return found


def tensor_of(model: Model, operator: Operator, slot: int) -> Tensor:
    """An input of an operator."""
    assert operator.inputs[slot] != OPTIONAL
    return model.subgraphs[0].tensors[operator.inputs[slot]]


def run_time_filter() -> Model:
    """A convolution whose filter is an input."""
    b = Builder()
    x, filter, y = b.input("x", (1, 4, 4, 1)), b.input("filter", (1, 1, 1, 1)), b.tensor("y", (1, 4, 4, 1))
    b.op("CONV_2D", [x, filter, b.constant("bias", [1.0])], y, stride_w=1, stride_h=1)
    return b.model(y)
