"""litert-quantizer on the same float models, with the same ranges: the files must agree, but for names, numbering and versions."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flatbuffers import flexbuffers

from qcore import calibrate
from qcore.model import Model
from qcore.quantizer import Rule, quantize_model
from tests.quantizer.builder import Builder, branches, dense
from tests.quantizer.flow import assert_same

quantizer = pytest.importorskip("litert_quantizer.quantizer", reason="needs litert-quantizer")
recipe = pytest.importorskip("litert_quantizer.recipe")

pytestmark = pytest.mark.filterwarnings("ignore:Warning. Enabling .experimental_preserve_all_tensors")

Make = Callable[[np.random.Generator], Model]
Recipe = list[dict[str, Any]]
QUIET = {"enable_progress_report": False, "enable_progress_bar": False}


def products(rng: np.random.Generator) -> Model:
    """Every operator with weights; two that share them, and biases after outputs of fixed and of handed-on parameters."""
    b = Builder()
    x, ids = b.input("x", (1, 6, 6, 4)), b.input("ids", (3,), "int32")
    c, d, t, r, s, f, g, h, m, n, e = (
        b.tensor(name, shape)
        for name, shape in {
            "c": (1, 6, 6, 4), "d": (1, 6, 6, 4), "t": (1, 12, 12, 4), "r": (9, 64), "s": (9, 64), "f": (9, 5), "g": (9, 5),
            "h": (9, 5), "m": (2, 9, 7), "n": (2, 9, 7), "e": (3, 32),
        }.items()
    )  # fmt: skip
    p = b.tensor("p", (1, 12, 12, 4))
    b.op("CONV_2D", [x, b.constant("cf", rng.normal(size=(4, 3, 3, 4))), b.constant("cb", rng.normal(size=4))], c, stride_w=1, stride_h=1)
    b.op("DEPTHWISE_CONV_2D", [c, b.constant("df", rng.normal(size=(1, 3, 3, 4))), b.constant("db", rng.normal(size=4))], d,
         stride_w=1, stride_h=1, depth_multiplier=1)  # fmt: skip
    upsampled = b.constant("shape", [1, 12, 12, 4], "int32")
    b.op("TRANSPOSE_CONV", [upsampled, b.constant("tf", rng.normal(size=(4, 2, 2, 4))), d, b.constant("tb", rng.normal(size=4))], t,
         stride_w=2, stride_h=2)  # fmt: skip
    b.op("TANH", [t], p)
    b.op("RESHAPE", [p, b.constant("rows", [9, 64], "int32")], r)
    b.op("SOFTMAX", [r], s, beta=1.0)
    weights, bias = b.constant("fw", rng.normal(size=(5, 64))), b.constant("fb", rng.normal(size=5))
    b.op("FULLY_CONNECTED", [r, weights, bias], f)
    b.op("FULLY_CONNECTED", [s, weights, bias], g)
    b.op("FULLY_CONNECTED", [r, weights, -1], h)
    b.op("BATCH_MATMUL", [f, b.constant("right", rng.normal(size=(2, 5, 7)))], m)
    b.op("BATCH_MATMUL", [g, b.constant("turned", rng.normal(size=(2, 7, 5)))], n, adj_y=True)
    b.op("EMBEDDING_LOOKUP", [ids, b.constant("table", rng.normal(size=(20, 32)))], e)
    return b.model(m, n, h, e)


def mixture(rng: np.random.Generator) -> Model:
    """Same scales forwards and backwards, constants among operands, an operator that stays float, requantization that folds or not."""
    b = Builder()
    x, y = b.input("x", (1, 4, 4, 3)), b.input("y", (1, 4, 4, 3))
    shapes = {"a": 3, "q": 3, "n": 3, "s": 3, "p": 3, "v": 3, "j": 10, "g": 3, "u": 3, "w": 3, "z": 3}
    a, q, n, s, p, v, j, g, u, w, z = (b.tensor(name, (1, 4, 4, depth)) for name, depth in shapes.items())
    b.tensors[g].shape, b.tensors[v].shape = (4, 3), (1, 6, 6, 3)
    b.op("ADD", [x, y], a)
    b.op("MUL", [a, a], q)
    b.op("NEG", [q], n)
    b.op("LOGISTIC", [q], s)
    b.op("SUB", [s, b.constant("k", rng.normal(size=3))], p)
    padding = b.constant("padding", [[0, 0], [1, 1], [1, 1], [0, 0]], "int32")
    b.op("PADV2", [p, padding, b.constant("low", np.float32(-np.inf))], v)
    b.op("CONCATENATION", [n, q, x, b.constant("e", rng.normal(size=(1, 4, 4, 1)))], j, axis=3)
    b.op("GATHER", [b.constant("table", rng.normal(size=(9, 3))), b.constant("rows", [1, 0, 3, 8], "int32")], g)
    b.op("MUL", [y, g], u)
    b.op("MAXIMUM", [u, b.constant("least", rng.normal(size=(1, 1, 1, 3)))], w)
    b.op("DIV", [w, b.constant("parts", rng.uniform(1, 2, size=3))], z)
    return b.model(v, j, z)


def composite(name: str) -> Make:
    """x -> RELU -> a; a -> the composite, which stands for MUL and FULLY_CONNECTED -> y."""

    def make(rng: np.random.Generator) -> Model:
        b, inside = Builder(), Builder()
        x, a, y = b.input("x", (2, 8)), b.tensor("a", (2, 8)), b.tensor("y", (2, 3))
        b.op("RELU", [x], a)
        options = b.op("STABLEHLO_COMPOSITE", [a], y, decomposition_subgraph_index=1).options
        assert options is not None
        attributes = np.frombuffer(bytes(flexbuffers.Dumps({})), np.uint8)
        options.fields |= {"name": name, "composite_attributes": attributes}
        given, m, result = inside.input("given", (2, 8)), inside.tensor("m", (2, 8)), inside.tensor("result", (2, 3))
        inside.op("MUL", [given, given], m)
        weights, bias = inside.constant("w", rng.normal(size=(3, 8))), inside.constant("b", rng.normal(size=3))
        inside.op("FULLY_CONNECTED", [m, weights, bias], result)
        model = b.model(y)
        model.subgraphs += inside.model(result).subgraphs
        return model

    return make


def quantized(content: bytes, steps: Recipe, samples: list[dict[str, Any]] | None = None) -> tuple[bytes, dict[str, Any]]:
    """The tool's file, and the ranges that it calibrated, by name."""
    logging.getLogger().setLevel(logging.ERROR)
    tool = quantizer.Quantizer(content, steps)
    ranges = tool.calibrate({"serve": samples}, num_threads=1) if tool.need_calibration else None
    # Quantizing changes what it is given.
    return bytes(tool.quantize(copy.deepcopy(ranges), **QUIET).quantized_model), ranges or {}


class ToolRanges:
    """The ranges that the tool calibrated, as quantize_model takes them."""

    def __init__(self, model: Model, found: dict[str, Any]) -> None:
        self.model, self.found = model, found

    def range(self, subgraph: int, tensor: int, dtype: str = "int8") -> tuple[float, float] | None:
        seen = self.found.get(self.model.subgraphs[subgraph].tensors[tensor].name)
        return (seen["min"].item(), seen["max"].item()) if seen and "min" in seen else None


def samples_of(model: Model, rng: np.random.Generator) -> list[dict[str, Any]]:
    graph = model.subgraphs[0]
    return [
        {
            graph.tensors[i].name: rng.normal(size=graph.tensors[i].shape).astype(np.float32) * step
            if graph.tensors[i].dtype == "float32"
            else rng.integers(0, 20, graph.tensors[i].shape).astype(np.int32)
            for i in graph.inputs
        }
        for step in (1, 2, 1.5)
    ]


def assert_parity(model: Model, mode: str, steps: Recipe, **options: Any) -> None:
    samples = samples_of(model, np.random.default_rng(5))
    want, ranges = quantized(model.to_bytes(), steps, samples)
    calibration = ToolRanges(model, ranges) if ranges else None
    assert_same(quantize_model(model, mode, calibration, convention="ai-edge", **options), want, versions=False)  # type: ignore[arg-type]


def step(algorithm: str, operation: str = "*", regex: str = ".*", **config: Any) -> dict[str, Any]:
    return {"regex": regex, "operation": operation, "algorithm_key": algorithm, "op_config": config}


FLOAT16 = [
    step("float_casting", weight_tensor_config={"num_bits": 16, "dtype": "FLOAT"}, compute_precision="FLOAT", explicit_dequantize=True)
]
REAL_INTERFACE = [step("no_quantize", "INPUT"), step("no_quantize", "OUTPUT")]
MODELS = [dense, branches, products, mixture]


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize(("mode", "steps"), [("int8", recipe.static_wi8_ai8()), ("int16x8", recipe.static_wi8_ai16())])
def test_static_modes_are_those_of_its_recipes(make: Make, mode: str, steps: Recipe) -> None:
    assert_parity(make(np.random.default_rng(4)), mode, steps)


@pytest.mark.parametrize("name", ["odml.rms_norm", "odml.group_norm"])
@pytest.mark.parametrize(("mode", "steps"), [("int8", recipe.static_wi8_ai8()), ("dynamic_range", recipe.dynamic_wi8_afp32())])
def test_composites_are_quantized_with_what_they_stand_for_or_not_at_all(name: str, mode: str, steps: Recipe) -> None:
    assert_parity(composite(name)(np.random.default_rng(4)), mode, steps)


@pytest.mark.parametrize("make", MODELS)
def test_a_real_interface_is_that_of_a_recipe_that_leaves_it_alone(make: Make) -> None:
    options = {"input_type": "float32", "output_type": "float32"}
    assert_parity(make(np.random.default_rng(4)), "int8", recipe.static_wi8_ai8() + REAL_INTERFACE, **options)


@pytest.mark.parametrize("make", MODELS)
def test_a_uint8_interface_is_that_of_its_policy_for_inputs_and_outputs(make: Make) -> None:
    unsigned = {
        "activation_tensor_config": {"num_bits": 8, "symmetric": False, "granularity": "TENSORWISE", "dtype": "UINT"},
        "weight_tensor_config": {"num_bits": 8, "symmetric": True, "granularity": "CHANNELWISE", "dtype": "INT"},
        "compute_precision": "INTEGER",
        "explicit_dequantize": False,
    }
    steps = recipe.static_wi8_ai8() + [step("min_max_uniform_quantize", io, **unsigned) for io in ("INPUT", "OUTPUT")]
    assert_parity(make(np.random.default_rng(4)), "int8", steps, input_type="uint8", output_type="uint8")


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize(
    ("mode", "steps", "options"),
    [
        ("float16", FLOAT16, {}),
        ("dynamic_range", recipe.dynamic_wi8_afp32(), {}),
        ("dynamic_range", recipe.dynamic_wi4_afp32(), {"weight_type": "int4"}),
        ("weight_only", recipe.weight_only_wi8_afp32(), {}),
        ("weight_only", recipe.weight_only_wi4_afp32(), {"weight_type": "int4"}),
    ],
)
def test_weight_modes_are_those_of_its_recipes(make: Make, mode: str, steps: Recipe, options: dict[str, Any]) -> None:
    assert_parity(make(np.random.default_rng(4)), mode, steps, **options)


@pytest.mark.parametrize("mode", ["weight_only", "dynamic_range"])
@pytest.mark.parametrize("size", [32, 64])
def test_blocks_are_those_of_its_recipes(size: int, mode: str) -> None:
    steps = recipe.dynamic_wi4b32_afp32() if size == 32 else recipe.dynamic_wi4b64_afp32()
    assert_parity(dense(np.random.default_rng(4), depth=128), mode, steps, weight_type="int4", block_size=size)


def test_one_scale_for_each_tensor_is_its_tensorwise_granularity() -> None:
    steps = recipe.static_wi8_ai8()
    steps[0]["op_config"]["weight_tensor_config"]["granularity"] = "TENSORWISE"
    assert_parity(products(np.random.default_rng(4)), "int8", steps, per_channel=False)


def test_a_rule_does_what_a_recipe_without_quantization_does() -> None:
    steps = [*recipe.static_wi8_ai8(), step("no_quantize", "SOFTMAX"), step("no_quantize", regex="^t;")]
    rules = [Rule(False, operator="SOFTMAX"), Rule(False, tensor="t")]
    assert_parity(products(np.random.default_rng(4)), "int8", steps, rules=rules)


@pytest.mark.parametrize("make", MODELS)
def test_calibration_finds_its_ranges_but_for_the_order_of_sums(make: Make) -> None:
    model = make(np.random.default_rng(4))
    samples = samples_of(model, np.random.default_rng(5))
    _, want = quantized(model.to_bytes(), recipe.static_wi8_ai8(), samples)
    found = calibrate(model, samples, "moving_average")
    for i, tensor in enumerate(model.subgraphs[0].tensors):
        if "min" in want.get(tensor.name, {}) and found.range(0, i) is not None:
            ends = [want[tensor.name]["min"].item(), want[tensor.name]["max"].item()]
            np.testing.assert_allclose(found.range(0, i), ends, rtol=1e-5, atol=1e-6)
