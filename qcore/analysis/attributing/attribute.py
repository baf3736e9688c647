"""``attribute``: take the error of every quantized operator apart, and rank operators by what they do to the model's outputs."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qcore.analysis.attributing.result import Attribution, Effect, OperatorAttribution
from qcore.analysis.attributing.split import SplitSums, Stages, clipped
from qcore.analysis.comparing import SideBySide
from qcore.analysis.ranging.terms import ROLES
from qcore.analysis.sides import CALLING, Side
from qcore.calibration.calibrating import progress_bar, read_model
from qcore.calibration.samples import Feed, NanPolicy, Samples, iterate
from qcore.errors import InputError
from qcore.kernels.opdef import Arithmetic, Array, OpDef
from qcore.model import OPTIONAL, Model
from qcore.runtime.plan import DEFAULT_LOOP_LIMIT, DEFAULT_MEMORY_LIMIT, Settings, require_arithmetic, run_step
from qcore.runtime.real_values import parameters, to_elements


def attribute(
    float_model: Model | str | os.PathLike[str] | bytes,
    quantized_model: Model | str | os.PathLike[str] | bytes,
    samples: Samples,
    *,
    effect_samples: int = 4,
    signature: str | None = None,
    nan: NanPolicy = "raise",
    progress: bool = False,
    arithmetic: Arithmetic = "reference",
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    loop_limit: int = DEFAULT_LOOP_LIMIT,
    custom_ops: Mapping[str, OpDef] | None = None,
) -> Attribution:
    """Find out what makes the error of a quantized model: in each operator, and of all operators in the outputs.

    Operators are matched and measured as ``compare`` does. From the float operator's result to the quantized one's lead substitutions, one
    after the other: inputs are cut off at the ends of their range (clipping), then rounded to codes (input), weights and other constants
    are replaced by what their codes stand for (weights), the bias likewise (bias), the result is cut off (clipping); what is left is
    requantization. The float operator itself is run with each. In the model as a whole, the quantized model's own inputs take the place of
    the first two. An operator that quantizes its input as it comes (dynamic range) has what is left as part of its input.

    The effect of an operator is what its own error, alone, does to the float model's outputs: everything that follows from it is run once
    more. Its own error is its output in the quantized model, less what the float operator makes of the same inputs; an error of inputs is
    that of the operators which computed them. So effects add up, as far as the model is linear in errors. They take time for each operator
    and sample, about half a run of the float model.

    Args:
        float_model: as for ``compare``.
        quantized_model: likewise.
        samples: likewise.
        effect_samples: measure effects on so many of the samples, from the first; 0 for none.
        signature: as for ``compare``.
        nan: likewise.
        progress: show a progress bar on standard error.
        arithmetic: as for ``Interpreter``.
        memory_limit: likewise.
        loop_limit: likewise.
        custom_ops: likewise.

    Raises:
        InputError: an argument is wrong, inputs or outputs of the models do not correspond, there is no sample, or one does not fit.
        QCoreError: a model is wrong, or cannot run on a sample, which the message names.
    """
    require_arithmetic("attribute", arithmetic)
    if isinstance(effect_samples, bool) or not isinstance(effect_samples, int) or effect_samples < 0:
        raise InputError(f"attribute: effect_samples is {effect_samples!r}, expected a number of at least 0")
    settings = Settings(arithmetic, True, memory_limit, loop_limit, custom_ops or {})
    pair = Attributing(read_model(float_model), read_model(quantized_model), signature, nan, settings)
    source, count = iterate(samples), 0
    total = len(source) * len(pair.operators) if isinstance(source, Sized) else None
    with progress_bar(progress, total, "attributing") as advance:
        pair.advance = advance
        for sample in source:
            pair.effects = count < effect_samples
            pair.take(count, sample)
            count += 1
    if not count:
        raise InputError("samples: there is none, attribution needs at least one")
    return pair.attribution(count, min(count, effect_samples))


@dataclass
class Substituted:
    """One output of an operator of the quantized model, and how to compute it with the float operator.

    output: which of the quantized operator's. tensor: that output. reference: the float model's tensor that it stands for.
    position: of the float operator; None where the operator only changes its input's form. float_output: which of that one's.
    inputs: pairs of tensors, quantized and float, that are computed. weights, bias: likewise of constants.
    """

    output: int
    tensor: int
    reference: int
    position: int | None
    float_output: int
    inputs: list[tuple[int, int]]
    weights: list[tuple[int, int]]
    bias: list[tuple[int, int]]
    alone: SplitSums = field(default_factory=SplitSums)
    in_model: SplitSums = field(default_factory=SplitSums)


@dataclass
class EffectSums:
    """float64[outputs], sums over elements: of changes squared, and of changes times the quantized model's error."""

    squares: NDArray[np.float64]
    products: NDArray[np.float64]


class Attributing(SideBySide):
    """Both models side by side, the parts of errors, and the effects of operators, so far."""

    def __init__(self, float_model: Model, quantized_model: Model, signature: str | None, nan: NanPolicy, settings: Settings):
        super().__init__(float_model, quantized_model, signature, nan, settings)
        self.effects = False
        self.advance: Callable[[int], None] = lambda count: None
        self.reasons: dict[int, str] = {}
        self.substituted = {position: self.substitutes(position) for position in self.operators}
        outputs = len(self.outputs)
        self.errors, self.references_squared = np.zeros(outputs), np.zeros(outputs)
        self.changes = {position: EffectSums(np.zeros(outputs), np.zeros(outputs)) for position in self.operators}

    def substitutes(self, position: int) -> list[Substituted]:
        """How to compute an operator's outputs with the float one's; none, and a reason, where the two do not take the same."""
        found = []
        for measured in self.operators[position]:
            one, reason = self.substitute(position, measured.output, measured.tensor, measured.reference)
            if one is None:
                self.reasons[position] = f"not taken apart: {reason}"
            else:
                found.append(one)
        return found

    def substitute(self, position: int, output: int, tensor: int, reference: int) -> tuple[Substituted | None, str]:
        """The same of one output, and else the reason."""
        flow, operator = self.quantized.flow, self.quantized.graph.operators[position]
        if self.obstacles[position]:
            return None, self.obstacles[position].removeprefix("not run alone: ")
        if operator.name in CALLING:
            return None, "what makes its error lies in the subgraphs that it runs"
        if tensor not in flow.producer:
            return Substituted(output, tensor, reference, None, 0, [(operator.inputs[0], reference)], [], []), ""
        its = self.float.flow.producer.get(self.float.flow.value[reference])
        if its is None:
            return None, "the float model has no such operator"
        other = self.float.graph.operators[its]
        computed, others = flow.inputs(position), self.float.flow.inputs(its)
        if operator.name != other.name or computed.keys() != others.keys():
            return None, f"the float model computes it by {other.name} of other inputs"
        if any(self.pairs.of_b.get(computed[slot]) != others[slot] for slot in computed):
            return None, f"{other.name} of the float model has other inputs"
        pairs = [(slot, i, j) for slot, (i, j) in enumerate(zip(operator.inputs, other.inputs, strict=False)) if OPTIONAL not in (i, j)]
        roles = ROLES.get(operator.name)
        constants = [
            (slot, i, j)
            for slot, i, j in pairs
            if slot not in computed and self.float.graph.tensors[j].dtype == "float32" and self.quantized.has_real_values(i)
        ]
        return Substituted(
            output=output,
            tensor=tensor,
            reference=reference,
            position=its,
            float_output=other.outputs.index(self.float.flow.value[reference]),
            inputs=[(i, j) for slot, i, j in pairs if slot in computed and self.float.graph.tensors[j].dtype == "float32"],
            weights=[(i, j) for slot, i, j in constants if roles is None or slot != roles.bias],
            bias=[(i, j) for slot, i, j in constants if roles is not None and slot == roles.bias],
        ), ""

    def measure(self, feed: Feed) -> None:
        """Take up the errors on one sample, and their effects."""
        with np.errstate(all="ignore"):
            super().measure(feed)
            for place, output in enumerate(self.outputs if self.effects else []):
                expected = self.float.real(output.float_tensor).astype(np.float64)
                self.references_squared[place] += float(np.sum(np.square(expected)))
                self.errors[place] += float(np.sum(np.square(self.output_error(place))))

    def output_error(self, place: int) -> NDArray[np.float64]:
        """Of an output of the quantized model on the present sample; nothing where shapes differ."""
        expected, actual = self.float.real(self.outputs[place].float_tensor), self.quantized.real(self.outputs[place].quantized_tensor)
        return actual.astype(np.float64) - expected if expected.shape == actual.shape else np.zeros(expected.shape)

    def run_alone(self, position: int) -> list[Array]:
        """As in a comparison; what it gives is taken apart, and its effect measured."""
        alone = super().run_alone(position)
        changed = {m.reference: alone[m.output] for m in self.operators[position]} if alone else {}
        for one in self.substituted[position] if alone else []:
            start = self.float.real(one.reference)
            if alone[one.output].shape == start.shape == self.quantized.shape(one.tensor):
                changed[one.reference] = start + self.take_apart(one, start, alone[one.output])
        if self.effects and all(array.shape == self.float.shape(j) for j, array in changed.items()):
            self.affect(position, changed)
        self.advance(1)
        return alone

    def take_apart(self, one: Substituted, start: Array, alone: Array) -> Array:
        """Take up the parts of the errors of an output; what the operator itself adds in the model, to what others have computed."""
        tensors = self.quantized.graph.tensors
        cut = {j: clipped(tensors[i], self.float.real(j)) for i, j in one.inputs}
        rounded = {j: self.quantized.to_real(i, to_elements(tensors[i], self.float.real(j))) for i, j in one.inputs}
        actual = {j: self.quantized.real(i) for i, j in one.inputs}
        first: Stages = [("clipping", self.result_with(one, cut)), ("input", self.result_with(one, rounded))]
        one.alone.add(start, self.stages(one, first, rounded, alone))
        from_actual, last = self.result_with(one, actual), self.quantized.real(one.tensor)
        one.in_model.add(start, self.stages(one, [("input", from_actual)], actual, last))
        others = {j: actual[j] for i, j in one.inputs if i not in self.quantized.graph.inputs}
        return last.astype(np.float64) - (from_actual if others.keys() == actual.keys() else self.result_with(one, others))

    def stages(self, one: Substituted, first: Stages, inputs: dict[int, Array], last: Array) -> Stages:
        """All that lead from the float operator's result to the quantized one's, given those of the inputs."""
        weights = inputs | {j: self.quantized.real(i) for i, j in one.weights}
        bias = weights | {j: self.quantized.real(i) for i, j in one.bias}
        with_bias = self.result_with(one, bias)
        output = self.quantized.graph.tensors[one.tensor]
        as_it_comes = parameters(output) is None and any(parameters(self.quantized.graph.tensors[i]) is not None for i, _ in one.weights)
        return [
            *first,
            ("weights", self.result_with(one, weights) if one.weights else first[-1][1]),
            ("bias", with_bias),
            ("clipping", clipped(output, with_bias)),
            ("input" if as_it_comes else "requantization", last),
        ]

    def result_with(self, one: Substituted, values: Mapping[int, Array]) -> Array:
        """The float operator's result with other values for some of its tensors."""
        if one.position is None or not values:
            return values.get(one.reference, self.float.real(one.reference))
        return self.float.alone(one.position, values)[one.float_output]

    def affect(self, position: int, changed: Mapping[int, Array]) -> None:
        """Take up what changed outputs of an operator, real values, do to those of the model."""
        tensors = self.float.graph.tensors
        real = {j: array for j, array in changed.items() if tensors[j].dtype == "float32" or parameters(tensors[j]) is not None}
        elements = {j: to_elements(tensors[j], array.astype(np.float32)) for j, array in real.items()}
        values, sums = following(self.float, elements), self.changes[position]
        for place, output in enumerate(self.outputs):
            before = self.float.real(output.float_tensor)
            if output.float_tensor in values and values[output.float_tensor].shape == before.shape:
                change = self.float.to_real(output.float_tensor, values[output.float_tensor]).astype(np.float64) - before
                sums.squares[place] += float(np.sum(np.square(change)))
                sums.products[place] += float(np.sum(change * self.output_error(place)))

    def effect(self, position: int, samples: int) -> Effect | None:
        """Of an operator, all outputs alike."""
        if not samples or self.obstacles[position]:
            return None
        sums, references = self.changes[position], self.references_squared
        used = (references > 0) & np.isfinite([references, self.errors, sums.squares]).all(axis=0)
        if not used.any():
            return None
        scale = references[used]
        total = float(np.sum(self.errors[used] / scale))
        share = float(np.sum(sums.products[used] / scale)) / total if total else 0.0
        return Effect(math.sqrt(float(np.mean(sums.squares[used] / scale))), share)

    def attribution(self, samples: int, effect_samples: int) -> Attribution:
        """What was found."""
        comparison = self.result(samples)
        rows = []
        measured = [(position, m) for position, found in self.operators.items() for m in found]
        for (position, m), error in zip(measured, comparison.operators, strict=True):
            one = next((s for s in self.substituted[position] if s.output == m.output and s.alone.count), None)
            alone, in_model = (None, None) if one is None else (one.alone.result(), one.in_model.result())
            note = "; ".join(filter(None, (error.note, self.reasons.get(position, ""))))
            effect = self.effect(position, effect_samples) if m is self.operators[position][0] else None
            rows.append(OperatorAttribution(error, alone, in_model, effect, note))
        return Attribution(samples, effect_samples, tuple(rows), comparison.outputs, comparison.unmatched_quantized, comparison.notes)


def following(side: Side, changed: Mapping[int, Array]) -> dict[int, Array]:
    """Values that some changed ones of the present sample lead to: the changed ones, and those of every operator that follows from them.

    Args:
        side: a model that has run.
        changed: elements by tensor number.
    """
    executor, plan = side.executor, side.executor.allocated()
    values = dict(changed)
    for planned in plan.operators:
        operator = planned.operator
        if values.keys().isdisjoint(operator.inputs) or not values.keys().isdisjoint(operator.outputs):
            continue
        inputs = {i: executor.values[i] for i in operator.inputs if i != OPTIONAL}
        inputs.update({i: executor.fresh_variable(side.graph.tensors[i]) for i in inputs if side.graph.tensors[i].is_variable})
        inputs.update({i: values[i] for i in inputs if i in values})
        step = planned.step or executor.planner.prepare_late(planned, inputs, plan.constants)
        results = run_step(planned, step, [None if i == OPTIONAL else inputs[i] for i in operator.inputs])
        values.update(zip(operator.outputs, results, strict=False))
    return values
