"""The input that overflows an accumulator, made and run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from qcore.analysis.ranging.bounds import reaching
from qcore.analysis.ranging.recording import with_output
from qcore.analysis.ranging.result import Channel, Overflow
from qcore.analysis.ranging.terms import Operands, Terms, output_of
from qcore.errors import InternalError
from qcore.kernels.opdef import Array, Step
from qcore.kernels.weighted import QuantizedOutput
from qcore.numerics.derivation import wrapped
from qcore.numerics.dtypes import element_type
from qcore.runtime.plan import PlannedOperator, run_step


@dataclass
class Probe:
    """The last steps of an operator, which look out for a sum of one channel, an int64, and keep the code that became of it."""

    finish: QuantizedOutput
    channel: int
    wanted: int
    codes: list[int] = field(default_factory=list)

    @property
    def accumulator(self) -> np.dtype[Any]:
        """The type that sums wrap to."""
        return self.finish.accumulator

    def __call__(self, sums: Array, bias: Array | None) -> Array:
        """The operator's own results."""
        results = self.finish(sums, bias)
        offset = 0 if bias is None else bias.reshape(-1)[self.channel].astype(np.int64)
        met = sums[..., self.channel].astype(np.int64) + offset == self.wanted
        self.codes += results[..., self.channel][met][:1].tolist()
        return results


def overflow(
    planned: PlannedOperator, step: Step, operands: Operands, terms: Terms, worst: Channel, at: tuple[int, int], width: int
) -> Overflow | None:
    """The input that overflows a channel, run through the operator alone; None where the operator has other inputs that are not
    constant, or takes real numbers.

    Args:
        planned: the operator.
        step: how it was prepared.
        operands: what it is given.
        terms: of its accumulators.
        worst: the channel.
        at: row and column of an output that leaves the accumulator.
        width: bits of the accumulator.

    Raises:
        InternalError: the kernel does not arrive at the sum that was predicted.
    """
    if operands.output.dtype == "float32":
        return None
    greatest = worst.greatest >= -worst.least
    wanted = worst.greatest if greatest else worst.least
    made = {slot: as_elements(codes, terms, operands, slot) for slot, codes in reaching(terms, worst.channel, at, greatest).items()}
    inputs = [made.get(slot, value) for slot, value in enumerate(operands.values)]
    if any(value is None and tensor is not None for value, tensor in zip(inputs, operands.tensors, strict=True)):
        return None
    finish = output_of(step.params)
    if finish is None:
        (result, *_) = run_step(planned, step, inputs)
        code = int(result.reshape(-1)[0] if terms.fill else result[0, at[0], at[1], worst.channel])
    else:
        probe = Probe(finish, worst.channel, wrapped(wanted, 64))
        run_step(planned, with_output(step, probe), inputs)
        if not probe.codes:
            raise InternalError(f"{planned.where}: no sum of channel {worst.channel} is {wanted}, which was predicted")
        code = probe.codes[0]
    return Overflow(worst.channel, *at, made, wanted, wrapped(wanted, width), code, _exact_code(operands, finish, terms, worst, wanted))


def as_elements(codes: Array, terms: Terms, operands: Operands, slot: int) -> Array:
    """Codes of the terms' view, or one code for all, as an input."""
    shape, storage = operands.shapes[slot], element_type(operands.tensor(slot).dtype).storage
    if not codes.ndim:
        return np.full(shape, codes, storage)
    stored = (*shape[:-2], shape[-1], shape[-2]) if terms.adj_x else shape
    elements = np.broadcast_to(codes, terms.view).reshape(stored).astype(storage)
    return elements.swapaxes(-1, -2) if terms.adj_x else elements


def _exact_code(operands: Operands, finish: QuantizedOutput | None, terms: Terms, channel: Channel, accumulator: int) -> int | None:
    """The code of a sum that nothing cuts off: multiplied by the real factor, and rounded half away from zero."""
    q, kind = operands.output.quantization, element_type(operands.output.dtype)
    if terms.factor is None or q is None or not q.scale.size:
        return None
    steps = Fraction(float(terms.factor[channel.channel])) * accumulator
    rounded = math.floor(abs(steps) + Fraction(1, 2)) * (1 if steps > 0 else -1)
    low, high = (kind.quantized_min, kind.quantized_max) if finish is None else (finish.activation_min, finish.activation_max)
    return min(max(rounded + int(q.zero_point[0]), low), high)
