"""``bake``: a trained model as plain float layers whose kernels lie on their grids, ready to be converted.

BatchNormalization behind a kernel is folded into it, which multiplies the scale of each channel and moves no code. Elsewhere it becomes a
1x1 depthwise convolution, as Rescaling and Normalization do: a kernel of one weight for each channel is exact at any number of bits.
Behind a layer that was skipped it stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from qcore.errors import InputError
from qcore.numerics import QuantParams, quantize_bias
from qcore.numerics.training import kernel_params
from qcore.qat.expand import WEIGHTED
from qcore.qat.graph import copy_of, functional, readers, rebuild, set_weights, unique
from qcore.qat.layers import FakeQuant, QuantizedKernel, codes_name
from qcore.qat.placement import AFFINE, averages, is_by_channel, moves

Array = NDArray[np.float32]


def bake(model: Any, batch: int | None = 1) -> Any:
    """A float model that computes what a trained one does, but for the rounding of average pools, which operators do themselves.

    Args:
        model: from ``quantize_model``; it is not changed.
        batch: size of a batch; None for any.

    Returns:
        A functional model of layers that Keras has, and FakeQuant with frozen ranges. Kernels are rounded, BatchNormalization is folded.

    Raises:
        InputError: the model has no FakeQuant.
    """
    return Baking(batch).bake(model)


def frozen(layer: FakeQuant, name: str) -> FakeQuant:
    """A FakeQuant of another name, whose range does not follow anything."""
    return FakeQuant(fixed=layer.range, float_operator=layer.float_operator, bits=layer.bits, name=name)


class Baking:
    """The making of one baked model.

    Args:
        batch: size of a batch; None for any.
        fake_quant: the layer of a given name to put in the place of a FakeQuant. Behind average pools too, if there is one.
        as_in_file: round biases and average pools as the exported model does.
    """

    def __init__(self, batch: int | None, fake_quant: Callable[[FakeQuant, str], Any] | None = None, as_in_file: bool = False) -> None:
        self.batch, self.fake_quant, self.as_in_file = batch, fake_quant or frozen, as_in_file
        self.marks_averages = as_in_file or fake_quant is not None
        self.made: dict[tuple[int, ...], Any] = {}
        self.weights: list[tuple[Any, list[Array]]] = []
        self.rounded_by: dict[int, FakeQuant] = {}
        self.names: set[str] = set()

    def bake(self, model: Any) -> Any:
        """See ``bake``."""
        if not any(isinstance(layer, FakeQuant) for layer in getattr(model, "layers", ())):
            raise InputError("export: the model has no FakeQuant, expected one from qcore.qat.quantize_model")
        source = functional(model, "export")
        self.readers = readers(source)
        baked = rebuild(source, self._call, self.batch)
        for layer, arrays in self.weights:
            set_weights(layer, arrays)
        return baked

    def _call(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        layer, first = node.operation, keras.tree.flatten(args)[0]
        source = self.rounded_by.get(id(first))
        if isinstance(layer, FakeQuant):
            output = self._round(node, *args, **kwargs)
            source = layer
        elif isinstance(layer, QuantizedKernel):
            output = self._weighted(node, first, source)
        elif isinstance(layer, layers.BatchNormalization) and isinstance(_producer(node), QuantizedKernel):
            return first
        elif type(layer).__name__ in AFFINE and is_by_channel(layer, len(first.shape)) and not isinstance(_producer(node), WEIGHTED):
            output = self._affine(layer, first, source)
        else:
            output = self._once((id(layer),), lambda: self._copy(layer))(*args, **kwargs)
        for tensor in keras.tree.flatten(output):
            if source is not None and (isinstance(layer, FakeQuant) or moves(layer) or averages(layer)):
                self.rounded_by[id(tensor)] = source
        return output

    def _round(self, node: Any, x: Any, **kwargs: Any) -> Any:
        if not kwargs.get("average"):
            return self.fake_quant(node.operation, node.operation.name)(x)
        if not self.marks_averages:
            return x
        layer = self.fake_quant(node.operation, unique(self.names, codes_name(_producer(node).name)))
        return layer(x, average=True) if self.as_in_file else layer(x)

    def _weighted(self, node: Any, x: Any, source: FakeQuant | None) -> Any:
        layer = node.operation
        readers = self.readers[id(node.outputs[0])]
        norm = readers[0].operation if len(readers) == 1 and readers[0] is not None else None
        norm = norm if isinstance(norm, layers.BatchNormalization) else None
        return self._once((id(layer), id(norm), id(source)), lambda: self._folded(layer, norm, source))(x)

    def _folded(self, layer: Any, norm: Any, source: FakeQuant | None) -> Any:
        inner, kernel = layer.layer, keras.ops.convert_to_numpy(layer.rounded_kernel())
        bias = keras.ops.convert_to_numpy(inner.bias) if inner.use_bias else np.zeros(1, np.float32)
        if norm is not None:
            factor, offset = _affine_of(norm)
            kernel, bias = _times(inner, kernel, factor), (bias * factor + offset).astype(np.float32)
        has_bias = inner.use_bias or norm is not None
        new = copy_of(inner, use_bias=has_bias, name=unique(self.names, inner.name), dtype="float32")
        if self.as_in_file and has_bias and source is not None:
            weights = _by_channel(inner, kernel)
            # One weight for each channel lies on every grid, and is exported with the finest.
            bits = layer.bits if weights.size > weights.shape[-1] else 8
            bias = _rounded_bias(bias, source, kernel_params(weights, bits, -1))
        self.weights.append((new, [kernel, bias] if has_bias else [kernel]))
        return new

    def _affine(self, layer: Any, x: Any, source: FakeQuant | None) -> Any:
        """A layer that multiplies and adds, as a depthwise convolution; other tensors than images become such for the while."""
        shape = tuple(-1 if size is None else size for size in x.shape[1:])
        depthwise = self._once((id(layer), id(source)), lambda: self._depthwise(layer, shape[-1], source))
        if len(shape) == 3:
            return depthwise(x)
        wide = layers.Reshape((1, -1, shape[-1]), name=unique(self.names, f"{layer.name}_wide"))(x)
        return layers.Reshape(shape, name=unique(self.names, f"{layer.name}_narrow"))(depthwise(wide))

    def _depthwise(self, layer: Any, channels: int, source: FakeQuant | None) -> Any:
        factor, offset = (np.broadcast_to(part, (channels,)).astype(np.float32) for part in _affine_of(layer))
        if self.as_in_file and source is not None:
            offset = _rounded_bias(offset, source, kernel_params(factor.reshape(1, -1), 8, -1))
        new = layers.DepthwiseConv2D(1, name=unique(self.names, layer.name))
        self.weights.append((new, [factor.reshape(1, 1, -1, 1), offset]))
        return new

    def _copy(self, layer: Any) -> Any:
        new = copy_of(layer, name=unique(self.names, layer.name), **({"dtype": "float32"} if isinstance(layer, keras.layers.Layer) else {}))
        if getattr(layer, "weights", None):
            self.weights.append((new, layer.get_weights()))
        return new

    def _once(self, key: tuple[int, ...], make: Callable[[], Any]) -> Any:
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]


def _producer(node: Any) -> Any:
    return node.input_tensors[0]._keras_history.operation


def _affine_of(layer: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a layer multiplies each channel by, and what it adds."""
    if isinstance(layer, layers.Rescaling):
        return np.asarray(layer.scale, np.float64).reshape(-1), np.asarray(layer.offset, np.float64).reshape(-1)
    if isinstance(layer, layers.Normalization):
        mean, variance = (keras.ops.convert_to_numpy(part).astype(np.float64).reshape(-1) for part in (layer.mean, layer.variance))
        deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
        return (deviation, mean) if layer.invert else (1 / deviation, -mean / deviation)
    mean, variance = (keras.ops.convert_to_numpy(part).astype(np.float64) for part in (layer.moving_mean, layer.moving_variance))
    factor = 1 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        factor = factor * keras.ops.convert_to_numpy(layer.gamma)
    shift = keras.ops.convert_to_numpy(layer.beta) if layer.center else 0.0
    return factor, shift - mean * factor


def _times(layer: Any, kernel: Array, factor: NDArray[np.float64]) -> Array:
    """A kernel with each channel multiplied."""
    if isinstance(layer, layers.DepthwiseConv1D | layers.DepthwiseConv2D):
        factor = factor.reshape(kernel.shape[-2:])
    elif isinstance(layer, layers.Conv2DTranspose):
        factor = factor[:, np.newaxis]
    return (kernel * factor).astype(np.float32)


def _by_channel(layer: Any, kernel: Array) -> Array:
    """A kernel with its channels along the last axis."""
    if isinstance(layer, layers.DepthwiseConv1D | layers.DepthwiseConv2D):
        return kernel.reshape(*kernel.shape[:-2], -1)
    return np.swapaxes(kernel, -1, -2) if isinstance(layer, layers.Conv2DTranspose) else kernel


def _rounded_bias(bias: Array, source: FakeQuant, kernel: QuantParams) -> Array:
    """A bias as the codes of the exported model stand for it."""
    codes = quantize_bias(bias, source.params.single()[0], kernel.scale, 64 if source.bits == 16 else 32)
    return (codes.data * codes.scale.astype(np.float64)).astype(np.float32)
