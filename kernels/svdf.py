"""SVDF: a dense layer over the last inputs, factored into features and time.

    feature[f] = W_feature[f] . input
    memory[f]  = the last ``memory`` values of feature[f], oldest first, kept in the state
    output[u]  = activation(bias[u] + sum over the rank filters f of unit u of W_time[f] . memory[f])

The state is a variable, [batch, filters * memory]. Integer weights that meet a float32 input are dynamic range (see ``hybrid``); the
weights over time are then used as real numbers. An int8 input has int16 features and weights over time: features are requantized to
the state's scale and saturate, the sum wraps to int32 and is requantized to the output's. Its activation must be RELU, and the output's
range does what RELU would.

Source (TensorFlow Lite 2.21): tflite/kernels/svdf.cc, kernels/internal/reference/svdf.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import require_rank
from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Operand, Shape, Step
from qcore.kernels.products import PackedFilter, greatest_magnitude, pack
from qcore.kernels.recurrent import (
    HYBRID,
    Curve,
    Product,
    Real,
    activation_function,
    real_values_of,
    require_state,
    require_tensor,
    stacked_product,
)
from qcore.kernels.weighted import QuantizedOutput
from qcore.numerics.fixed_point import DoubleRounding, quantize_multiplier

STATE = 4
"""The input that is the state."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of the layer; ``state`` is the shape of the state's tensor."""

    batch: int
    units: int
    rank: int
    memory: int
    state: Shape

    @property
    def filters(self) -> int:
        """Filters of all units."""
        return self.units * self.rank

    def remember(self, state: Array, feature: Array) -> Array:
        """The memory [batch, filters, memory] with the oldest values dropped and the feature [batch, filters] appended."""
        memory = state.reshape(self.batch, self.filters, self.memory)
        return np.concatenate([memory[..., 1:], feature[..., np.newaxis]], axis=-1)


@dataclass(frozen=True, eq=False)
class RealParams:
    """Sizes, products with the feature weights, weights over time float32[filters, memory], and the activation."""

    sizes: Sizes
    feature: Product
    time: Real
    activation: Curve


@dataclass(frozen=True, eq=False)
class IntegerParams:
    """Sizes, feature weights, weights over time int64[filters, memory], and what follows either product.

    offset: int64[filters], what the input's zero point takes off the features.
    """

    sizes: Sizes
    feature: PackedFilter
    offset: NDArray[np.int64]
    time: NDArray[np.int64]
    memorized: QuantizedOutput
    output: QuantizedOutput


def infer_shape(batch: int, units: int) -> Shape:
    """One row for each row of the input."""
    return batch, units


def prepare(node: Node) -> Step:
    """Check types and shapes, and choose the kernel by the type of the input."""
    input, feature, time, bias, state = node.input(0), node.input(1), node.input(2), node.optional_input(3), node.input(STATE)
    integer = input.dtype == "int8"
    for operand in (input, feature, time):
        require_rank(node, operand, 2)
    batch, filters, memory, rank = input.shape[0], feature.shape[0], time.shape[1], node.options["rank"]
    node.require(rank > 0 and filters % rank == 0, f"rank is {rank}, expected a divisor of the {filters} filters")
    node.require(memory > 0, f"'{time.name}' has shape {list(time.shape)}, expected a memory of at least 1")
    require_tensor(node, feature, ("int8",) if integer else ("float32", *HYBRID), (filters, input.shape[1]))
    require_tensor(node, time, ("int16",) if integer else (feature.dtype,), (filters, memory))
    if bias is not None:
        require_tensor(node, bias, ("int32" if integer else "float32",), (filters // rank,))
    require_state(node, state, "int16" if integer else "float32", batch, filters * memory)
    node.require(node.output.dtype == input.dtype, f"output is {node.output.dtype}, expected {input.dtype}")
    sizes = Sizes(batch, filters // rank, rank, memory, state.shape)
    shapes = (infer_shape(batch, sizes.units),)
    if integer:
        return Step(fixed, prepare_integer(node, sizes), shapes, updates=(STATE,))
    params = RealParams(
        sizes,
        stacked_product([feature], node.options["asymmetric_quantize_inputs"]),
        real_values_of(time),
        activation_function(node, node.options["fused_activation_function"]),
    )
    return Step(real, params, shapes, updates=(STATE,))


def prepare_integer(node: Node, sizes: Sizes) -> IntegerParams:
    """int8 input and output, int16 state. The factors are taken in float32."""
    input, feature, time, state, output = node.input(0), node.input(1), node.input(2), node.input(STATE), node.output
    activation = node.options["fused_activation_function"]
    if activation != "RELU":
        raise node.unsupported(f"fused activation {activation} of an int8 input, qcore has RELU")
    packed = pack(feature.value, 0, greatest_magnitude(np.int8))
    return IntegerParams(
        sizes,
        packed,
        -input.zero_point * packed.sums,
        time.value.astype(np.int64),
        requantized(state, 0, factor(input, feature, state)),
        requantized(output, output.zero_point, factor(state, time, output)),
    )


def factor(x: Operand, weights: Operand, output: Operand) -> float:
    """Output steps per unit of a sum of products."""
    return float(np.float32(x.scale) * np.float32(weights.scale) / np.float32(output.scale))


def requantized(output: Operand, zero_point: int, factor: float) -> QuantizedOutput:
    """What follows int32 sums: here the requantization is chosen."""
    low, high = output.type.quantized_min, output.type.quantized_max
    return QuantizedOutput(np.dtype(np.int32), DoubleRounding(*quantize_multiplier(factor)), zero_point, low, high, output.storage)


def real(p: RealParams, x: Array, feature: Array, time: Array, bias: Array | None, state: Array) -> tuple[Array, Array]:
    """float32[batch, depth] to float32[batch, units], and the new state."""
    memory = p.sizes.remember(state, p.feature(x))
    total = (memory * p.time).sum(axis=-1).reshape(p.sizes.batch, p.sizes.units, p.sizes.rank).sum(axis=-1)
    if bias is not None:
        total += bias
    return p.activation(total), memory.reshape(p.sizes.state)


def fixed(p: IntegerParams, x: Array, feature: Array, time: Array, bias: Array | None, state: Array) -> tuple[Array, Array]:
    """int8[batch, depth] to int8[batch, units], and the new state, int16."""
    memory = p.sizes.remember(state, p.memorized(p.feature.product(x) + p.offset, None))
    products: NDArray[Any] = memory * p.time
    total = products.sum(axis=-1).reshape(p.sizes.batch, p.sizes.units, p.sizes.rank).sum(axis=-1)
    return p.output(total, bias), memory.reshape(p.sizes.state)


SVDF = OpDef(
    "SVDF",
    prepare,
    ("float32", "int8"),
    (5, 5),
    tolerances={"float32": FLOAT_ORDER},
    notes="int8 or uint8 weights with a float32 input are dynamic range; an int8 input has an int16 state",
)
