"""How the operators of an exported model round: what layers compute in float32, as the codes that the file has for it.

Operators that multiply and add integers do not all round their sums once, as training does: builtin kernels round first to a power of two
below a step, then to the step, equations (15) and (16) of docs/quantization.md. With packed int4 kernels that power is 2**-3 or so, and
what lies up to a sixteenth of a step below a tie is rounded up.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.opdef import Arithmetic, Step
from qcore.kernels.weighted import QuantizedOutput
from qcore.model import Model, Operator
from qcore.numerics.affine import quantize_by_reciprocal
from qcore.quantizer.graph import params_of
from qcore.quantizer.specification import spec_of
from qcore.runtime.plan import Settings
from qcore.runtime.session import Session

_LIMITS = MappingProxyType({"RELU6": 6.0, "RELU_N1_TO_1": 1.0})


class Rounding:
    """The rounding of one exported model, in one arithmetic."""

    def __init__(self, exported: Model, arithmetic: Arithmetic) -> None:
        executor = Session(exported, Settings(arithmetic)).executor()
        executor.allocate()
        self.tensors = executor.graph.tensors
        ready = ((planned.operator, planned.step) for planned in executor.allocated().operators if planned.step is not None)
        self.computed = {number: (operator, step) for operator, step in ready for number in operator.outputs}

    def codes(self, number: int, x: NDArray[np.float32]) -> NDArray[Any]:
        """Codes of a tensor, rounded as the operator does that computes it.

        * sums of products, in CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, FULLY_CONNECTED and BATCH_MATMUL: as the arithmetic requantizes
          accumulators;
        * the parts of a CONCATENATION: each as what computes it, and those that a QUANTIZE brings to its scale as that does;
        * anything else: once, ties away from zero, as in training.

        Args:
            number: of the tensor.
            x: float32[samples, ...], real units, before it is rounded; as many elements for each sample as the tensor has.

        Returns:
            integers[samples, ...], of the tensor's type and shape.
        """
        tensor = self.tensors[number]
        x = x.reshape(-1, *tensor.shape[1:])
        if number in self.computed:
            operator, step = self.computed[number]
            if operator.name == "RESHAPE":
                return self.codes(operator.inputs[0], x).reshape(x.shape)
            if operator.name == "CONCATENATION":
                return self._parts(operator, x)
            if operator.name == "QUANTIZE" and self.tensors[operator.inputs[0]].dtype == tensor.dtype:
                return _rescaled(step, quantize_by_reciprocal(x, params_of(self.tensors[operator.inputs[0]])))
            finish = getattr(step.params, "finish", getattr(step.params, "output", None))
            if isinstance(finish, QuantizedOutput):
                codes = finish(self._accumulators(operator, x).astype(finish.accumulator), None)
                # What the activation has cut off is at its limit, which lies between two accumulators.
                options = operator.options.fields if operator.options is not None else {}
                limit = _LIMITS.get(options.get("fused_activation_function", "NONE"), np.inf)
                return np.where(abs(x) < limit, codes, quantize_by_reciprocal(x, params_of(tensor)))
        return quantize_by_reciprocal(x, params_of(tensor))

    def _parts(self, operator: Operator, x: NDArray[np.float32]) -> NDArray[Any]:
        assert operator.options is not None
        axis = operator.options["axis"]
        ends = np.cumsum([self.tensors[number].shape[axis] for number in operator.inputs])
        parts = zip(operator.inputs, np.split(x, ends[:-1], axis), strict=True)
        return np.concatenate([self.codes(number, part) for number, part in parts], axis)

    def _accumulators(self, operator: Operator, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """The integers that sums are but for the error of float32: so many times the scale of the input times that of the filter."""
        spec = spec_of(operator)
        slots = (0, 1) if spec is None or spec.bias is None else (spec.bias.input, spec.bias.filter)
        input, filter = (params_of(self.tensors[operator.inputs[slot]]).scale for slot in slots)
        return np.rint(x / (input.astype(np.float64) * filter))


def _rescaled(step: Step, codes: NDArray[Any]) -> NDArray[Any]:
    """What a QUANTIZE makes of the codes of each sample."""
    parts: list[Any] = [step.kernel(step.params, part[np.newaxis]) for part in codes]
    return np.concatenate(parts)
