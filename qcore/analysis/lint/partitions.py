"""How a runtime cuts a graph into pieces for a target and pieces for the CPU."""

from __future__ import annotations

from collections.abc import Collection

from qcore.model import Subgraph


def partitions(graph: Subgraph, mapped: Collection[int]) -> list[list[int]]:
    """The pieces that the target is given: operators by position.

    Operators whose inputs are there are taken as long as they are of one kind, mapped or not; then those of the other kind, in turn.

    Source: tflite/graph_info.cc#PartitionGraphIntoIndependentNodeSubsets, which also orders operators with side effects.
    """
    producer = {o: position for position, operator in enumerate(graph.operators) for o in operator.outputs}
    waiting = dict.fromkeys(range(len(graph.operators)))
    needs = [{producer[i] for i in operator.inputs if i in producer and producer[i] != k} for k, operator in enumerate(graph.operators)]
    done: set[int] = set()
    pieces: list[list[int]] = []
    while waiting:
        kind: bool | None = None
        piece: list[int] = []
        for position in list(waiting):
            if needs[position] <= done and (kind is None or (position in mapped) == kind):
                kind = position in mapped
                piece.append(position)
                done.add(position)
                del waiting[position]
        if not piece:  # a graph whose operators wait for each other
            break
        if kind:
            pieces.append(piece)
    return pieces
