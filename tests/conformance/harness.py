"""One-operator models built on the spot, run by qcore and by TensorFlow Lite, in any of its arithmetics."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import qcore
from qcore.kernels.opdef import Arithmetic
from qcore.model import OPTIONAL, Buffer, Model, Operator, OperatorCode, Quantization, Subgraph, Tensor
from qcore.numerics.dtypes import element_type
from qcore.schema import default_options, encode

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RESOLVERS = {"reference": "BUILTIN_REF", "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "xnnpack": "AUTO"}
"""The OpResolverType of each arithmetic."""


@dataclass
class T:
    """A tensor of a one-operator model; ``value`` makes it a constant, several scales make it per channel."""

    dtype: str
    shape: Sequence[int]
    scale: Any = None
    zero_point: Any = 0
    axis: int = 0
    value: Any = None
    is_variable: bool = False


def one_operator(
    name: str, inputs: Sequence[T | None], outputs: Sequence[T], options: Mapping[str, Any] | None = None, version: int = 1
) -> Model:
    """A model that holds one operator; inputs without a value are the model's inputs, None leaves one out."""
    tensors: list[Tensor] = []
    empty = Buffer()
    buffers = [empty]

    def add(t: T | None, role: str) -> int:
        if t is None:
            return OPTIONAL
        q = None
        if t.scale is not None:
            scale = np.atleast_1d(np.asarray(t.scale, np.float32))
            q = Quantization(scale, np.broadcast_to(np.asarray(t.zero_point, np.int64), scale.shape).copy(), t.axis)
        buffer = empty
        if t.value is not None:
            value = np.asarray(t.value).astype(element_type(t.dtype).storage).reshape(tuple(t.shape))
            buffer = Buffer(encode(value, t.dtype))
            buffers.append(buffer)
        tensors.append(Tensor(f"{role}{len(tensors)}", t.dtype, tuple(t.shape), buffer, quantization=q, is_variable=t.is_variable))
        return len(tensors) - 1

    ins = [add(t, "input") for t in inputs]
    outs = [add(t, "output") for t in outputs]
    table = default_options(name)
    if options:
        assert table is not None and set(options) <= set(table.fields), f"{name} has no such options"
        table.fields.update(options)
    code = OperatorCode(name, version)
    graph_inputs = [i for i, t in zip(ins, inputs, strict=True) if t is not None and t.value is None and not t.is_variable]
    graph = Subgraph("main", tensors, graph_inputs, outs, [Operator(code, ins, outs, table)])
    return Model([graph], [code], buffers)


def random_inputs(model: Model, rng: np.random.Generator, low: float = -2, high: float = 2) -> list[np.ndarray]:
    """An array for each input: all codes of small integer types, real values in [low, high)."""
    arrays = []
    for i in model.subgraphs[0].inputs:
        t = model.subgraphs[0].tensors[i]
        storage = element_type(t.dtype).storage
        if storage.kind == "f":
            arrays.append(rng.uniform(low, high, t.shape).astype(storage))
        elif storage.kind == "b":
            arrays.append(rng.integers(0, 2, t.shape).astype(bool))
        elif storage.itemsize <= 2:
            info = np.iinfo(storage)
            arrays.append(rng.integers(info.min, info.max + 1, t.shape).astype(storage))
        else:
            arrays.append(rng.integers(int(low), int(high) + 1, t.shape).astype(storage))
    return arrays


def run(interpreter: Any, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Set inputs in order, invoke, and copy the outputs."""
    interpreter.allocate_tensors()
    for details, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(details["index"], array)
    interpreter.invoke()
    return [np.array(interpreter.get_tensor(details["index"])) for details in interpreter.get_output_details()]


def run_tflite(model: Model, inputs: Sequence[np.ndarray], resolver: str = "BUILTIN_REF") -> list[np.ndarray]:
    """TensorFlow Lite's own outputs; skips the test where TensorFlow is missing."""
    tf = pytest.importorskip("tensorflow", reason="needs tensorflow")
    kind = tf.lite.experimental.OpResolverType[resolver]
    return run(tf.lite.Interpreter(model_content=model.to_bytes(), experimental_op_resolver_type=kind), inputs)


def run_qcore(model: Model, inputs: Sequence[np.ndarray], **options: Any) -> list[np.ndarray]:
    return run(qcore.Interpreter(model_content=model, **options), inputs)


def assert_same(
    model: Model, inputs: Sequence[np.ndarray], rtol: float = 1e-5, atol: float = 1e-6, arithmetic: Arithmetic = "reference"
) -> None:
    """Qcore gives TensorFlow Lite's outputs: integers to the bit, floats within rtol and atol of the largest magnitude.

    Floats have a tolerance because sums are taken in another order and the C library's functions differ in their last bits.
    """
    results = run_qcore(model, inputs, arithmetic=arithmetic), run_tflite(model, inputs, RESOLVERS[arithmetic])
    for got, want in zip(*results, strict=True):
        assert got.dtype == want.dtype
        assert got.shape == want.shape
        if want.dtype.kind in "fc":
            finite = np.abs(want[np.isfinite(want)])
            np.testing.assert_allclose(got, want, rtol=rtol, atol=atol * float(finite.max(initial=0)))
        else:
            np.testing.assert_array_equal(got, want)
