"""``compare``: run two models side by side, and measure how far each operator of one is from its counterpart in the other."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sized
from dataclasses import dataclass, field

import numpy as np

from qcore.analysis.comparison import Comparison, OperatorError, OutputError
from qcore.analysis.matching import match
from qcore.analysis.sides import Side, corresponding
from qcore.calibration.calibrating import progress_bar, read_model
from qcore.calibration.samples import Feed, Feeder, NanPolicy, Sample, Samples, iterate
from qcore.errors import InputError, QCoreError
from qcore.kernels.opdef import Arithmetic, Array, OpDef
from qcore.model import Model
from qcore.numerics.metrics import ErrorSums
from qcore.runtime.plan import DEFAULT_LOOP_LIMIT, DEFAULT_MEMORY_LIMIT, Settings, require_arithmetic
from qcore.runtime.real_values import to_elements


def compare(
    float_model: Model | str | os.PathLike[str] | bytes,
    quantized_model: Model | str | os.PathLike[str] | bytes,
    samples: Samples,
    *,
    signature: str | None = None,
    nan: NanPolicy = "raise",
    progress: bool = False,
    arithmetic: Arithmetic = "reference",
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    loop_limit: int = DEFAULT_LOOP_LIMIT,
    custom_ops: Mapping[str, OpDef] | None = None,
) -> Comparison:
    """Find where a quantized model departs from its float model, operator by operator.

    Operators of the two files are matched by data flow and names; see ``qcore.analysis.matching``. Each is measured twice: *cumulative*,
    in the quantized model as a whole, and *isolated*, run alone with the float model's values as inputs, quantized as its own inputs are,
    so that only its own error shows. A bad scale between two operators shows in both: the one writes it, the other reads it. Errors are of
    real values, the quantized model's minus the float model's: codes are dequantized first. Metrics are of all samples together. What
    memory this takes does not depend on their number.

    An operator that has a state (variables) starts each sample anew, and is run alone from its initial state. One that is no function of
    its inputs (control flow, resources, random numbers) is not run alone; subgraphs that it calls are not looked into.

    Args:
        float_model: the model that is right: a ``Model``, a path or a file's bytes. It may be quantized itself.
        quantized_model: the one to judge, of any kind: int8, 16x8, dynamic range, float16, weights only.
        samples: in any form that ``qcore.calibrate`` takes, for the first model; the second is fed the same real values.
        signature: compare the subgraphs of this signature; None for the first ones.
        nan: "raise" refuses samples with NaN or infinities, "ignore" runs them.
        progress: show a progress bar on standard error.
        arithmetic: as for ``Interpreter``.
        memory_limit: likewise.
        loop_limit: likewise.
        custom_ops: likewise.

    Raises:
        InputError: an argument is wrong, inputs or outputs of the models do not correspond, there is no sample, or one does not fit.
        QCoreError: a model is wrong, or cannot run on a sample, which the message names.

    Source: tensorflow/lite/tools/optimize/debugging/python/debugger.py#QuantizationDebugger. Where it verifies the whole model, its figures
    are the cumulative ones, averaged over samples; else it gives both operators the quantized model's inputs, whose error then is no part
    of them.
    """
    require_arithmetic("compare", arithmetic)
    settings = Settings(arithmetic, True, memory_limit, loop_limit, custom_ops or {})
    return SideBySide(read_model(float_model), read_model(quantized_model), signature, nan, settings).take_all(samples, progress)


@dataclass
class Measured:
    """One output of an operator of the quantized model, and the errors seen of it.

    position, output: the operator, and which of its outputs. tensor: that output. reference: the float model's tensor that it stands for.
    misfits: samples on which the two have different shapes. runs_alone: samples on which the operator was run alone.
    """

    position: int
    output: int
    tensor: int
    reference: int
    isolated: ErrorSums = field(default_factory=ErrorSums)
    cumulative: ErrorSums = field(default_factory=ErrorSums)
    misfits: int = 0
    runs_alone: int = 0

    def take(self, expected: Array, actual: Array, alone: Array | None) -> None:
        """Take up the real values of a sample: the float model's, the quantized model's, and the operator's alone."""
        if expected.shape != actual.shape:
            self.misfits += 1
            return
        self.cumulative.add(expected, actual)
        if alone is not None and alone.shape == expected.shape:
            self.runs_alone += 1
            self.isolated.add(expected, alone)

    def remarks(self) -> list[str]:
        """What the metrics do not say."""
        both = self.isolated, self.cumulative
        said = {
            f"has another shape than its counterpart on {self.misfits} samples, which are left out": self.misfits,
            "has no elements": not self.cumulative.count and not self.misfits,
            "the float model's values are all 0, so that no error can be small": any(
                s.squared_error and not s.squared_reference for s in both
            ),
            "NaN or infinity in just one of the models": not all(math.isfinite(s.squared_error) for s in both),
        }
        return [remark for remark, holds in said.items() if holds]


@dataclass
class MeasuredOutput:
    """A pair of the models' outputs, and the errors seen of it.

    rows, agreeing: how many rows of at least two numbers there were, and in how many both have their greatest at the same place.
    """

    float_tensor: int
    quantized_tensor: int
    error: ErrorSums = field(default_factory=ErrorSums)
    rows: int = 0
    agreeing: int = 0

    def take(self, expected: Array, actual: Array) -> None:
        """Take up the real values of a sample, where shapes are equal."""
        if expected.shape != actual.shape:
            return
        self.error.add(expected, actual)
        if expected.ndim in (1, 2) and expected.shape[-1] >= 2:
            same = np.argmax(expected, axis=-1) == np.argmax(actual, axis=-1)
            self.rows += same.size
            self.agreeing += int(np.sum(same))


class SideBySide:
    """Both models, and the errors seen so far.

    Raises:
        InputError: inputs or outputs of the models do not correspond.
    """

    def __init__(self, float_model: Model, quantized_model: Model, signature: str | None, nan: NanPolicy, settings: Settings):
        subgraphs, self.inputs, outputs = corresponding(float_model, quantized_model, signature)
        self.feeder = Feeder(float_model, signature, nan)
        self.float, self.quantized = Side(float_model, subgraphs[0], settings), Side(quantized_model, subgraphs[1], settings)
        self.pairs = match(self.float.flow, self.quantized.flow, self.inputs, outputs)
        self.outputs = [MeasuredOutput(i, j) for i, j in outputs if self.float.has_real_values(i) and self.quantized.has_real_values(j)]
        found = {position: self.find(position) for position in range(len(self.quantized.graph.operators))}
        self.operators = {position: measured for position, measured in found.items() if measured}
        self.references = {position: self.inputs_of(position) for position in self.operators}
        self.obstacles = {position: self.obstacle(position) for position in self.operators}

    def find(self, position: int) -> list[Measured]:
        """Outputs of an operator that have a counterpart. DEQUANTIZE is passed over: it changes no real value."""
        operator = self.quantized.graph.operators[position]
        found = [(output, tensor, self.counterpart(tensor)) for output, tensor in enumerate(operator.outputs)]
        return [
            self.measured(position, output, tensor, reference)
            for output, tensor, reference in found
            if reference is not None
            and operator.name != "DEQUANTIZE"
            and self.float.has_real_values(reference)
            and self.quantized.has_real_values(tensor)
        ]

    def measured(self, position: int, output: int, tensor: int, reference: int) -> Measured:
        """What an output of an operator is measured with."""
        return Measured(position, output, tensor, reference)

    def counterpart(self, tensor: int) -> int | None:
        """The float model's tensor that one of the quantized model stands for.

        It is the one that holds the value first, unless that model gives the value the same forms one after the other.
        """
        value = self.quantized.flow.value.get(tensor)
        reference = None if value is None else self.pairs.of_b.get(value)
        if value is None or reference is None:
            return None
        theirs, ours = self.float.flow.forms[reference], self.quantized.flow.forms[value]
        types_alike = [self.float.graph.tensors[i].dtype for i in theirs] == [self.quantized.graph.tensors[i].dtype for i in ours]
        return theirs[ours.index(tensor)] if types_alike else reference

    def inputs_of(self, position: int) -> dict[int, int | None]:
        """By each computed input of an operator, the float model's tensor that it stands for."""
        inputs = self.quantized.graph.operators[position].inputs
        return {inputs[slot]: self.counterpart(inputs[slot]) for slot in self.quantized.flow.inputs(position)}

    def obstacle(self, position: int) -> str:
        """Why an operator cannot be run alone; nothing where it can."""
        if not self.quantized.is_function(position):
            return "not run alone: it may depend on more than its inputs"
        strange = [f"'{self.quantized.graph.tensors[i].name}'" for i, j in self.references[position].items() if j is None]
        return f"not run alone: the float model has no counterpart of {', '.join(strange)}" if strange else ""

    def take_all(self, samples: Samples, progress: bool) -> Comparison:
        """Run both models on samples; what was found.

        Raises:
            InputError: there is no sample, or one does not fit.
            QCoreError: a model cannot run on one.
        """
        source = iterate(samples)
        count = 0
        with progress_bar(progress, len(source) if isinstance(source, Sized) else None, "comparing") as advance:
            for sample in source:
                self.take(count, sample)
                count += 1
                advance(1)
        if not count:
            raise InputError("samples: there is none, a comparison needs at least one")
        return self.result(count)

    def take(self, number: int, sample: Sample) -> None:
        """Run both models on a sample, then each operator of the quantized one alone.

        Raises:
            InputError: the sample does not fit.
            QCoreError: a model cannot run on it.
        """
        feed = self.feeder.feed(number, sample)
        if feed.subgraph != self.float.subgraph:
            raise InputError(f"sample {number}: is for subgraph {feed.subgraph}, compared is {self.float.subgraph}")
        try:
            self.measure(feed)
        except QCoreError as error:
            raise type(error)(f"sample {number}: {error}") from error

    def measure(self, feed: Feed) -> None:
        """Take up the errors on one sample."""
        self.float.run(feed.values)
        self.quantized.run({j: to_elements(self.quantized.graph.tensors[j], self.float.real(i)) for i, j in self.inputs})
        for position, found in self.operators.items():
            alone = self.run_alone(position)
            for measured in found:
                actual = self.quantized.real(measured.tensor)
                measured.take(self.float.real(measured.reference), actual, alone[measured.output] if alone else None)
        for output in self.outputs:
            output.take(self.float.real(output.float_tensor), self.quantized.real(output.quantized_tensor))

    def run_alone(self, position: int) -> list[Array]:
        """Real values of an operator's outputs given the float model's values; nothing where that is not to be had."""
        references = {i: j for i, j in self.references[position].items() if j is not None}
        if self.obstacles[position] or any(self.float.shape(j) != self.quantized.shape(i) for i, j in references.items()):
            return []
        return self.quantized.alone(position, {i: self.float.real(j) for i, j in references.items()})

    def result(self, samples: int) -> Comparison:
        """What was found."""
        flows = self.float.flow, self.quantized.flow
        return Comparison(
            samples,
            tuple(self.row(measured) for found in self.operators.values() for measured in found),
            tuple(self.output_row(output) for output in self.outputs),
            tuple(self.float.name(p) for p in flows[0].operators if self.pairs.of_a.keys().isdisjoint(flows[0].outputs(p))),
            tuple(self.quantized.name(p) for p in flows[1].operators if self.pairs.of_b.keys().isdisjoint(flows[1].outputs(p))),
        )

    def row(self, measured: Measured) -> OperatorError:
        """The row of an operator's output."""
        position, tensor = measured.position, self.quantized.graph.tensors[measured.tensor]
        changes_form = measured.tensor not in self.quantized.flow.producer
        reference = None if changes_form else self.float.flow.producer.get(self.float.flow.value[measured.reference])
        return OperatorError(
            index=position,
            operator=self.quantized.graph.operators[position].name,
            reference_index=reference,
            reference_operator=None if reference is None else self.float.graph.operators[reference].name,
            tensor=tensor.name,
            dtype=tensor.dtype,
            scale=self.quantized.scale(measured.tensor),
            isolated=measured.isolated.metrics() if measured.runs_alone else None,
            cumulative=measured.cumulative.metrics(),
            note="; ".join(filter(None, (self.obstacles[position], self.quantized.remark(position), *measured.remarks()))),
        )

    def output_row(self, output: MeasuredOutput) -> OutputError:
        """The row of an output of the models."""
        tensor = self.quantized.graph.tensors[output.quantized_tensor]
        return OutputError(
            tensor=tensor.name,
            reference_tensor=self.float.graph.tensors[output.float_tensor].name,
            dtype=tensor.dtype,
            scale=self.quantized.scale(output.quantized_tensor),
            error=output.error.metrics(),
            top1_agreement=output.agreeing / output.rows if output.rows else None,
        )
