"""``identify`` names who made a dump: qcore's own arithmetics, mixtures of them, TensorFlow Lite's resolvers, or nobody."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import qcore
from qcore.analysis.identifying.identification import Identification, Mismatch, Verdict
from qcore.analysis.identifying.replay import Replay, ReplayingSession
from qcore.errors import InputError
from qcore.kernels import delegate_functions, float_functions, library_functions
from qcore.kernels.opdef import Arithmetic
from qcore.model import Model, Subgraph
from tests.calibration.models import counter
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


def missing(count: int, sure: bool = True) -> Mismatch:
    """Of 1000 floats, so many are a last bit off."""
    return Mismatch(1000, count, 1e-7 if count else 0.0, 1e-5, sure)


def identification(*rows: tuple[Mismatch, Mismatch, Mismatch], builds: dict[Arithmetic, str] | None = None) -> Identification:
    """Of float tensors, each with how the three arithmetics fared."""
    verdicts = (Verdict("t", "float32", (0,), ("ADD",), ("ADD float32",), dict(zip(ARITHMETICS, row, strict=True))) for row in rows)
    return Identification(tuple(verdicts), builds=builds or {})


def test_floats_that_are_equal_to_the_bit_go_before_those_that_fit() -> None:
    equal, near = missing(0), missing(400)
    assert identification((near, equal, near)).arithmetic == "builtin"
    assert identification((near, equal, equal)).fits == ("builtin", "xnnpack")
    assert identification((near, equal, equal)).conclusion == "builtin and xnnpack fit alike: they give the same numbers here"
    contradicting = identification((near, equal, near), (equal, near, near))
    assert (contradicting.arithmetic, contradicting.fits) == (None, ("reference", "builtin"))
    assert "within the rounding of floats; closest is" in contradicting.conclusion
    assert identification((near, equal, near)).evidence == (
        "told by the last bits of floats; elements that differ: reference 400, builtin 0, xnnpack 400"
    )


def test_few_floats_tell_only_what_is_known_to_the_last_bit() -> None:
    assert identification((missing(1), missing(0), missing(1))).arithmetic == "builtin"
    unsure = identification((missing(3, sure=False), missing(0), missing(3)))
    assert (unsure.fits, unsure.closest) == (("reference", "builtin"), "builtin")
    assert identification((missing(16, sure=False), missing(0), missing(16))).arithmetic == "builtin"


def test_an_arithmetic_may_miss_few_floats_where_the_others_miss_very_many() -> None:
    assert identification((missing(900), missing(5), missing(800))).arithmetic == "builtin"
    assert identification((missing(900), missing(100), missing(800))).arithmetic is None
    assert identification((missing(200), missing(1), missing(200))).arithmetic is None  # of too few


def test_what_fits_as_another_package_is_built_comes_second() -> None:
    found = identification((missing(0), missing(0), missing(9)), builds={"builtin": "of LiteRT's package"})
    assert (found.arithmetic, found.fits) == ("reference", ("reference", "builtin"))
    assert found.conclusion == "made by reference; builtin of LiteRT's package gives the same numbers"


def test_a_package_that_is_named_goes_alone() -> None:
    """Eight outputs of a dense layer: vectors of 4 take their sums as the reference kernels do, vectors of 8 do not."""
    rng = np.random.default_rng(3)
    model = one_operator("FULLY_CONNECTED", [T("float32", (40, 50)), constant(rng, 8, 50), constant(rng, 8)], [T("float32", (40, 8))])
    x = rng.normal(size=(40, 50)).astype(np.float32)
    output = exact(model, x)
    found = {package: qcore.identify(model, x, output, package=package) for package in (None, "tensorflow", "litert")}
    assert found[None].arithmetic == found["tensorflow"].arithmetic == "reference"
    assert found["litert"].fits == ("reference", "builtin")
    with pytest.raises(InputError, match="package is 'none', expected one of tensorflow, litert"):
        qcore.identify(model, x, output, package="none")  # type: ignore[arg-type]


def exact(model: Model, x: np.ndarray) -> np.ndarray:
    """The reference kernels' output of a model of one operator, to the last bit."""
    replay = Replay(ReplayingSession(model, "reference"), 0, {0: x})
    results, sure = replay.run(replay.plan.operators[0], replay.start() | {0: x})
    assert sure
    (output,) = results.values()
    return output


def composite(subgraph: int, name: str = "other", operands: int = 1) -> Model:
    """An operator that runs a subgraph, which is a TANH in the second one."""
    shape = (2, 30, 4, 16)
    options = {"name": name, "decomposition_subgraph_index": subgraph}
    model = one_operator("STABLEHLO_COMPOSITE", [T("float32", shape)] * operands, [T("float32", shape)], options)
    inner = one_operator("TANH", [T("float32", shape)] * operands, [T("float32", shape)])
    return Model([*model.subgraphs, *inner.subgraphs])


def test_subgraphs_that_operators_call_are_replayed_too() -> None:
    x = np.random.default_rng(0).normal(size=(2, 30, 4, 16)).astype(np.float32)
    for arithmetic, function in (
        ("reference", library_functions.tanh),
        ("builtin", float_functions.tanh),
        ("xnnpack", delegate_functions.tanh),
    ):
        assert qcore.identify(composite(1), x, function(x)).arithmetic == arithmetic
    found = qcore.identify(composite(0), x, x)
    assert [verdict.note for verdict in found.verdicts] == ["not computed: subgraph 0 calls itself, by way of [0]"]


def test_operators_without_outputs_are_run_for_what_they_assign() -> None:
    x = np.arange(4, dtype=np.float32).reshape(1, 4)
    found = qcore.identify(counter(), [x], [x])
    assert found.fits == get_args(Arithmetic)


def test_attention_is_an_operator_of_xnnpack() -> None:
    """Queries, keys and values [batch, rows, heads, depth]; queries are scaled by one over the root of the depth."""
    model = composite(1, "odml.scaled_dot_product_attention", operands=3)
    q, k, v = np.random.default_rng(0).normal(size=(3, 2, 30, 4, 16)).astype(np.float32)
    replay = Replay(ReplayingSession(model, "xnnpack"), 0, {0: q, 1: k, 2: v})
    results, sure = replay.run(replay.plan.operators[0], {0: q, 1: k, 2: v})
    logits = np.einsum("bthd,bshd->bhts", q.astype(np.float64), k) / 4
    shares = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    assert sure
    np.testing.assert_allclose(results[3], np.einsum("bhts,bshd->bthd", shares, v), rtol=1e-5, atol=1e-5)


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


Operands = tuple[list[T], T, dict | None]


def constant(rng: np.random.Generator, *shape: int) -> T:
    return T("float32", shape, value=rng.normal(size=shape))


def convolution(rng: np.random.Generator, name: str, **own: int) -> Operands:
    filter, channels = ((24, 3, 3, 8), 24) if name == "CONV_2D" else ((1, 3, 3, 16), 16)
    options = {"padding": "SAME", "stride_w": 1, "stride_h": 1, **own}
    return [T("float32", (1, 9, 9, 8)), constant(rng, *filter), constant(rng, channels)], T("float32", (1, 9, 9, channels)), options


def operands(name: str, rng: np.random.Generator) -> Operands:
    """Inputs, output and options of an operator of floats."""
    image, pixels = T("float32", (1, 9, 9, 24)), {"stride_w": 2, "stride_h": 2, "padding": "SAME", "filter_height": 3, "filter_width": 3}
    shape, axes, size = (T("int32", (len(value),), value=value) for value in ([1, 20, 18, 7], [0, 1], [13, 20]))
    return {
        "AVERAGE_POOL_2D": ([image], T("float32", (1, 5, 5, 24)), pixels),
        "BATCH_MATMUL": ([T("float32", (3, 11, 70)), constant(rng, 3, 70, 21)], T("float32", (3, 11, 21)), {}),
        "CONV_2D": convolution(rng, "CONV_2D"),
        "DEPTHWISE_CONV_2D": convolution(rng, "DEPTHWISE_CONV_2D", depth_multiplier=2),
        "DEPTHWISE_CONV_2D without its multiplier": convolution(rng, "DEPTHWISE_CONV_2D"),
        "FULLY_CONNECTED": ([T("float32", (15, 100)), constant(rng, 24, 100), constant(rng, 24)], T("float32", (15, 24)), None),
        "GELU": ([image], image, {"approximate": False}),
        "LOGISTIC": ([image], image, None),
        "LOG_SOFTMAX": ([T("float32", (30, 37))], T("float32", (30, 37)), None),
        "MEAN": ([T("float32", (90, 7, 16)), axes], T("float32", (16,)), {}),
        "RESIZE_BILINEAR": ([image, size], T("float32", (1, 13, 20, 24)), {"half_pixel_centers": True}),
        "RSQRT": ([image], image, None),
        "SOFTMAX": ([T("float32", (30, 137))], T("float32", (30, 137)), {"beta": 1.0}),
        "TANH": ([image], image, None),
        "TRANSPOSE_CONV": (
            [shape, constant(rng, 7, 3, 2, 8), T("float32", (1, 10, 9, 8)), constant(rng, 7)],
            T("float32", (1, 20, 18, 7)),
            {"padding": "SAME", "stride_w": 2, "stride_h": 2},
        ),
    }[name]


VERSIONS = {"GELU": 2, "RESIZE_BILINEAR": 3, "TRANSPOSE_CONV": 3}


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize(
    "name",
    [
        *("AVERAGE_POOL_2D", "BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "DEPTHWISE_CONV_2D without its multiplier", "FULLY_CONNECTED"),
        *("GELU", "LOGISTIC", "LOG_SOFTMAX", "MEAN", "RESIZE_BILINEAR", "RSQRT", "SOFTMAX", "TANH", "TRANSPOSE_CONV"),
    ],
)
def test_float_dumps_of_tensorflow_lite_are_never_laid_at_another_s_door(name: str, arithmetic: Arithmetic) -> None:
    """The reference kernels' sums are met to the bit on every machine; how the others sum depends on the processor.

    XNNPACK leaves a depthwise convolution to the builtin kernels where its options do not fit its filter.
    """
    rng = np.random.default_rng(0)
    operator = name.split()[0]
    inputs, output, options = operands(name, rng)
    model = one_operator(operator, inputs, [output], options, version=VERSIONS.get(operator, 1))
    graph = model.subgraphs[0]
    x = [np.abs(rng.normal(size=graph.tensors[i].shape)).astype(np.float32) for i in graph.inputs]
    given = run_tflite(model, x, RESOLVERS[arithmetic])
    found = qcore.identify(model, x, given)
    assert found.arithmetic in (arithmetic, None)
    assert arithmetic in found.fits
    if arithmetic == "reference" and name not in ("TANH", "GELU"):  # which depend on the C library and on the processor
        assert found.verdicts[0].mismatches["reference"].equal
