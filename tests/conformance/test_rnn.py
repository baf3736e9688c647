"""RNN and SVDF operators against TensorFlow Lite's reference kernels, on random models."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.harness import T, one_operator
from tests.conformance.recurrent import assert_same, pick
from tests.kernels.recurrent_models import real_weights, rnn_cell, sequence, state

ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")


@pytest.mark.parametrize("name", ["RNN", "UNIDIRECTIONAL_SEQUENCE_RNN"])
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
@pytest.mark.parametrize("seed", range(6))
def test_one_way(name: str, dtype: str, seed: int) -> None:
    rng = np.random.default_rng([seed, *name.encode(), *dtype.encode()])
    batch, steps, depth, units = (int(pick(rng, 1, 2, 5, 9)) for _ in range(4))
    options = {"fused_activation_function": ACTIVATIONS[seed], "asymmetric_quantize_inputs": bool(rng.integers(2))}
    if name != "RNN":
        options["time_major"] = bool(rng.integers(2))
    input, output = (T("float32", sequence(name, batch, steps, size, options)) for size in (depth, units))
    cell = rnn_cell(depth, units, batch, real_weights(rng, dtype), real_weights(rng))
    assert_same(one_operator(name, [input, *cell], [output], options), rng)


@pytest.mark.parametrize("auxiliary", ["none", "weights", "replaces"])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("time_major", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_bidirectional(auxiliary: str, dtype: str, time_major: bool, seed: int) -> None:
    """Also where TensorFlow Lite repeats the sequence, or leaves the auxiliary input unread."""
    rng = np.random.default_rng([seed, time_major, *auxiliary.encode(), *dtype.encode()])
    batch, steps, depth = (int(pick(rng, 1, 2, 3)) for _ in range(3))
    units = [int(pick(rng, 1, 4, 8)) for _ in range(2)]
    matrix, bias, merge = real_weights(rng, dtype), real_weights(rng), bool(rng.integers(2))
    options = {
        "fused_activation_function": pick(rng, "TANH", "RELU6"),
        "asymmetric_quantize_inputs": bool(rng.integers(2)),
        "time_major": time_major,
        "merge_outputs": merge,
    }

    if dtype == "int8" and merge and time_major:
        batch = 1  # of several rows TensorFlow Lite crashes

    def row(size: int) -> T:
        return T("float32", sequence("", batch, steps, size, options))

    tensors = [
        row(depth),
        *(t for n in units for t in rnn_cell(depth, n, batch, matrix, bias)),
        None if auxiliary == "none" else row(depth),
        *(matrix((n, depth)) if auxiliary == "weights" else None for n in units),
    ]
    outputs = [row(sum(units))] if merge else [row(n) for n in units]
    assert_same(one_operator("BIDIRECTIONAL_SEQUENCE_RNN", tensors, outputs, options), rng)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
@pytest.mark.parametrize("seed", range(6))
def test_real_svdf(dtype: str, seed: int) -> None:
    rng = np.random.default_rng([seed, *dtype.encode()])
    batch, depth, units, rank, memory = (int(pick(rng, 1, 2, 3, 7)) for _ in range(5))
    matrix, bias = real_weights(rng, dtype), real_weights(rng)
    tensors = [
        T("float32", (batch, depth)),
        matrix((units * rank, depth)),
        matrix((units * rank, memory)),
        bias((units,)) if rng.integers(2) else None,
        state("float32", batch, units * rank * memory),
    ]
    options = {"rank": rank, "fused_activation_function": ACTIVATIONS[seed], "asymmetric_quantize_inputs": bool(rng.integers(2))}
    assert_same(one_operator("SVDF", tensors, [T("float32", (batch, units))], options), rng, times=3)


@pytest.mark.parametrize("seed", range(12))
def test_integer_svdf(seed: int) -> None:
    rng = np.random.default_rng(seed)
    batch, depth, units, rank, memory = (int(pick(rng, 1, 2, 3, 7)) for _ in range(5))
    filters, limit = units * rank, 1 << 15
    tensors = [
        T("int8", (batch, depth), 10 ** rng.uniform(-3, -1), pick(rng, -128, 0, 127)),
        T("int8", (filters, depth), 10 ** rng.uniform(-3, -1), value=rng.integers(-128, 128, (filters, depth))),
        T("int16", (filters, memory), 10 ** rng.uniform(-5, -3), value=rng.integers(-limit, limit, (filters, memory))),
        T("int32", (units,), 1, value=rng.integers(-(1 << 30), 1 << 30, units)) if rng.integers(2) else None,
        state("int16", batch, filters * memory, 10 ** rng.uniform(-5, -3)),
    ]
    output = T("int8", (batch, units), 10 ** rng.uniform(-3, 0), pick(rng, -128, 0, 127))
    assert_same(one_operator("SVDF", tensors, [output], {"rank": rank, "fused_activation_function": "RELU"}), rng, times=3)
