"""What operators of a model read, as samples run through all operators before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from qcore.calibration.samples import Feed, Feeder
from qcore.kernels.opdef import Array, Step
from qcore.model import Model, Operator
from qcore.quantizer.graph import Graph
from qcore.quantizer.recovery.moments import Real
from qcore.runtime.plan import Settings
from qcore.runtime.real_values import to_real
from qcore.runtime.session import Session

_SETTINGS = Settings(engine="fast")


def feeds(model: Model, samples: Sequence[Any]) -> list[Feed]:
    """What samples give the inputs of a model, as its own elements.

    Raises:
        InputError: a sample does not fit.
    """
    feeder = Feeder(model)
    return [feeder.feed(number, sample) for number, sample in enumerate(samples)]


class Prefix:
    """The operators of a model's subgraph up to one of them, as they are now.

    Args:
        model: that is run.
        subgraph: which one.
        operator: the last to run.
        slot: of its inputs, which is looked at.
    """

    def __init__(self, model: Model, subgraph: int, operator: Operator, slot: int) -> None:
        graph = model.subgraphs[subgraph]
        self._operator, self._tensor, self._subgraph = operator, graph.tensors[operator.inputs[slot]], subgraph
        end = graph.operators.index(operator) + 1
        part = replace(graph, operators=graph.operators[:end], outputs=[operator.inputs[slot], operator.outputs[0]])
        graphs = [part if i == subgraph else other for i, other in enumerate(model.subgraphs)]
        self._session = Session(replace(model, subgraphs=graphs), _SETTINGS)

    def input(self, feed: Feed) -> Real:
        """float64[...]: what the operator reads of that input for a sample, in real units.

        Raises:
            QCoreError: the model cannot run on the sample.
        """
        self._session.restart()
        values = [feed.values[i] for i in self._session.executor(self._subgraph).graph.inputs]
        read, _ = self._session.call(self._subgraph, values)
        return to_real(self._tensor, read).astype(np.float64)

    def step(self) -> Step | None:
        """What the operator was prepared with for the latest sample; None where that is not known before it runs."""
        plan = self._session.executor(self._subgraph).allocated()
        return next((planned.step for planned in plan.operators if planned.operator is self._operator), None)


def without_softmax(model: Model) -> Model:
    """The model with outputs as they are before a SOFTMAX, which rounds what is small to nothing, and before they become real."""
    graphs = []
    for index, subgraph in enumerate(model.subgraphs):
        producers, outputs = Graph(model, index).producers(), list(subgraph.outputs)
        for place, tensor in enumerate(outputs):
            while tensor in producers and producers[tensor].name in ("SOFTMAX", "DEQUANTIZE"):
                tensor = producers[tensor].inputs[0]
            outputs[place] = tensor
        graphs.append(replace(subgraph, outputs=outputs))
    return replace(model, subgraphs=graphs)


def outputs(model: Model, fed: Sequence[Feed]) -> Iterator[list[Array]]:
    """The real outputs of a model for each sample.

    Raises:
        QCoreError: the model cannot run on it.
    """
    session = Session(model, _SETTINGS)
    for feed in fed:
        session.restart()
        graph = model.subgraphs[feed.subgraph]
        results = session.call(feed.subgraph, [feed.values[i] for i in graph.inputs])
        yield [to_real(graph.tensors[i], result) for i, result in zip(graph.outputs, results, strict=True)]
