"""``float_model``: what it writes computes what Keras computes, in the operators that TensorFlow's converter has for it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qcore

keras = pytest.importorskip("keras", reason="needs Keras 3", exc_type=ImportError)

from keras import layers, ops  # noqa: E402

from qcore.qat import FakeQuant, QuantizedKernel  # noqa: E402
from qcore.qat.emitting.activations import FUNCTIONS  # noqa: E402
from qcore.qat.emitting.table import LAYERS, OPERATIONS  # noqa: E402
from qcore.qat.graph_export import float_model  # noqa: E402
from tests.qat.float_graphs import (  # noqa: E402
    Build,
    assert_same_as_keras,
    chain,
    data_of,
    keras_results,
    model_of,
    operators,
    run,
)

ROOT = Path(__file__).parents[2]
IMAGE, SEQUENCE, VECTOR = (9, 10, 4), (12, 3), (7,)

L = layers
NORM = L.BatchNormalization
CHAINS: dict[str, tuple[tuple[int, ...], Callable[[], list[Any]], str]] = {
    "bias and relu": (IMAGE, lambda: [L.Conv2D(4, 3, padding="same", activation="relu")], "CONV_2D+RELU"),
    "no bias": (IMAGE, lambda: [L.Conv2D(4, 3, strides=2, use_bias=False)], "CONV_2D"),
    "dilation": (IMAGE, lambda: [L.Conv2D(4, 3, dilation_rate=2, padding="same")], "CONV_2D"),
    "groups": (IMAGE, lambda: [L.Conv2D(6, 3, groups=2)], "CONV_2D"),
    "bias, norm, relu": (IMAGE, lambda: [L.Conv2D(4, 3), NORM(), L.ReLU()], "CONV_2D+RELU"),
    "norm, relu6": (IMAGE, lambda: [L.Conv2D(4, 3, use_bias=False), NORM(scale=False), L.ReLU(6)], "CONV_2D+RELU6"),
    "norm after relu": (IMAGE, lambda: [L.Conv2D(4, 3, activation="relu"), NORM()], "CONV_2D+RELU MUL ADD"),
    "norm twice": (IMAGE, lambda: [L.Conv2D(4, 3), NORM(), NORM(), L.Activation("hard_tanh")], "CONV_2D+RELU_N1_TO_1"),
    "norm first": (IMAGE, lambda: [NORM(), L.ReLU(), L.Conv2D(4, 3)], "MUL ADD+RELU CONV_2D"),
    "norm of rows": (IMAGE, lambda: [NORM(axis=1)], "MUL ADD"),
    "norm of nothing": (IMAGE, lambda: [NORM(scale=False, center=False), L.ReLU(6)], "MUL ADD+RELU6"),
    "depthwise": (
        IMAGE,
        lambda: [L.DepthwiseConv2D(3, depth_multiplier=2, strides=2, padding="same"), NORM(), L.Activation("relu6")],
        "DEPTHWISE_CONV_2D+RELU6",
    ),
    "depthwise dilation": (IMAGE, lambda: [L.DepthwiseConv2D(3, dilation_rate=2)], "DEPTHWISE_CONV_2D"),
    "separable": (IMAGE, lambda: [L.SeparableConv2D(5, 3, depth_multiplier=2, activation="relu")], "DEPTHWISE_CONV_2D CONV_2D+RELU"),
    "transposed": (IMAGE, lambda: [L.Conv2DTranspose(4, 3, strides=2, padding="same"), NORM()], "TRANSPOSE_CONV"),
    "transposed, relu": (IMAGE, lambda: [L.Conv2DTranspose(4, 3, strides=2, activation="relu")], "TRANSPOSE_CONV+RELU"),
    "transposed wider": (IMAGE, lambda: [L.Conv2DTranspose(4, 3, strides=3, use_bias=False)], "TRANSPOSE_CONV"),
    "transposed, padded": (IMAGE, lambda: [L.Conv2DTranspose(4, 3, strides=2, padding="same", output_padding=1)], "TRANSPOSE_CONV"),
    "sequence": (SEQUENCE, lambda: [L.Conv1D(4, 3), NORM(), L.ReLU()], "RESHAPE CONV_2D+RELU RESHAPE"),
    "sequences": (
        SEQUENCE,
        lambda: [L.Conv1D(4, 3, activation="relu"), L.MaxPooling1D(2), L.Conv1D(4, 3)],
        "RESHAPE CONV_2D+RELU MAX_POOL_2D CONV_2D RESHAPE",
    ),
    "causal": (SEQUENCE, lambda: [L.Conv1D(4, 3, padding="causal", dilation_rate=2)], "PAD RESHAPE CONV_2D RESHAPE"),
    "depthwise sequence": (SEQUENCE, lambda: [L.DepthwiseConv1D(3, strides=2)], "RESHAPE DEPTHWISE_CONV_2D RESHAPE"),
    "separable sequence": (SEQUENCE, lambda: [L.SeparableConv1D(5, 3)], "RESHAPE DEPTHWISE_CONV_2D CONV_2D RESHAPE"),
    "transposed sequence": (SEQUENCE, lambda: [L.Conv1DTranspose(5, 3, strides=2)], "RESHAPE TRANSPOSE_CONV RESHAPE"),
    "dense": (VECTOR, lambda: [L.Dense(5, activation="relu")], "FULLY_CONNECTED+RELU"),
    "dense, norm": (VECTOR, lambda: [L.Dense(5, use_bias=False), NORM(), L.ReLU()], "FULLY_CONNECTED+RELU"),
    "norm, dense": (VECTOR, lambda: [NORM(), L.Dense(5)], "FULLY_CONNECTED"),
    "dense of sequences": (SEQUENCE, lambda: [L.Dense(5), NORM(), L.Softmax()], "FULLY_CONNECTED SOFTMAX"),
    "dense of images": (IMAGE, lambda: [L.Dense(5, activation="sigmoid")], "FULLY_CONNECTED LOGISTIC"),
    "rescaling, valid": (IMAGE, lambda: [L.Rescaling(1 / 127.5, offset=-1), L.Conv2D(4, 3)], "CONV_2D"),
    "rescaling, same": (IMAGE, lambda: [L.Rescaling(1 / 127.5, offset=-1), L.Conv2D(4, 3, padding="same")], "MUL ADD CONV_2D"),
    "rescaling, factor": (IMAGE, lambda: [L.Rescaling(1 / 255), L.DepthwiseConv2D(3, padding="same")], "DEPTHWISE_CONV_2D"),
    "normalization": (IMAGE, lambda: [L.Normalization(mean=[1, 2, 3, 4], variance=[1, 4, 9, 2]), L.Conv2D(4, 3)], "SUB MUL CONV_2D"),
    "max pool": (IMAGE, lambda: [L.MaxPooling2D(3, 2, padding="same")], "MAX_POOL_2D"),
    "average pool": (IMAGE, lambda: [L.AveragePooling2D(3, 1, padding="same"), L.ReLU()], "AVERAGE_POOL_2D+RELU"),
    "average pool 1d": (SEQUENCE, lambda: [L.AveragePooling1D(2)], "RESHAPE AVERAGE_POOL_2D RESHAPE"),
    "global average": (IMAGE, lambda: [L.GlobalAveragePooling2D(), L.Dense(3)], "MEAN FULLY_CONNECTED"),
    "global maximum": (IMAGE, lambda: [L.GlobalMaxPooling2D(keepdims=True)], "REDUCE_MAX"),
    "global 1d": (SEQUENCE, lambda: [L.GlobalAveragePooling1D()], "MEAN"),
    "padding": (IMAGE, lambda: [L.ZeroPadding2D(((0, 1), (1, 2))), L.Conv2D(4, 3, strides=2)], "PAD CONV_2D"),
    "padding 1d": (SEQUENCE, lambda: [L.ZeroPadding1D((1, 2))], "PAD"),
    "cropping": (IMAGE, lambda: [L.Cropping2D(((1, 2), (0, 3)))], "STRIDED_SLICE"),
    "cropping 1d": (SEQUENCE, lambda: [L.Cropping1D((1, 2))], "STRIDED_SLICE"),
    "center crop": (IMAGE, lambda: [L.CenterCrop(5, 6)], "STRIDED_SLICE"),
    "upsampling": (IMAGE, lambda: [L.UpSampling2D((2, 3))], "RESIZE_NEAREST_NEIGHBOR"),
    "upsampling, bilinear": (IMAGE, lambda: [L.UpSampling2D(2, interpolation="bilinear")], "RESIZE_BILINEAR"),
    "upsampling 1d": (SEQUENCE, lambda: [L.UpSampling1D(2)], "RESHAPE RESIZE_NEAREST_NEIGHBOR RESHAPE"),
    "resizing": (IMAGE, lambda: [L.Resizing(5, 7)], "RESIZE_BILINEAR"),
    "resizing, nearest": (IMAGE, lambda: [L.Resizing(5, 17, interpolation="nearest")], "RESIZE_NEAREST_NEIGHBOR"),
    "flatten": (IMAGE, lambda: [L.Flatten(), L.Dense(3)], "RESHAPE FULLY_CONNECTED"),
    "reshape": (IMAGE, lambda: [L.Reshape((-1, 4)), L.Reshape((6, 5, 12))], "RESHAPE"),
    "permute": (IMAGE, lambda: [L.Permute((3, 1, 2))], "TRANSPOSE"),
    "permute back": (IMAGE, lambda: [L.Permute((3, 1, 2)), L.ReLU(), L.Permute((2, 3, 1))], "RELU"),
    "repeat": (VECTOR, lambda: [L.RepeatVector(3)], "RESHAPE TILE"),
    "relu to 1": (IMAGE, lambda: [L.ReLU(max_value=1)], "RELU_0_TO_1"),
    "relu to 4": (IMAGE, lambda: [L.Conv2D(4, 3), L.ReLU(max_value=4)], "CONV_2D+RELU MINIMUM"),
    "relu with slope": (IMAGE, lambda: [L.ReLU(negative_slope=0.2)], "LEAKY_RELU"),
    "relu with all": (
        IMAGE,
        lambda: [L.ReLU(max_value=4, negative_slope=0.1, threshold=0.5)],
        "GREATER SELECT_V2 MINIMUM MAXIMUM SUB+RELU MUL SUB",
    ),
    "threshold of one element": ((1, 1), lambda: [L.ReLU(threshold=0.5), L.Dense(2)], "GREATER SELECT_V2 FULLY_CONNECTED"),
    "leaky relu": (IMAGE, lambda: [L.Conv2D(4, 3), L.LeakyReLU(0.1)], "CONV_2D LEAKY_RELU"),
    "functions": (
        IMAGE,
        lambda: [L.Conv2D(4, 3, activation=ops.relu), L.Conv2D(4, 1, activation=lambda y: ops.relu6(y + 1)), L.Activation(ops.gelu)],
        "CONV_2D+RELU CONV_2D+RELU6 GELU",
    ),
    "prelu": (IMAGE, lambda: [L.PReLU(shared_axes=[1, 2])], "PRELU"),
    "elu": (IMAGE, lambda: [L.ELU(0.5)], "RELU SUB ELU MUL ADD"),
    "softmax of rows": (IMAGE, lambda: [L.Softmax(axis=1)], "TRANSPOSE SOFTMAX TRANSPOSE"),
    "dropout": (IMAGE, lambda: [L.Conv2D(4, 3), L.Dropout(0.5), L.GaussianNoise(1.0), L.ReLU()], "CONV_2D+RELU"),
    "augmentation": (IMAGE, lambda: [L.RandomFlip(), L.RandomRotation(0.1), L.Conv2D(4, 3)], "CONV_2D"),
    "layer norm": (SEQUENCE, lambda: [L.LayerNormalization()], "MEAN SUB SQUARED_DIFFERENCE MEAN ADD RSQRT MUL MUL ADD"),
    "layer norm of two": (
        IMAGE,
        lambda: [L.LayerNormalization(axis=[1, 3], center=False)],
        "MEAN SUB SQUARED_DIFFERENCE MEAN ADD RSQRT MUL MUL",
    ),
    "group norm": (
        IMAGE,
        lambda: [L.GroupNormalization(2)],
        "RESHAPE MEAN SUB SQUARED_DIFFERENCE MEAN ADD RSQRT MUL MUL ADD RESHAPE",
    ),
    "rms norm": (SEQUENCE, lambda: [L.RMSNormalization()], "SQUARE MEAN ADD RSQRT MUL MUL"),
    "unit norm": (VECTOR, lambda: [L.UnitNormalization()], "SQUARE SUM RSQRT MINIMUM MUL"),
    "time distributed": ((4, *IMAGE), lambda: [L.TimeDistributed(L.Conv2D(3, 3, activation="relu"))], "RESHAPE CONV_2D+RELU RESHAPE"),
}


@pytest.mark.parametrize("name", CHAINS)
def test_layers_compute_what_keras_computes_in_as_few_operators_as_tensorflow(name: str) -> None:
    shape, make, expected = CHAINS[name]
    model = model_of(chain(*make()), shape)
    exported = float_model(model)
    assert operators(exported) == expected
    assert_same_as_keras(model, exported)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_activation_functions_compute_what_keras_computes(name: str) -> None:
    model = model_of(lambda x: layers.Activation(name)(x), IMAGE)
    assert_same_as_keras(model, float_model(model))


@pytest.mark.parametrize("name", ["softplus", "log_sigmoid", "mish"])
def test_softplus_does_not_overflow(name: str) -> None:
    model = model_of(lambda x: layers.Activation(name)(x), (3,))
    data = [np.array([[-200, 0, 200]], np.float32)]
    np.testing.assert_allclose(run(float_model(model), data)[0], keras_results(model, data)[0], rtol=1e-6)


MERGES: dict[str, tuple[Build, str]] = {
    "add, relu": (lambda a, b: L.ReLU()(L.Add()([a, b])), "ADD+RELU"),
    "add of three": (lambda a, b: L.Add()([a, b, a]), "ADD ADD"),
    "subtract": (lambda a, b: L.Subtract()([a, b]), "SUB"),
    "multiply": (lambda a, b: L.ReLU(6)(L.Multiply()([a, b])), "MUL+RELU6"),
    "maximum": (lambda a, b: L.Maximum()([a, b]), "MAXIMUM"),
    "minimum": (lambda a, b: L.Minimum()([a, b]), "MINIMUM"),
    "average": (lambda a, b: L.Average()([a, b, b]), "ADD ADD MUL"),
    "concatenate": (lambda a, b: L.Concatenate(axis=1)([a, b]), "CONCATENATION"),
    "broadcast": (lambda a, b: L.Multiply()([a, L.GlobalAveragePooling2D(keepdims=True)(b)]), "MEAN MUL"),
    "fewer dimensions": (lambda a, b: L.Add()([a, L.GlobalMaxPooling2D()(b)]), "REDUCE_MAX ADD"),
    "twice the same": (lambda a, b: [c := L.Add()([a, b]), L.ReLU()(L.Add()([a, b])), c], "ADD RELU"),
    "relu of one of two readers": (lambda a, b: L.Add()([c := L.Conv2D(4, 1)(a), L.ReLU()(c), b]), "CONV_2D RELU ADD ADD"),
    "relu of an output": (lambda a, b: [c := L.Add()([a, b]), L.ReLU()(c)], "ADD RELU"),
    "dot of vectors": (
        lambda a, b: L.Dot(axes=1)([L.Flatten()(a), L.Flatten()(b)]),
        "RESHAPE RESHAPE BATCH_MATMUL RESHAPE",
    ),
    "dot of matrices": (lambda a, b: L.Dot(axes=2)([L.Reshape((10, 36))(a), L.Reshape((10, 36))(b)]), "RESHAPE RESHAPE BATCH_MATMUL"),
}


@pytest.mark.parametrize("name", MERGES)
def test_layers_with_several_inputs(name: str) -> None:
    build, expected = MERGES[name]
    model = model_of(build, IMAGE, IMAGE)
    exported = float_model(model)
    assert operators(exported) == expected
    assert_same_as_keras(model, exported)


def test_embeddings_are_gathered() -> None:
    for dtype, expected in (("int32", "GATHER MEAN"), ("float32", "CAST GATHER MEAN")):
        model = model_of(chain(layers.Embedding(11, 4), layers.GlobalAveragePooling1D()), (5,), dtype=dtype)
        exported = float_model(model)
        assert operators(exported) == expected
        data = [np.array([[3, 0, 10, 3, 7]], dtype)]
        np.testing.assert_allclose(run(exported, data)[0], keras_results(model, data)[0], rtol=1e-6)


def test_bytes_are_cast_before_they_are_rescaled() -> None:
    model = model_of(chain(layers.Rescaling(1 / 255), layers.Conv2D(3, 3)), IMAGE, dtype="uint8")
    exported = float_model(model)
    assert operators(exported) == "CAST CONV_2D"
    assert_same_as_keras(model, exported)


def test_nested_models_and_shared_layers() -> None:
    inner = keras.Sequential([keras.Input(IMAGE), L.Conv2D(4, 3, padding="same"), L.BatchNormalization(), L.ReLU()], name="inner")
    shared = layers.Conv2D(4, 1, name="shared")
    model = model_of(lambda a, b: L.Add()([shared(inner(a)), shared(inner(b)), inner(a)]), IMAGE, IMAGE)
    exported = float_model(model)
    assert Counter(operators(exported).split()) == Counter({"CONV_2D+RELU": 2, "CONV_2D": 2, "ADD": 2}), "inner(a) is computed once"
    assert_same_as_keras(model, exported)
    graph = exported.subgraphs[0]
    filters = [graph.tensors[operator.inputs[1]].buffer for operator in graph.operators if operator.name == "CONV_2D"]
    assert len(set(map(id, filters))) == 2, "calls that share a layer share its weights"
    assert len({tensor.name for tensor in graph.tensors}) == len(graph.tensors)


@pytest.mark.parametrize(
    "make",
    [
        lambda first: [
            L.Conv2D(5, 3, padding="same", activation="relu", **first),
            L.BatchNormalization(axis=1),
            L.MaxPooling2D(2, **first),
        ],
        lambda first: [L.Conv2D(5, 3, **first), L.BatchNormalization(axis=1), L.ReLU(), L.GlobalAveragePooling2D(**first), L.Dense(3)],
        lambda first: [L.DepthwiseConv2D(3, **first), L.ZeroPadding2D(1, **first), L.UpSampling2D(2, **first), L.Flatten(**first)],
    ],
)
def test_layers_with_channels_first_compute_with_channels_last(make: Any) -> None:
    """Keras on this machine may not run them: their weights go into the same layers with channels last, which it runs."""
    first = model_of(chain(*make({"data_format": "channels_first"})), (4, 9, 10))
    made = make({})
    for layer in made:
        if isinstance(layer, layers.BatchNormalization):
            layer.axis = -1
    last = model_of(chain(*made), (9, 10, 4))
    exported = float_model(first)
    assert operators(exported).count("TRANSPOSE") <= 2
    (x,) = data_of(last)
    (expected,) = keras_results(last, [x])
    expected = expected.transpose(0, 3, 1, 2) if expected.ndim == 4 else expected
    (got,) = run(exported, [x.transpose(0, 3, 1, 2)])
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_between_layers_with_channels_first_nothing_is_transposed() -> None:
    def block(x: Any) -> Any:
        y = L.Conv2D(4, 3, padding="same", data_format="channels_first", use_bias=False)(x)
        return L.ReLU()(L.Add()([L.BatchNormalization(axis=1)(y), x]))

    def network(x: Any) -> Any:
        x = L.Conv2D(4, 3, data_format="channels_first", activation="relu")(x)
        return L.GlobalAveragePooling2D(data_format="channels_first")(block(block(x)))

    assert operators(float_model(model_of(network, (4, 9, 10)))) == "TRANSPOSE CONV_2D+RELU CONV_2D ADD+RELU CONV_2D ADD+RELU MEAN"

    def squeeze_and_excite(x: Any) -> Any:
        x = L.Conv2D(4, 3, data_format="channels_first")(x)
        y = L.Reshape((4, 1, 1))(L.GlobalAveragePooling2D(data_format="channels_first")(x))
        y = L.Conv2D(4, 1, data_format="channels_first", activation="sigmoid")(y)
        return L.GlobalMaxPooling2D(data_format="channels_first")(L.Multiply()([x, y]))

    exported = float_model(model_of(squeeze_and_excite, (4, 9, 10)))
    assert operators(exported) == "TRANSPOSE CONV_2D MEAN CONV_2D LOGISTIC MUL REDUCE_MAX"


def test_the_interface_is_named_as_in_keras() -> None:
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b", dtype="int32")
    exported = float_model(keras.Model([b, a], {"sum": a + ops.cast(b[:, :1], "float32"), "same": b}))
    graph, (signature,) = exported.subgraphs[0], exported.signatures
    assert signature.key == "serving_default"
    assert [(name, graph.tensors[i].name) for name, i in signature.inputs] == [("b", "b"), ("a", "a")]
    assert [name for name, _ in signature.outputs] == ["same", "sum"]
    results = qcore.Interpreter(model_content=exported.to_bytes()).get_signature_runner()(
        a=np.ones((1, 4), np.float32), b=np.array([[5, 6, 7]], np.int32)
    )
    assert results["sum"].tolist() == [[6, 6, 6, 6]]
    assert results["same"].tolist() == [[5, 6, 7]]
    sequential = float_model(keras.Sequential([keras.Input((4,), name="x"), layers.Dense(2, name="dense")]))
    assert [name for name, _ in sequential.signatures[0].outputs] == ["output_0"]
    assert sequential.subgraphs[0].tensors[sequential.subgraphs[0].outputs[0]].name == "dense"


def test_a_batch_size_stays_and_none_becomes_1() -> None:
    for batch, expected in ((None, 1), (3, 3)):
        model = model_of(chain(layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)), IMAGE, batch=batch)
        exported = float_model(model)
        assert exported.subgraphs[0].tensors[exported.subgraphs[0].outputs[0]].shape == (expected, 2)
        assert_same_as_keras(model, exported)


def test_learned_ranges_become_pairs_with_their_parameters() -> None:
    quantized = QuantizedKernel(layers.Conv2D(4, 3, use_bias=False), bits=4)
    fake = FakeQuant(name="range")
    model = model_of(lambda x: layers.MaxPooling2D()(fake(quantized(x))), IMAGE)
    fake.low.assign(-1.3)
    fake.high.assign(2.1)
    exported = float_model(model)
    assert operators(exported) == "CONV_2D QUANTIZE DEQUANTIZE MAX_POOL_2D"
    graph = exported.subgraphs[0]
    codes = graph.tensors[graph.operators[1].outputs[0]]
    assert codes.dtype == "int8"
    assert (codes.quantization.scale, codes.quantization.zero_point) == (fake.params.scale, fake.params.zero_point)
    kernel = qcore.schema.constant(graph.tensors[graph.operators[0].inputs[1]])
    assert all(len(np.unique(channel)) <= 15 for channel in kernel)
    assert_same_as_keras(model, exported)


def test_a_loaded_model_gives_the_same_graph(tmp_path: Path) -> None:
    """Keras saves tuples as lists: keys, axes, shapes."""
    model = model_of(lambda x: ops.transpose(ops.reshape(x[:, 1:, ..., None, ::2], (1, 8, 10, 2)), (0, 2, 1, 3))[:, 0], IMAGE)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert operators(float_model(loaded)) == operators(float_model(model)) == "STRIDED_SLICE TRANSPOSE STRIDED_SLICE"
    assert_same_as_keras(loaded, float_model(loaded))


def unsymbolic(x: Any) -> Any:
    return np.sin(x)


def refused(build: Build, *shapes: tuple[int, ...]) -> str:
    with pytest.raises(qcore.UnsupportedError) as error:
        float_model(model_of(build, *shapes))
    return str(error.value)


@pytest.mark.parametrize(
    ("build", "shape", "message"),
    [
        (lambda x: L.LSTM(3, name="memory")(x), SEQUENCE, r"layer 'memory' \(LSTM\)"),
        (lambda x: ops.fft2((x, x))[0], (4, 4), "operation FFT2: expected one of Absolute, Add"),
        (lambda x: ops.sort(x), VECTOR, "operation Sort: expected one of"),
        (lambda x: L.Conv2DTranspose(3, 3, dilation_rate=2)(x), IMAGE, "dilation_rate is .*TRANSPOSE_CONV has 1"),
        (lambda x: L.Embedding(9, 3, mask_zero=True)(x), VECTOR, "mask_zero=True"),
        (lambda x: L.UpSampling2D(interpolation="bicubic")(x), IMAGE, "interpolation is 'bicubic', expected 'nearest' or 'bilinear'"),
        (
            lambda x: L.Dense(3, name="odd", activation=unsymbolic)(x),
            VECTOR,
            r"layer 'odd' \(Dense\), function 'unsymbolic': its call cannot be followed .*; expected a function made of keras.ops",
        ),
        (
            lambda x: x > ops.mean(x, axis=1, keepdims=True),
            (2, 3, 4, 5),
            "operation Greater: GREATER of 5 dimensions, TensorFlow Lite has 4",
        ),
        (lambda x: L.Softmax()(x, mask=x > 0), VECTOR, "is called with a mask"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_name(build: Build, shape: tuple[int, ...], message: str) -> None:
    assert re.search(message, refused(build, shape))


def test_models_without_a_graph_are_refused() -> None:
    class Own(keras.Model):
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(qcore.UnsupportedError, match=r"computes in a call\(\) of its own"):
        float_model(Own())
    with pytest.raises(qcore.InputError, match="got int, expected a Keras model"):
        float_model(3)
    with pytest.raises(qcore.UnsupportedError, match=r"input 'x' has shape \(None, None, 3\), expected every size but the batch's"):
        float_model(keras.Sequential([keras.Input((None, 3), name="x"), layers.Dense(2)]))


def lines(rows: Any) -> str:
    """Rows as docs/keras.md has them: those that become the same stand on one line."""
    names: dict[str, list[str]] = {}
    for name, row in rows.items():
        names.setdefault(row.becomes, []).append(name)
    return "".join(f"| {', '.join(same)} | {becomes} |\n" for becomes, same in names.items())


def test_the_page_is_the_table() -> None:
    page = (ROOT / "docs" / "keras.md").read_text()
    for rows in (LAYERS, OPERATIONS):
        assert lines(rows) in page, f"docs/keras.md lacks this table:\n{lines(rows)}"
    assert f"{', '.join(FUNCTIONS)}." in " ".join(page.split())


def test_every_row_is_a_class_of_keras() -> None:
    from keras.src import ops as modules

    homes = [getattr(modules, name) for name in ("numpy", "nn", "core", "image", "math")]
    assert all(hasattr(layers, name) or name in ("FakeQuant", "QuantizedKernel") for name in LAYERS)
    assert all(any(hasattr(home, name) for home in homes) for name in OPERATIONS)
