"""``float_model`` on what stands in a graph without a layer of its own row: operations of ``keras.ops``, and layers that call them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs Keras 3", exc_type=ImportError)

from keras import layers, ops  # noqa: E402

from qcore.qat.graph_export import float_model  # noqa: E402
from tests.qat.float_graphs import Build, assert_same_as_keras, model_of, operators  # noqa: E402

IMAGE, VECTOR = (9, 10, 4), (7,)


CALLS: dict[str, tuple[Build, str]] = {
    "x + 1": (lambda x: x + 1, "ADD"),
    "1 - x": (lambda x: 1 - x, "SUB"),
    "x / 2": (lambda x: x / 2, "MUL"),
    "2 / x": (lambda x: 2 / (ops.square(x) + 1), "SQUARE ADD DIV"),
    "-x": (lambda x: -x, "NEG"),
    "x squared": (lambda x: x**2, "MUL"),
    "power": (lambda x: ops.power(ops.abs(x), 1.5), "ABS POW"),
    "mean": (lambda x: ops.mean(x, axis=(1, 2), keepdims=True), "MEAN"),
    "max": (lambda x: ops.max(x, axis=-1), "REDUCE_MAX"),
    "sum of all": (lambda x: ops.sum(x, axis=(-1, -2, 1)), "SUM"),
    "var": (lambda x: ops.var(x, axis=-1), "MEAN SQUARED_DIFFERENCE MEAN"),
    "reshape": (lambda x: ops.reshape(x, (-1, 90, 4)), "RESHAPE"),
    "transpose": (lambda x: ops.transpose(x, (0, 3, 1, 2)), "TRANSPOSE"),
    "squeeze": (lambda x: ops.relu(ops.squeeze(ops.expand_dims(x, 1), 1)), "RELU"),
    "clip": (lambda x: ops.clip(x, -1, 1), "RELU_N1_TO_1"),
    "clip elsewhere": (lambda x: ops.clip(x, -1, 2), "MINIMUM MAXIMUM"),
    "slice": (lambda x: x[:, 1:, ::2, 0], "STRIDED_SLICE"),
    "slice with a new dimension": (lambda x: x[:, -3:-1, None, ..., -1], "STRIDED_SLICE RESHAPE"),
    "concatenate": (lambda x: ops.concatenate([x, ops.exp(x)], axis=-1), "EXP CONCATENATION"),
    "stack": (lambda x: ops.stack([x, x], axis=-1), "PACK"),
    "split": (lambda x: ops.split(x, 4, axis=-1)[1], "SPLIT"),
    "split at": (lambda x: ops.split(x, [1, 5], axis=1), "SPLIT_V"),
    "unstack": (lambda x: ops.unstack(x, axis=3)[2], "UNPACK"),
    "hard_swish": (lambda x: x * ops.relu6(x + 3) / 6, "HARD_SWISH"),
    "hard_swish by parts": (lambda x: ops.relu6(3 + x) * (1 / 6) * x, "HARD_SWISH"),
    "hard_sigmoid": (lambda x: ops.relu6(x + 3) / 6, "ADD+RELU6 MUL"),
    "hard_sigmoid of another": (lambda x: ops.exp(x) * ops.relu6(x + 3) / 6, "ADD+RELU6 EXP MUL MUL"),
    "argmax": (lambda x: ops.argmax(x, axis=-1), "ARG_MAX"),
    "matmul": (lambda x: ops.matmul(x, ops.transpose(x, (0, 1, 3, 2))), "TRANSPOSE BATCH_MATMUL"),
    "matmul by a constant": (lambda x: ops.matmul(x, np.eye(4, 3, dtype="float32") + 1), "FULLY_CONNECTED"),
    "tile": (lambda x: ops.tile(x, (1, 2, 1, 1)), "TILE"),
    "repeat": (lambda x: ops.repeat(x, 2, axis=1), "RESHAPE TILE RESHAPE"),
    "pad": (lambda x: ops.pad(x, ((0, 0), (1, 0), (0, 2), (0, 0))), "PAD"),
    "pad with 3": (lambda x: ops.pad(x, ((0, 0), (1, 0), (0, 2), (0, 0)), constant_values=3.0), "PADV2"),
    "pad by reflection": (lambda x: ops.pad(x, ((0, 0), (1, 2), (2, 0), (0, 0)), mode="reflect"), "MIRROR_PAD"),
    "where": (lambda x: ops.where(x > 0, x, 0.1 * x), "GREATER MUL SELECT_V2"),
    "take": (lambda x: ops.take(x, [2, 0], axis=3), "GATHER"),
    "resize": (lambda x: ops.image.resize(x, (4, 5)), "RESIZE_BILINEAR"),
    "pool": (lambda x: ops.average_pool(x, (2, 3), (2, 1)), "AVERAGE_POOL_2D"),
    "convolution": (lambda x: ops.relu(ops.conv(x, np.ones((3, 3, 4, 2), "float32"))), "CONV_2D+RELU"),
    "activations": (lambda x: ops.relu(x) * ops.sigmoid(x) + ops.gelu(x), "RELU LOGISTIC MUL GELU ADD"),
    "normalize": (lambda x: ops.normalize(x, axis=-1), "SQUARE SUM RSQRT MINIMUM MUL"),
    "broadcast": (lambda x: ops.broadcast_to(x[:, :1], (1, *IMAGE)), "STRIDED_SLICE BROADCAST_TO"),
    "cast": (lambda x: ops.cast(ops.cast(x, "int32"), "float32") + 1, "CAST CAST ADD"),
}


@pytest.mark.parametrize("name", CALLS)
def test_operations_without_a_layer(name: str) -> None:
    build, expected = CALLS[name]
    model = model_of(build, IMAGE, batch=None)
    exported = float_model(model)
    assert operators(exported) == expected
    assert_same_as_keras(model, exported)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch has no steps backwards")
def test_slices_backwards_reach_the_first_element() -> None:
    model = model_of(lambda x: x[:, ::-1, 5:2:-2, ::-3], IMAGE)
    assert_same_as_keras(model, float_model(model))


def test_a_size_that_keras_does_not_know_is_that_of_the_batch() -> None:
    model = model_of(lambda x: ops.reshape(x, (ops.shape(x)[0], -1)), IMAGE, batch=None)
    assert float_model(model).subgraphs[0].tensors[-1].shape == (1, 360)


class Scaled(layers.Layer):
    """Has no row in the table, but a call that can be followed."""

    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(name="factor", shape=(shape[-1],))
        self.inner = layers.Dense(3)

    def call(self, x: Any, training: bool = False) -> Any:
        y = ops.relu(self.inner(x * self.factor))
        return y + 100 if training else y


class MyDense(layers.Dense):
    """Computes as its base does."""


class Doubled(layers.Dense):
    """Does not compute as its base does."""

    def call(self, x: Any) -> Any:
        return 2 * super().call(x)


def test_calls_of_other_layers_are_followed_to_the_operations_they_are_made_of() -> None:
    for layer, expected in ((Scaled(), "FULLY_CONNECTED+RELU"), (MyDense(3), "FULLY_CONNECTED"), (Doubled(3), "FULLY_CONNECTED")):
        model = model_of(layer, VECTOR)
        exported = float_model(model)
        assert operators(exported) == expected
        assert_same_as_keras(model, exported)
        assert float_model(model).to_bytes() == exported.to_bytes()
