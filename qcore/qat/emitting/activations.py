"""Activation functions, and the layers that are nothing else.

MINIMUM and MAXIMUM read and give the same codes, once they compute in integers: what they read would be cut to their range for all other
readers. So they stand only where there are none.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import keras

from qcore.qat.emitting.emitter import Emitter, Value


def operator(name: str) -> Callable[[Emitter, Value], Value]:
    """The function that one operator of TensorFlow Lite computes."""
    return lambda e, x: e.op(name, x)


def relu(e: Emitter, x: Value, slope: float = 0.0, limit: float | None = None, threshold: float = 0.0) -> Value:
    """Keras' ReLU: x above the threshold, else 0; at most the limit; less slope times what lies below the threshold."""
    if threshold != 0:
        above = e.op("GREATER", x, threshold, dtype="bool")
        y = e.op("SELECT_V2", above, x, 0.0, dtype="float32")
        y = y if limit is None else e.op("MAXIMUM", e.op("MINIMUM", y, limit), 0.0)
        return y if slope == 0 else e.op("SUB", y, e.op("MUL", e.op("RELU", e.op("SUB", threshold, x)), slope))
    if slope != 0:
        y = e.op("LEAKY_RELU", x, alpha=slope)
        return y if limit is None else e.op("MINIMUM", y, limit)
    if limit in (1, 6):
        return e.op("RELU6" if limit == 6 else "RELU_0_TO_1", x)
    y = e.op("RELU", x)
    return y if limit is None else e.op("MINIMUM", y, limit)


def leaky_relu(e: Emitter, x: Value, slope: float = 0.2) -> Value:
    """X, times slope where it is negative."""
    return e.op("LEAKY_RELU", x, alpha=slope)


def softmax(e: Emitter, x: Value, axis: int = -1, name: str = "SOFTMAX") -> Value:
    """SOFTMAX or LOG_SOFTMAX along any axis; the operators have the last."""
    axis = axis % x.rank
    options: dict[str, Any] = {"beta": 1.0} if name == "SOFTMAX" else {}
    order = list(range(x.rank))
    order[axis], order[-1] = order[-1], order[axis]
    return e.transpose(e.op(name, e.transpose(x, order), **options), order)


def log_softmax(e: Emitter, x: Value, axis: int = -1) -> Value:
    """The logarithm of softmax."""
    return softmax(e, x, axis, "LOG_SOFTMAX")


def elu(e: Emitter, x: Value, alpha: float = 1.0, scale: float = 1.0, stretch: float = 1.0) -> Value:
    """``scale * x`` where x is positive, else ``scale * alpha * (exp(x / stretch) - 1)``."""
    if alpha == scale == stretch == 1:
        return e.op("ELU", x)
    positive = e.op("RELU", x)
    negative = e.op("SUB", x, positive)
    negative = e.op("ELU", negative if stretch == 1 else e.op("MUL", negative, 1 / stretch))
    positive = positive if scale == 1 else e.op("MUL", positive, scale)
    return e.op("ADD", positive, e.op("MUL", negative, scale * alpha))


def selu(e: Emitter, x: Value) -> Value:
    """Self-normalizing: Klambauer et al. 2017."""
    return elu(e, x, alpha=1.6732632423543772848170429916717, scale=1.0507009873554804934193349852946)


def celu(e: Emitter, x: Value, alpha: float = 1.0) -> Value:
    """``alpha * (exp(x / alpha) - 1)`` where x is negative."""
    return elu(e, x, alpha=alpha, stretch=alpha)


def softplus(e: Emitter, x: Value) -> Value:
    """``log(1 + exp(x))``, as ``max(x, 0) + log(1 + exp(-abs(x)))``, which never overflows."""
    small = e.op("EXP", e.op("NEG", e.op("ABS", x)))
    return e.op("ADD", e.op("LOG", e.op("ADD", small, 1.0)), e.op("RELU", x))


def log_sigmoid(e: Emitter, x: Value) -> Value:
    """The logarithm of the logistic function."""
    return e.op("NEG", softplus(e, e.op("NEG", x)))


def softsign(e: Emitter, x: Value) -> Value:
    """``x / (1 + abs(x))``."""
    return e.op("DIV", x, e.op("ADD", e.op("ABS", x), 1.0))


def silu(e: Emitter, x: Value) -> Value:
    """X times its logistic function."""
    return e.op("MUL", x, e.op("LOGISTIC", x))


def mish(e: Emitter, x: Value) -> Value:
    """X times the hyperbolic tangent of its softplus."""
    return e.op("MUL", x, e.op("TANH", softplus(e, x)))


def gelu(e: Emitter, x: Value, approximate: bool = False) -> Value:
    """X times the normal distribution function of it."""
    return e.op("GELU", x, approximate=approximate)


def hard_sigmoid(e: Emitter, x: Value) -> Value:
    """``relu6(x + 3) / 6``."""
    return e.op("MUL", e.op("RELU6", e.op("ADD", x, 3.0)), 1 / 6)


def glu(e: Emitter, x: Value, axis: int = -1) -> Value:
    """One half times the logistic function of the other."""
    axis = axis % x.rank
    if x.shape[axis] % 2:
        raise e.refusal(f"glu has {x.shape[axis]} elements along axis {axis}, expected an even number")
    a, b = e.ops("SPLIT", axis, x, count=2, dtype=x.dtype, num_splits=2)
    return e.op("MUL", a, e.op("LOGISTIC", b))


def soft_shrink(e: Emitter, x: Value, threshold: float = 0.5) -> Value:
    """X less what of it lies within the threshold."""
    return e.op("SUB", e.op("RELU", e.op("SUB", x, threshold)), e.op("RELU", e.op("SUB", -threshold, x)))


def hard_shrink(e: Emitter, x: Value, threshold: float = 0.5) -> Value:
    """X where it lies beyond the threshold, else 0."""
    return e.op("SELECT_V2", e.op("GREATER", e.op("ABS", x), threshold, dtype="bool"), x, 0.0, dtype="float32")


def tanh_shrink(e: Emitter, x: Value) -> Value:
    """X less its hyperbolic tangent."""
    return e.op("SUB", x, e.op("TANH", x))


def squareplus(e: Emitter, x: Value, b: float = 4) -> Value:
    """``(x + sqrt(x * x + b)) / 2``."""
    root = e.op("SQRT", e.op("ADD", e.op("SQUARE", x), float(b)))
    return e.op("MUL", e.op("ADD", x, root), 0.5)


def sparse_plus(e: Emitter, x: Value) -> Value:
    """0 below -1, x above 1, and ``(x + 1)**2 / 4`` between."""
    between = e.op("MUL", e.op("SQUARE", e.op("ADD", e.op("RELU_N1_TO_1", x), 1.0)), 0.25)
    return e.op("ADD", between, e.op("RELU", e.op("SUB", x, 1.0)))


def sparse_sigmoid(e: Emitter, x: Value) -> Value:
    """``(x + 1) / 2`` from 0 to 1."""
    return e.op("RELU_0_TO_1", e.op("ADD", e.op("MUL", x, 0.5), 0.5))


FUNCTIONS: MappingProxyType[str, Callable[..., Value]] = MappingProxyType(
    {
        "linear": lambda e, x: x,
        "relu": relu,
        "relu6": operator("RELU6"),
        "leaky_relu": leaky_relu,
        "sigmoid": operator("LOGISTIC"),
        "hard_sigmoid": hard_sigmoid,
        "log_sigmoid": log_sigmoid,
        "sparse_sigmoid": sparse_sigmoid,
        "tanh": operator("TANH"),
        "hard_tanh": operator("RELU_N1_TO_1"),
        "tanh_shrink": tanh_shrink,
        "softmax": softmax,
        "log_softmax": log_softmax,
        "silu": silu,
        "hard_silu": operator("HARD_SWISH"),
        "gelu": gelu,
        "elu": elu,
        "selu": selu,
        "celu": celu,
        "glu": glu,
        "mish": mish,
        "exponential": operator("EXP"),
        "softplus": softplus,
        "softsign": softsign,
        "squareplus": squareplus,
        "sparse_plus": sparse_plus,
        "soft_shrink": soft_shrink,
        "hard_shrink": hard_shrink,
    }
)
"""Activation functions by the name that Keras has for them."""


def activate(e: Emitter, function: Any, x: Value) -> Value:
    """Adds an activation function of Keras, or a layer or a function made of ``keras.ops`` in its place."""
    name = getattr(function, "__name__", "")
    if name in FUNCTIONS and function is getattr(keras.activations, name, None):
        return FUNCTIONS[name](e, x)
    return e.call(function, x)  # type: ignore[no-any-return]


def activation(e: Emitter, layer: Any, x: Value) -> Value:
    """Activation."""
    return activate(e, layer.activation, e.real(x))


def relu_layer(e: Emitter, layer: Any, x: Value) -> Value:
    """ReLU."""
    limit = None if layer.max_value is None else float(layer.max_value)
    return relu(e, e.real(x), float(layer.negative_slope), limit, float(layer.threshold))


def leaky_relu_layer(e: Emitter, layer: Any, x: Value) -> Value:
    """LeakyReLU."""
    return leaky_relu(e, e.real(x), float(layer.negative_slope))


def prelu(e: Emitter, layer: Any, x: Value) -> Value:
    """PReLU."""
    return e.op("PRELU", e.real(x), e.array(layer.alpha))


def elu_layer(e: Emitter, layer: Any, x: Value) -> Value:
    """ELU."""
    return elu(e, e.real(x), float(layer.alpha))


def softmax_layer(e: Emitter, layer: Any, x: Value) -> Value:
    """Softmax along one axis."""
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    if len(axes) != 1:
        raise e.refusal(f"axis is {layer.axis}, SOFTMAX has one")
    return softmax(e, e.real(x), axes[0])
