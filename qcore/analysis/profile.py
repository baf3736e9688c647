"""Where the time of an invoke goes, operator by operator."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import prod
from types import MappingProxyType
from typing import Any

from qcore.analysis.coverage import Runner, runners
from qcore.kernels.opdef import Array, Shape
from qcore.model import OPTIONAL, Model, Operator
from qcore.runtime.executor import Executor
from qcore.runtime.plan import Settings
from qcore.runtime.session import Session

ROUND = 0.01
"""Seconds that a round of invokes takes at least, so that short ones are not lost in the steps of the clock."""

PASSES = 20
"""Passes over the operators in a round, at most."""

COUNTS: Mapping[str, Callable[[list[Shape], Shape], int]] = MappingProxyType(
    {
        "BATCH_MATMUL": lambda inputs, output: prod(output) * prod(inputs[0][-2:]) // max(output[-2], 1),
        "CONV_2D": lambda inputs, output: prod(output) * prod(inputs[1][1:]),
        "CONV_3D": lambda inputs, output: prod(output) * prod(inputs[1][:4]),
        "CONV_3D_TRANSPOSE": lambda inputs, output: prod(inputs[2]) * prod(inputs[1][:4]),
        "DEPTHWISE_CONV_2D": lambda inputs, output: prod(output) * prod(inputs[1][1:3]),
        "FULLY_CONNECTED": lambda inputs, output: prod(output) * inputs[1][-1],
        "TRANSPOSE_CONV": lambda inputs, output: prod(inputs[2]) * prod(inputs[1][:3]),
    }
)
"""Multiply-accumulates of an operator by the shapes of its inputs and its output; taps that fall on padding count too."""

RECURRENT = frozenset(
    {f"{prefix}{cell}" for prefix in ("", "UNIDIRECTIONAL_SEQUENCE_", "BIDIRECTIONAL_SEQUENCE_") for cell in ("LSTM", "RNN")} | {"SVDF"}
)
"""Operators that multiply every constant matrix with each vector of their first input."""


@dataclass(frozen=True)
class OperatorProfile:
    """An operator's part.

    index, operator: in the model. output: name of its first output, or "". shape: of that.
    seconds: median. macs: multiply-accumulates; 0 where they are not counted.
    runner: what ran it.
    """

    index: int
    operator: str
    output: str
    shape: Shape
    seconds: float
    macs: int
    runner: Runner


@dataclass(frozen=True)
class Rival:
    """Another runtime on the same model: median seconds of an invoke, and the median ratio of the model's time here to it, by rounds."""

    seconds: float
    ratio: float


@dataclass(frozen=True)
class Profile:
    """Times of a model, median over rounds.

    seconds: of an invoke as a whole, where operators run without a pause.
    operators: those that run, in the model's order, each timed by itself, less what it takes to call native code at all.
    rival: where there was one.
    """

    seconds: float
    operators: tuple[OperatorProfile, ...]
    rival: Rival | None = None

    @property
    def operator_seconds(self) -> float:
        """Of all operators together."""
        return sum(row.seconds for row in self.operators)

    @property
    def macs(self) -> int:
        """Of all operators together."""
        return sum(row.macs for row in self.operators)

    def slowest(self, count: int | None = None) -> list[OperatorProfile]:
        """Operators by their time, the longest first; None for all."""
        return sorted(self.operators, key=lambda row: -row.seconds)[:count]

    def as_dict(self, count: int | None = None) -> dict[str, Any]:
        """Plain data for JSON, of the slowest operators."""
        return {
            "seconds": self.seconds,
            "operator_seconds": self.operator_seconds,
            "macs": self.macs,
            "operators": [asdict(row) | {"runner": str(row.runner)} for row in self.slowest(count)],
            "rival": None if self.rival is None else asdict(self.rival),
        }


def profile(
    model: Model, settings: Settings, inputs: Mapping[int, Array], rounds: int, rival: Callable[[], object] | None = None
) -> Profile:
    """Time a model and its operators.

    Each round times invokes, the rival's, and passes over the operators one by one, so that all see the machine at the same moments.

    Args:
        model: whose first subgraph is run.
        settings: engine "auto" counts as "fast", which it becomes.
        inputs: elements by tensor number.
        rounds: of which the medians are taken.
        rival: invokes another runtime once.

    Raises:
        QCoreError: the model cannot run on these inputs.
    """
    if settings.engine == "auto":
        settings = replace(settings, engine="fast")
    executor = Session(model, settings).executor()
    for index, array in inputs.items():
        executor.resize(index, array.shape)
    executor.allocate()
    for index, array in inputs.items():
        executor.write(index, array)
    executor.invoke()
    ran_by, steps, calling = _steps(executor)
    loops = max(1, int(ROUND / _seconds(executor.invoke, 1)))
    own, other = list[float](), list[float]()
    times: list[list[float]] = [[] for _ in (calling, *steps)]
    for _ in range(rounds):
        own.append(_seconds(executor.invoke, loops))
        if rival is not None:
            other.append(_seconds(rival, loops))
        for _ in range(min(loops, PASSES)):
            for step, taken in zip((calling, *steps), times, strict=True):
                calling()  # what it takes to call is taken off, so it should always be the same
                taken.append(_seconds(step, 1))
    overhead, *seconds = map(statistics.median, times)
    numbers = {id(operator): number for number, operator in enumerate(executor.graph.operators)}
    rows = []
    for planned, runner, median in zip(executor.allocated().operators, ran_by, seconds, strict=True):
        operator = planned.operator
        tensor = executor.graph.tensors[operator.outputs[0]].name if operator.outputs else ""
        shape = executor.shape(operator.outputs[0]) if operator.outputs else ()
        alone = max(median - overhead, 0.0) if runner.reason is None else median
        macs = multiply_accumulates(operator, executor)
        rows.append(OperatorProfile(numbers[id(operator)], operator.name, tensor, shape, alone, macs, runner))
    ratio = statistics.median(mine / its for mine, its in zip(own, other, strict=True)) if other else 0.0
    return Profile(statistics.median(own), tuple(rows), Rival(statistics.median(other), ratio) if other else None)


def multiply_accumulates(operator: Operator, executor: Executor) -> int:
    """Of an operator, by its tensors' present shapes; 0 where they are not counted."""
    name, inputs = operator.code.name, [() if i == OPTIONAL else executor.shape(i) for i in operator.inputs]
    if name in COUNTS:
        return COUNTS[name](inputs, executor.shape(operator.outputs[0]))
    if name in RECURRENT:
        constants = executor.allocated().constants
        weights = sum(prod(shape) for i, shape in zip(operator.inputs, inputs, strict=True) if len(shape) == 2 and i in constants)
        return prod(inputs[0][:-1]) * weights
    return 0


def _steps(executor: Executor) -> tuple[list[Runner], list[Callable[[], object]], Callable[[], object]]:
    """What runs each operator of the plan; functions that run them; and one that calls native code that does nothing."""
    operators = executor.allocated().operators
    numpy: list[Callable[[], object]] = [partial(executor.run_operator, planned) for planned in operators]
    if executor.settings.engine == "reference":
        return [Runner(reason="the reference engine")] * len(operators), numpy, lambda: None
    from qcore.kernels.fast.cpu import tier
    from qcore.kernels.fast.program import Program
    from qcore.runtime.stages import lowered

    found = lowered(executor.allocated(), executor.values, executor.settings.threads)
    programs = [Program(one.calls, tier(), executor.settings.threads) for one in found]
    steps = [program.run if one.reason is None else own for one, program, own in zip(found, programs, numpy, strict=True)]
    return runners(found), steps, Program([], tier(), executor.settings.threads).run


def _seconds(run: Callable[[], object], loops: int) -> float:
    """Of one run, the mean of some."""
    start = time.perf_counter()
    for _ in range(loops):
        run()
    return (time.perf_counter() - start) / loops
