"""Where FakeQuant is put, what else becomes of a model, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs keras")

import keras
from keras import layers as L

from qcore import InputError, UnsupportedError
from qcore.qat import FakeQuant, QuantizedKernel, bake, calibrate, quantize_model
from tests.qat import graphs


def rounded(model: Any) -> list[str]:
    """What the FakeQuant layers stand behind, in the order they run."""
    return [layer.name.removesuffix("_codes") for layer in model.layers if isinstance(layer, FakeQuant)]


def chain(*steps: Any, shape: tuple[int, ...] = (8, 8, 3)) -> Any:
    x = y = keras.Input(shape, name="in")
    for step in steps:
        y = step(y)
    return keras.Model(x, y)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([L.Conv2D(2, 3, name="conv"), L.BatchNormalization(name="bn"), L.ReLU(name="relu")], ["relu"]),
        ([L.Conv2D(2, 3, name="conv"), L.ReLU(6.0, name="relu6"), L.BatchNormalization(name="bn")], ["relu6", "bn"]),
        ([L.BatchNormalization(name="bn"), L.Activation("relu", name="relu")], ["relu"]),
        ([L.Conv2D(2, 3, name="conv"), L.Activation("tanh", name="tanh")], ["conv", "tanh"]),
        ([L.Conv2D(2, 3, activation="sigmoid", name="conv")], ["conv", "conv_sigmoid"]),
        ([L.Conv2D(2, 3, activation="silu", name="conv")], ["conv", "conv_silu_sigmoid", "conv_silu"]),
        ([L.Conv2D(2, 3, activation=L.ReLU(name="relu_within"))], ["relu_within"]),
        ([L.Conv2DTranspose(2, 3, activation="relu", name="up")], ["up", "up_relu"]),
        ([L.SeparableConv2D(2, 3, activation="relu", name="sep")], ["sep_depthwise", "sep"]),
        ([L.ZeroPadding2D(), L.MaxPooling2D(2), L.Flatten(), L.Dropout(0.5), L.Dense(2, name="dense")], ["dense"]),
        ([L.AveragePooling2D(2), L.Conv2D(2, 3, name="conv"), L.GlobalAveragePooling2D(name="mean")], ["conv", "mean"]),
        ([L.Conv2D(2, 3, name="conv"), L.Dropout(0.5), L.BatchNormalization(name="bn")], ["conv", "bn"]),
    ],
)
def test_operators_end_where_a_fake_quant_stands(steps: list[Any], expected: list[str]) -> None:
    assert rounded(quantize_model(chain(*steps))) == ["in", *expected]


def test_a_tensor_with_two_readers_is_rounded_before_either() -> None:
    x = keras.Input((8, 8, 3), name="in")
    conv = L.Conv2D(3, 1, name="conv")(x)
    model = keras.Model(x, L.Add(name="add")([L.ReLU(name="relu")(conv), conv]))
    assert rounded(quantize_model(model)) == ["in", "conv", "relu", "add"]
    assert rounded(quantize_model(keras.Model(x, [L.ReLU(name="relu")(conv), conv]))) == ["in", "conv", "relu"]


def test_operands_of_a_concatenation_take_its_range() -> None:
    x = keras.Input((8, 8, 3), name="in")
    a, b = L.Conv2D(3, 1, activation="relu", name="a")(x), L.Conv2D(3, 1, activation="sigmoid", name="b")(x)
    model = keras.Model(x, L.Concatenate(name="all")([a, b, x]))
    assert rounded(quantize_model(model)) == ["in", "b", "b_sigmoid", "all"]


def test_each_call_of_a_shared_layer_has_its_own_range() -> None:
    x = keras.Input((8, 8, 3), name="in")
    conv = L.Conv2D(3, 1, name="conv")
    quantized = quantize_model(keras.Model(x, conv(conv(x))))
    assert rounded(quantized) == ["in", "conv", "conv_1"]
    assert sum(isinstance(layer, QuantizedKernel) for layer in quantized.layers) == 1


@pytest.mark.parametrize("name", ["nested", "shared"])
def test_readers_are_those_of_this_model(name: str) -> None:
    """The layers of a model that another was made of have readers there too."""
    model = graphs.build(name)
    again = keras.Model(model.inputs, model.outputs)
    keras.Model(model.inputs, [L.Flatten()(output) for output in model.outputs])
    assert len(rounded(quantize_model(again))) == len(rounded(quantize_model(graphs.build(name))))


def test_the_original_is_untouched() -> None:
    model = graphs.build("nested")
    x = graphs.samples(model, 4)[0]
    before, weights = keras.ops.convert_to_numpy(model(x)), model.get_weights()
    calls = [len(layer._inbound_nodes) for layer in model.layers]
    quantized = quantize_model(model, weight_bits=4)
    calibrate(quantized, [x])
    quantized(x, training=True)
    for weight in quantized.weights:
        weight.assign(weight + 1)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(x)), before)
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert [len(layer._inbound_nodes) for layer in model.layers] == calls
    assert model.get_layer("conv").output is not None


def test_a_model_is_saved_loaded_and_trained_on(tmp_path: Path) -> None:
    """Also one whose average pools share the FakeQuant of what they read."""
    model = quantize_model(graphs.build("average_pool"), weight_bits=4)
    x = graphs.samples(model, 8)[0]
    calibrate(model, [x])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    for trained in (model, loaded):
        keras.utils.set_random_seed(0)
        trained.compile(keras.optimizers.SGD(0.01), "mse", run_eagerly=True)
        trained.train_on_batch(x, np.zeros((8, *model.output.shape[1:])))
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert rounded(loaded) == rounded(model)


def test_frozen_ranges_stay_and_others_follow_training() -> None:
    model = quantize_model(graphs.build("sequential"))
    x = graphs.samples(model, 8)[0]
    calibrate(model, [x])
    frozen = [layer for layer in model.layers if isinstance(layer, FakeQuant)]
    before = [layer.params.single() for layer in frozen]
    frozen[0].trainable = frozen[1].trainable = False
    model(3 * x, training=True)
    after = [layer.params.single() for layer in frozen]
    assert after[:2] == before[:2]
    assert all(a != b for a, b in zip(after[2:], before[2:], strict=True))


def test_names_of_operations_are_new_in_a_model_of_another_session() -> None:
    keras.utils.clear_session()
    x = keras.Input((4,), dtype="uint8")
    model = keras.Model(x, -L.Dense(3, activation="hard_sigmoid")(keras.ops.cast(x, "float32") * 2 + 1) / 4)
    keras.utils.clear_session()
    names = [layer.name for layer in quantize_model(model).operations]
    assert len(set(names)) == len(names) and "dense_hard_sigmoid_codes" in names


def test_what_a_layer_adapted_to_is_kept() -> None:
    norm = L.Normalization(name="norm")
    norm.adapt(np.random.default_rng(0).normal(3, 2, (50, 4)))
    copy = quantize_model(chain(norm, L.Dense(2), shape=(4,))).get_layer("norm")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(copy.mean), keras.ops.convert_to_numpy(norm.mean))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(copy.variance), keras.ops.convert_to_numpy(norm.variance))


@pytest.mark.parametrize("name", graphs.BUILDERS)
def test_without_rounding_it_is_the_model_that_it_was_made_of(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = graphs.build(name)
    x = graphs.samples(model, 4) if len(model.inputs) > 1 else graphs.samples(model, 4)[0]
    monkeypatch.setattr(FakeQuant, "call", lambda self, x, **options: x)
    monkeypatch.setattr(QuantizedKernel, "rounded_kernel", lambda self: keras.ops.convert_to_tensor(self.layer.kernel))
    quantized = quantize_model(model)
    for copy in (quantized, bake(quantized, batch=None)):
        for got, expected in zip(keras.tree.flatten(copy(x)), keras.tree.flatten(model(x)), strict=True):
            got, expected = keras.ops.convert_to_numpy(got), keras.ops.convert_to_numpy(expected)
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_bits_can_be_told_for_each_layer() -> None:
    model = quantize_model(graphs.build("separable"), weight_bits=lambda layer: 8 if layer.name.endswith("_depthwise") else 3)
    assert [layer.bits for layer in model.layers if isinstance(layer, QuantizedKernel)] == [8, 3, 8, 3, 8, 3, 3]


def test_skipped_layers_keep_their_kernel_and_what_they_are() -> None:
    x = keras.Input((8, 3), name="in")
    model = keras.Model(x, L.Dense(2, name="dense")(L.LSTM(4, name="lstm")(x)))
    quantized = quantize_model(model, skip=["lstm"])
    assert rounded(quantized) == ["in", "lstm", "dense"]
    assert [layer.float_operator for layer in quantized.layers if isinstance(layer, FakeQuant)] == [False, True, False]
    nested = quantize_model(graphs.build("nested"), skip=["block"])
    assert sum(isinstance(layer, QuantizedKernel) for layer in nested.layers) == 2


class Subclass(keras.Model):
    def call(self, x: Any) -> Any:
        return x


class OwnDense(L.Dense):
    def call(self, x: Any) -> Any:
        return 2 * super().call(x)


def lora() -> Any:
    model = chain(L.Flatten(), L.Dense(2, name="dense"))
    model.get_layer("dense").enable_lora(1)
    return model


def unsymbolic(x: Any) -> Any:
    return np.sin(x)


class Overridden(keras.Model):
    def call(self, x: Any) -> Any:
        return super().call(x) * 2


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: Subclass(), r"Subclass .* computes in a call\(\) of its own.*keras.Model\(inputs, outputs\)"),
        (lambda: Overridden(*(2 * [keras.Input((3,))])), "Overridden .* of its own"),
        (lambda: chain(Subclass()), "Subclass .* of its own"),
        (lambda: keras.Sequential([L.Dense(2)]), "not built: give it an Input"),
        (lambda: 3, "int .* of its own"),
        (lambda: chain(L.Flatten(), L.Dense(3, activation=keras.ops.sin, name="odd")), "layer 'odd': Sin is not .*skip=..odd"),
        (
            lambda: chain(L.Flatten(), L.Dense(3, activation=unsymbolic, name="odd")),
            "layer 'odd': .*unsymbolic.* is not made of keras.ops .*skip=..odd",
        ),
        (lambda: chain(L.Conv2D(2, 3, activation=L.ReLU(1.0), name="odd")), r"layer 'odd': ReLU with max_value=1.0, .*skip=..odd"),
        (lambda: chain(OwnDense(3, name="odd")), r"layer 'odd': OwnDense has weights, and computes in a call\(\) of its own; skip"),
        (lambda: chain(L.Rescaling([[1], [2]], name="odd")), "layer 'odd': what it multiplies by or adds differs along another axis"),
        (lora, "layer 'dense': LoRA, .*; expected one float kernel"),
        (lambda: chain(lambda x: 1 / (2 + x)), "layer 'true_divide.*': it divides by a tensor, expected a constant"),
        (lambda: chain(L.LayerNormalization(name="norm")), "layer 'norm': LayerNormalization is not a layer that is trained in integers"),
        (lambda: chain(L.ReLU(1.0, name="relu1")), "layer 'relu1'"),
        (lambda: chain(L.BatchNormalization(1, name="bn")), "layer 'bn': what it multiplies by .* another axis than the last"),
        (lambda: chain(L.MaxPooling2D(2, data_format="channels_first", name="pool")), "layer 'pool': its data_format"),
        (lambda: chain(L.UpSampling2D(2, interpolation="bicubic", name="up")), "layer 'up': its interpolation is 'bicubic'"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_the_reason(model: Callable[[], Any], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        quantize_model(model())


def test_wrong_arguments_are_refused() -> None:
    model = chain(L.Flatten(), L.Dense(2))
    with pytest.raises(InputError, match="has FakeQuant layers already"):
        quantize_model(quantize_model(model))
    with pytest.raises(InputError, match="no layer 'dance'"):
        quantize_model(model, skip=["dance"])
    with pytest.raises(InputError, match=r"skip=\('dense',\)"):
        quantize_model(model, skip="dense")
    with pytest.raises(InputError, match="got activation_bits=4, expected 8"):
        quantize_model(model, activation_bits=4)
    with pytest.raises(InputError, match="got 9 bits"):
        quantize_model(model, weight_bits=9)
    with pytest.raises(InputError, match="no FakeQuant"):
        calibrate(model, [np.zeros((1, 8, 8, 3))])
    with pytest.raises(InputError, match="there is no batch"):
        calibrate(quantize_model(model), [])
