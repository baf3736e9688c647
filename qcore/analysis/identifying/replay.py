"""A model's operators, run one by one in an arithmetic, floats to the last bit where they are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qcore.analysis.identifying.delegation import left_to_builtin
from qcore.analysis.identifying.floats import BUILDS, Build, depends_on_build, in_order
from qcore.errors import ModelError
from qcore.kernels.opdef import Arithmetic, Array, Node
from qcore.model import OPTIONAL, Model
from qcore.runtime.plan import PlannedOperator, Settings, run_step
from qcore.runtime.session import Session

Values = dict[int, Array]
"""Elements by tensor number."""


class Replay:
    """A subgraph's operators; ``builtin`` runs those that XNNPACK leaves to the builtin kernels."""

    def __init__(self, session: ReplayingSession, subgraph: int, inputs: Mapping[int, Array]):
        self.session = session
        self.executor = session.executor(subgraph)
        for index, array in inputs.items():
            self.executor.resize(index, array.shape)
        self.executor.allocate()
        self.plan = self.executor.allocated()
        self.planned = {id(planned.operator): planned for planned in self.plan.operators}
        self.pure = all(planned.definition.pure for planned in self.plan.operators)
        self.builtin = None if session.builtin is None else Replay(session.builtin, subgraph, inputs)

    def start(self) -> Values:
        """What holds a value before anything runs, but the inputs."""
        return {**self.plan.constants, **{i: self.executor.fresh_variable(self.executor.graph.tensors[i]) for i in self.executor.variables}}

    def run(self, planned: PlannedOperator, values: Mapping[int, Array]) -> tuple[Values, bool]:
        """What an operator gives, its outputs and the variables that it updates; and whether floats are known to the last bit.

        Raises:
            QCoreError: it cannot run on these values.
        """
        node = self.node(planned, values)
        if self.builtin is not None and left_to_builtin(node):
            return self.builtin.run(self.builtin.planned[id(planned.operator)], values)
        if depends_on_build(node):
            self.session.built_operators.add(node.operator)
        operator = planned.operator
        step = planned.step or self.executor.planner.prepare_late(planned, values, self.plan.constants)
        step, sure = in_order(node, step, self.session.build, planned.definition)
        self.session.sure = True
        results = run_step(planned, step, [None if i == OPTIONAL else values[i] for i in operator.inputs])
        numbers = (*operator.outputs, *(operator.inputs[k] for k in step.updates))
        return dict(zip(numbers, results, strict=True)), sure and self.session.sure

    def node(self, planned: PlannedOperator, values: Mapping[int, Array]) -> Node:
        """An operator on these values, of which only those of the plan are known."""
        shapes = {i: values[i].shape for i in planned.operator.inputs if i != OPTIONAL}
        return self.executor.planner.node(planned, shapes, self.plan.constants)


class ReplayingSession(Session):
    """A session whose operators call subgraphs that are replayed, too.

    build: of the builtin kernels.
    built_operators: names of those that ran, here or in builtin, whose floats depend on the build.
    sure: floats of the subgraphs that were called last are known to the last bit.
    builtin: for XNNPACK, the session of the operators that it leaves alone.
    """

    def __init__(self, model: Model, arithmetic: Arithmetic):
        super().__init__(model, Settings(arithmetic, preserve_all_tensors=True))
        self.build = BUILDS[0]
        self.sure = True
        self.builtin = ReplayingSession(model, "builtin") if arithmetic == "xnnpack" else None
        self.built_operators: set[str] = set() if self.builtin is None else self.builtin.built_operators

    def built(self, build: Build) -> None:
        """From now on, take the builtin kernels of this build."""
        self.build = build
        if self.builtin is not None:
            self.builtin.built(build)

    def call(self, subgraph: int, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """See ``Session.call``."""
        graph = self._called(subgraph)
        if subgraph in self._running:
            raise ModelError(f"subgraph {subgraph} calls itself, by way of {self._running}")
        self._running.append(subgraph)
        try:
            given = dict(zip(graph.inputs, inputs, strict=True))
            replay = Replay(self, subgraph, given)
            values, all_sure = replay.start() | given, True
            for planned in replay.plan.operators:
                results, sure = replay.run(planned, values)
                values, all_sure = values | results, all_sure and sure
            self.sure = all_sure
            return tuple(values[i] for i in graph.outputs)
        finally:
            self._running.pop()
