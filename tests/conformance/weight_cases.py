"""A model of one operator for each case of qcore.quantizer.weight_kernels, with an input and what the operator means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcore.model import Model, Quantization, Table, Tensor
from qcore.quantizer.graph import Graph, finish, set_constant
from qcore.quantizer.versions import set_versions
from qcore.quantizer.weight_kernels import FEW_UNITS, FUSED, LEAST_CODE, ONE_UNIT, PART_BYTES, Case
from tests.conformance.harness import run_qcore
from tests.quantizer.builder import Builder

BLOCK = 32
GREATEST = {"int8": 127, "int4": 7, "int2": 1}
INPUT_STEP, ZERO_POINT = {"int8": 2.0**-6, "int16": 2.0**-14}, {"int8": 3, "int16": 0}
BIAS_TYPE = {"int8": "int32", "int16": "int64"}
STEPS = {"int8": 1.6, "int16": 8.0}
"""How many steps an output may be off: kernels round once or twice, and some cut the multipliers of int16."""


@dataclass(frozen=True, eq=False)
class Codes:
    """Integers that stand for ``step * (integers - zero_point)``; without a step they are what they are."""

    values: NDArray[Any]
    step: Any = None
    zero_point: int = 0

    @property
    def real(self) -> NDArray[Any]:
        return self.values if self.step is None else ((self.values.astype(np.float64) - self.zero_point) * self.step).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Trial:
    """A case to try.

    model, input: to run it on.
    expected, tolerance: float64, what comes out in real units, and what that may be off.
    without: float64, what comes out where all weights count as 0.
    """

    model: Model
    input: NDArray[Any]
    expected: NDArray[np.float64]
    tolerance: NDArray[np.float64]
    without: NDArray[np.float64]

    def outcome(self, output: NDArray[Any]) -> str:
        """The letter of an output: "o" is right, "z" without weights, "m" something else."""
        q = self.model.subgraphs[0].tensors[self.model.subgraphs[0].outputs[0]].quantization
        got = output.astype(np.float64) if q is None else (output.astype(np.float64) - q.zero_point[0]) * float(q.scale[0])
        right, weightless = (bool((np.abs(got - wanted) <= self.tolerance).all()) for wanted in (self.expected, self.without))
        return "o" if right else "z" if weightless else "m"


def trial(case: Case) -> Trial:
    """The case, with random numbers."""
    rng = np.random.default_rng(sum(map(ord, str(case))))
    model = float_model(case)
    graph = Graph(model)
    x, w, y = (graph.tensors[i] for i in (graph.subgraph.inputs[0], 1, graph.subgraph.outputs[0]))
    b = next((tensor for tensor in graph.tensors if tensor.name == "b"), None)
    scale = random_scale(case, w.shape, rng)
    weights = Codes(random_codes(case, w.shape, rng), spread(case, scale, w.shape))
    given = random_input(case, x, rng)
    channels = scale if case.granularity == "per_channel" else scale.mean(keepdims=True).ravel()
    bias_step = ((given.step or 1.0) * channels).astype(np.float32)
    bias = None if b is None else Codes(np.round(rng.uniform(-1, 1, b.shape) / bias_step), bias_step)

    def computed(x: NDArray[Any], w: ArrayLike) -> NDArray[np.float64]:
        set_constant(graph.tensors[1], np.asarray(w, np.float32), "float32")
        return run_qcore(model, [x])[0].astype(np.float64)

    tolerance = np.float64(0)
    if case.activations == "float32" and case.operator != "EMBEDDING_LOOKUP":  # inputs lose half a step of eight bits
        tolerance = 0.7 * computed(np.full(x.shape, 2 / 127, np.float32), np.abs(weights.real))
    if b is not None and bias is not None:
        set_constant(b, bias.real, "float32")
    right, without = (computed(given.real, w) for w in (weights.real, np.zeros(w.shape)))
    tolerance = tolerance + np.full_like(right, 1e-4 * np.abs(right).max())

    store_weights(graph, case, weights.values, scale)
    if case.activations in INPUT_STEP:
        top = np.iinfo(case.activations).max
        step = np.float32(scale.ravel()[0] if x.dtype == "int32" else np.abs(right).max() / (0.95 * top))
        y.dtype, y.quantization = case.activations, one_scale(step)
        tolerance += STEPS[case.activations] * float(step)
        if x.dtype != "int32":
            x.dtype, x.quantization = case.activations, one_scale(given.step, given.zero_point)
        if b is not None and bias is not None:
            dtype = BIAS_TYPE[case.activations]
            stored = Quantization(bias_step, np.zeros(bias_step.size, np.int64))
            set_constant(b, bias.values.astype(dtype), dtype, stored)
    finish(model)
    set_versions(model)
    return Trial(model, given.values, right, tolerance, without)


def float_model(case: Case) -> Model:
    """The operator with a float32 input x, weights w, which are tensor 1, and perhaps a bias b."""
    units, depth = {ONE_UNIT: 1, FEW_UNITS: 3}.get(case.condition, 8), 33 if case.condition == PART_BYTES else 64
    image, wide, rows = (1, 5, 5, depth), (1, 10, 10, units), (4, depth)
    b = Builder()

    def add(x: Any, w: Any, y: Any, bias: int = 0, dtype: str = "float32") -> tuple[list[int], int]:
        inputs = [b.input("x", x, dtype), b.constant("w", np.zeros(w))]
        return inputs + ([b.constant("b", np.zeros(bias))] if bias else []), b.tensor("y", y)

    same = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    if case.operator == "CONV_2D":
        b.op(case.operator, *add(image, (units, 3, 3, depth), (1, 5, 5, units), units), **same)
    elif case.operator == "DEPTHWISE_CONV_2D":
        b.op(case.operator, *add(image, (1, 3, 3, depth), image, depth), depth_multiplier=1, **same)
    elif case.operator == "TRANSPOSE_CONV":
        (x, w, bias), y = add(image, (units, 3, 3, depth), wide, units)
        b.op(case.operator, [b.constant("shape", wide, "int32"), w, x, bias], y, padding="SAME", stride_h=2, stride_w=2)
    elif case.operator == "FULLY_CONNECTED":
        activation = "RELU" if case.condition == FUSED else "NONE"
        b.op(case.operator, *add(rows, (units, depth), (4, units), units), fused_activation_function=activation)
    elif case.operator == "EMBEDDING_LOOKUP":
        b.op(case.operator, *add((4,), (10, depth), rows, dtype="int32"))
    else:  # blocks run along the sums, as those of FULLY_CONNECTED
        transposed = case.granularity == "blockwise"
        b.op(case.operator, *add((1, *rows), (1, units, depth) if transposed else (1, depth, units), (1, 4, units)), adj_y=transposed)
    return b.model(b.operators[0].outputs[0])


def axis(case: Case) -> int:
    """The axis of scales for each channel."""
    return {"DEPTHWISE_CONV_2D": 3, "BATCH_MATMUL": 2}.get(case.operator, 0)


def random_scale(case: Case, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """float32[1], [channels] or [rows, blocks]; of blocks such that bfloat16 holds it."""
    greatest = 2.0 / GREATEST[case.weight_type]
    if case.granularity == "per_tensor":
        return np.full(1, greatest, np.float32)
    if case.granularity == "per_channel":
        return (greatest * rng.uniform(0.5, 1.5, shape[axis(case)])).astype(np.float32)
    return (greatest * rng.integers(64, 128, (int(np.prod(shape[:-1])), shape[-1] // BLOCK)) / 128).astype(np.float16).astype(np.float32)


def spread(case: Case, scale: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A scale for each weight."""
    if case.granularity == "blockwise":
        return np.repeat(scale, BLOCK, axis=1).reshape(shape)
    return scale.reshape([-1 if i == axis(case) else 1 for i in range(len(shape))])


def random_codes(case: Case, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.int8]:
    """Weights of all codes, the least under that condition alone."""
    greatest = GREATEST[case.weight_type]
    codes = rng.integers(-greatest, greatest + 1, shape).astype(np.int8)
    codes.reshape(-1)[::7] = -greatest - (case.condition == LEAST_CODE)
    return codes


def random_input(case: Case, x: Tensor, rng: np.random.Generator) -> Codes:
    """Numbers of rows, codes or real numbers in [-2, 2)."""
    if x.dtype == "int32":
        return Codes(np.array([9, 0, 5, 3], np.int32))
    if case.activations not in INPUT_STEP:
        return Codes(rng.uniform(-2, 2, x.shape).astype(np.float32))
    info = np.iinfo(case.activations)
    codes = rng.integers(info.min, info.max + 1, x.shape).astype(case.activations)
    return Codes(codes, INPUT_STEP[case.activations], ZERO_POINT[case.activations])


def store_weights(graph: Graph, case: Case, codes: NDArray[np.int8], scale: NDArray[np.float32]) -> None:
    """Gives the operator codes to read, or what a DEQUANTIZE makes of them."""
    if case.granularity == "blockwise":
        scales = graph.add_constant("w_scales", scale.astype(np.float16), "float16")
        fields = {"scales": scales, "zero_points": -1, "block_size": BLOCK, "block_shape": None}
        quantization = Quantization(details=Table("BlockwiseQuantization", fields))
    else:
        along = axis(case) if case.granularity == "per_channel" else 0
        quantization = Quantization(scale, np.zeros(scale.size, np.int64), along)
    set_constant(graph.tensors[1], codes, case.weight_type, quantization)
    if case.activations == "dequantized":
        (operator,) = graph.operators
        restored = graph.add_tensor("restored", "float32", graph.tensors[1])
        operator.inputs = [restored if i == 1 else i for i in operator.inputs]
        graph.add_operator("DEQUANTIZE", [1], [restored])


def one_scale(scale: float, zero_point: int = 0) -> Quantization:
    return Quantization(np.full(1, scale, np.float32), np.full(1, zero_point, np.int64))
