"""What operators of a model read, as samples run through all operators before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from qcore.calibration.samples import Feed, Feeder
from qcore.kernels.opdef import Array, Step
from qcore.model import OPTIONAL, Model, Operator
from qcore.quantizer.graph import Graph
from qcore.quantizer.recovery.moments import Real
from qcore.runtime.plan import Settings
from qcore.runtime.real_values import to_real
from qcore.runtime.session import REMEMBERING, Session, has_state

_SETTINGS = Settings(engine="fast")

KEPT = 1 << 27
"""Bytes, at most, of what all samples leave to be read behind an operator."""


def feeds(model: Model, samples: Sequence[Any]) -> list[Feed]:
    """What samples give the inputs of a model, as its own elements.

    Raises:
        InputError: a sample does not fit.
    """
    feeder = Feeder(model)
    return [feeder.feed(number, sample) for number, sample in enumerate(samples)]


class Walk:
    """What one operator of a subgraph after another reads, as samples run through all operators before it, as these are by then.

    What samples leave to be read behind an operator is kept, so that those before it need not run again; unless it takes more than KEPT
    bytes, or the model carries something from one sample to the next.

    Args:
        model: that is run; an operator's constants may change when its turn is over.
        subgraph: which one.
        fed: what each sample gives its inputs.
    """

    def __init__(self, model: Model, subgraph: int, fed: Sequence[Feed]) -> None:
        self._model, self._subgraph, self._graph = model, subgraph, model.subgraphs[subgraph]
        self._start, self._kept = 0, [feed.values for feed in fed]
        self._remembers = has_state(model)
        self._varying = set(self._graph.inputs)
        for operator in self._graph.operators:
            if self._varies(operator):
                self._varying |= set(operator.outputs) - {OPTIONAL}

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self._kept)

    def inputs(self, operator: Operator, slot: int, goes_on: bool = True) -> Iterator[tuple[Real, Step | None]]:
        """What an operator reads for each sample, and what it was prepared with: None where that is not known before it runs.

        Args:
            operator: not before the latest with which the walk went on.
            slot: of its inputs, which is looked at.
            goes_on: no operator before this one will be asked for.

        Returns:
            float64[...], real units, and the step, for sample after sample.

        Raises:
            QCoreError: the model cannot run on a sample.
        """
        end, wanted = self._graph.operators.index(operator), operator.inputs[slot]
        left = self._left(end)
        outputs = dict.fromkeys([*left, wanted, operator.outputs[0]])
        part = replace(
            self._graph,
            operators=[each for i, each in enumerate(self._graph.operators[: end + 1]) if i >= self._start or not self._varies(each)],
            inputs=list(self._kept[0]),
            outputs=[tensor for tensor in outputs if tensor not in self._kept[0]],
        )
        graphs = [part if i == self._subgraph else other for i, other in enumerate(self._model.subgraphs)]
        session = Session(replace(self._model, subgraphs=graphs), _SETTINGS)
        following: list[dict[int, Array]] | None = [] if goes_on and not self._remembers else None
        size = 0
        for kept in self._kept:
            session.restart()
            results = session.call(self._subgraph, [kept[tensor] for tensor in part.inputs])
            values = kept | dict(zip(part.outputs, results, strict=True))
            plan = session.executor(self._subgraph).allocated()
            step = next((planned.step for planned in plan.operators if planned.operator is operator), None)
            yield to_real(self._graph.tensors[wanted], values[wanted]).astype(np.float64), step
            if following is not None:
                following.append({tensor: values[tensor] for tensor in left})
                size += sum(array.nbytes for array in following[-1].values())
                following = following if size <= KEPT else None
        if following is not None:
            self._start, self._kept = end, following

    def _varies(self, operator: Operator) -> bool:
        """What it computes is not the same for all samples."""
        return operator.name in REMEMBERING or not self._varying.isdisjoint(operator.inputs)

    def _left(self, end: int) -> list[int]:
        """What samples leave to be read by operators from this one on."""
        before, behind = self._graph.operators[:end], self._graph.operators[end:]
        made = {*self._graph.inputs, *(tensor for operator in before for tensor in operator.outputs)}
        read = {*self._graph.outputs, *(tensor for operator in behind for tensor in operator.inputs)}
        return sorted(self._varying & made & read)


def walks(model: Model, quantized: Model, samples: Sequence[Any]) -> dict[int, tuple[Walk, Walk]]:
    """Walks over both models, by the number of each subgraph that samples are for.

    Raises:
        InputError: a sample does not fit.
    """
    real, other = feeds(model, samples), feeds(quantized, samples)
    return {
        number: (
            Walk(model, number, [feed for feed in real if feed.subgraph == number]),
            Walk(quantized, number, [feed for feed in other if feed.subgraph == number]),
        )
        for number in {feed.subgraph for feed in real}
    }


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
