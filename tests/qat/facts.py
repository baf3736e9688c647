"""What must hold of the layers on every backend of Keras: called by tests, and run as a program where Keras has another backend."""

from __future__ import annotations

import itertools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers as L

from qcore.numerics.training import (
    average_codes,
    fake_quantize_by_reciprocal,
    fake_quantize_gradient,
    kernel_params,
    moving_mean,
    trained_params,
)
from qcore.qat import FakeQuant, QuantizedKernel, check, export, quantize_model

Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
BITS = (8, 16)
RANGES = ((-1.0, 127 / 128), (0.0, 255 / 256), (-0.7123, 1.9), (0.0, 6.0), (-3.3, 0.0), (-1.0, 1.0), (0.0, 0.0))


def numpy_of(tensor: object) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def fake_quant_rounds_as_numerics() -> None:
    """Whole and half codes, one float below and above them, and far out of range."""
    for bits, (low, high) in itertools.product(BITS, RANGES):
        params = trained_params(low, high, bits)
        scale, ends = np.float32(params.single()[0]), (0, 2 * params.quantized_min, 2 * params.quantized_max)
        steps = np.concatenate([np.arange(end - 600, end + 600, dtype=np.float32) / 2 for end in ends]) * scale
        x = np.concatenate([steps, np.nextafter(steps, np.float32(9)), np.nextafter(steps, np.float32(-9)), [1e9, -1e9]]).astype(np.float32)
        layer = FakeQuant(fixed=(low, high), bits=bits)
        np.testing.assert_array_equal(numpy_of(layer(x)), fake_quantize_by_reciprocal(x, params))
        assert layer.params.single() == params.single()
        means = fake_quantize_by_reciprocal(x, params).reshape(2, -1).mean(axis=0)
        np.testing.assert_array_equal(numpy_of(layer(means, average=True)), average_codes(means, params))


def observers_follow_as_numerics() -> None:
    """Ends are moving means; nothing moves in inference, in averages, or when frozen."""
    layer, low, high = FakeQuant(decay=0.9), np.float32(0), np.float32(0)
    batches = np.random.default_rng(0).normal(size=(30, 50)).astype(np.float32)
    batches[3] = abs(batches[3])
    for seen, batch in enumerate(batches):
        low, high = moving_mean(low, min(batch.min(), 0), seen, 0.9), moving_mean(high, max(batch.max(), 0), seen, 0.9)
        layer(batch, training=True)
        np.testing.assert_array_equal([numpy_of(layer.low), numpy_of(layer.high)], [low, high])
    layer(10 * batches[0], training=False)
    layer(10 * batches[0], training=True, average=True)
    layer.trainable = False
    layer(10 * batches[0], training=True)
    np.testing.assert_array_equal([numpy_of(layer.low), numpy_of(layer.high), numpy_of(layer.seen)], [low, high, 30])


class Product(L.Layer):
    """A vector that is trained, times the input."""

    def build(self, shape: tuple[int, ...]) -> None:
        self.factor = self.add_weight(shape=shape[1:], initializer="zeros")

    def call(self, x: object) -> object:
        return x * self.factor


def step_of(layer: object, upstream: Array, weight: object, before: Array) -> Array:
    """What one step of gradient descent at rate 1 makes of a weight, where upstream is the gradient of what the layer computes."""
    x = keras.Input((upstream.size,))
    model = keras.Model(x, layer(Product(name="product")(x)) if weight is None else layer(x))
    variable = model.get_layer("product").factor if weight is None else weight
    variable.assign(before)
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss=lambda wanted, computed: keras.ops.sum(wanted * computed, axis=-1))
    model.train_on_batch(np.ones((1, upstream.size), np.float32), upstream[np.newaxis])
    return numpy_of(variable)


def gradients_are_those_of_numerics() -> None:
    """Seen by what a step of plain gradient descent does."""
    rng = np.random.default_rng(1)
    x, upstream = rng.normal(size=200).astype(np.float32), rng.normal(size=200).astype(np.float32)
    x[:4] = -1, 127 / 128, 1, np.float32(128 / 127)
    for bits in BITS:
        moved = step_of(FakeQuant(fixed=(-1, 127 / 128), bits=bits), upstream, None, x)
        params = trained_params(-1, 127 / 128, bits)
        np.testing.assert_array_equal(moved, x - fake_quantize_gradient(upstream, x, params, "clipped"))
    kernel, upstream = rng.normal(size=(40, 40)).astype(np.float32), rng.normal(size=40).astype(np.float32)
    dense = L.Dense(40, use_bias=False)
    dense.build((None, 40))
    moved = step_of(QuantizedKernel(dense, 4), upstream, dense.kernel, kernel)
    through = fake_quantize_gradient(np.broadcast_to(upstream, kernel.shape), kernel, kernel_params(kernel, 4, 1), "straight_through")
    np.testing.assert_array_equal(moved, kernel - through)


def kernels_round_as_numerics() -> None:
    """Per channel, wherever a layer has its channels, also where a channel is dead."""
    for layer, shape, reshaped in (
        (L.Dense(6), (1, 5), (5, 6)),
        (L.Conv1D(6, 3), (1, 8, 4), (12, 6)),
        (L.Conv2D(6, 3, groups=2), (1, 8, 8, 4), (18, 6)),
        (L.DepthwiseConv1D(3, depth_multiplier=2), (1, 8, 4), (3, 8)),
        (L.DepthwiseConv2D(3, depth_multiplier=2), (1, 8, 8, 4), (9, 8)),
    ):
        layer.build(shape)
        kernel = np.random.default_rng(0).normal(size=layer.kernel.shape).astype(np.float32)
        kernel.reshape(reshaped)[:, 1] = 0
        layer.kernel.assign(kernel)
        for bits in (8, 5, 4, 3, 2):
            expected = fake_quantize_by_reciprocal(kernel.reshape(reshaped), kernel_params(kernel.reshape(reshaped), bits, -1))
            np.testing.assert_array_equal(numpy_of(QuantizedKernel(layer, bits).rounded_kernel()), expected.reshape(kernel.shape))
    layer = L.Conv2DTranspose(6, 3)
    layer.build((1, 8, 8, 4))
    kernel = numpy_of(layer.kernel)
    np.testing.assert_array_equal(
        numpy_of(QuantizedKernel(layer, 4).rounded_kernel()), fake_quantize_by_reciprocal(kernel, kernel_params(kernel, 4, 2))
    )


def a_trained_model_is_exported_as_it_was_trained() -> None:
    """Training moves kernels, ranges and normalizations, and the integers follow."""
    for bits in BITS:
        x = keras.Input((6, 6, 2), name="image")
        y = L.ReLU()(L.BatchNormalization(name="norm")(L.Conv2D(4, 3, use_bias=False)(x)))
        model = keras.Model(x, L.Dense(3)(L.Flatten()(L.AveragePooling2D(2)(y))))
        model = quantize_model(model, weight_bits=4, activation_bits=bits)
        model.compile(keras.optimizers.SGD(0.01), "mse")
        rng = np.random.default_rng(0)
        images = rng.normal(size=(32, 6, 6, 2)).astype(np.float32)
        model.fit(images, rng.normal(size=(32, 3)), batch_size=8, shuffle=False, verbose=0)
        observers = [layer for layer in model.layers if isinstance(layer, FakeQuant)]
        assert [float(numpy_of(layer.seen)) for layer in observers] == [4] * len(observers)
        ends = images.reshape(4, -1)
        np.testing.assert_allclose(observers[0].range, [ends.min(axis=1).mean(), ends.max(axis=1).mean()], rtol=1e-5)
        assert check(model, export(model), images).max_lsb <= 1


FACTS = (
    fake_quant_rounds_as_numerics,
    observers_follow_as_numerics,
    gradients_are_those_of_numerics,
    kernels_round_as_numerics,
    a_trained_model_is_exported_as_it_was_trained,
)

if __name__ == "__main__":
    for fact in FACTS:
        fact()
    print(keras.backend.backend())
