"""RNN operators: expectations that can be worked out by hand, what TensorFlow Lite does beyond the meaning, and refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qcore.errors import QCoreError
from qcore.model import OPTIONAL, Model
from tests.conformance.harness import T, one_operator, random_inputs, run_qcore
from tests.kernels.recurrent_models import real_weights, rnn_cell, sequence

SEQUENCE, BIDIRECTIONAL = "UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN"


def full(value: float) -> Any:
    """Makes constants that hold one value."""
    return lambda size: T("float32", size, value=np.full(size, value))


def powers_of_two(dtype: str) -> Any:
    """Makes weights of 2: float32, or code 1 of scale 2."""
    return lambda size: T(dtype, size, None if dtype == "float32" else 2, value=np.full(size, 2 if dtype == "float32" else 1))


def one_way(dtype: str, steps: int, activation: str = "NONE", time_major: bool = True, depth: int = 1) -> Model:
    """One unit: ``2 x + 2 h + 1``."""
    options = {"time_major": time_major, "fused_activation_function": activation}
    input, output = (T("float32", sequence(SEQUENCE, 1, steps, size, options)) for size in (depth, 1))
    return one_operator(SEQUENCE, [input, *rnn_cell(depth, 1, 1, powers_of_two(dtype), full(1))], [output], options)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
@pytest.mark.parametrize("time_major", [False, True])
def test_steps_by_hand(dtype: str, time_major: bool) -> None:
    """2 * 127 + 1, then twice that and 1 more. A row of one value is quantized without loss, but for the scale's rounding."""
    model = one_way(dtype, 3, time_major=time_major)
    x = np.array([127, 0, 0], np.float32).reshape(model.subgraphs[0].tensors[0].shape)
    np.testing.assert_allclose(run_qcore(model, [x])[0].ravel(), [255, 511, 1023], rtol=1e-6)


@pytest.mark.parametrize(
    ("activation", "wanted"), [("NONE", -1), ("RELU", 0), ("RELU6", 0), ("RELU_N1_TO_1", -1), ("TANH", np.tanh(-1)), ("SIGN_BIT", 1)]
)
def test_activations(activation: str, wanted: float) -> None:
    model = one_way("float32", 1, activation)
    np.testing.assert_allclose(run_qcore(model, [np.full((1, 1, 1), -1, np.float32)])[0].ravel(), [wanted], rtol=1e-6)


def test_rnn_is_one_step() -> None:
    model = one_operator("RNN", [T("float32", (2, 3)), *rnn_cell(3, 1, 2, full(1), full(0.5))], [T("float32", (2, 1))])
    assert run_qcore(model, [np.array([[1, 2, 3], [4, 5, 6]], np.float32)])[0].tolist() == [[6.5], [15.5]]


def bidirectional(dtype: str, time_major: bool, auxiliary: str = "none", merge: bool = True, units: int = 1) -> Model:
    """Two cells of weights 1 and bias 0 over two steps of one value."""
    matrix = full(1) if dtype == "float32" else lambda size: T("int8", size, 1, value=np.ones(size))
    options = {"time_major": time_major, "merge_outputs": merge, "fused_activation_function": "NONE"}
    row = T("float32", sequence(BIDIRECTIONAL, 1, 2, 1, options))
    weights = [matrix((1, 1)), matrix((units, 1))] if auxiliary == "weights" else [None, None]
    tensors = [row, *rnn_cell(1, 1, 1, matrix, full(0)), *rnn_cell(1, units, 1, matrix, full(0))]
    outputs = [T("float32", sequence(BIDIRECTIONAL, 1, 2, n, options)) for n in ([1 + units] if merge else [1, units])]
    return one_operator(BIDIRECTIONAL, [*tensors, None if auxiliary == "none" else row, *weights], outputs, options)


def run_bidirectional(model: Model, *values: list[float]) -> list[Any]:
    """Outputs as lists of steps."""
    shape = model.subgraphs[0].tensors[0].shape
    return [output.reshape(2, -1).tolist() for output in run_qcore(model, [np.array(v, np.float32).reshape(shape) for v in values])]


def test_both_directions_and_merged_outputs() -> None:
    """Sums from the front, and from the back; also of different sizes."""
    assert run_bidirectional(bidirectional("float32", True), [1, 2]) == [[[1, 3], [3, 2]]]
    assert run_bidirectional(bidirectional("float32", True, merge=False), [1, 2]) == [[[1], [3]], [[3], [2]]]
    assert run_bidirectional(bidirectional("float32", False, merge=False, units=2), [1, 2]) == [[[1], [3]], [[5, 5], [2, 2]]]


def test_an_auxiliary_input_with_weights_adds_up() -> None:
    assert run_bidirectional(bidirectional("float32", True, "weights"), [1, 2], [10, 20]) == [[[11, 33], [33, 22]]]


def test_an_auxiliary_input_without_weights_replaces_the_backward_one_time_major_only() -> None:
    """Batch major, TensorFlow Lite reads the input."""
    assert run_bidirectional(bidirectional("float32", True, "replaces"), [1, 2], [10, 20]) == [[[1, 30], [3, 20]]]
    assert run_bidirectional(bidirectional("float32", False, "replaces"), [1, 2], [10, 20]) == [[[1, 3], [3, 2]]]


def test_dynamic_range_runs_time_major_sequences_as_often_as_they_have_steps() -> None:
    """Sums go on from 3: 4, 6 from the front, 6, 5 from the back."""
    got = run_bidirectional(bidirectional("int8", True), [1, 2])[0]
    np.testing.assert_allclose(got, [[4, 6], [6, 5]], rtol=1e-6)
    np.testing.assert_allclose(run_bidirectional(bidirectional("int8", False), [1, 2])[0], [[1, 3], [3, 2]], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_weights_computed_at_run_time(dtype: str) -> None:
    rng = np.random.default_rng(0)
    tensors = [T("float32", (2, 3)), *rnn_cell(3, 4, 2, real_weights(rng, dtype, run_time=True), real_weights(rng))]
    model = one_operator("RNN", tensors, [T("float32", (2, 4))])
    graph, inputs = model.subgraphs[0], random_inputs(model, rng)
    weights = inputs[1] if dtype == "float32" else inputs[1] * np.float32(1 / 127)
    bias = graph.tensors[3].buffer.data.view(np.float32)
    np.testing.assert_allclose(run_qcore(model, inputs)[0], inputs[0] @ weights.T + bias, atol=0.02)


def test_an_empty_batch() -> None:
    model = one_operator("RNN", [T("float32", (0, 3)), *rnn_cell(3, 1, 0, full(1), full(0))], [T("float32", (0, 1))])
    assert run_qcore(model, [np.zeros((0, 3), np.float32)])[0].shape == (0, 1)


@pytest.mark.parametrize(
    ("slot", "fields", "message"),
    [
        (0, {"shape": (2, 1)}, "has rank 2"),
        (1, {"shape": (1,)}, r"has shape \[1\], expected \[1, 1\]"),
        (1, {"dtype": "float16"}, "is float16, expected float32 or int8 or uint8"),
        (2, {"dtype": "int8"}, "is int8, expected float32"),
        (3, {"shape": ()}, r"has shape \[\], expected \[1\]"),
        (4, {"dtype": "int32"}, "is int32, expected float32"),
        (4, {"shape": (2, 1)}, "expected 1 elements, 1 a row"),
        (3, {}, "input 3 is left out"),
    ],
)
def test_refusals(slot: int, fields: dict[str, Any], message: str) -> None:
    model = one_way("float32", 2)
    graph = model.subgraphs[0]
    inputs = graph.operators[0].inputs
    if fields:
        graph.tensors[inputs[slot]] = replace(graph.tensors[inputs[slot]], **fields)
    else:
        inputs[slot] = OPTIONAL
    with pytest.raises(QCoreError, match=f"^{SEQUENCE} .*{message}"):
        run_qcore(model, random_inputs(model, np.random.default_rng(0)))


def test_bidirectional_refusals() -> None:
    for slot, shape, message in (
        (9, None, "input 9 is left out"),
        (10, None, "one cell has weights for an auxiliary input, the other has none"),
        (9, (2, 1, 3), r"has shape \[2, 1, 3\], expected \[2, 1, 1\]"),
    ):
        model = bidirectional("float32", True, "weights")
        graph = model.subgraphs[0]
        inputs = graph.operators[0].inputs
        if shape is None:
            inputs[slot] = OPTIONAL
        else:
            graph.tensors[inputs[slot]] = replace(graph.tensors[inputs[slot]], shape=shape)
        with pytest.raises(QCoreError, match=f"^{BIDIRECTIONAL} .*{message}"):
            run_qcore(model, random_inputs(model, np.random.default_rng(0)))
