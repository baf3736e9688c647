"""The file has the ranges and the codes that were trained, whichever way it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs keras")

import keras
from keras import layers as L

import qcore
from qcore.model import Model, Operator
from qcore.numerics import quantize
from qcore.numerics.training import kernel_params
from qcore.qat import FakeQuant, QuantizedKernel, bake, calibrate, export, quantize_model
from qcore.schema import constant
from tests.qat import graphs


class TwiceDense(L.Dense):
    def call(self, x: Any) -> Any:
        return 2 * super().call(x)


def trained(model: Any, **options: Any) -> Any:
    """A model with ranges."""
    quantized = quantize_model(model, **options)
    calibrate(quantized, [keras.tree.pack_sequence_as(quantized.input, graphs.samples(quantized, 16))])
    return quantized


def operators(model: Model, name: str) -> list[Operator]:
    return [operator for operator in model.subgraphs[0].operators if operator.name == name]


def filters(model: Model) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Type, codes and scales of each kernel, in the order of operators."""
    found = []
    for operator in model.subgraphs[0].operators:
        if operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"):
            tensor = model.subgraphs[0].tensors[operator.inputs[1]]
            assert tensor.quantization is not None
            found.append((tensor.dtype, constant(tensor), tensor.quantization.scale))
    return found


def has_tensorflow() -> bool:
    return bool(keras.backend.backend() == "tensorflow")


@pytest.mark.parametrize(("name", "bits"), [("dense_net", 8), ("transpose", 4)])
def test_both_routes_give_the_same_integers(name: str, bits: int) -> None:
    """And so the converter's folding of constants, its transpositions and its rounding change nothing."""
    if not has_tensorflow():
        pytest.skip("needs Keras on tensorflow")
    model = trained(graphs.build(name), weight_bits=bits)
    x = graphs.samples(model, 8)[0]
    results = []
    for route in ("graph", "tensorflow"):
        interpreter = qcore.Interpreter(model_content=export(model, route=route, output_type="int8"))
        results.append([next(iter(interpreter.run(sample[np.newaxis]).values())) for sample in x])
    np.testing.assert_array_equal(*results)


def test_ranges_in_the_file_are_those_of_the_layers() -> None:
    model = trained(graphs.build("concatenated"))
    exported = export(model)
    for layer in model.layers:
        if isinstance(layer, FakeQuant):
            tensors = [t for t in exported.subgraphs[0].tensors if t.name == layer.name and t.dtype == "int8"]
            assert len(tensors) == 1
            assert (tensors[0].quantization.scale, tensors[0].quantization.zero_point) == layer.params.single()


def test_codes_in_the_file_are_those_that_were_trained() -> None:
    """Normalization is folded into kernels by negative factors too, which changes signs and scales and nothing else."""
    model = trained(graphs.build("bn_relu6_of_negative_gamma"))
    layers = [layer for layer in model.layers if isinstance(layer, QuantizedKernel)]
    factors = [np.float32(1)] * len(layers)
    for position, norm in enumerate((model.get_layer("norm"), model.get_layer("norm_b"))):
        factors[position] = keras.ops.convert_to_numpy(norm.gamma / keras.ops.sqrt(norm.moving_variance + norm.epsilon))
    for bits, packed in ((2, True), (3, True), (4, True), (4, False), (5, True), (8, True)):
        for layer in layers:
            layer.bits = bits
        for layer, factor, (dtype, codes, scale) in zip(layers, factors, filters(export(model, packed=packed)), strict=True):
            kernel = keras.ops.convert_to_numpy(layer.layer.kernel)
            params = kernel_params(kernel, bits, -1)
            np.testing.assert_array_equal(codes, np.moveaxis(quantize(kernel, params) * np.sign(factor).astype(np.int8), -1, 0))
            np.testing.assert_allclose(scale, params.scale * abs(factor), rtol=1e-6)
            assert dtype == ("int4" if bits <= 4 and packed else "int8")


def test_each_layer_has_its_bits_and_int4_is_packed_where_kernels_read_it() -> None:
    x = keras.Input((4, 4, 2))
    y = L.DepthwiseConv2D(2, name="depthwise")(L.Conv2DTranspose(3, 2, name="up")(L.Conv2D(4, 1, name="conv")(x)))
    bits = {"conv": 2, "up": 3, "depthwise": 8, "dense": 4}
    model = trained(keras.Model(x, L.Dense(3, name="dense")(L.Flatten()(y))), weight_bits=lambda layer: bits[layer.name])
    found = filters(export(model))
    assert [dtype for dtype, _, _ in found] == ["int4", "int8", "int8", "int4"]
    assert [int(abs(codes).max()) for _, codes, _ in found] == [1, 3, 127, 7]


def test_a_normalization_without_a_kernel_is_an_int8_convolution_in_a_model_of_4_bits() -> None:
    found = filters(export(trained(graphs.build("dense_bn"), weight_bits=4)))
    assert [dtype for dtype, _, _ in found] == ["int4", "int4", "int8", "int4"]
    assert (abs(found[2][1]) == 127).all()


def test_dead_channels_and_weights_next_to_nothing_are_zeros() -> None:
    x = keras.Input((4,))
    model = keras.Model(x, L.Dense(3, name="dense")(x))
    model.get_layer("dense").set_weights([np.array([[0, 1e-32, 1]] * 4), np.array([0.5, -0.5, 1000])])
    exported = export(trained(model))
    ((_, codes, _),) = filters(exported)
    np.testing.assert_array_equal(codes, [[0] * 4, [0] * 4, [127] * 4])
    (result,) = qcore.Interpreter(model_content=exported).run(np.zeros((1, 4), np.float32)).values()
    np.testing.assert_allclose(result, [[0.5, -0.5, 1000]], atol=4)


def test_skipped_layers_stay_float_and_the_others_do_not() -> None:
    model = trained(graphs.build("bn_relu6_of_negative_gamma"), skip=["conv"])
    exported = export(model)
    types = [exported.subgraphs[0].tensors[operator.outputs[0]].dtype for operator in operators(exported, "CONV_2D")]
    assert types == ["float32", "int8"]
    assert [operator.name for operator in exported.subgraphs[0].operators][:4] == ["QUANTIZE", "DEQUANTIZE", "CONV_2D", "QUANTIZE"]


def test_what_a_skipped_layer_computes_is_rounded_once() -> None:
    """Not to the parameters first that SOFTMAX would have in integers."""
    x = keras.Input((6,))
    exported = export(trained(keras.Model(x, L.Dense(3)(L.Dense(40, activation="softmax", name="float")(x))), skip=["float"]))
    names = [operator.name for operator in exported.subgraphs[0].operators]
    assert names == ["QUANTIZE", "DEQUANTIZE", "FULLY_CONNECTED", "SOFTMAX", "QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]


def test_skipped_layers_are_exported_as_they_are() -> None:
    """Also those that a trained layer of the same class could not be."""
    x = keras.Input((4, 4))
    norm, own = L.BatchNormalization(1, name="rows"), TwiceDense(4, activation=L.LeakyReLU(), name="own")
    model = keras.Model(x, L.Flatten()(L.BatchNormalization()(own(norm(x)))))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.5, 2, weight.shape))
    quantized = trained(model, skip=["rows", "own"])
    (scale, _), sample = quantized.layers[-2].params.single(), graphs.samples(model, 1)[0]
    (result,) = qcore.Interpreter(model_content=export(quantized)).run(sample).values()
    np.testing.assert_allclose(result, keras.ops.convert_to_numpy(quantized(sample)), atol=1.5 * scale)
    np.testing.assert_allclose(result, keras.ops.convert_to_numpy(model(sample)), atol=0.05 * float(np.abs(result).max()))


@pytest.mark.parametrize(("bits", "kind"), [(8, "float32"), (8, "int8"), (8, "uint8"), (16, "float32"), (16, "int16")])
def test_inputs_and_outputs_have_the_names_of_the_layers(bits: int, kind: Any) -> None:
    model = trained(graphs.build("two_inputs_and_outputs"), activation_bits=bits)
    exported = export(model, input_type=kind, output_type=kind)
    graph = exported.subgraphs[0]
    assert {graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)} == {kind}
    suffix = "_codes" if kind == f"int{bits}" else ""
    assert {graph.tensors[i].name for i in graph.inputs} == {f"alpha{suffix}", f"zeta{suffix}"}
    assert {graph.tensors[i].name for i in graph.outputs} == {f"first{suffix}", f"second{suffix}"}


def test_a_baked_model_is_plain_float_layers_that_compute_the_same() -> None:
    model = trained(graphs.build("one_dimensional"), weight_bits=4)
    baked = bake(model, batch=None)
    kinds = {type(layer).__name__ for layer in baked.layers}
    assert "QuantizedKernel" not in kinds and "BatchNormalization" not in kinds
    x = graphs.samples(model, 16)[0]
    scale, _ = [layer for layer in model.layers if isinstance(layer, FakeQuant)][-1].params.single()
    difference = np.abs(keras.ops.convert_to_numpy(baked(x)) - keras.ops.convert_to_numpy(model(x))) / scale
    assert (difference > 1e-3).mean() < 0.3
    assert difference.max() < 3


@pytest.mark.parametrize("name", ["squeeze_excite", "dead"])
def test_the_file_runs_in_tensorflow_lite_as_in_qcore(name: str, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow", reason="needs tensorflow")
    model = trained(graphs.build(name), weight_bits=4)
    exported = export(model)
    qcore.save(exported, tmp_path / "model.tflite")
    x = graphs.samples(model, 8)[0]
    theirs = tf.lite.Interpreter(str(tmp_path / "model.tflite"))
    theirs.allocate_tensors()
    ours = qcore.Interpreter(model_content=exported, arithmetic="xnnpack")
    for sample in x:
        theirs.set_tensor(theirs.get_input_details()[0]["index"], sample[np.newaxis])
        theirs.invoke()
        np.testing.assert_array_equal(
            theirs.get_tensor(theirs.get_output_details()[0]["index"]), next(iter(ours.run(sample[np.newaxis]).values()))
        )


def test_what_cannot_be_exported_is_refused() -> None:
    model = graphs.build("sequential")
    with pytest.raises(qcore.InputError, match="no FakeQuant"):
        export(model)
    quantized = quantize_model(model)
    with pytest.raises(qcore.InputError, match=r"_codes' and . more have seen no data"):
        export(quantized)
    with pytest.raises(qcore.InputError, match="got route='litert'"):
        export(quantized, route="litert")
