"""One operator as rules see it: its tensors, options and constants, without running anything."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from qcore.kernels.opdef import Array
from qcore.kernels.registry import look_up
from qcore.model import OPTIONAL, Model, Operator, Subgraph, Tensor
from qcore.schema import constant, default_options

LIMIT = 1 << 28
"""Most bytes of a constant that rules look into."""


class Subject:
    """An operator of a model.

    inputs, outputs: tensors; None where left out.
    """

    def __init__(self, model: Model, subgraph: int, position: int):
        self.model, self.subgraph, self.position = model, subgraph, position
        self.inputs = [self._tensor(i) for i in self.operator.inputs]
        self.outputs = [self._tensor(i) for i in self.operator.outputs]

    @property
    def graph(self) -> Subgraph:
        """The subgraph that it is in."""
        return self.model.subgraphs[self.subgraph]

    @property
    def operator(self) -> Operator:
        """As the model holds it."""
        return self.graph.operators[self.position]

    @property
    def name(self) -> str:
        """The builtin's name, or a custom operator's own."""
        return self.operator.name

    @cached_property
    def options(self) -> dict[str, Any]:
        """Every option by its schema name."""
        table = self.operator.options or default_options(self.operator.code.name)
        return {} if table is None else table.fields

    @property
    def principal(self) -> Tensor | None:
        """The input that decides the type of the operator."""
        definition = look_up(self.operator.code)
        return self.input(0 if definition is None else definition.principal)

    @property
    def output(self) -> Tensor | None:
        """The first output."""
        return self.outputs[0] if self.outputs else None

    @property
    def tensors(self) -> list[Tensor]:
        """All inputs and outputs that there are."""
        return [tensor for tensor in (*self.inputs, *self.outputs) if tensor is not None]

    @property
    def activations(self) -> list[Tensor]:
        """Inputs and outputs that are no constants."""
        return [tensor for tensor in self.tensors if not tensor.is_constant]

    def input(self, index: int) -> Tensor | None:
        """An input; None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def value(self, index: int) -> Array | None:
        """The value of a constant input; None for any other."""
        tensor = self.input(index)
        return None if tensor is None else constant(tensor, LIMIT)

    def integers(self, index: int) -> list[int] | None:
        """The numbers of a constant input of integers."""
        value = self.value(index)
        return None if value is None or value.dtype.kind not in "iu" else [int(number) for number in np.ravel(value)]

    def _tensor(self, index: int) -> Tensor | None:
        return None if index == OPTIONAL else self.graph.tensors[index]


def is_float(tensor: Tensor | None) -> bool:
    """The tensor holds real numbers."""
    return tensor is not None and tensor.dtype in ("float32", "float16", "bfloat16", "float64")


def scale_count(tensor: Tensor | None) -> int:
    """How many scales a tensor has."""
    return 0 if tensor is None or tensor.quantization is None else tensor.quantization.scale.size


def is_dynamic(tensor: Tensor) -> bool:
    """Its shape is only known at run time."""
    return tensor.shape_signature is not None and -1 in tensor.shape_signature
