"""LSTM and SVDF in int8: weights, states, biases and intermediate tensors."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.errors import QuantizationError
from qcore.model import OPTIONAL, Model, Tensor
from qcore.quantizer import quantize_model
from qcore.quantizer.int8_recurrent import state_params, weight_params
from qcore.schema.check import check
from tests.conformance.harness import run_qcore
from tests.quantizer.builder import Builder, find, lstm, names, tensor_of
from tests.quantizer.ranges import described, int8


def test_an_lstm_is_quantized_as_a_whole() -> None:
    model = int8(lstm())
    assert names(model) == ["QUANTIZE", "UNIDIRECTIONAL_SEQUENCE_LSTM", "DEQUANTIZE"]
    operator = find(model, "UNIDIRECTIONAL_SEQUENCE_LSTM")
    dtypes = {slot: tensor_of(model, operator, slot).dtype for slot, i in enumerate(operator.inputs) if i != OPTIONAL}
    assert dtypes == {0: "int8"} | dict.fromkeys(range(1, 9), "int8") | dict.fromkeys(range(12, 16), "int32") | {18: "int8", 19: "int16"}
    check(model)


def test_the_output_state_has_the_outputs_parameters_and_the_range_of_both() -> None:
    model = int8(lstm(), {"y": (-0.5, 1.27), "state18": (-1.28, 0.1)})
    operator = find(model, "UNIDIRECTIONAL_SEQUENCE_LSTM")
    assert described(tensor_of(model, operator, 18)) == ("int8", 0.01, 0)
    assert described(model.subgraphs[0].tensors[operator.outputs[0]]) == ("int8", 0.01, 0)


def test_the_cell_state_has_the_least_power_of_two_that_holds_it() -> None:
    model = int8(lstm(), {"state19": (-2.5, 1.0)})
    state = tensor_of(model, find(model, "UNIDIRECTIONAL_SEQUENCE_LSTM"), 19)
    assert described(state) == ("int16", pytest.approx(4 / 2**15, 1e-6), 0)
    assert state.is_variable


def test_biases_have_the_scale_of_input_and_weights() -> None:
    model = int8(lstm())
    operator = find(model, "UNIDIRECTIONAL_SEQUENCE_LSTM")
    for bias, weights in ((12, 1), (13, 2), (14, 3), (15, 4)):
        _, weight_scale, _ = described(tensor_of(model, operator, weights))
        assert described(tensor_of(model, operator, bias)) == ("int32", pytest.approx(0.01 * weight_scale, 1e-6), 0)


def test_intermediate_tensors_tell_the_hidden_states_parameters() -> None:
    model = int8(lstm())
    operator = find(model, "UNIDIRECTIONAL_SEQUENCE_LSTM")
    assert operator.intermediates is not None
    *gates, hidden = (model.subgraphs[0].tensors[i] for i in operator.intermediates)
    assert described(hidden) == ("int8", 0.01, 0)
    assert [(gate.dtype, gate.quantization) for gate in gates] == [("float32", None)] * 4


def test_results_are_near_those_of_the_float_model() -> None:
    model, samples = lstm(), list(np.random.default_rng(1).uniform(-1, 1, (20, 1, 2, 4)).astype(np.float32))
    quantized = quantize_model(model, "int8", samples)
    for x in samples[:3]:
        np.testing.assert_allclose(run_qcore(quantized, [x])[0], run_qcore(model, [x])[0], atol=0.01)


@pytest.mark.parametrize(
    ("model", "known", "reason"),
    [
        (lstm(leave_out=(19,)), {}, "its state, input 19, is no variable"),
        (lstm(), {"state19": None}, "'state19' has no calibrated range"),
        (lstm(), {"y": None, "state18": None}, "'y' has no calibrated range"),
        (lstm(projection=True), {}, "its intermediate tensor 'effective_hidden' has no calibrated range"),
    ],
)
def test_an_lstm_that_lacks_something_stays_float_as_a_whole(
    model: Model, known: dict[str, tuple[float, float] | None], reason: str
) -> None:
    assert names(int8(model, known)) == ["UNIDIRECTIONAL_SEQUENCE_LSTM"]
    with pytest.raises(QuantizationError, match=reason):
        int8(model, known, float_fallback=False)


def svdf() -> Model:
    """x[1, 4] -> SVDF of two filters of rank 1 and memory 3 -> y."""
    rng = np.random.default_rng(2)
    b = Builder()
    x, state, y = b.input("x", (1, 4)), b.tensor("state", (1, 6)), b.tensor("y", (1, 2))
    b.tensors[state].is_variable = True
    feature, time = b.constant("feature", rng.uniform(-1, 1, (2, 4))), b.constant("time", [[0.5, 0.25, -2.56], [1, 0, -1]])
    b.op("SVDF", [x, feature, time, b.constant("bias", [0.5, -0.5]), state], y, rank=1)
    return b.model(y)


def test_svdf_weighs_time_in_10_bits_and_keeps_its_state_in_16() -> None:
    model = int8(svdf(), {"state": (-1.0, 3.2767)})
    operator = find(model, "SVDF")
    tensors: list[Tensor] = [tensor_of(model, operator, slot) for slot in range(5)]
    assert [tensor.dtype for tensor in tensors] == ["int8", "int8", "int16", "int32", "int16"]
    assert described(tensors[2]) == ("int16", 0.005, 0)
    assert described(tensors[4]) == ("int16", 0.0001, 0)
    assert described(tensors[3]) == ("int32", pytest.approx(5e-7, 1e-6), 0)
    assert tensors[4].is_variable


@pytest.mark.parametrize(("bits", "dtype", "greatest"), [(8, "int8", 127), (10, "int16", 512), (16, "int16", 32767)])
def test_weights_are_symmetric_in_their_bits(bits: int, dtype: str, greatest: int) -> None:
    params = weight_params(np.float32([0.5, -2]), bits)
    assert (params.dtype, params.single()) == (dtype, (pytest.approx(2 / greatest, 1e-6), 0))
    assert weight_params(np.zeros(2, np.float32), bits).scale[0] == pytest.approx(5e-7 / greatest, 1e-6)


@pytest.mark.parametrize(("low", "high", "exponent"), [(-1, 1, -15), (-1.01, 0, -14), (0, 0.5, -16), (0, 0, -35)])
def test_scales_of_states_that_are_powers_of_two(low: float, high: float, exponent: int) -> None:
    assert state_params(low, high, power_of_two=True).single() == (2.0**exponent, 0)
