"""What recurrent operators share: steps in time, states that outlive them, and products of rows with weights.

A cell makes an output and new states of one step's input and the states before. What the input alone contributes is computed for all
steps at once; then the steps follow one another, from the first to the last or backward. States are variables of the model: they go
on from one invoke to the next.

Weights are [units, depth], several of them stacked one upon the other where they meet the same rows. Integer weights that meet float32
rows are dynamic range (see ``hybrid``): each row is quantized to int8 by its own range.

Source (TensorFlow Lite 2.21): tflite/kernels/internal/kernel_utils.cc#RnnBatchStep,
kernels/internal/tensor_utils.h#ApplyActivationToVector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.activation import tanh
from qcore.kernels.common import float_activation_range, require_rank
from qcore.kernels.hybrid import quantize_rows, real_values
from qcore.kernels.opdef import Array, Node, Operand, Shape, Step
from qcore.kernels.products import PackedFilter, greatest_magnitude, pack
from qcore.kernels.weighted import codes

Real = NDArray[np.float32]
Curve = Callable[[Real], Real]
Product = Callable[[Real], Real]
"""From float32[rows, depth] to float32[rows, units]."""

States = tuple[Array, ...]
"""Each [batch, size]."""

HYBRID = ("int8", "uint8")
"""Types of weights that meet float32 rows; uint8 holds int8 codes, as in files older than the type int8."""

SCRATCH_PER_SUM = 32
"""Bytes of temporary arrays for each element of the inputs of all steps, of what they contribute, and for each row."""


class Cell(Protocol):
    """One step of a recurrence."""

    @property
    def channels(self) -> int:
        """How many values each row of the input contributes to its step."""

    def contribution(self, x: Array, aux: Array | None) -> Array:
        """What the inputs contribute to their steps, whatever the states: of [rows, depth], [rows, channels]."""

    def step(self, contribution: Array, states: States) -> States:
        """The new states, the first of which is the output, of [batch, channels] and the states before."""


@dataclass(frozen=True)
class Layout:
    """How input and output lie: [steps, batch, depth], [batch, steps, depth], or [batch, depth] of a single step.

    time: the axis of the steps; None where there is none.
    """

    time: int | None
    steps: int
    batch: int
    depth: int

    def steps_first(self, x: Array) -> Array:
        """As [steps, batch, depth]."""
        return x[np.newaxis] if self.time is None else np.moveaxis(x, self.time, 0)

    def restore(self, y: Array) -> Array:
        """As the operator's output lies, of [steps, batch, outputs]."""
        return y[0] if self.time is None else np.moveaxis(y, 0, self.time)

    def output(self, outputs: int) -> Shape:
        """Shape of the operator's output."""
        return {None: (self.batch, outputs), 0: (self.steps, self.batch, outputs), 1: (self.batch, self.steps, outputs)}[self.time]


@dataclass(frozen=True, eq=False)
class Pass:
    """A cell's way through the sequence.

    input, aux: the operator's inputs that the cell reads; aux is None where it reads but one.
    states: the operator's inputs that hold its states, and their shapes there.
    sizes: of each state, for one row of the batch; the first is the output's.
    backward: from the last step to the first.
    """

    cell: Cell
    input: int
    aux: int | None
    states: tuple[int, ...]
    shapes: tuple[Shape, ...]
    sizes: tuple[int, ...]
    backward: bool = False


@dataclass(frozen=True, eq=False)
class Params:
    """One pass, or one forward and one backward.

    merge_outputs: the passes' outputs are put side by side into one.
    repeats: how often each pass runs, going on from its own states; the last run's output counts.
    """

    passes: tuple[Pass, ...]
    layout: Layout
    merge_outputs: bool = False
    repeats: int = 1


@dataclass(frozen=True, eq=False)
class RealProduct:
    """``x @ matrix``; matrix: float32[depth, units]."""

    matrix: Real

    def __call__(self, x: Real) -> Real:
        """Of float32[rows, depth]."""
        product: Real = x @ self.matrix
        return product


@dataclass(frozen=True, eq=False)
class HybridProduct:
    """``x @ weights`` in dynamic range.

    scale: float32[units], of the weights.
    """

    weights: PackedFilter
    scale: Real
    asymmetric: bool

    def __call__(self, x: Real) -> Real:
        """Of float32[rows, depth]."""
        rows, scale, zero_point = quantize_rows(x, self.asymmetric)
        sums = self.weights.product(rows) - np.multiply.outer(zero_point, self.weights.sums)
        return real_values(sums, scale, self.scale)


def layout(node: Node, input: Operand, time_major: bool | None) -> Layout:
    """How the input lies; time_major is None for a single step.

    Raises:
        ModelError: it is of another rank.
    """
    if time_major is None:
        require_rank(node, input, 2)
        return Layout(None, 1, *input.shape)
    require_rank(node, input, 3)
    time, batch = (0, 1) if time_major else (1, 0)
    return Layout(time, input.shape[time], input.shape[batch], input.shape[2])


def require_tensor(node: Node, operand: Operand, types: Sequence[str], shape: Shape) -> None:
    """Refuse a tensor of another type or shape."""
    wanted = " or ".join(types)
    node.require(operand.dtype in types, f"'{operand.name}' is {operand.dtype}, expected {wanted}")
    node.require(operand.shape == shape, f"'{operand.name}' has shape {list(operand.shape)}, expected {list(shape)}")


def require_state(node: Node, operand: Operand, dtype: str, batch: int, size: int) -> None:
    """Refuse a state that is no variable of that type with ``size`` elements for each row of the batch."""
    node.require(operand.is_variable, f"'{operand.name}' is no variable, expected one to keep the state in")
    node.require(operand.dtype == dtype, f"'{operand.name}' is {operand.dtype}, expected {dtype}")
    node.require(
        operand.size == batch * size, f"'{operand.name}' has shape {list(operand.shape)}, expected {batch * size} elements, {size} a row"
    )


def sequence_step(node: Node, params: Params) -> Step:
    """The step of an operator that runs cells over a sequence.

    Raises:
        ModelError: it takes more steps in time than the session lets a loop have iterations.
    """
    of, sizes = params.layout, [p.sizes[0] for p in params.passes]
    steps = of.steps * params.repeats
    limit = None if node.session is None else node.session.loop_limit
    node.require(limit is None or steps <= limit, f"takes {steps} steps in time, the loop limit is {limit}")
    rows, channels = of.steps * of.batch, max(p.cell.channels for p in params.passes)
    return Step(
        run,
        params,
        tuple(of.output(size) for size in ([sum(sizes)] if params.merge_outputs else sizes)),
        scratch=SCRATCH_PER_SUM * rows * (channels + of.depth + 1),
        updates=tuple(slot for p in params.passes for slot in p.states),
    )


def stacked_product(weights: Sequence[Operand], asymmetric: bool) -> Product:
    """Products with weights [units, depth] of one type and depth, one upon the other."""
    if weights[0].dtype == "float32":
        return RealProduct(np.concatenate([w.value for w in weights]).T)
    packed = pack(np.concatenate([integer_codes(w) for w in weights]), 0, greatest_magnitude(np.int8))
    scale = np.repeat(np.array([w.scale for w in weights], np.float32), [w.shape[0] for w in weights])
    return HybridProduct(packed, scale, asymmetric)


def integer_codes(weights: Operand) -> Array:
    """Integer weights as int8, whatever their type says."""
    return codes(weights.value, np.dtype(np.float32))


def real_values_of(weights: Operand) -> Real:
    """Weights that are used as real numbers: float32, or integers times their scale."""
    if weights.dtype == "float32":
        return weights.value
    real: Real = integer_codes(weights) * np.float32(weights.scale)
    return real


def activation_function(node: Node, name: str) -> Curve:
    """An activation of float32[...]: those that clamp, TANH and SIGN_BIT."""
    if name == "TANH":
        return tanh
    if name == "SIGN_BIT":
        return sign_bit
    low, high = float_activation_range(node, name)
    return partial(np.clip, a_min=np.float32(low), a_max=np.float32(high))


def sign_bit(x: Real) -> Real:
    """1 where the sign bit is set, else 0."""
    return np.signbit(x).astype(np.float32)


def run(p: Params, *inputs: Array) -> tuple[Array, ...]:
    """Run every pass; the outputs, then the new states of each pass."""
    outputs, states = [], []
    for one in p.passes:
        output, after = run_pass(p, one, inputs)
        outputs.append(output)
        states += [state.reshape(shape) for state, shape in zip(after, one.shapes, strict=True)]
    if p.merge_outputs:
        outputs = [np.concatenate(outputs, axis=-1)]
    return (*(p.layout.restore(output) for output in outputs), *states)


def run_pass(p: Params, one: Pass, inputs: Sequence[Array]) -> tuple[Array, States]:
    """One pass over the sequence: outputs [steps, batch, outputs], and the states at the end."""
    steps, batch = p.layout.steps, p.layout.batch

    def rows(slot: int) -> Array:
        x = p.layout.steps_first(inputs[slot])
        return x.reshape(steps * batch, x.shape[2])

    contributions = one.cell.contribution(rows(one.input), None if one.aux is None else rows(one.aux))
    contributions = contributions.reshape(steps, batch, one.cell.channels)
    states: States = tuple(inputs[slot].reshape(batch, size) for slot, size in zip(one.states, one.sizes, strict=True))
    outputs = np.empty((steps, *states[0].shape), states[0].dtype)
    for _ in range(p.repeats):
        for t in reversed(range(steps)) if one.backward else range(steps):
            states = one.cell.step(contributions[t], states)
            outputs[t] = states[0]
    return outputs, states
