"""What to do about the errors: rules with thresholds, each of which names the call that carries it out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from qcore.analysis.report.data import Activation, Advice, Finding, OperatorRow, Range, TensorRow, Weights
from qcore.quantizer.specification import SPECIFICATION

BETTER_RANGE_DB = 3.0
"""What another range must win, of the error of an activation alone."""
FINE_DB = 50.0
"""An operator that gives this much alone needs no other range."""
PER_CHANNEL_DB = 3.0
"""What scales by channel must win, of the error of weights alone."""
LOW_SQNR_DB = 20.0
"""Of an operator alone: below it, it does damage wherever it stands."""
DROP_DB = 6.0
"""How far the model's SQNR falls at an operator below that of its worst input, for the operator to be the one that loses it."""
DROP_BELOW_DB = 30.0
"""Drops that end above this are let be."""
INPUT_CLIPPED = 0.01
"""Share of an input's values beyond its codes that rounding at calibration does not explain."""
SHOWN = 8
"""Operators that one call names."""

Found = tuple[float, int | None, str]
"""How bad it is, where, and what is there to see."""


@dataclass(frozen=True)
class Context:
    """What rules look at: ``Report``'s fields of these names."""

    mode: str
    operators: tuple[OperatorRow, ...]
    tensors: tuple[TensorRow, ...]
    inputs: tuple[Activation, ...]

    @property
    def quantize(self) -> str:
        """The call that made the model, as far as it can be told, without its closing bracket."""
        calibrated = ", calibration=statistics" if self.calibrated else ""
        return f'qcore.quantize_model(model, "{self.mode}"{calibrated}'

    @property
    def calibrated(self) -> bool:
        """Activations have codes."""
        return self.mode in ("int8", "int16x8")


def advise(context: Context) -> tuple[Advice, ...]:
    """Every fix that a rule suggests, those first that concern the whole model."""
    if context.mode == "float":
        return ()
    return tuple(
        advice
        for rule in (clipped_inputs, saturated_biases, weights_per_channel, other_ranges, own_error, left_in_float)
        for advice in rule(context)
    )


def clipped_inputs(context: Context) -> Iterator[Advice]:
    """The samples are not what the model was calibrated for."""
    found = [
        (a.below + a.above, None, f"'{short(context.tensors[a.tensor].name)}': {a.below + a.above:.1%} of its values beyond the codes")
        for a in context.inputs
        if a.below + a.above > INPUT_CLIPPED
    ]
    yield from one(
        "input",
        "Inputs beyond what the model was calibrated for",
        f"More than {INPUT_CLIPPED:.0%} of an input's values have no code and are clipped. Either these samples are not scaled as the ones "
        "at calibration were, or those were not like them. Give real values, scaled as in training, to both.",
        f'statistics = qcore.calibrate(model, samples)\nquantized = qcore.quantize_model(model, "{context.mode}", calibration=statistics)',
        found,
    )


def saturated_biases(context: Context) -> Iterator[Advice]:
    """Biases that do not fit their integers."""
    found = [
        (
            float(b.saturated),
            position,
            f"{b.saturated} of {b.channels} biases" + ("" if b.steps is None else f", the farthest {b.steps:.3g} steps off"),
        )
        for position, operator in enumerate(context.operators)
        for b in operator.biases
        if b.saturated
    ]
    yield from one(
        "bias",
        "Biases that do not fit",
        "The scale of the products is so small that biases go beyond their integers. qcore, as TensorFlow's converter, "
        "widens the filter's scale of such a channel until its bias fits.",
        f"quantized = {context.quantize})",
        found,
    )


def weights_per_channel(context: Context) -> Iterator[Advice]:
    """Weights with one scale that a few channels decide."""

    def gain(weights: Weights) -> float:
        if weights.error is None or weights.per_channel_sqnr_db is None:
            return 0.0
        return weights.per_channel_sqnr_db - weights.error.sqnr_db

    found = [
        (gain(w), position, f"weights {decibels(w.error.sqnr_db)} with one scale, {decibels(w.per_channel_sqnr_db or 0)} by channel")
        for position, operator in enumerate(context.operators)
        for w in operator.weights
        if w.error is not None and gain(w) >= PER_CHANNEL_DB
    ]
    dense = any(where is not None and context.operators[where].name == "FULLY_CONNECTED" for _, where, _ in found)
    yield from one(
        "per-channel",
        "A scale for each channel of weights",
        f"A few channels decide the only scale, and the others lose: their own scales would win {PER_CHANNEL_DB:.0f} dB or more.",
        f"quantized = {context.quantize}, per_channel=True{', per_channel_dense=True' if dense else ''})",
        found,
    )


def other_ranges(context: Context) -> Iterator[Advice]:
    """Activations whose range is too narrow, or stretched by a few values."""
    by_method: dict[str, list[Found]] = {}
    for position, operator in enumerate(context.operators):
        for activation in operator.activations if least(operator, "isolated") < FINE_DB else ():
            for choice in activation.ranges[1:]:
                won = gained(activation.ranges[0], choice)
                if won >= BETTER_RANGE_DB:
                    evidence = f"{beyond(activation)}{ends(choice)} instead of {ends(activation.ranges[0])} wins {won:.1f} dB"
                    by_method.setdefault(choice.method, []).append((won, position, evidence))
    method = max(by_method, key=lambda name: sum(won for won, _, _ in by_method[name]), default="")
    yield from one(
        "range",
        f"Other ranges for activations: method {method!r}",
        f"On these samples the range that this method chooses has an expected error {BETTER_RANGE_DB:.0f} dB or more below that of the "
        "range in the file: it is too narrow for them, or a few far values stretch it.",
        f'statistics = qcore.calibrate(model, samples, method="{method}")\nquantized = {context.quantize})',
        by_method.get(method, ()),
    )


def own_error(context: Context) -> Iterator[Advice]:
    """Operators that lose much by themselves, unless the range that they or another operator chose explains it."""
    explained = {finding.operator for advice in other_ranges(context) for finding in advice.findings}
    found: list[Found] = []
    producers = {o: p for p, operator in enumerate(context.operators) for o in operator.outputs}
    targets: dict[int, str] = {}
    for position, operator in enumerate(context.operators):
        alone, after = least(operator, "isolated"), least(operator, "cumulative")
        before = min((least(context.operators[producers[i]], "cumulative") for i in operator.inputs if i in producers), default=math.inf)
        integer = any(context.tensors[o].grid is not None for o in operator.outputs) or bool(operator.weights)
        drop = before - after if math.isfinite(before) else 0.0
        spec = SPECIFICATION.get(operator.name)
        if not integer or operator.target is None or position in explained or (spec is not None and spec.same_scale):
            continue
        if alone < LOW_SQNR_DB:
            found.append((-alone, position, f"{decibels(alone)} by itself"))
        elif drop >= DROP_DB and after < DROP_BELOW_DB and alone < DROP_BELOW_DB:
            found.append((-alone, position, f"the model falls from {decibels(before)} to {decibels(after)} here"))
        else:
            continue
        targets[position] = operator.target
    worst = [where for _, where, _ in sorted(found, key=lambda f: -f[0])[:SHOWN] if where is not None]
    rules = "".join(f"\n    qcore.Rule(quantize=False, tensor={targets[where]!r})," for where in sorted(worst))
    wider = '\n# or all activations in 16 bits:\nquantized = qcore.quantize_model(model, "int16x8", calibration=statistics)'
    yield from one(
        "own-error",
        "Operators to keep in floating point" + (", or in 16 bits" if context.mode == "int8" else ""),
        f"Alone they give less than {LOW_SQNR_DB:.0f} dB, or the model loses {DROP_DB:.0f} dB at them. A rule keeps each in "
        f"float32{'' if len(found) <= SHOWN else f'; the worst {SHOWN} are named'}.",
        f"quantized = {context.quantize}, rules=[{rules}\n])" + (wider if context.mode == "int8" else ""),
        found,
    )


def left_in_float(context: Context) -> Iterator[Advice]:
    """Operators that stayed in floating point."""
    if not context.calibrated:
        return
    found: list[Found] = [
        (0.0, position, "computes in float32")
        for position, operator in enumerate(context.operators)
        if operator.name not in ("QUANTIZE", "DEQUANTIZE")
        and operator.outputs
        and all(context.tensors[o].dtype == "float32" and not context.tensors[o].constant for o in operator.outputs)
    ]
    yield from one(
        "float",
        "Operators that compute in floating point",
        "Each costs a DEQUANTIZE and a QUANTIZE around it, and does not run on integer hardware. Without the fallback, quantization "
        "refuses them, each with its reason.",
        f"quantized = {context.quantize}, float_fallback=False)",
        found,
    )


def one(rule: str, title: str, reason: str, call: str, found: Iterable[Found]) -> Iterator[Advice]:
    """The advice of a rule where it found anything, the worst first."""
    findings = [Finding(where, evidence) for _, where, evidence in sorted(found, key=lambda f: (-f[0], -1 if f[1] is None else f[1]))]
    if findings:
        yield Advice(rule, title, reason, call, tuple(findings))


def least(operator: OperatorRow, view: str) -> float:
    """The least SQNR of an operator's outputs; infinite where there is none."""
    metrics = [row.isolated if view == "isolated" else row.cumulative for row in operator.errors]
    return min((m.sqnr_db for m in metrics if m is not None and not math.isnan(m.sqnr_db)), default=math.inf)


def gained(present: Range, best: Range) -> float:
    """Decibels that one range is better than another."""
    if present.error == best.error:
        return 0.0
    return 20 * math.log10(present.error / best.error) if best.error > 0 else math.inf


def beyond(activation: Activation) -> str:
    """The share of values that are clipped; nothing where none is."""
    clipped = activation.below + activation.above
    return f"{100 * clipped:.2g}% of its values beyond the codes; " if clipped else ""


def decibels(value: float) -> str:
    """As 31.0 dB."""
    return f"{value:.1f} dB"


def ends(choice: Range) -> str:
    """A range as text."""
    return f"[{choice.low:.4g}, {choice.high:.4g}]"


def short(name: str) -> str:
    """A name that fits into a sentence."""
    return name if len(name) <= 80 else f"{name[:77]}..."
