"""What the caller of ``quantize_model`` asks of a mode, and where a mode gets the ranges of activations from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from qcore.model import Operator
from qcore.quantizer.graph import Graph
from qcore.quantizer.rules import ActivationType, Rules, WeightType


@dataclass(frozen=True)
class Options:
    """Arguments of ``quantize_model`` (see there) that modes look at; each mode looks at those that apply to it.

    activation_type: only operators for which rules say so, "int8" being what they say where they do not; None for all.
    """

    per_channel: bool = True
    per_channel_dense: bool = True
    float_fallback: bool = True
    min_elements: int = 1024
    weight_type: WeightType = "int8"
    block_size: int | None = None
    bias_type: Literal["int32", "int64"] = "int64"
    runnable: bool = False
    rules: Rules = field(default_factory=Rules)
    ranges: Literal["graph"] | None = None
    activation_type: ActivationType | None = None

    def quantizes(self, graph: Graph, operator: Operator) -> bool:
        """The caller's rules let this operator be quantized."""
        wanted = self.rules.activation_type(operator, graph.tensors) or "int8"
        return self.activation_type in (None, wanted) and self.rules.quantizes(operator, graph.tensors)

    def weight_dtype(self, graph: Graph, operator: Operator) -> WeightType:
        """The type of an operator's weights, in modes that have a choice: what a rule says of it, else ``weight_type``."""
        return self.rules.weight_type(operator, graph.tensors) or self.weight_type

    def channel_axis(self, operator: str, axis: int | None) -> int | None:
        """The axis along which the weights of an operator that has per-channel kernels get scales; None for one scale."""
        return axis if self.per_channel and (self.per_channel_dense or operator != "FULLY_CONNECTED") else None


@runtime_checkable
class Ranges(Protocol):
    """Calibrated ranges of activations; ``qcore.calibration.Statistics`` is one."""

    def range(self, subgraph: int, tensor: int, dtype: str = "int8") -> tuple[float, float] | None:
        """The range to quantize a tensor with, by its numbers in the model that was calibrated; None if it was never seen.

        dtype: element type of the codes to come; methods that weigh clipping against rounding look at it.
        """
