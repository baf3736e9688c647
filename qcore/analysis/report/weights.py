"""What quantization did to an operator's weights and biases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.analysis.report.charts import bars, code_bars, columns, grid, worst_channels
from qcore.analysis.report.data import Bias, Channel, Weights
from qcore.analysis.report.observing import ChannelSums
from qcore.calibration.tensor_statistics import TensorStatistics
from qcore.model import Operator, Subgraph, Tensor
from qcore.numerics.affine import dequantize
from qcore.numerics.metrics import error_metrics
from qcore.numerics.params import QuantParams
from qcore.numerics.tensor import quantize_tensor
from qcore.quantizer.graph import tensor_at
from qcore.quantizer.specification import PER_TENSOR, SPECIFICATION
from qcore.runtime.real_values import parameters, to_real
from qcore.schema import constant

WEIGHT_TYPES = frozenset({"int2", "int4", "uint4", "int8", "uint8", "int16", "float16"})
BIAS_TYPES = frozenset({"int32", "int64"})
REAL_TYPES = frozenset({"float32", "float16", "bfloat16", "float64"})
FARTHEST = 1.0
"""Steps that a bias may be off; rounding gives half a one."""


@dataclass(frozen=True)
class Constants:
    """The constants that operators of a subgraph read, also through DEQUANTIZE."""

    graph: Subgraph
    behind: dict[int, int]

    @classmethod
    def of(cls, graph: Subgraph) -> Constants:
        """Those of a subgraph."""
        found = {i: i for i, tensor in enumerate(graph.tensors) if tensor.is_constant}
        for operator in graph.operators:
            if operator.name == "DEQUANTIZE" and operator.inputs[0] in found:
                found[operator.outputs[0]] = found[operator.inputs[0]]
        return cls(graph, found)

    def at(self, operator: Operator, slot: int) -> Tensor | None:
        """The constant that an operator takes there."""
        index = tensor_at(operator, slot)
        return self.graph.tensors[self.behind[index]] if index in self.behind else None


def weights_of(operator: Operator, constants: Constants, reference: Operator | None, references: Constants) -> tuple[Weights, ...]:
    """What quantization did to the weights of an operator.

    Args:
        operator: of the quantized model.
        constants: of that model.
        reference: its counterpart, None where it has none.
        references: constants of the float model.
    """
    if operator.name == "DEQUANTIZE":
        return ()
    found = []
    for slot in range(len(operator.inputs)):
        tensor = constants.at(operator, slot)
        if tensor is not None and tensor.dtype in WEIGHT_TYPES and (tensor.dtype == "float16" or parameters(tensor) is not None):
            real = real_weights(tensor, reference, slot, references)
            index = constants.behind[operator.inputs[slot]]
            weights = _weights(operator.name, slot, index, tensor, real)
            if weights is not None:
                found.append(weights)
    return tuple(found)


def real_weights(tensor: Tensor, reference: Operator | None, slot: int, references: Constants) -> NDArray[np.float32] | None:
    """The float model's weights that a constant stands for; None where it has none of that shape."""
    theirs = None if reference is None else references.at(reference, slot)
    if theirs is None or theirs.shape != tensor.shape or theirs.dtype not in REAL_TYPES:
        return None
    values = constant(theirs)
    return None if values is None else values.astype(np.float32, copy=False)


def _weights(operator: str, slot: int, index: int, tensor: Tensor, real: NDArray[np.float32] | None) -> Weights | None:
    elements, params = constant(tensor), parameters(tensor)
    if elements is None or elements.size < 2:
        return None
    stored = to_real(tensor, elements).astype(np.float32, copy=False)
    values = stored if real is None else real
    statistics = TensorStatistics(tensor.name)
    statistics.observe(0, values)
    axis = params.quantized_dimension if params is not None and not params.per_tensor else _channel_axis(operator, slot, values.ndim)
    return Weights(
        slot=slot,
        tensor=index,
        size=0 if tensor.buffer.data is None else tensor.buffer.data.size,
        compared=real is not None,
        bars=bars(statistics),
        grid=grid(params),
        codes=None if params is None else code_bars(elements, params.quantized_min, params.quantized_max),
        error=None if real is None else error_metrics(real, stored),
        clipped=0.0 if real is None or params is None else _clipped(real, params),
        per_channel_sqnr_db=None if real is None or params is None else _per_channel_sqnr_db(operator, slot, real, params),
        worst=() if real is None or axis is None else _worst(real, stored, axis, params),
        scales=None if params is None or params.per_tensor else columns(params.scale.reshape(-1)),
    )


def _channel_axis(operator: str, slot: int, dimensions: int) -> int | None:
    """The axis of an operator's weights that kernels have scales for."""
    spec = SPECIFICATION.get(operator)
    axis = PER_TENSOR if spec is None else spec.weights.get(slot, PER_TENSOR)
    return axis if 0 <= axis < dimensions else None


def _clipped(real: NDArray[np.float32], params: QuantParams) -> float:
    scale, zero_point = params.broadcast(real.shape)
    beyond = (real < scale * (params.quantized_min - zero_point - 0.5)) | (real > scale * (params.quantized_max - zero_point + 0.5))
    return float(np.mean(beyond))


def _per_channel_sqnr_db(operator: str, slot: int, real: NDArray[np.float32], params: QuantParams) -> float | None:
    axis = _channel_axis(operator, slot, real.ndim)
    if axis is None or not params.per_tensor or real.shape[axis] < 2 or not np.isfinite(real).all():
        return None
    return quantize_tensor(real, "int4" if params.dtype in ("int4", "uint4") else "int8", axis).error(real).sqnr_db


def _worst(real: NDArray[np.float32], stored: NDArray[np.float32], axis: int, params: QuantParams | None) -> tuple[Channel, ...]:
    if real.shape[axis] < 2:
        return ()
    sums = ChannelSums.of(np.moveaxis(real, axis, -1), np.moveaxis(stored, axis, -1))
    return worst_channels(sums, None if params is None or params.per_tensor else params.scale.reshape(-1))


def biases_of(operator: Operator, constants: Constants, reference: Operator | None, references: Constants) -> tuple[Bias, ...]:
    """What quantization did to the biases of an operator; arguments as for ``weights_of``."""
    found = []
    for slot in range(len(operator.inputs)):
        tensor = constants.at(operator, slot)
        params = None if tensor is None or tensor.dtype not in BIAS_TYPES else parameters(tensor)
        codes = None if tensor is None or params is None else constant(tensor)
        if tensor is not None and params is not None and codes is not None and codes.size:
            real = real_weights(tensor, reference, slot, references)
            index = constants.behind[operator.inputs[slot]]
            found.append(_bias(slot, index, codes, params, real))
    return tuple(found)


def _bias(slot: int, index: int, codes: NDArray[Any], params: QuantParams, real: NDArray[np.float32] | None) -> Bias:
    limits = np.iinfo(codes.dtype)
    ends = int(np.count_nonzero((codes == limits.min) | (codes == limits.max)))
    if real is None:
        return Bias(slot, index, codes.size, None, ends, ends)
    scale, _ = params.broadcast(codes.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.abs(dequantize(codes, params).astype(np.float64) - real) / scale
    # A channel whose scale is 0 holds nothing.
    steps = np.where(np.isfinite(steps), steps, 0.0)
    # float32 cannot tell neighbouring codes past 2**24 apart.
    allowed = np.maximum(FARTHEST, np.abs(codes.astype(np.float64)) * 2**-22)
    return Bias(slot, index, codes.size, float(steps.max()), ends, int(np.count_nonzero(steps > allowed)))
