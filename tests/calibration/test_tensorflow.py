"""Method "minmax" against TensorFlow's own calibrator, to the bit where kernels are exact."""

from __future__ import annotations

import os

import numpy as np
import pytest

import qcore
from qcore.calibration import Statistics, calibrate
from qcore.model import Model, Operator, Subgraph
from tests.calibration.models import constant, loop, operator, recurrent, residual, tensor, two_inputs

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

Ranges = dict[tuple[int, int], tuple[float, float] | None]


def by_tensorflow(model: Model, data: list[list[np.ndarray]]) -> Ranges:
    calibrator = pytest.importorskip("tensorflow.lite.python.optimize.calibrator", reason="needs tensorflow")
    marked = calibrator.Calibrator(model.to_bytes()).calibrate(lambda: iter(data))
    found = Statistics.from_model(qcore.load(marked))
    return {key: found.range(*key) for key in found.tensors}


def by_qcore(model: Model, data: list[list[np.ndarray]]) -> Ranges:
    stats = calibrate(model, data)
    return {key: stats.range(*key) for key in stats.tensors}


def flushed(ends: tuple[float, float] | None) -> tuple[float, ...]:
    """Subnormal numbers as 0, which is what TensorFlow Lite's kernels make of them."""
    assert ends is not None
    return tuple(0.0 if abs(end) < np.finfo(np.float32).tiny else end for end in ends)


def random_graph(rng: np.random.Generator, elements: int) -> Model:
    """A graph of elementwise operators, whose float results are exact, and of reshapes; any tensors may be its outputs."""
    shapes = [(1, elements), (1, elements), (elements,), (1, 1), (1, 1)]
    tensors = [tensor("x0", shapes[0]), tensor("x1", shapes[1])]
    tensors += [constant(f"c{k}", rng.normal(size=shapes[k]).astype(np.float32)) for k in (2, 3, 4)]
    operators: list[Operator] = []
    wide = [0, 1]
    for _ in range(rng.integers(2, 14)):
        name = str(rng.choice(["ADD", "SUB", "MUL", "DIV", "ABS", "NEG", "MAXIMUM", "RESHAPE", "EXPAND_DIMS", "SQUEEZE"]))
        first = int(rng.choice(wide))
        shape = tensors[first].shape
        inputs = [first]
        if name in ("ADD", "SUB", "MUL", "DIV", "MAXIMUM"):
            partners = [i for i in (*wide, 2, 3, 4) if len(np.broadcast_shapes(tensors[i].shape, shape)) == len(shape)]
            inputs.insert(int(rng.integers(2)), int(rng.choice(partners)))
            shape = np.broadcast_shapes(*(tensors[i].shape for i in inputs))
        elif name == "RESHAPE":
            shape = [(1, elements), (elements,), (1, 1, elements)][rng.integers(3)]
            tensors.append(constant(f"s{len(tensors)}", np.array(shape, np.int32), "int32"))
            inputs.append(len(tensors) - 1)
        elif name == "EXPAND_DIMS":
            shape = (1, *shape)
            tensors.append(constant(f"s{len(tensors)}", np.array([0], np.int32), "int32"))
            inputs.append(len(tensors) - 1)
        elif name == "SQUEEZE":
            shape = tuple(n for n in shape if n != 1)
        if len(shape) > 4:
            continue
        tensors.append(tensor(f"t{len(tensors)}", shape))
        operators.append(operator(name, inputs, [len(tensors) - 1]))
        wide.append(len(tensors) - 1)
    made = [o for op in operators for o in op.outputs]
    read = {i for op in operators for i in op.inputs}
    outputs = [i for i in made if i not in read or rng.random() < 0.1]
    return Model([Subgraph("main", tensors, [0, 1], outputs, operators)])


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs_have_tensorflows_ranges_to_the_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    elements = int(rng.integers(1, 7))
    model = random_graph(rng, elements)
    data = [[rng.normal(size=(1, elements)).astype(np.float32) for _ in range(2)] for _ in range(3)]
    got, want = by_qcore(model, data), by_tensorflow(model, data)
    assert {key: flushed(got[key]) for key in want} == {key: flushed(ends) for key, ends in want.items()}
    # TensorFlow does not look at inputs that nothing reads.
    assert got.keys() - want.keys() <= {(0, 0), (0, 1)}


@pytest.mark.parametrize("model", [two_inputs(), residual(), loop()], ids=["two inputs", "residual", "loop"])
def test_small_models_have_tensorflows_ranges_to_the_bit(model: Model) -> None:
    rng = np.random.default_rng(0)
    inputs = [model.subgraphs[0].tensors[i] for i in model.subgraphs[0].inputs]
    data = [[rng.uniform(1, 2, t.shape).astype(np.float32) for t in inputs] for _ in range(4)]
    assert by_qcore(model, data) == by_tensorflow(model, data)


def test_variables_of_a_single_sample_have_tensorflows_ranges() -> None:
    data = [[np.float32([[0.5, -0.25]])]]
    assert by_qcore(recurrent(), data) == by_tensorflow(recurrent(), data)


def test_nan_is_left_out_as_tensorflow_does() -> None:
    model = residual()
    model.subgraphs[0].operators[0].code.name = "SQRT"
    data = [[np.float32([[4, -1, 9, 2]])], [np.float32([[1, 5, -9, 2]])]]
    got, want = by_qcore(model, data), by_tensorflow(model, data)
    assert got[0, 2] == want[0, 2] == (-9, 9)
    for key, ends in want.items():
        np.testing.assert_allclose(got[key], ends, rtol=1e-6)


def test_convolutions_have_tensorflows_ranges_to_a_few_roundings() -> None:
    rng = np.random.default_rng(2)
    tensors = [
        tensor("x", (1, 12, 12, 3)),
        constant("filter", rng.normal(size=(8, 3, 3, 3)).astype(np.float32)),
        constant("bias", rng.normal(size=8).astype(np.float32)),
        tensor("conv", (1, 12, 12, 8)),
        constant("depthwise filter", rng.normal(size=(1, 3, 3, 8)).astype(np.float32)),
        tensor("depthwise", (1, 12, 12, 8)),
        tensor("sum", (1, 12, 12, 8)),
        tensor("y", (1, 12, 12, 8)),
    ]
    operators = [
        operator("CONV_2D", [0, 1, 2], [3], stride_h=1, stride_w=1, padding="SAME", fused_activation_function="RELU6"),
        operator("DEPTHWISE_CONV_2D", [3, 4, 2], [5], stride_h=1, stride_w=1, padding="SAME", depth_multiplier=1),
        operator("ADD", [5, 3], [6]),
        operator("LOGISTIC", [6], [7]),
    ]
    model = Model([Subgraph("main", tensors, [0], [7], operators)])
    data = [[rng.normal(size=(1, 12, 12, 3)).astype(np.float32)] for _ in range(4)]
    got, want = by_qcore(model, data), by_tensorflow(model, data)
    assert got.keys() == want.keys()
    for key, ends in want.items():
        # Sums of 27 products, taken in another order.
        np.testing.assert_allclose(got[key], ends, rtol=2e-6, atol=2e-6)
    assert got[0, 5] != (calibrate(model, data).tensors[0, 5].minimum, calibrate(model, data).tensors[0, 5].maximum)
