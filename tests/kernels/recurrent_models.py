"""Models of one recurrent operator, for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qcore.model import Model, Operator, Quantization, Tensor
from tests.conformance.harness import T, one_operator

Weights = Callable[[tuple[int, ...]], T]


@dataclass(frozen=True)
class CellShape:
    """Sizes of an LSTM cell, and which of its optional tensors it has."""

    depth: int
    units: int
    outputs: int | None = None
    coupled: bool = False
    peephole: bool = False
    projection_bias: bool = False
    layer_norm: bool = False
    diagonal: bool = False

    @property
    def output_size(self) -> int:
        return self.units if self.outputs is None else self.outputs


def cell_inputs(shape: CellShape, matrix: Weights, peephole: Weights, bias: Weights, recurrent: Weights | None = None) -> list[T | None]:
    """The 17 tensors from the input weights to the projection bias; each made by a function of its shape."""
    units, outputs = shape.units, shape.output_size

    def gates(count: int, make: Weights, size: tuple[int, ...], present: bool = True) -> list[T | None]:
        return [make(size) if present and not (shape.coupled and gate == 0) else None for gate in range(count)]

    projected = shape.outputs is not None
    return [
        *gates(4, matrix, (units, shape.depth)),
        *gates(4, recurrent or matrix, (units,) if shape.diagonal else (units, outputs)),
        *gates(3, peephole, (units,), shape.peephole),
        *gates(4, bias, (units,)),
        matrix((outputs, units)) if projected else None,
        bias((outputs,)) if projected and shape.projection_bias else None,
    ]


def layer_norms(shape: CellShape, make: Weights) -> list[T | None]:
    """The four tensors of layer normalization."""
    return [make((shape.units,)) if shape.layer_norm and not (shape.coupled and gate == 0) else None for gate in range(4)]


def state(dtype: str, batch: int, size: int, scale: Any = None, zero_point: int = 0) -> T:
    """A variable."""
    return T(dtype, (batch, size), scale, zero_point, is_variable=True)


def real_weights(rng: np.random.Generator, dtype: str = "float32", run_time: bool = False) -> Weights:
    """Makes constants of values in [-1, 1): float32, or codes and a scale; run_time makes the model's inputs of them."""

    def make(shape: tuple[int, ...]) -> T:
        if run_time:
            return T(dtype, shape, None if dtype == "float32" else 1 / 127)
        if dtype == "float32":
            return T(dtype, shape, value=rng.uniform(-1, 1, shape))
        # No -128: the x86 dynamic-range kernels multiply it by a negative code wrongly.
        codes = rng.integers(-127, 128, shape).astype(np.int8)
        return T(dtype, shape, rng.uniform(0.002, 0.01), value=codes.view(np.uint8) if dtype == "uint8" else codes)

    return make


def real_lstm(
    name: str,
    shape: CellShape,
    batch: int,
    steps: int,
    options: Mapping[str, Any],
    matrix: Weights,
    bias: Weights,
    inputs: int = 24,
) -> Model:
    """LSTM (one step) or UNIDIRECTIONAL_SEQUENCE_LSTM of a float32 input."""
    tensors = [
        T("float32", sequence(name, batch, steps, shape.depth, options)),
        *cell_inputs(shape, matrix, matrix, bias, bias if shape.diagonal else None),
        state("float32", batch, shape.output_size),
        state("float32", batch, shape.units),
        *layer_norms(shape, bias),
    ]
    output = T("float32", sequence(name, batch, steps, shape.output_size, options))
    return one_operator(name, tensors[:inputs], [output], {"fused_activation_function": "TANH", **options})


def sequence(name: str, batch: int, steps: int, depth: int, options: Mapping[str, Any]) -> tuple[int, ...]:
    """Shape of an operator's input or output."""
    if name in ("LSTM", "RNN"):
        return (batch, depth)
    return (steps, batch, depth) if options.get("time_major") else (batch, steps, depth)


@dataclass(frozen=True)
class IntegerScales:
    """Quantization of an int8 LSTM: (scale, zero point) or scales."""

    input: tuple[float, int] = (1 / 64, 3)
    output: tuple[float, int] = (1 / 128, -5)
    hidden: tuple[float, int] = (1 / 128, -5)
    cell: float = 2.0**-11
    weights: float = 1 / 127
    peephole: float = 1 / 32767
    layer_norm: float = 1 / 32767
    gate: float = 2.0**-10


def integer_lstm(
    name: str, shape: CellShape, batch: int, steps: int, options: Mapping[str, Any], scales: IntegerScales, rng: np.random.Generator
) -> Model:
    """LSTM (one step) or UNIDIRECTIONAL_SEQUENCE_LSTM of an int8 input."""

    def matrix(size: tuple[int, ...]) -> T:
        return T("int8", size, scales.weights * rng.uniform(0.5, 2), value=rng.integers(-128, 128, size))

    def int16(scale: float) -> Weights:
        return lambda size: T("int16", size, scale, value=rng.integers(-(1 << 15), 1 << 15, size))

    def bias(size: tuple[int, ...]) -> T:
        return T("int32", size, scales.input[0] * scales.weights, value=rng.integers(-5000, 5000, size))

    tensors = [
        T("int8", sequence(name, batch, steps, shape.depth, options), *scales.input),
        *cell_inputs(shape, matrix, int16(scales.peephole), bias),
        state("int8", batch, shape.output_size, *scales.output),
        state("int16", batch, shape.units, scales.cell),
        *layer_norms(shape, int16(scales.layer_norm)),
    ]
    output = T("int8", sequence(name, batch, steps, shape.output_size, options), *scales.output)
    model = one_operator(name, tensors, [output], {"fused_activation_function": "TANH", **options})
    return with_intermediates(model, [(scales.gate, 0) if shape.layer_norm else None] * 4 + [scales.hidden])


def with_intermediates(model: Model, quantizations: Sequence[tuple[float, int] | None]) -> Model:
    """Give the operator tensors that only lend it their quantization."""
    graph = model.subgraphs[0]
    operator: Operator = graph.operators[0]
    operator.intermediates = []
    for pair in quantizations:
        q = None if pair is None else Quantization(np.array([pair[0]], np.float32), np.array([pair[1]], np.int64))
        operator.intermediates.append(len(graph.tensors))
        graph.tensors.append(Tensor(f"intermediate{len(graph.tensors)}", "int16", (1,), model.buffers[0], quantization=q))
    return model


def rnn_cell(depth: int, units: int, batch: int, matrix: Weights, bias: Weights) -> list[T | None]:
    """The four tensors from the weights to the hidden state."""
    return [matrix((units, depth)), matrix((units, units)), bias((units,)), state("float32", batch, units)]
