"""Activations of 16 bits: what was trained is what the file computes, in TensorFlow Lite and LiteRT as in qcore."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs keras")

import keras
from keras import layers as L

import qcore
from qcore.qat import FakeQuant, QuantizedKernel, calibrate, check, export, quantize_model
from qcore.schema import constant
from tests.qat import graphs

SAMPLES = 16
SKIPPED = {"joins": ["p_re_lu"], "swish": ["conv", "hard"]}
TABLES = {"TANH": 3, "SOFTMAX": 20, "GELU": 64}
"""Operators whose int16 kernels interpolate in tables, and by how many steps they are off at most, with ranges like these."""

JOINS = ("CONCATENATION", "MAXIMUM", "MINIMUM")
"""Operators whose operands are computed in their scale, and not compared before."""


CODES = {"CONV_2D": (1, True), "TRANSPOSE_CONV": (3, False), "DEPTHWISE_CONV_2D": (7, False), "FULLY_CONNECTED": (7, True)}
"""By operator, the greatest code of a kernel in a test, and that its int16 kernel reads packed int4."""


def trained(model: Any, **options: Any) -> tuple[Any, list[Any]]:
    """A model with ranges, and samples."""
    quantized = quantize_model(model, activation_bits=16, **options)
    x = graphs.samples(quantized, SAMPLES)
    calibrate(quantized, [keras.tree.pack_sequence_as(quantized.input, x)])
    return quantized, x


def swish() -> Any:
    """The same model as of 8 bits, with names for what has no int16 kernel."""
    x = graphs.image()
    y = L.Activation("swish")(L.BatchNormalization(name="norm")(L.Conv2D(6, 3)(x)))
    y = L.Conv2D(4, 3, activation="hard_silu", name="conv")(y)
    return keras.Model(x, L.Dense(4)(L.Flatten()(L.Activation("hard_swish", name="hard")(y))))


def build(name: str) -> Any:
    model = swish() if name == "swish" else graphs.build(name)
    if name == "joins":
        (odd,) = (layer for layer in model.layers if isinstance(layer, L.PReLU))
        odd.name = "p_re_lu"
    return model


def interpreters(content: bytes) -> Iterator[Any]:
    """Those of TensorFlow Lite and LiteRT, where they are installed; XNNPACK has no part in operators of int16."""
    options = {"model_content": content, "experimental_preserve_all_tensors": True}
    for package in ("tensorflow", "ai_edge_litert.interpreter"):
        if find_spec(package.partition(".")[0]) is not None:
            module = import_module(package)
            lite, types = (module.lite, module.lite.experimental) if package == "tensorflow" else (module, module)
            yield lite.Interpreter(experimental_op_resolver_type=types.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, **options)


def results(interpreter: Any, codes: list[np.ndarray], numbers: list[int]) -> list[np.ndarray]:
    """Integers of every tensor that an interpreter computes."""
    interpreter.allocate_tensors()
    for detail, given in zip(interpreter.get_input_details(), codes, strict=True):
        interpreter.set_tensor(detail["index"], given)
    interpreter.invoke()
    return [interpreter.get_tensor(number) for number in numbers]


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("bn_relu6_of_negative_gamma", 8),
        ("separable", 4),
        ("concatenated", 8),
        ("squeeze_excite", 4),
        ("swish", 8),
        ("transpose", 4),
        ("one_dimensional", 4),
        ("dense_bn", 8),
        ("bare_operations", 8),
        ("two_inputs_and_outputs", 8),
        ("joins", 8),
        ("moves", 8),
    ],
)
def test_the_file_computes_what_was_trained_everywhere(name: str, bits: int) -> None:
    """Within a step of 16 bits, but for tables; and the same integers in every tensor, whoever runs it."""
    model, x = trained(build(name), weight_bits=bits, skip=SKIPPED.get(name, ()))
    exported = export(model, input_type="int16", output_type="int16")
    result = check(model, export(model), x)
    content, graph = exported.to_bytes(), exported.subgraphs[0]
    bounds = TABLES | dict.fromkeys(JOINS, max(TABLES.get(operator.name, 1) for operator in graph.operators))
    assert all(o.max_lsb <= bounds.get(o.operator, 1) for o in result.operators), str(result)
    assert result.agreement == 1
    computed = [i for operator in graph.operators for i in operator.outputs if graph.tensors[i].dtype == "int16"]
    codes = [np.random.default_rng(0).integers(-32768, 32768, graph.tensors[i].shape, np.int16) for i in graph.inputs]
    ours = qcore.Interpreter(model_content=content, arithmetic="builtin", experimental_preserve_all_tensors=True)
    expected = results(ours, codes, computed)
    for interpreter in interpreters(content):
        theirs = results(interpreter, codes, computed)
        for one, other in zip(theirs, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_activations_have_the_scales_of_the_layers_and_no_zero_point() -> None:
    model, _ = trained(graphs.build("concatenated"))
    exported = export(model)
    for layer in model.layers:
        if isinstance(layer, FakeQuant):
            found = [t for t in exported.subgraphs[0].tensors if t.name == layer.name and t.dtype == "int16"]
            assert found
            assert {(float(t.quantization.scale[0]), int(t.quantization.zero_point[0])) for t in found} == {layer.params.single()}
            assert layer.params.single()[1] == 0
    fixed = [layer for layer in model.layers if isinstance(layer, FakeQuant) and layer.fixed]
    assert [layer.params.single() for layer in fixed] == [(2**-15, 0)]


def test_int4_is_packed_where_int16_kernels_read_it_and_biases_are_int64() -> None:
    x = keras.Input((4, 4, 2))
    y = L.DepthwiseConv2D(2, name="depthwise")(L.Conv2DTranspose(3, 2, name="up")(L.Conv2D(4, 1, name="conv")(x)))
    bits = {"conv": 2, "up": 3, "depthwise": 4, "dense": 4}
    plain = keras.Model(x, L.Dense(3, name="dense", use_bias=False)(L.Flatten()(y)))
    for layer in ("conv", "up", "depthwise"):
        plain.get_layer(layer).bias.assign(np.ones(plain.get_layer(layer).bias.shape))
    model, _ = trained(plain, weight_bits=lambda layer: bits[layer.name])
    for packed in (True, False):
        graph = export(model, packed=packed).subgraphs[0]
        weighted = [operator for operator in graph.operators if operator.name in CODES]
        for operator in weighted:
            filter, bias = graph.tensors[operator.inputs[1]], graph.tensors[operator.inputs[-1]]
            greatest, reads_int4 = CODES[operator.name]
            assert np.abs(constant(filter)).max() == greatest  # type: ignore[arg-type]
            assert (filter.dtype, bias.dtype) == ("int4" if packed and reads_int4 else "int8", "int64")
        assert len(weighted) == len(CODES)


def test_a_dense_layer_without_a_bias_does_not_overflow_in_tensorflow_lite() -> None:
    """Which sums in int32 there, more than 516 products of 127 and 32767 notwithstanding."""
    tf = pytest.importorskip("tensorflow", reason="needs tensorflow")
    x = keras.Input((600,))
    dense = L.Dense(2, use_bias=False)
    model = keras.Model(x, dense(x))
    dense.kernel.assign(np.ones((600, 2)))
    quantized = quantize_model(model, activation_bits=16)
    ones = np.ones((1, 600), np.float32)
    calibrate(quantized, [ones])
    interpreter = tf.lite.Interpreter(model_content=export(quantized).to_bytes())
    (result,) = results(interpreter, [ones], [interpreter.get_output_details()[0]["index"]])
    np.testing.assert_allclose(result, [[600, 600]], rtol=1e-4)


def test_skipped_layers_stay_float_and_what_is_around_them_goes_on_rounding() -> None:
    """Also between two of them, and at both ends of the model."""
    x = keras.Input((4,), name="in")
    model = keras.Model(x, L.Dense(3, name="c")(L.Dense(3, name="b")(L.Dense(3, name="a")(x))))
    for skip in (["a"], ["b"], ["c"], ["a", "b"], ["b", "c"], ["a", "b", "c"]):
        quantized, samples = trained(model, skip=skip)
        exported = export(quantized)
        graph = exported.subgraphs[0]
        dense = [operator for operator in graph.operators if operator.name == "FULLY_CONNECTED"]
        assert [graph.tensors[o.outputs[0]].dtype for o in dense] == ["float32" if name in skip else "int16" for name in "abc"]
        codes = [graph.tensors[o.outputs[0]].name for o in graph.operators if graph.tensors[o.outputs[0]].dtype == "int16"]
        assert codes == ["in_codes", "a_codes", "b_codes", "c_codes"]
        assert check(quantized, exported, samples).max_lsb <= 1


def test_inputs_of_eight_bits_are_refused() -> None:
    model, _ = trained(graphs.build("two_inputs_and_outputs"))
    with pytest.raises(qcore.InputError, match=r"mode 'int16x8': input_type: got 'uint8', expected one of 'float32', 'int16'"):
        export(model, input_type="uint8")


@pytest.mark.parametrize(
    ("layer", "operator"),
    [
        (L.PReLU(name="odd"), "PRELU"),
        (L.RepeatVector(2, name="odd"), "TILE"),
        (L.Activation("hard_swish", name="odd"), "HARD_SWISH"),
        (L.Dense(3, activation="hard_silu", name="odd"), "HARD_SWISH"),
        (L.Dense(3, activation="log_softmax", name="odd"), "LOG_SOFTMAX"),
    ],
)
def test_what_has_no_int16_kernel_is_refused_by_the_name_that_skip_takes(layer: Any, operator: str) -> None:
    x = keras.Input((4,))
    inner = keras.Model(x, layer(x), name="inner")
    model = keras.Model(x, L.Dense(2)(inner(L.Dense(4, name="odd_too")(x))))
    with pytest.raises(
        qcore.UnsupportedError, match=rf"layer 'odd': TensorFlow Lite has no {operator} with .* of 16 bits; skip=\('odd',\)"
    ):
        quantize_model(model, activation_bits=16)
    quantized, samples = trained(model, skip=("odd",))
    assert check(quantized, export(quantized), samples).max_lsb <= 1


@pytest.mark.parametrize("bits", [4, 32, lambda layer: 16])
def test_all_activations_have_the_same_bits_of_8_or_16(bits: Any) -> None:
    with pytest.raises(qcore.InputError, match=r"got activation_bits=.*, expected 8 or 16, for the whole model"):
        quantize_model(graphs.build("sequential"), activation_bits=bits)


def test_bits_are_saved(tmp_path: Any) -> None:
    model, x = trained(graphs.build("sequential"), weight_bits=4)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert {layer.bits for layer in loaded.layers if isinstance(layer, FakeQuant)} == {16}
    assert {layer.bits for layer in loaded.layers if isinstance(layer, QuantizedKernel)} == {4}
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(loaded(x[0])), keras.ops.convert_to_numpy(model(x[0])))
