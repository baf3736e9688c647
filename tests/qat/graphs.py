"""Small Keras models, each odd in its own way, with random weights that no test depends on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers as L

Built = Any


def image() -> Any:
    return keras.Input((8, 8, 3), name="image")


def sequential() -> Built:
    return keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(6, 3, activation="relu"), L.MaxPooling2D(2), L.Flatten(), L.Dense(5)])


def bn_relu6_of_negative_gamma() -> Built:
    x = image()
    y = L.BatchNormalization(name="norm")(L.Conv2D(6, 3, strides=2, padding="same", use_bias=False, name="conv")(x))
    y = L.ReLU(6.0)(y)
    y = L.ReLU()(L.BatchNormalization(name="norm_b")(L.Conv2D(6, 1)(y)))
    return keras.Model(x, L.Dense(4, activation="softmax")(L.GlobalAveragePooling2D()(y)))


def nested() -> Built:
    inner_input = keras.Input((8, 8, 6))
    inner = L.BatchNormalization(name="norm")(L.Conv2D(6, 3, padding="same", name="conv")(inner_input))
    deepest = keras.Sequential([keras.Input((8, 8, 6)), L.Conv2D(4, 1, activation="relu", name="conv"), L.BatchNormalization()])
    block = keras.Model(inner_input, deepest(L.ReLU()(inner)), name="block")
    x = image()
    y = block(L.Conv2D(6, 3, padding="same", activation="relu", name="conv")(x))
    return keras.Model(x, L.Flatten()(L.Conv2D(3, 3)(y)))


def shared() -> Built:
    """Layers with several calls: one normalization behind two sums, and one kernel before two normalizations."""
    x = image()
    conv, norm = L.Conv2D(3, 3, padding="same", activation="relu"), L.BatchNormalization(name="norm")
    raw = L.Conv2D(3, 3, padding="same", use_bias=False)
    y = L.Add()([norm(conv(x)), norm(x)])
    y = L.ReLU()(L.BatchNormalization(name="norm_a")(raw(y)))
    return keras.Model(x, L.Flatten()(L.ReLU()(L.BatchNormalization(name="norm_b")(raw(y)))))


def separable() -> Built:
    x = image()
    y = L.SeparableConv2D(8, 3, depth_multiplier=2, activation="relu")(x)
    y = L.SeparableConv2D(6, 3, padding="same", use_bias=False)(y)
    y = L.ReLU()(L.BatchNormalization(name="norm")(y))
    return keras.Model(x, L.Dense(3)(L.Flatten()(L.SeparableConv2D(4, 3, activation="tanh")(y))))


def concatenated() -> Built:
    x = image()
    a, b = L.Conv2D(4, 3, padding="same", activation="relu")(x), L.Conv2D(3, 1, activation="sigmoid")(x)
    y = L.Concatenate()([a, b, L.MaxPooling2D(3, 1, padding="same")(x)])
    return keras.Model(x, L.Flatten()(L.Conv2D(2, 3)(y)))


def dense_net() -> Built:
    """Normalizations without a kernel before them, and an average that is read on its own grid and on that of a concatenation."""
    x = image()
    y = L.AveragePooling2D(2)(L.Conv2D(4, 3, padding="same")(x))
    for i in range(2):
        z = L.ReLU()(L.BatchNormalization(name=f"norm_{i}")(y))
        y = L.Concatenate()([y, L.Conv2D(3, 3, padding="same")(z)])
    return keras.Model(x, L.Dense(4)(L.GlobalAveragePooling2D()(L.ReLU()(L.BatchNormalization(name="norm_last")(y)))))


def squeeze_excite() -> Built:
    x = image()
    y = L.Conv2D(8, 3, padding="same", activation="relu")(x)
    s = L.Dense(8, activation="sigmoid")(L.Dense(4, activation="relu")(L.GlobalAveragePooling2D()(y)))
    y = L.Multiply()([y, L.Reshape((1, 1, 8))(s)])
    h = L.Conv2D(8, 1, activation="hard_sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(y))
    return keras.Model(x, L.Flatten()(L.Conv2D(2, 3)(y * h)))


def swish() -> Built:
    x = image()
    y = L.Activation("swish")(L.BatchNormalization(name="norm")(L.Conv2D(6, 3)(x)))
    return keras.Model(x, L.Dense(4)(L.Flatten()(L.Activation("hard_swish")(L.Conv2D(4, 3, activation="hard_silu")(y)))))


def transpose() -> Built:
    x = image()
    y = L.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu")(L.Conv2D(6, 3, activation="relu")(x))
    y = L.ReLU()(L.BatchNormalization(name="norm")(L.Conv2DTranspose(5, 2, use_bias=False)(y)))
    return keras.Model(x, L.Conv2D(2, 1)(y))


def average_pool() -> Built:
    x = image()
    y = L.AveragePooling2D(2)(L.Conv2D(6, 3, padding="same", activation="relu")(x))
    y = L.AveragePooling2D((2, 3), strides=1, padding="same")(L.Conv2D(4, 1)(y))
    return keras.Model(x, L.Dense(4, activation="softmax")(L.Flatten()(L.AveragePooling2D(4)(y))))


def depth_multiplier() -> Built:
    x = image()
    y = L.ReLU(6.0)(L.BatchNormalization(name="norm")(L.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)(x)))
    return keras.Model(x, L.Dense(4)(L.GlobalMaxPooling2D()(L.DepthwiseConv2D(3, strides=2, activation="relu")(y))))


def one_dimensional() -> Built:
    x = keras.Input((16, 4), name="series")
    y = L.ReLU()(L.BatchNormalization(name="norm")(L.Conv1D(6, 3, padding="same")(x)))
    y = L.AveragePooling1D(2)(L.MaxPooling1D(2)(L.SeparableConv1D(8, 3, padding="same", activation="relu")(y)))
    y = L.BatchNormalization(name="norm_alone")(L.ReLU()(L.Conv1D(5, 2)(y)))
    return keras.Model(x, L.Dense(3)(L.GlobalAveragePooling1D()(y)))


def dense_bn() -> Built:
    x = keras.Input((12,), name="features")
    y = L.ReLU()(L.BatchNormalization(name="norm")(L.Dense(8)(x)))
    y = L.BatchNormalization(name="norm_alone")(L.Dropout(0.5)(L.Dense(6, activation="tanh")(y)))
    return keras.Model(x, L.Dense(4, activation="softmax")(y))


def bare_operations() -> Built:
    x = image()
    y = keras.ops.relu6(L.Conv2D(6, 3)(x) + 1.0) * 0.5
    y = keras.ops.sigmoid(keras.ops.transpose(y, (0, 2, 1, 3))[:, 1:]) - y[:, :-1]
    return keras.Model(x, L.Dense(4)(keras.ops.mean(keras.ops.maximum(y, 2.0 - y), axis=(1, 2))))


def two_inputs_and_outputs() -> Built:
    late, early = keras.Input((6,), name="zeta"), keras.Input((6,), name="alpha")
    y = L.Subtract()([L.Dense(5)(late), L.Dense(5, activation="relu")(early)])
    return keras.Model([late, early], [L.Dense(4, name="first")(y), L.ReLU(name="second")(y)])


def joins() -> Built:
    x = image()
    a, b, c = (L.Conv2D(4, 1, activation=kind)(x) for kind in ("relu", "tanh", "gelu"))
    y = L.ReLU()(L.Add()([a, b, c]))
    y = L.Maximum()([y, L.Minimum()([a, b])])
    y = L.PReLU(shared_axes=[1, 2], alpha_initializer="uniform")(L.LeakyReLU(negative_slope=0.1)(L.Conv2D(4, 1)(y)))
    return keras.Model(x, L.Flatten()(L.Multiply()([y, a, c])))


def moves() -> Built:
    x = image()
    y = L.Conv2D(4, 3, activation="relu")(L.ZeroPadding2D(1)(L.Cropping2D(1)(L.Rescaling(0.5, offset=-0.25)(x))))
    y = L.Permute((2, 1, 3))(L.UpSampling2D(2)(y))
    y = L.UpSampling2D(2, interpolation="bilinear")(L.Conv2D(3, 3, groups=1, dilation_rate=2)(y))
    return keras.Model(x, L.Reshape((-1, 3))(y))


def doubled(x: Any) -> Any:
    return keras.ops.softmax(2 * x)


def functions() -> Built:
    """Activations that are layers and functions, and constants wherever they may stand."""
    x = image()
    y = L.Conv2D(4, 3, activation=L.LeakyReLU(negative_slope=0.3))(x / 2 - 0.5)
    y = L.SeparableConv2D(4, 3, activation=keras.ops.relu6)(1 - y) + np.arange(4, dtype=np.float32)
    y = L.Dense(4, activation=doubled)(keras.ops.max(-y, axis=1))
    return keras.Model(x, L.Dense(3, activation=L.ReLU(negative_slope=0.1))(L.Flatten()(keras.ops.gelu(y))))


@keras.saving.register_keras_serializable("tests.qat")
class Gate(L.Layer):
    """A layer with a call of its own, and no weights."""

    def call(self, inputs: Any) -> Any:
        return inputs[0] * keras.ops.sigmoid(inputs[1])


def own_layers() -> Built:
    x = keras.Input((6, 4), dtype="uint8", name="series")
    y = L.Rescaling(1 / 255)(x)
    y = Gate()([L.Dense(4)(y), L.Lambda(lambda a: a * a + 0.5)(y)])
    return keras.Model(x, L.Dense(3)(y - keras.ops.cast(x, "float32") / 255))


def computed_twice() -> Built:
    """Equal operators on one tensor, each with a range of its own, and movements that several operators read."""
    x = image()
    norm, conv = L.BatchNormalization(name="norm"), L.Conv2D(3, 1)
    y = L.Add()([norm(conv(x)), norm(x), conv(norm(x))])
    padded = L.ZeroPadding2D(1)(L.Add()([L.ReLU()(y), L.ReLU()(y)]))
    a, b = L.MaxPooling2D(3, 2)(padded), L.MaxPooling2D(3, 2)(padded)
    return keras.Model(x, L.Flatten()(L.Add()([a, b, L.Conv2D(3, 3, strides=2)(padded)])))


def inception() -> Built:
    """Branches that read one pool."""
    x = image()
    y = L.MaxPooling2D(2)(L.Conv2D(4, 3, activation="relu")(x))
    a, b, c, d = (L.Conv2D(3, 1, activation="relu") for _ in range(4))
    y = L.Concatenate()([a(y), c(b(y)), d(L.AveragePooling2D(2, 1, padding="same")(y))])
    return keras.Model(x, L.Flatten()(y))


def maxima() -> Built:
    """One inside the other, with an operand that others read in a range of its own, which the other operand exceeds."""
    x = image()
    y = L.Conv2D(4, 1, activation="relu")(x)
    y = L.Maximum()([L.Maximum()([L.Conv2D(4, 1, bias_initializer="ones")(x) * 4, y]), y])
    return keras.Model(x, L.Flatten()(y))


def coarse() -> Built:
    """Products of two steps that are many steps of what relu6 leaves of them."""
    x = image()
    return keras.Model(x, L.Flatten()(L.Conv2D(4, 1, activation="relu6")(L.Conv2D(4, 1, kernel_initializer="he_normal")(x * 50.0))))


def permuted() -> Built:
    """What reads a transposed tensor is rounded as it stands there."""
    x = image()
    y = L.Permute((3, 1, 2))(L.Conv2D(4, 3)(x))
    y = keras.ops.relu6(y + 3) * (1 / 6) * y
    y = keras.ops.transpose(y, (0, 3, 2, 1))
    return keras.Model(x, L.Flatten()(y * keras.ops.sigmoid(y)))


def dead() -> Built:
    """A tensor of nothing but 0, and a kernel of one weight for each channel."""
    x = image()
    y = L.Conv2D(4, 3, activation="relu")(L.Subtract()([x, x]))
    return keras.Model(x, L.Dense(3)(keras.ops.max(L.Dense(1)(y), axis=(1, 2))))


def clamped_again() -> Built:
    x = image()
    y = L.ReLU()(L.MaxPooling2D(2)(L.Conv2D(4, 3, activation="relu")(x)))
    return keras.Model(x, L.Dense(4)(L.Flatten()(y)))


def attention() -> Built:
    x = keras.Input((6, 4), name="tokens")
    query, key, value = (L.Dense(4)(x) for _ in range(3))
    weights = keras.ops.softmax(keras.ops.matmul(query, keras.ops.transpose(key, (0, 2, 1))) * 0.5)
    y = x + keras.ops.matmul(weights, value)
    return keras.Model(x, y + L.Dense(4)(L.Dense(8, activation="gelu")(y)))


BUILDERS: dict[str, Callable[[], Built]] = {
    builder.__name__: builder
    for builder in (
        sequential,
        bn_relu6_of_negative_gamma,
        nested,
        shared,
        separable,
        concatenated,
        dense_net,
        squeeze_excite,
        swish,
        transpose,
        average_pool,
        depth_multiplier,
        one_dimensional,
        dense_bn,
        bare_operations,
        two_inputs_and_outputs,
        joins,
        moves,
        functions,
        own_layers,
        computed_twice,
        inception,
        maxima,
        coarse,
        permuted,
        dead,
        clamped_again,
        attention,
    )
}


def build(name: str) -> Built:
    """A model with biases and normalizations that are not those of a new one."""
    keras.utils.set_random_seed(len(name))
    model = BUILDERS[name]()
    rng = np.random.default_rng(len(name))
    for weight in model.weights:
        value = keras.ops.convert_to_numpy(weight)
        kind = weight.path.rsplit("/", 1)[-1]
        if kind in ("bias", "beta", "moving_mean"):
            weight.assign(rng.normal(0, 0.2, value.shape))
        elif kind == "gamma":
            weight.assign(rng.choice((-1, 1), value.shape) * rng.uniform(0.5, 2, value.shape))
        elif kind == "moving_variance":
            weight.assign(rng.uniform(0.5, 2, value.shape))
    return model


def samples(model: Any, count: int) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    rng = np.random.default_rng(1)
    scales = [100 if "int" in tensor.dtype else 1 for tensor in model.inputs]
    return [
        (abs(values) if scale > 1 else values).astype(tensor.dtype)
        for tensor, scale in zip(model.inputs, scales, strict=True)
        for values in [rng.normal(0, scale, (count, *tensor.shape[1:]))]
    ]
