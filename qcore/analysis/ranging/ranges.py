"""``ranges``: what accumulators can reach and did reach, whether they can overflow, and what of a model's numbers looks wrong."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sized
from dataclasses import dataclass, replace

import numpy as np

from qcore.analysis.ranging.bounds import bounds, fits, headroom
from qcore.analysis.ranging.findings import findings
from qcore.analysis.ranging.overflow import overflow
from qcore.analysis.ranging.recording import Recorder, recorded
from qcore.analysis.ranging.result import Channel, OperatorRanges, Overflow, Ranges, Saturation, Verdict
from qcore.analysis.ranging.terms import ROLES, Operands, Terms, output_of, terms
from qcore.analysis.sides import Side, entry
from qcore.calibration.calibrating import progress_bar, read_model
from qcore.calibration.samples import Feeder, NanPolicy, Samples, iterate
from qcore.errors import InputError, QCoreError
from qcore.kernels.common import float_activation_range
from qcore.kernels.opdef import Arithmetic, Array, Node, OpDef, Step
from qcore.kernels.weighted import QuantizedOutput
from qcore.model import OPTIONAL, Model, Tensor
from qcore.numerics.dtypes import element_type
from qcore.numerics.fixed_point import ReducedMultiplier
from qcore.numerics.rounding import round_half_away
from qcore.runtime.plan import DEFAULT_LOOP_LIMIT, DEFAULT_MEMORY_LIMIT, PlannedOperator, Settings, require_arithmetic, run_step
from qcore.runtime.real_values import parameters

KNOWN = frozenset({*ROLES, "MEAN", "SUM", "AVERAGE_POOL_2D"})
"""Operators whose accumulators may be bounded."""

WIDTH_OF_REDUCED = 48
"""Bits of an int64 accumulator that equation (18) can multiply."""


def ranges(
    model: Model | str | os.PathLike[str] | bytes,
    samples: Samples | None = None,
    *,
    signature: str | None = None,
    nan: NanPolicy = "raise",
    progress: bool = False,
    arithmetic: Arithmetic = "reference",
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    loop_limit: int = DEFAULT_LOOP_LIMIT,
    custom_ops: Mapping[str, OpDef] | None = None,
) -> Ranges:
    """Bound every integer accumulator of a model, over all inputs that its input tensors' codes allow.

    The bounds are exact, from the weights: nothing is run for them, and each is reached by some input. Where one is beyond what the
    accumulator holds, that input is made, the operator is run on it alone, and what came of it is told. Sums on the way to the result are
    bounded too, whatever the order of the terms: a processor that wraps does not mind them, one that saturates or traps does.

    Known are CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, TRANSPOSE_CONV, BATCH_MATMUL, also of dynamic range, and MEAN, SUM and
    AVERAGE_POOL_2D. Recurrent operators are not, nor those of other subgraphs.

    Args:
        model: quantized: a ``Model``, a path or a file's bytes.
        samples: in any form that ``qcore.calibrate`` takes; without, nothing is observed. Float arrays are real values. Bounds are those
            of the shapes that the first sample leads to.
        signature: look at the subgraph of this signature; None for the first one.
        nan: "raise" refuses samples with NaN or infinities, "ignore" runs them.
        progress: show a progress bar on standard error.
        arithmetic: as for ``Interpreter``.
        memory_limit: likewise.
        loop_limit: likewise.
        custom_ops: likewise.

    Raises:
        InputError: an argument is wrong, there is no sample, or one does not fit.
        QCoreError: the model is wrong, or cannot run on a sample, which the message names.
    """
    require_arithmetic("ranges", arithmetic)
    checked = read_model(model)
    subgraph, _ = entry(checked, signature, "ranges")
    side = Side(checked, subgraph, Settings(arithmetic, True, memory_limit, loop_limit, custom_ops or {}))
    side.executor.allocate()
    watched: dict[int, Watched] = {}

    def look() -> dict[int, tuple[PlannedOperator, Step]]:
        """What is prepared, of that what is looked at."""
        found = prepared(side)
        for position, (planned, step) in found.items():
            if position not in watched and (one := watch(side, position, planned, step)) is not None:
                watched[position] = one
        return {position: found[position] for position in watched if position in found}

    if samples is None:
        look()
        return result(side, watched, 0)
    feeder, source, count = Feeder(checked, signature, nan), iterate(samples), 0
    with progress_bar(progress, len(source) if isinstance(source, Sized) else None, "observing") as advance:
        for sample in source:
            feed = feeder.feed(count, sample)
            if feed.subgraph != subgraph:
                raise InputError(f"sample {count}: is for subgraph {feed.subgraph}, looked at is {subgraph}")
            try:
                side.run(feed.values)
                for position, now in look().items():
                    watched[position].take(side.executor.values, *now)
            except QCoreError as error:
                raise type(error)(f"sample {count}: {error}") from error
            count += 1
            advance(1)
    if not count:
        raise InputError("samples: there is none; leave them out to bound accumulators alone")
    return result(side, watched, count)


@dataclass
class Watched:
    """An operator that is looked at: how it was prepared, the terms of its accumulators, and what was seen of it.

    at_least, at_greatest, elements: of its output's codes.
    """

    position: int
    planned: PlannedOperator
    node: Node
    step: Step
    operands: Operands
    terms: Terms | None
    recorder: Recorder
    at_least: int = 0
    at_greatest: int = 0
    elements: int = 0

    @property
    def width(self) -> int:
        """Bits of the accumulator that the kernel makes use of."""
        finish = self.recorder.finish
        if finish is None or finish.accumulator == np.int32:
            return 32
        return WIDTH_OF_REDUCED if isinstance(finish.requantize, ReducedMultiplier) else 64

    def take(self, values: Mapping[int, Array], planned: PlannedOperator, step: Step) -> None:
        """Take up a sample: values of tensors, and the operator as it was prepared for their shapes."""
        operator, kind = planned.operator, element_type(self.operands.output.dtype)
        if is_quantized(self.operands.output):
            output = values[operator.outputs[0]]
            self.elements += output.size
            self.at_least += int(np.count_nonzero(output == kind.quantized_min))
            self.at_greatest += int(np.count_nonzero(output == kind.quantized_max))
        if self.terms is not None:
            run_step(planned, recorded(step, self.recorder), [None if i == OPTIONAL else values[i] for i in operator.inputs])

    def saturation(self) -> Saturation | None:
        """What was seen of the output's codes, where it has some."""
        if not self.elements:
            return None
        below, above = (self.recorder.below, self.recorder.above) if self.recorder.finish is not None else (None, None)
        return Saturation(self.elements, self.at_least, self.at_greatest, below, above, *self.bounds_of_activation())

    def bounds_of_activation(self) -> tuple[str, str]:
        """What cuts outputs off below and above: the fused activation, or the output's type."""
        finish, kind = self.recorder.finish, element_type(self.operands.output.dtype)
        activation = self.node.options.get("fused_activation_function", "NONE")
        if finish is None:
            return kind.name, kind.name
        names = []
        for bound, code, edge in zip(
            float_activation_range(self.node, activation),
            (finish.activation_min, finish.activation_max),
            (kind.quantized_min, kind.quantized_max),
            strict=True,
        ):
            fused = math.isfinite(bound) and round_half_away(np.float64(bound) / self.operands.output_scale) + finish.zero_point == code
            names.append(activation if fused or code != edge else kind.name)
        return names[0], names[1]


def is_quantized(tensor: Tensor) -> bool:
    """It holds codes of 8 or 16 bits."""
    return parameters(tensor) is not None and tensor.dtype in ("int8", "uint8", "int16")


def prepared(side: Side) -> dict[int, tuple[PlannedOperator, Step]]:
    """Operators of the present plan that are prepared, by position."""
    positions = {id(operator): position for position, operator in enumerate(side.graph.operators)}
    steps = ((p, p.step or (p.late.step if p.late is not None else None)) for p in side.executor.allocated().operators)
    return {positions[id(p.operator)]: (p, step) for p, step in steps if step is not None and p.operator.outputs}


def watch(side: Side, position: int, planned: PlannedOperator, step: Step) -> Watched | None:
    """An operator to look at; None where it has neither accumulators nor a quantized output."""
    executor, operator, tensors = side.executor, planned.operator, side.graph.tensors
    constants = executor.allocated().constants
    shapes = [() if i == OPTIONAL else executor.shape(i) for i in operator.inputs]
    operands = Operands(
        operator=operator.name,
        tensors=[None if i == OPTIONAL else tensors[i] for i in operator.inputs],
        values=[constants.get(i) for i in operator.inputs],
        shapes=shapes,
        output=tensors[operator.outputs[0]],
    )
    found = terms(step, operands)
    if found is None and not is_quantized(operands.output):
        return None
    node = executor.planner.node(planned, dict(zip(operator.inputs, shapes, strict=True)), constants)
    return Watched(position, planned, node, step, operands, found, Recorder(output_of(step.params)))


def result(side: Side, watched: Mapping[int, Watched], samples: int) -> Ranges:
    """What was found."""
    unprepared = [p for p in side.executor.allocated().operators if p.step is None and p.late is None]
    notes = [f"{p.where}: is prepared at run time alone; samples are needed to look at it" for p in unprepared if p.operator.name in KNOWN]
    return Ranges(samples, tuple(row(watched[position]) for position in sorted(watched)), tuple(notes))


def row(one: Watched) -> OperatorRanges:
    """What was found of an operator."""
    output = one.operands.output
    base = OperatorRanges(one.position, one.operands.operator, output.name, output.dtype, saturation=one.saturation())
    if one.terms is None:
        return replace(base, findings=findings(one.operands, None, []))
    channels, verdict, overflow = channel_ranges(one, one.terms)
    return replace(
        base,
        accumulator="int64" if one.width > 32 else "int32",
        width=one.width,
        channels=channels,
        verdict=verdict,
        overflow=overflow,
        findings=findings(one.operands, one.terms, channels, one.width),
    )


def channel_ranges(one: Watched, terms: Terms) -> tuple[tuple[Channel, ...], Verdict, Overflow | None]:
    """The channels of an operator; what they say of overflow; and the input that overflows the worst of them."""
    found, width, recorder = bounds(terms), one.width, one.recorder
    constant = constant_codes(recorder.finish, found.least, found.greatest, width)
    count = len(found.least)

    def observed(least: Array | None, greatest: Array | None, channel: int) -> tuple[int, int] | None:
        here = slice(None) if count == 1 else slice(channel, channel + 1)
        return None if least is None or greatest is None else (int(least[here].min()), int(greatest[here].max()))

    channels = []
    for c in range(count):
        ends, partial = (found.least[c], found.greatest[c]), (found.partial_least[c], found.partial_greatest[c])
        seen, codes = observed(recorder.least, recorder.greatest, c), observed(recorder.codes_least, recorder.codes_greatest, c)
        seen_headroom = None if seen is None else headroom(*seen, width)
        rooms = headroom(*ends, width), headroom(*partial, width)
        steady = None if codes is None else codes[0] == codes[1]
        channels.append(Channel(c, *ends, *partial, *rooms, seen, seen_headroom, constant[c], steady))
    beyond = [c for c in channels if not fits(c.least, c.greatest, width)]
    if beyond:
        worst = min(beyond, key=lambda c: c.headroom)
        at = (found.greatest_at if worst.greatest >= -worst.least else found.least_at)[worst.channel]
        example = overflow(one.planned, one.step, one.operands, terms, worst, (int(at[0]), int(at[1])), width)
        return tuple(channels), "overflows", example
    proven = all(fits(c.partial_least, c.partial_greatest, width) for c in channels)
    return tuple(channels), "proven" if proven else "wraps between", None


def constant_codes(finish: QuantizedOutput | None, least: Array, greatest: Array, width: int) -> list[int | None]:
    """By channel, the code that it gives whatever its input: both bounds give it, and codes follow accumulators up and down."""
    held = np.array([fits(low, high, width) for low, high in zip(least, greatest, strict=True)])
    if finish is None:
        return [None] * len(held)
    low, high = finish(np.where(held, [least, greatest], 0).astype(np.int64), None).tolist()
    return [a if a == b and fit else None for a, b, fit in zip(low, high, held, strict=True)]
