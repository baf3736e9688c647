"""LSTM operators: expectations that can be worked out by hand, properties of sequences, and refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import qcore
from qcore.errors import QCoreError
from qcore.model import OPTIONAL, Model
from tests.conformance.harness import T, one_operator, random_inputs, run_qcore
from tests.kernels.recurrent_models import CellShape, IntegerScales, cell_inputs, integer_lstm, real_lstm, real_weights, state

SEQUENCE = "UNIDIRECTIONAL_SEQUENCE_LSTM"


def full(value: float) -> Any:
    """Makes constants that hold one value."""
    return lambda size: T("float32", size, value=np.full(size, value))


def logistic(x: float) -> float:
    return 1 / (1 + np.exp(-x))


def invokes(model: Model, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The output of one invoke after another."""
    interpreter = qcore.Interpreter(model_content=model)
    interpreter.allocate_tensors()
    outputs = []
    for x in inputs:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        outputs.append(np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])))
    return outputs


def test_one_cell_by_hand() -> None:
    """Weights 1 and biases 0: every gate sees x + h, the peephole adds the cell state, the new one to the output gate."""
    model = real_lstm("LSTM", CellShape(1, 1, peephole=True), 1, 1, {}, full(1), full(0), 20)
    h = c = 0.0
    for x, got in zip((0.5, -1.0), invokes(model, [np.array([[0.5]], np.float32), np.array([[-1]], np.float32)]), strict=True):
        total = x + h
        c = logistic(total + c) * c + logistic(total + c) * np.tanh(total)
        h = logistic(total + c) * np.tanh(c)
        np.testing.assert_allclose(got, [[h]], rtol=1e-6)


def test_a_coupled_input_gate_is_one_less_the_forget_gate() -> None:
    model = real_lstm("LSTM", CellShape(1, 1, coupled=True), 1, 1, {}, full(1), full(0), 20)
    c = (1 - logistic(2)) * np.tanh(2)
    np.testing.assert_allclose(run_qcore(model, [np.array([[2]], np.float32)])[0], [[logistic(2) * np.tanh(c)]], rtol=1e-6)


def test_clips_of_cell_state_and_projection() -> None:
    """Gates are open: the cell state would be 1, its tanh times the projection's 2 plus bias 2."""
    shape = CellShape(1, 1, 1, projection_bias=True)
    for cell_clip, proj_clip, wanted in ((0.0, 0.0, 2 * np.tanh(1) + 2), (0.5, 0.0, 2 * np.tanh(0.5) + 2), (0.5, 1.0, 1)):
        options = {"cell_clip": cell_clip, "proj_clip": proj_clip}
        model = real_lstm("LSTM", shape, 1, 1, options, full(2), full(2), 20)
        np.testing.assert_allclose(run_qcore(model, [np.array([[100]], np.float32)])[0], [[wanted]], rtol=1e-6)


def test_layer_normalization_makes_rows_standard() -> None:
    """Sums of -1 and 1 become -1 and 1 whatever their scale, then meet coefficient 3 and bias 0.5."""
    shape = CellShape(1, 2, coupled=True, layer_norm=True)
    weights = [T("float32", (2, 1), value=[[-50], [50]]), T("float32", (2, 2), value=np.zeros((2, 2)))]
    model = real_lstm("LSTM", shape, 1, 1, {}, lambda size: weights[size == (2, 2)], lambda size: T("float32", size, value=[3, 3]))
    for bias in (13, 14, 15):
        tensor = model.subgraphs[0].tensors[model.subgraphs[0].operators[0].inputs[bias]]
        tensor.buffer = qcore.model.Buffer(np.array([0.5, 0.5], np.float32).view(np.uint8))
    total = np.array([-2.5, 3.5])
    c = (1 - logistic(total)) * np.tanh(total)
    np.testing.assert_allclose(run_qcore(model, [np.array([[1]], np.float32)])[0], [logistic(total) * np.tanh(c)], rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_sequence_is_its_steps_one_by_one(dtype: str) -> None:
    """Of both layouts, in one invoke or several."""
    rng = np.random.default_rng(0)
    shape = CellShape(3, 4, 2, peephole=True, layer_norm=True)
    matrix, bias = real_weights(rng, dtype), real_weights(rng)
    model = real_lstm(SEQUENCE, shape, 2, 5, {}, matrix, bias)

    def with_steps(steps: int, time_major: bool) -> Model:
        graph = replace(model.subgraphs[0], tensors=list(model.subgraphs[0].tensors))
        operator = graph.operators[0]
        for i, size in ((operator.inputs[0], 3), (operator.outputs[0], 2)):
            graph.tensors[i] = replace(graph.tensors[i], shape=(steps, 2, size) if time_major else (2, steps, size))
        options = replace(operator.options, fields={**operator.options.fields, "time_major": time_major})
        graph.operators = [replace(operator, options=options)]
        return replace(model, subgraphs=[graph])

    x = rng.uniform(-1, 1, (5, 2, 3)).astype(np.float32)
    (at_once,) = invokes(with_steps(5, True), [x])
    (batch_major,) = invokes(with_steps(5, False), [np.moveaxis(x, 0, 1)])
    one_by_one = invokes(with_steps(1, True), [step[np.newaxis] for step in x])
    np.testing.assert_array_equal(batch_major, np.moveaxis(at_once, 0, 1))
    np.testing.assert_allclose(np.concatenate(one_by_one), at_once, rtol=1e-6)


def test_variables_start_at_zero_and_can_be_reset() -> None:
    rng = np.random.default_rng(0)
    model = real_lstm(SEQUENCE, CellShape(2, 3), 1, 2, {}, real_weights(rng), real_weights(rng))
    x = np.ones((1, 2, 2), np.float32)
    first, second = invokes(model, [x, x])
    assert (first != second).any()
    interpreter = qcore.Interpreter(model_content=model)
    interpreter.allocate_tensors()
    for _ in range(2):
        interpreter.reset_all_variables()
        interpreter.set_tensor(0, x)
        interpreter.invoke()
        assert (interpreter.get_tensor(interpreter.get_output_details()[0]["index"]) == first).all()


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_weights_computed_at_run_time(dtype: str) -> None:
    rng = np.random.default_rng(0)
    shape = CellShape(3, 4)
    model = real_lstm(SEQUENCE, shape, 1, 2, {}, real_weights(rng, dtype, run_time=True), real_weights(rng))
    graph, inputs = model.subgraphs[0], random_inputs(model, rng)
    wanted = run_qcore(model, inputs)[0]
    for i, value in zip(graph.inputs[1:], inputs[1:], strict=True):
        graph.tensors[i].buffer = qcore.model.Buffer(np.ascontiguousarray(value).reshape(-1).view(np.uint8))
    graph.inputs = graph.inputs[:1]
    np.testing.assert_array_equal(run_qcore(model, inputs[:1])[0], wanted)


def test_diagonal_recurrent_weights_are_a_diagonal_matrix() -> None:
    rng = np.random.default_rng(0)
    shape, vector = CellShape(2, 3), rng.uniform(-1, 1, 3)

    def with_recurrent(value: np.ndarray) -> np.ndarray:
        r = np.random.default_rng(1)
        matrix = real_weights(r)
        tensors = [
            T("float32", (1, 4, 2)),
            *cell_inputs(shape, matrix, matrix, matrix, lambda size: T("float32", value.shape, value=value)),
            state("float32", 1, 3),
            state("float32", 1, 3),
        ]
        model = one_operator(SEQUENCE, tensors, [T("float32", (1, 4, 3))], {"fused_activation_function": "TANH"})
        return run_qcore(model, [np.ones((1, 4, 2), np.float32)])[0]

    np.testing.assert_allclose(with_recurrent(vector), with_recurrent(np.diag(vector)), rtol=1e-6)


def bidirectional(merge: bool, time_major: bool, auxiliary: str = "none") -> Model:
    rng = np.random.default_rng(0)
    matrix, shape = real_weights(rng), CellShape(2, 3)
    lies = (4, 2, 2) if time_major else (2, 4, 2)
    tensors = [
        T("float32", lies),
        *(t for _ in range(2) for t in cell_inputs(shape, matrix, matrix, matrix)),
        *(state("float32", 2, 3) for _ in range(4)),
        None if auxiliary == "none" else T("float32", lies),
        *(matrix((3, 2)) if auxiliary == "weights" else None for _ in range(8)),
    ]
    outputs = [T("float32", (*lies[:2], 6))] if merge else [T("float32", (*lies[:2], 3))] * 2
    options = {"merge_outputs": merge, "time_major": time_major, "fused_activation_function": "TANH"}
    return one_operator("BIDIRECTIONAL_SEQUENCE_LSTM", tensors, outputs, options)


def test_bidirectional_layouts_agree() -> None:
    """Merged, which TensorFlow Lite gets wrong batch major, and apart; states are each row's own."""
    x = np.random.default_rng(1).uniform(-1, 1, (4, 2, 2)).astype(np.float32)
    forward, backward = run_qcore(bidirectional(False, True), [x])
    (merged,) = run_qcore(bidirectional(True, False), [np.moveaxis(x, 0, 1)])
    np.testing.assert_array_equal(np.moveaxis(merged, 0, 1), np.concatenate([forward, backward], axis=-1))


def test_the_backward_cell_runs_from_the_last_step() -> None:
    x = np.random.default_rng(1).uniform(-1, 1, (4, 2, 2)).astype(np.float32)
    changed = x.copy()
    changed[-1] += 1
    (_, backward), (_, other) = run_qcore(bidirectional(False, True), [x]), run_qcore(bidirectional(False, True), [changed])
    assert (backward != other).all()
    forward, other = run_qcore(bidirectional(False, True), [x])[0], run_qcore(bidirectional(False, True), [changed])[0]
    assert (forward[:-1] == other[:-1]).all()


def test_an_auxiliary_input_without_weights_replaces_the_backward_one() -> None:
    rng = np.random.default_rng(1)
    x, aux = (rng.uniform(-1, 1, (4, 2, 2)).astype(np.float32) for _ in range(2))
    forward, backward = run_qcore(bidirectional(False, True, "replaces"), [x, aux])
    np.testing.assert_array_equal(forward, run_qcore(bidirectional(False, True), [x])[0])
    np.testing.assert_array_equal(backward, run_qcore(bidirectional(False, True), [aux])[1])


def test_integers_stay_near_the_real_cell() -> None:
    """The int8 cell against the same cell in real numbers: within a few steps of 1/128."""
    rng = np.random.default_rng(0)
    shape, scales = CellShape(4, 5), IntegerScales(input=(1 / 64, 0), output=(1 / 128, 0), hidden=(1 / 128, 0), weights=1 / 254)
    model = integer_lstm(SEQUENCE, shape, 2, 6, {}, scales, rng)
    graph = model.subgraphs[0]
    tensors = [graph.tensors[i] for i in graph.operators[0].inputs[1:16] if i != OPTIONAL]
    scale = [t.quantization.scale[0] for t in tensors[:8]]
    values = iter([t.buffer.data.view(t.dtype) * s for t, s in zip(tensors, [*scale, *np.array(scale[:4]) / 64], strict=True)])

    def real(size: tuple[int, ...]) -> T:
        return T("float32", size, value=next(values).reshape(size))

    x = rng.integers(-128, 128, (2, 6, 4)).astype(np.int8)
    wanted = run_qcore(real_lstm(SEQUENCE, shape, 2, 6, {}, real, real), [x * np.float32(1 / 64)])[0]
    got = run_qcore(model, [x])[0] / 128
    assert np.abs(got - wanted).max() < 3 / 128


def test_an_int8_state_starts_at_its_zero_point() -> None:
    """Weights that see nothing but the state's offset from real zero."""
    rng = np.random.default_rng(0)
    outputs = []
    for zero_point in (-128, 0, 127):
        scales = IntegerScales(output=(1 / 128, zero_point))
        model = integer_lstm("LSTM", CellShape(2, 3), 1, 1, {}, scales, np.random.default_rng(1))
        outputs.append(run_qcore(model, [rng.integers(0, 1, (1, 2)).astype(np.int8)])[0])
    assert (outputs[0] == outputs[1]).all()
    assert (outputs[1] == outputs[2]).all()


def basic(dtype: str, weight: int, bias: int) -> Model:
    if dtype == "float32":
        tensors = [T(dtype, (1, 1)), T(dtype, (1, 1)), T(dtype, (4, 2), value=np.full((4, 2), weight)), T(dtype, (4,), value=[bias] * 4)]
        return one_operator("LSTM", [*tensors, T(dtype, (1, 1))], [T(dtype, (1, n)) for n in (1, 1, 2, 4)], {"kernel_type": "BASIC"})
    row, cell = T("uint8", (1, 1), 1 / 128, 128), T("int16", (1, 1), 2.0**-11)
    weights = T("uint8", (4, 2), 2.0**-5, 128, value=np.full((4, 2), 128 + weight))
    totals = T("int16", (1, 4), 2.0**-12)
    return one_operator(
        "LSTM",
        [row, row, weights, T("int32", (4,), 2.0**-12, value=[bias] * 4), cell],
        [row, cell, T("uint8", (1, 2), 1 / 128, 128), totals],
        {"kernel_type": "BASIC"},
    )


def test_basic_kernel_gives_its_temporaries_too() -> None:
    model = basic("float32", 1, 0)
    output, new_state, rows, totals = run_qcore(model, [np.full((1, 1), v, np.float32) for v in (0.5, 0.25, 2)])
    c = logistic(0.75) * np.tanh(0.75) + logistic(0.75) * 2
    assert rows.tolist() == [[0.5, 0.25]]
    assert totals.tolist() == [[0.75] * 4]
    np.testing.assert_allclose([new_state[0, 0], output[0, 0]], [c, logistic(0.75) * np.tanh(c)], rtol=1e-6)


def test_basic_kernel_of_integers() -> None:
    """Totals in 4096ths are 64 * 16 + bias 1024, which stands for 1/2; the state is in 2048ths."""
    x, previous = np.full((1, 1), 128 + 64, np.uint8), np.full((1, 1), 128, np.uint8)
    output, new_state, rows, totals = run_qcore(basic("uint8", 16, 1024), [x, previous, np.full((1, 1), 2048, np.int16)])
    c = logistic(0.5) * np.tanh(0.5) + logistic(0.5)
    assert rows.tolist() == [[192, 128]]
    assert totals.tolist() == [[2048] * 4]
    assert abs(int(new_state[0, 0]) - c * 2048) <= 1
    assert abs(int(output[0, 0]) - 128 - logistic(0.5) * np.tanh(c) * 128) <= 1


def test_basic_kernel_writes_its_states_back() -> None:
    model = basic("float32", 1, 0)
    interpreter = qcore.Interpreter(model_content=model)
    interpreter.allocate_tensors()
    indices = [d["index"] for d in interpreter.get_input_details()]
    interpreter.set_tensor(indices[0], np.full((1, 1), 0.5, np.float32))
    interpreter.invoke()
    output, cell = (interpreter.get_tensor(d["index"]).copy() for d in interpreter.get_output_details()[:2])
    assert interpreter.get_tensor(indices[1]) == output
    assert interpreter.get_tensor(indices[2]) == cell


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("batch", [0, 2])
@pytest.mark.parametrize("dtype", ["float32", "int8", "integer"])
def test_empty_sequences_and_batches(steps: int, batch: int, dtype: str) -> None:
    rng = np.random.default_rng(0)
    shape = CellShape(2, 3, 2, peephole=True, layer_norm=True)
    if dtype == "integer":
        model = integer_lstm(SEQUENCE, shape, batch, steps, {}, IntegerScales(), rng)
    else:
        model = real_lstm(SEQUENCE, shape, batch, steps, {}, real_weights(rng, dtype), real_weights(rng))
    assert run_qcore(model, random_inputs(model, rng))[0].shape == (batch, steps, 2)


def damaged(model: Model, slot: int, **fields: Any) -> Model:
    """The model with fields of an operator's input replaced; of slot -1 the operator's options."""
    graph = model.subgraphs[0]
    operator = graph.operators[0]
    if slot < 0:
        operator.options.fields.update(fields)
    elif fields:
        tensor = graph.tensors[operator.inputs[slot]]
        graph.tensors[operator.inputs[slot]] = replace(tensor, **fields)
    else:
        operator.inputs[slot] = OPTIONAL
    return model


@pytest.mark.parametrize(
    ("slot", "fields", "message"),
    [
        (2, {"shape": (2, 3)}, r"has shape \[2, 3\], expected \[3, 2\]"),
        (4, {"shape": (6,)}, "has rank 1"),
        (8, {"shape": (3, 3, 1)}, "has rank 3"),
        (6, {}, "input 6 is left out"),
        (1, {}, "input 5 is of an input gate without weights"),
        (3, {"dtype": "int8"}, "is int8, expected float32"),
        (13, {"shape": (2,)}, r"has shape \[2\], expected \[3\]"),
        (14, {"dtype": "int32"}, "is int32, expected float32"),
        (18, {"shape": (1, 4)}, r"has shape \[1, 4\], expected 3 elements, 3 a row"),
        (19, {"dtype": "float16"}, "is float16, expected float32"),
        (-1, {"cell_clip": -1.0}, "cell_clip is -1.0, expected 0 for none, or above"),
        (-1, {"proj_clip": float("nan")}, "proj_clip is nan"),
        (-1, {"fused_activation_function": "NONE"}, "an LSTM cell without activation"),
    ],
)
def test_refusals(slot: int, fields: dict[str, Any], message: str) -> None:
    rng = np.random.default_rng(0)
    model = damaged(real_lstm(SEQUENCE, CellShape(2, 3), 1, 2, {}, real_weights(rng), real_weights(rng), 20), slot, **fields)
    with pytest.raises(QCoreError, match=f"^{SEQUENCE} .*{message}"):
        run_qcore(model, random_inputs(model, rng))


def test_states_are_variables() -> None:
    rng = np.random.default_rng(0)
    model = damaged(real_lstm(SEQUENCE, CellShape(2, 3), 1, 2, {}, real_weights(rng), real_weights(rng), 20), 18, is_variable=False)
    graph = model.subgraphs[0]
    graph.inputs.append(graph.operators[0].inputs[18])
    with pytest.raises(QCoreError, match="is no variable, expected one to keep the state in"):
        run_qcore(model, random_inputs(model, rng))


def test_fewer_outputs_than_cells_need_a_projection() -> None:
    rng = np.random.default_rng(0)
    shape = CellShape(2, 3, 2)
    model = damaged(real_lstm(SEQUENCE, shape, 1, 2, {}, real_weights(rng), real_weights(rng), 20), 16)
    with pytest.raises(QCoreError, match="has 3 cells and 2 outputs, but no projection"):
        run_qcore(model, random_inputs(model, rng))


@pytest.mark.parametrize(
    ("shape", "change", "message"),
    [
        (CellShape(2, 3), {"cell": 0.3}, "expected a power of two from"),
        (CellShape(2, 3), {"cell": 4.0}, "expected a power of two from"),
        (CellShape(2, 3, coupled=True), {"cell": 2.0**-16}, "whose tanh is undefined"),
        (CellShape(2, 3, 4, peephole=True), {}, "more outputs, 4, than cells, 3"),
        (CellShape(2, 3), {"hidden": (0.0, 0)}, "quantize_multiplier: got inf"),
    ],
)
def test_integer_refusals(shape: CellShape, change: dict[str, Any], message: str) -> None:
    rng = np.random.default_rng(0)
    model = integer_lstm(SEQUENCE, shape, 1, 2, {}, replace(IntegerScales(), **change), rng)
    with pytest.raises(QCoreError, match=f"^{SEQUENCE} .*{message}"):
        run_qcore(model, random_inputs(model, rng))


@pytest.mark.parametrize(("count", "message"), [(4, "has 4 intermediate tensors, expected 5"), (12, "8-bit gates")])
def test_intermediate_tensors_are_counted(count: int, message: str) -> None:
    rng = np.random.default_rng(0)
    model = integer_lstm("LSTM", CellShape(2, 3), 1, 1, {}, IntegerScales(), rng)
    operator = model.subgraphs[0].operators[0]
    operator.intermediates = (operator.intermediates * 3)[:count]
    with pytest.raises(QCoreError, match=f"^LSTM .*{message}"):
        run_qcore(model, random_inputs(model, rng))


def test_bidirectional_refusals() -> None:
    for slot, fields, message in (
        (41, {}, "input 41 is left out"),
        (39, {"shape": (4, 2, 5)}, r"has shape \[4, 2, 5\], expected \[4, 2, 2\]"),
        (39, {}, "input 39 is left out, but the cells have weights for it"),
        (-1, {"merge_outputs": True}, "has 2 outputs, expected 1"),
    ):
        model = damaged(bidirectional(False, True, "weights"), slot, **fields)
        with pytest.raises(QCoreError, match=f"^BIDIRECTIONAL_SEQUENCE_LSTM .*{message}"):
            run_qcore(model, random_inputs(model, np.random.default_rng(0)))


def test_basic_refusals() -> None:
    for slot, fields, message in (
        (2, {"shape": (2, 4)}, r"has shape \[2, 4\], expected \[4, 2\]"),
        (4, {"dtype": "int8"}, "is int8, expected int16"),
        (1, {"shape": (1,)}, "has rank 1"),
        (1, {"buffer": qcore.model.Buffer(np.zeros(1, np.uint8))}, "is constant, but the operator writes it"),
    ):
        model = damaged(basic("uint8", 1, 0), slot, **fields)
        with pytest.raises(QCoreError, match=f"^LSTM .*{message}"):
            qcore.Interpreter(model_content=model).allocate_tensors()


def test_a_sequence_has_no_more_steps_than_a_loop_iterations() -> None:
    rng = np.random.default_rng(0)
    model = real_lstm(SEQUENCE, CellShape(1, 1), 1, 30, {}, real_weights(rng), real_weights(rng))
    with pytest.raises(QCoreError, match="takes 30 steps in time, the loop limit is 20"):
        qcore.Interpreter(model_content=model, loop_limit=20).allocate_tensors()
