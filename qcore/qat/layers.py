"""The two layers of quantization-aware training: activations on their codes' grid, and any layer with its kernel on the grid.

Both compute what ``qcore.numerics.training`` specifies, bit for bit, on every backend of Keras. Rounding appears as
``x - stop_gradient(x) + rounded``, which is ``rounded`` exactly, and has the gradient of ``x``.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from qcore.errors import InputError
from qcore.numerics import QuantParams
from qcore.numerics.training import FRACTIONS, NARROWEST, SMALLEST_WEIGHT, trained_params

_BELOW_HALF = float(np.nextafter(np.float32(0.5), np.float32(0)))
_CODES = {8: (-128.0, 127.0), 16: (-32768.0, 32767.0)}


@keras.saving.register_keras_serializable(package="qcore")
class FakeQuant(keras.layers.Layer):
    """Rounds a tensor to the codes of a range. In training the range follows the data; ``trainable = False`` freezes it.

    The ends of the range are moving means of each batch's least and greatest value, 0 included: ``qcore.numerics.training.moving_mean``.
    Gradients are those of x within the range, and 0 beyond it; the range has none.

    Args:
        decay: of the moving means.
        fixed: a range that does not follow anything, such as that of an operator which computes in parameters of its own.
        float_operator: what computes the tensor stays in floating point in the exported model.
        bits: of the codes, 8, or 16, whose zero point is 0.
    """

    def __init__(
        self, decay: float = 0.99, fixed: tuple[float, float] | None = None, float_operator: bool = False, bits: int = 8, **options: Any
    ) -> None:
        if bits not in _CODES:
            raise InputError(f"FakeQuant: got {bits!r} bits, expected 8 or 16")
        super().__init__(**{"dtype": "float32", **options})
        self.decay, self.fixed, self.float_operator, self.bits = decay, fixed, float_operator, bits
        self.observing = False

    def build(self, shape: Any) -> None:
        """Makes the variables of a range that is not fixed: both ends, and how many batches were seen."""
        if self.fixed is None:
            self.low, self.high, self.seen = (
                self.add_weight(name=name, shape=(), dtype="float32", trainable=False, initializer="zeros")
                for name in ("low", "high", "seen")
            )

    def call(self, x: Any, training: bool | None = None, average: bool = False) -> Any:
        """Rounds x, after the observer has seen it.

        Args:
            x: float32[...], real units.
            training: the range follows x.
            average: x holds means of what was rounded before; they are rounded as AVERAGE_POOL_2D does, and not observed.
        """
        if (training or self.observing) and self.trainable and self.fixed is None and not average:
            self._observe(ops.stop_gradient(x))
        scale, inverse, zero_point = self._grid()
        fixed = ops.stop_gradient(x)
        if average:
            fractions = FRACTIONS[self.bits]
            codes = ops.round((fixed * inverse + zero_point) * fractions) / fractions
            return x - fixed + (_round_half_away(codes) - zero_point) * scale
        least, greatest = (code - zero_point for code in _CODES[self.bits])
        rounded = _round_half_away(ops.clip(fixed * inverse, least, greatest)) * scale
        inside = ops.logical_and(fixed >= least * scale, fixed <= greatest * scale)
        return ops.where(inside, x - fixed, 0.0) + rounded

    def _observe(self, x: Any) -> None:
        weight = ops.maximum(1.0 - self.decay, 1.0 / (self.seen + 1.0))
        for end, value in ((self.low, ops.minimum(ops.min(x), 0.0)), (self.high, ops.maximum(ops.max(x), 0.0))):
            end.assign(end + weight * (value - end))
        self.seen.assign(self.seen + 1.0)

    def _grid(self) -> tuple[Any, Any, Any]:
        """Scale, its reciprocal and zero point: ``qcore.numerics.training.trained_params``."""
        low, high = (ops.convert_to_tensor(end, "float32") for end in self._ends())
        (least, greatest), about_zero = _CODES[self.bits], self.bits == 16
        width, steps = (ops.maximum(-low, high), greatest) if about_zero else (high - low, greatest - least)
        scale = ops.where(width > NARROWEST, width, 1.0) * float(np.float32(1 / steps))
        inverse = 1.0 / scale
        return scale, inverse, 0.0 if about_zero else ops.clip(_round_half_away(least - low * inverse), least, greatest)

    @property
    def params(self) -> QuantParams:
        """Scale and zero point as the exported model has them."""
        return trained_params(*self.range, self.bits)

    @property
    def range(self) -> tuple[float, float]:
        """Both ends, which are float32 numbers, as they are now."""
        low, high = (float(ops.convert_to_numpy(end)) for end in self._ends())
        return low, high

    def _ends(self) -> tuple[Any, Any]:
        return self.fixed or (self.low, self.high)

    def compute_output_shape(self, shape: Any) -> Any:
        """The same."""
        return shape

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        own = {"decay": self.decay, "fixed": self.fixed, "float_operator": self.float_operator, "bits": self.bits}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="qcore")
class QuantizedKernel(keras.layers.Wrapper):
    """Runs a layer with its kernel rounded to codes: symmetric, per channel, ``qcore.numerics.training.kernel_params``.

    The range is that of the weights at every call, so there is no state. The gradient passes straight through. The layer itself stays as
    it is, and its own kernel is what the optimizer moves.

    Args:
        layer: Conv1D, Conv2D, DepthwiseConv1D, DepthwiseConv2D, Conv2DTranspose or Dense.
        bits: 2 to 8.
    """

    def __init__(self, layer: Any, bits: int = 8, **options: Any) -> None:
        if not 2 <= bits <= 8:
            raise InputError(f"QuantizedKernel: layer {layer.name!r}: got {bits} bits, expected 2 to 8")
        super().__init__(layer, **{"name": f"quantized_{layer.name}", **options})
        self.bits = bits

    def rounded_kernel(self) -> Any:
        """The kernel as the layer computes with it."""
        kernel = ops.convert_to_tensor(self.layer.kernel)
        fixed = ops.stop_gradient(kernel)
        reach = ops.max(ops.abs(fixed), axis=other_axes(self.layer), keepdims=True)
        scale = ops.where(reach > SMALLEST_WEIGHT, reach, 1.0) * float(np.float32(1 / (2 ** (self.bits - 1) - 1)))
        return kernel - fixed + _round_half_away(fixed * (1.0 / scale)) * scale

    def call(self, x: Any) -> Any:
        """What the layer computes of x."""
        kernel = self.layer.kernel
        rounded = self.rounded_kernel()
        # All variables, because an inner scope does not consult an outer one, which holds them when JAX trains.
        values = [(variable, rounded if variable is kernel else ops.convert_to_tensor(variable)) for variable in self.layer.variables]
        with keras.StatelessScope(values):
            return self.layer(x)

    def compute_output_shape(self, shape: Any) -> Any:
        """The layer's."""
        return self.layer.compute_output_shape(shape)

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**super().get_config(), "bits": self.bits}


def codes_name(source: str) -> str:
    """The name of the FakeQuant behind a layer or an input, and of the tensor that holds its codes in the exported model."""
    return f"{source}_codes"


def real_name(codes: str) -> str:
    """What ``codes_name`` made a name of."""
    return codes.removesuffix("_codes")


def other_axes(layer: Any) -> tuple[int, ...]:
    """The axes of a layer's kernel that its channels do not run along."""
    count = len(layer.kernel.shape)
    if isinstance(layer, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D):
        return tuple(range(count - 2))
    channel = count - 2 if isinstance(layer, keras.layers.Conv2DTranspose) else count - 1
    return tuple(i for i in range(count) if i != channel)


def _round_half_away(x: Any) -> Any:
    """``qcore.numerics.round_half_away`` on a tensor of float32."""
    return ops.sign(x) * ops.floor(ops.abs(x) + _BELOW_HALF)
