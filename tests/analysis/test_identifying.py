"""``identify`` names who made a dump: qcore's own arithmetics, mixtures of them, TensorFlow Lite's resolvers, or nobody."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import qcore
from qcore.analysis.identifying.floats import sums
from qcore.analysis.identifying.identification import Identification, Mismatch, Verdict
from qcore.errors import InputError
from qcore.kernels.opdef import Arithmetic
from qcore.model import Model, Subgraph
from tests.conformance.harness import RESOLVERS, T, one_operator, run_tflite
from tests.quantizer.builder import Builder

DIGITS = Path(qcore.__file__).parent / "data" / "digits_int8.tflite"
ARITHMETICS = get_args(Arithmetic)


def codes(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (64, 8, 8, 1)).astype(np.int8)


def computed(graph: Subgraph) -> dict[str, int]:
    return {graph.tensors[o].name: o for operator in graph.operators for o in operator.outputs}


def dump(model: Model, arithmetic: Arithmetic) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The only output, and all computed tensors, of a run on random codes."""
    traced = qcore.trace(model, codes(), arithmetic=arithmetic)
    tensors = {name: traced.at(i).elements for name, i in computed(model.subgraphs[0]).items()}
    return traced.at(model.subgraphs[0].outputs[0]).elements, tensors


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_each_arithmetic_is_recognized_operator_by_operator(arithmetic: Arithmetic) -> None:
    model = qcore.load(DIGITS)
    output, tensors = dump(model, arithmetic)
    found = qcore.identify(model, codes(), output, tensors)
    assert (found.arithmetic, found.conclusion, found.first_misfit) == (arithmetic, f"made by {arithmetic}", None)
    assert [verdict.operators for verdict in found.verdicts] == [(k,) for k in (0, 1, 2, 3, 7, 8, 9)]
    assert arithmetic in found.by_kind["DEPTHWISE_CONV_2D int8"]


def test_what_does_not_tell_arithmetics_apart_is_said_to_be_so() -> None:
    model = one_operator("RESHAPE", [T("int8", (4,), 0.5), T("int32", (2,), value=[2, 2])], [T("int8", (2, 2), 0.5)])
    found = qcore.identify(model, np.arange(4, dtype=np.int8), np.arange(4, dtype=np.int8).reshape(2, 2))
    assert (found.arithmetic, found.fits) == (None, ARITHMETICS)
    assert found.conclusion == "reference and builtin and xnnpack fit alike: they give the same numbers here"


def test_the_first_operator_that_none_fits_is_named_with_count_and_size() -> None:
    """Two codes of a tensor are changed by 2 steps."""
    model = qcore.load(DIGITS)
    output, tensors = dump(model, "builtin")
    name = model.subgraphs[0].tensors[model.subgraphs[0].operators[2].outputs[0]].name
    changed = tensors[name].copy()
    changed.flat[[5, 6]] = changed.flat[[5, 6]] ^ 2
    found = qcore.identify(model, codes(), output, {**tensors, name: changed})
    first = found.first_misfit
    assert first is not None
    assert (first.operators, first.tensor, first.mismatches["builtin"]) == ((2,), name, Mismatch(64 * 2048, 2, 2.0))
    assert found.conclusion.startswith("no arithmetic fits; closest is builtin")


def test_a_mixture_is_found_from_the_outputs_alone() -> None:
    """Dense layers of the builtin kernels around XNNPACK's LEAKY_RELU; their scales make ties, which kernels round unlike."""
    model, x = chain(), np.random.default_rng(5).integers(-128, 128, (64, 64)).astype(np.int8)
    kinds: list[tuple[int, Arithmetic]] = [(0, "builtin"), (1, "xnnpack"), (2, "builtin")]
    value = x
    for position, arithmetic in kinds:
        value = qcore.trace(alone(model, position), value, arithmetic=arithmetic)[f"t{position}"].elements
    found = qcore.identify(model, x, value)
    assert found.fits == ()
    assert found.mixture == {"FULLY_CONNECTED int8": "builtin", "LEAKY_RELU int8": "xnnpack"}
    assert found.conclusion.startswith("made by no single arithmetic; this mixture fits: FULLY_CONNECTED int8 by builtin")


def chain() -> Model:
    """x -> FULLY_CONNECTED -> t0 -> LEAKY_RELU -> t1 -> FULLY_CONNECTED -> t2, int8."""
    first, last = (one_operator("FULLY_CONNECTED", *dense(seed)) for seed in (3, 4))
    layers = [first, one_operator("LEAKY_RELU", [A], [B], {"alpha": 0.3}), last]
    b = Builder()
    value = b.input("x", (64, 64), "int8")
    for k, layer in enumerate(layers):
        graph = layer.subgraphs[0]
        first = len(b.tensors)
        b.tensors += graph.tensors[1:]
        if k == 0:
            b.tensors[value].quantization = graph.tensors[0].quantization
        operator = graph.operators[0]
        operator.inputs = [value, *range(first, first + len(operator.inputs) - 1)]
        operator.outputs = [len(b.tensors) - 1]
        b.tensors[-1].name = f"t{k}"
        b.operators.append(operator)
        value = operator.outputs[0]
    return b.model(value)


A, B = T("int8", (64, 64), 0.25, 3), T("int8", (64, 64), 0.25, -5)


def dense(seed: int) -> tuple[list[T], list[T]]:
    rng = np.random.default_rng(seed)
    filter = T("int8", (64, 64), 1 / 64, value=rng.integers(-127, 128, (64, 64)))
    bias = T("int32", (64,), 1 / 256, value=rng.integers(-999, 999, 64))
    return [B, filter, bias], [A]


def alone(model: Model, position: int) -> Model:
    """One operator of a chain."""
    graph = model.subgraphs[0]
    operator = graph.operators[position]
    return Model([Subgraph("main", graph.tensors, operator.inputs[:1], operator.outputs, [operator])])


def test_missing_tensors_join_operators_to_a_piece() -> None:
    model = qcore.load(DIGITS)
    output, tensors = dump(model, "xnnpack")
    names = [model.subgraphs[0].tensors[model.subgraphs[0].operators[k].outputs[0]].name for k in (2, 7)]
    found = qcore.identify(model, codes(), output, {name: tensors[name] for name in names})
    assert [verdict.operators for verdict in found.verdicts] == [(0, 1, 2), (3, 7), (8, 9)]
    assert found.arithmetic == "xnnpack"


def test_floats_that_are_equal_to_the_bit_go_before_those_that_fit() -> None:
    equal, near, few = Mismatch(100, 0, 0.0, 1e-5), Mismatch(100, 40, 1e-6, 1e-5), Mismatch(100, 3, 1e-6, 1e-5)

    def identification(*rows: tuple[Mismatch, Mismatch, Mismatch]) -> Identification:
        return Identification(
            tuple(Verdict("t", "float32", (0,), ("ADD float32",), dict(zip(ARITHMETICS, row, strict=True))) for row in rows)
        )

    assert identification((near, equal, near)).arithmetic == "builtin"
    assert identification((few, equal, few)).arithmetic is None  # as few may be chance
    assert identification((near, equal, near), (equal, few, near)).arithmetic is None  # tensors contradict one another
    assert identification((few, equal, few)).closest == "builtin"
    assert "within the rounding of floats; closest is builtin" in identification((few, equal, few)).conclusion


def test_float_sums_are_taken_in_turn_and_fused() -> None:
    """Against one product at a time in exact arithmetic, rounded once or twice."""
    rng = np.random.default_rng(0)
    x, w, bias = (rng.normal(size=shape).astype(np.float32) for shape in ((1, 3, 20), (1, 4, 20), (1, 1, 4)))
    in_turn, fused = np.zeros((3, 4), np.float32), np.broadcast_to(bias[0], (3, 4)).astype(np.float32)
    for k in range(20):
        product = x[0, :, k, np.newaxis].astype(np.float64) * w[0, :, k]
        in_turn = in_turn + product.astype(np.float32)
        fused = (fused.astype(np.longdouble) + product).astype(np.float32)
    np.testing.assert_array_equal(sums(x, w, bias, fused=False)[0], in_turn + bias[0])
    np.testing.assert_array_equal(sums(x, w, bias, fused=True)[0], fused)


@pytest.mark.parametrize(
    ("inputs", "outputs", "tensors", "message"),
    [
        (codes(), {"none": codes()}, None, "output 'none': the model has no output of that name"),
        ([codes(), codes()], codes(), None, "inputs: got 2 arrays, the model has 1"),
        ({}, codes(), None, "no value for input 'serving_default_image:0'"),
        (codes(), [], None, "outputs: got 0 arrays, the model has 1"),
        (codes(), np.full((64, 10), 300), None, "has values it cannot hold"),
        (codes(), np.zeros((64, 10), np.int8), {"none": codes()}, "tensor 'none': the model has no tensor of that name"),
    ],
)
def test_what_is_no_tensor_of_the_model_is_refused(inputs: object, outputs: object, tensors: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        qcore.identify(DIGITS, inputs, outputs, tensors)


def test_values_that_an_operator_cannot_run_on_are_a_verdict_without_fits() -> None:
    """Shapes that a dump has otherwise than the model, and indices out of range."""
    found = qcore.identify(DIGITS, codes(), np.zeros((2, 10), np.int8))
    assert found.first_misfit is not None
    assert found.first_misfit.mismatches["reference"].largest == np.inf
    b = Builder()
    index, table = b.input("index", (1,), "int32"), b.constant("table", np.ones((3, 2)))
    doubled, y = b.tensor("doubled", (1,), "int32"), b.tensor("y", (1, 2))
    b.op("ADD", [index, index], doubled)
    b.op("GATHER", [table, doubled], y)
    found = qcore.identify(b.model(y), np.int32([0]), np.ones((1, 2), np.float32), {"doubled": np.int32([7])})
    assert [verdict.fits for verdict in found.verdicts] == [(), ()]
    assert "not computed: GATHER" in found.verdicts[1].note


@pytest.mark.filterwarnings("ignore:Warning. Enabling .experimental_preserve_all_tensors")
@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_dumps_of_tensorflow_lite_are_recognized(arithmetic: Arithmetic) -> None:
    """Of an int8 network, from all tensors; and its outputs alone fit as well."""
    tf = pytest.importorskip("tensorflow", reason="needs tensorflow")
    kind = tf.lite.experimental.OpResolverType[RESOLVERS[arithmetic]]
    interpreter = tf.lite.Interpreter(str(DIGITS), experimental_op_resolver_type=kind, experimental_preserve_all_tensors=True)
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], codes().shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], codes())
    interpreter.invoke()
    model = qcore.load(DIGITS)
    tensors = {name: np.array(interpreter.get_tensor(i)) for name, i in computed(model.subgraphs[0]).items()}
    output = np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    assert qcore.identify(model, codes(), output, tensors).arithmetic == arithmetic
    assert arithmetic in qcore.identify(model, codes(), output).fits


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize(
    ("name", "own"), [("CONV_2D", {}), ("DEPTHWISE_CONV_2D", {}), ("DEPTHWISE_CONV_2D", {"depth_multiplier": 2}), ("FULLY_CONNECTED", None)]
)
def test_float_dumps_of_tensorflow_lite_are_never_laid_at_another_s_door(name: str, own: dict | None, arithmetic: Arithmetic) -> None:
    """The reference kernels' sums are met to the bit on every machine; how the others sum depends on the processor.

    XNNPACK leaves a depthwise convolution to the builtin kernels where its options do not fit its filter.
    """
    rng = np.random.default_rng(0)
    shapes = {
        "CONV_2D": ((1, 9, 9, 8), (24, 3, 3, 8), 24, (1, 9, 9, 24)),
        "DEPTHWISE_CONV_2D": ((1, 9, 9, 8), (1, 3, 3, 16), 16, (1, 9, 9, 16)),
        "FULLY_CONNECTED": ((5, 100), (24, 100), 24, (5, 24)),
    }
    input, filter, channels, output = shapes[name]
    constants = [T("float32", shape, value=rng.normal(size=shape)) for shape in (filter, (channels,))]
    options = {} if own is None else {"padding": "SAME", "stride_w": 1, "stride_h": 1, **own}
    model = one_operator(name, [T("float32", input), *constants], [T("float32", output)], options, version=1)
    x = rng.normal(size=input).astype(np.float32)
    found = qcore.identify(model, x, run_tflite(model, [x], RESOLVERS[arithmetic]))
    assert found.arithmetic in (arithmetic, None)
    assert arithmetic in found.fits
    if arithmetic == "reference":
        assert found.verdicts[0].mismatches["reference"].equal
