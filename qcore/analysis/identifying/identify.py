"""``identify``: whose arithmetic made these numbers, operator by operator.

A network is cut at the tensors that a dump holds. Each piece, which is one operator where every tensor was dumped and the whole network
where only its outputs were, is run on the dumped values in each arithmetic; those that give what was dumped may have made it. So a
deviation shows where it arises, and nowhere after that.

Integers fit where they are equal. Floats fit within rounding; so that they tell arithmetics apart all the same, operators are
computed to the last bit as each arithmetic's own kernels do (``floats``), and those that are equal to the bit go before those that fit.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, get_args

from qcore.analysis.given import elements_of, named_tensors, terminal_names
from qcore.analysis.identifying.floats import BUILDS, Build, Package
from qcore.analysis.identifying.identification import ARITHMETICS, Identification, Mismatch, Verdict
from qcore.analysis.identifying.replay import Replay, ReplayingSession, Values
from qcore.errors import InputError, QCoreError
from qcore.kernels.opdef import Arithmetic
from qcore.model import OPTIONAL, Model, Operator, Subgraph
from qcore.runtime.plan import PlannedOperator
from qcore.schema import load

MIXTURES = 60
"""Mixtures of arithmetics that are tried where no single one fits."""

ROUNDING = 1e-6
"""What each operator may add to the difference of floats, as part of the greatest magnitude, beside its own tolerance."""


def identify(
    model: Model | str | os.PathLike[str] | bytes,
    inputs: Any,
    outputs: Any,
    tensors: Mapping[str, Any] | None = None,
    package: Package | None = None,
) -> Identification:
    """Say which arithmetic turned a model's inputs into somebody's outputs, and where none can have.

    Args:
        model: a ``Model``, a path or a file's bytes; its first subgraph is meant.
        inputs: an array, arrays in the model's order, or by name; floats given for a quantized tensor are real values, all else codes.
        outputs: likewise; those that are left out by name are not checked.
        tensors: values of any other tensors by name: with all of them, every operator is judged by itself. Inputs, constants and
            variables among them are ignored.
        package: the Python package that gave the outputs, tensorflow or ai-edge-litert, where that is known: the last bits of some
            floats depend on how it was compiled.

    Raises:
        InputError: a tensor that is none of the model's, or has another shape or type there; no such package.
        QCoreError: the model cannot run on these inputs.
    """
    if package not in (None, *get_args(Package)):
        raise InputError(f"identify: package is {package!r}, expected one of {', '.join(get_args(Package))}")
    known = [build for build in BUILDS if package in (None, build.package)]
    loaded = model if isinstance(model, Model) else load(model)
    graph = loaded.subgraphs[0]
    given = elements_of("input", graph, graph.inputs, terminal_names(loaded, 0, "inputs"), inputs)
    missing = [graph.tensors[i].name for i in graph.inputs if i not in given]
    if missing:
        raise InputError(f"identify: no value for input {', '.join(map(repr, missing))}")
    computed = {o for operator in graph.operators for o in operator.outputs}
    others, repeated = named_tensors(graph, tensors or {})
    dump = {i: array for i, array in others.items() if i in computed and not graph.tensors[i].is_variable}
    dump |= elements_of("output", graph, graph.outputs, terminal_names(loaded, 0, "outputs"), outputs)
    replays: dict[Arithmetic, Replay] = {a: Replay(ReplayingSession(loaded, a), 0, given) for a in ARITHMETICS}
    best = {a: best_walk(replays, a, known, given, dump) for a in ARITHMETICS}
    walks = {a: findings for a, (findings, _) in best.items()}
    builds = {a: build.name for a, (_, build) in best.items() if build is not known[0]}
    running = [k for k, operator in enumerate(graph.operators) if id(operator) in replays["reference"].planned]
    notes = tuple(f"not checked: {name}" for name in repeated)
    found = Identification(tuple(verdicts(graph, running, dump, walks)), builds=builds, notes=notes)
    if found.fits or not replays["reference"].pure:
        return found
    return replace(found, mixture=fitting_mixture(replays, found, given, dump))


def best_walk(
    replays: Mapping[Arithmetic, Replay], arithmetic: Arithmetic, builds: Sequence[Build], inputs: Values, dump: Values
) -> tuple[dict[int, Mismatch | str], Build]:
    """The walk in an arithmetic whose floats are nearest to the dump's, and the build that gives them: the first where some are alike."""
    graph, session = replays["reference"].executor.graph, replays[arithmetic].session
    by_kind = dict.fromkeys(map(partial(kind, graph), graph.operators), arithmetic)
    session.built(builds[0])
    best = walk(replays, by_kind, inputs, dump), builds[0]
    for build in builds[1:]:
        if not any(isinstance(m, Mismatch) and m.differing and m.tolerance for m in best[0].values()):
            break
        if not session.built_operators or (build.threads > 1 and "CONV_2D" not in session.built_operators):
            continue
        session.built(build)
        best = min(best, (walk(replays, by_kind, inputs, dump), build), key=lambda pair: missed(pair[0]))
    session.built(best[1])
    return best


def missed(findings: Mapping[int, Mismatch | str]) -> tuple[int, int]:
    """Tensors, and elements, that are not to the bit."""
    mismatches = [m for m in findings.values() if isinstance(m, Mismatch)]
    return sum(not m.equal for m in mismatches), sum(m.differing for m in mismatches)


def walk(
    replays: Mapping[Arithmetic, Replay], by_kind: Mapping[str, Arithmetic], inputs: Values, dump: Values
) -> dict[int, Mismatch | str]:
    """Run the network on the dump's values as far as it has some; by tensor number, how its other values differ, or why that is not known.

    by_kind: whose kernels run each kind of operator.
    """
    graph = replays["reference"].executor.graph
    values = replays["reference"].start() | inputs
    tolerances: dict[int, float] = {}
    unsure = set[int]()
    findings: dict[int, Mismatch | str] = {}
    for operator in graph.operators:
        replay = replays[by_kind[kind(graph, operator)]]
        planned = replay.planned.get(id(operator))
        if planned is None:  # it was computed with the plan
            continue
        read = [i for i in operator.inputs if i != OPTIONAL]
        tolerance = max((tolerances.get(i, 0.0) for i in read), default=0.0) + own_tolerance(graph, planned)
        sure = unsure.isdisjoint(read)
        results, note = Values(), "not computed: a value before it is missing"
        if all(i in values for i in read):
            try:
                results, known = replay.run(planned, values)
                sure = sure and known
            except QCoreError as error:
                note = f"not computed: {error}"
        for o in operator.outputs:
            if o in dump:
                findings[o] = Mismatch.between(results[o], dump[o], tolerance, sure) if o in results else note
                results[o] = dump[o]
            else:
                tolerances[o] = tolerance
                unsure |= set() if sure else {o}
        values |= results
    return findings


def own_tolerance(graph: Subgraph, planned: PlannedOperator) -> float:
    """What an operator may add to the difference of floats, as part of the greatest magnitude."""
    slot, inputs = planned.definition.principal, planned.operator.inputs
    dtype = graph.tensors[inputs[slot]].dtype if slot < len(inputs) and inputs[slot] != OPTIONAL else ""
    tolerance = planned.definition.tolerances.get(dtype)
    return ROUNDING if tolerance is None else ROUNDING + tolerance.relative


def kind(graph: Subgraph, operator: Operator) -> str:
    """What an operator is: its name and the types of its first input and output."""
    types = [graph.tensors[i].dtype for indices in (operator.inputs, operator.outputs) for i in indices[:1] if i != OPTIONAL]
    return f"{operator.name} {' to '.join(dict.fromkeys(types))}".strip()


def verdicts(
    graph: Subgraph, running: Sequence[int], dump: Values, walks: Mapping[Arithmetic, Mapping[int, Mismatch | str]]
) -> Iterator[Verdict]:
    """What each arithmetic's walk found, by dumped tensor, in the order that operators run.

    running: positions of the operators that were not computed with the plan.
    """
    producer = {o: position for position in running for o in graph.operators[position].outputs}
    for o in sorted(walks["reference"], key=lambda o: (producer[o], o)):
        part = part_of(graph, producer, o, dump)
        found = {a: findings[o] for a, findings in walks.items()}
        mismatches = {a: m for a, m in found.items() if isinstance(m, Mismatch)}
        note = next((m for m in found.values() if isinstance(m, str)), "")
        operators = [graph.operators[position] for position in part]
        names, kinds = tuple(operator.name for operator in operators), tuple(dict.fromkeys(kind(graph, each) for each in operators))
        yield Verdict(graph.tensors[o].name, graph.tensors[o].dtype, part, names, kinds, {} if note else mismatches, note)


def part_of(graph: Subgraph, producer: Mapping[int, int], tensor: int, dump: Values) -> tuple[int, ...]:
    """Positions of the operators that compute a tensor from dumped ones."""
    found = {producer[tensor]}
    pending = [producer[tensor]]
    while pending:
        read = (i for i in graph.operators[pending.pop()].inputs if i in producer and i not in dump)
        new = {producer[i] for i in read} - found
        found |= new
        pending += new
    return tuple(sorted(found))


def fitting_mixture(
    replays: Mapping[Arithmetic, Replay], found: Identification, inputs: Values, dump: Values
) -> dict[str, Arithmetic] | None:
    """An arithmetic for each kind of operator on which they disagree, so that all tensors fit; None where no such was found."""
    graph = replays["reference"].executor.graph
    alone = found.by_kind
    if any(not fits for fits in alone.values()) or any(verdict.note for verdict in found.verdicts):
        return None
    choices = {k: alone.get(k, ARITHMETICS) for k in dict.fromkeys(kind(graph, operator) for operator in graph.operators)}
    disputed = {k: fits for k, fits in choices.items() if k in disagreeing(replays, inputs, dump)}
    for chosen in itertools.islice(mixtures(disputed), MIXTURES):
        by_kind = {k: chosen.get(k, fits[0]) for k, fits in choices.items()}
        if all(isinstance(m, Mismatch) and m.fits for m in walk(replays, by_kind, inputs, dump).values()):
            return chosen
    return None


def mixtures(choices: Mapping[str, Sequence[Arithmetic]]) -> Iterator[dict[str, Arithmetic]]:
    """Every way to choose an arithmetic for each kind, those first in which fewest kinds depart from what most have."""
    seen: list[dict[str, Arithmetic]] = []
    for departing in range(1, len(choices)):
        for usual in ARITHMETICS:
            for kinds in itertools.combinations(choices, departing):
                others = [[a for a in choices[k] if a != usual] for k in kinds]
                if all(usual in fits for k, fits in choices.items() if k not in kinds):
                    for own in itertools.product(*others):
                        chosen = dict.fromkeys(choices, usual) | dict(zip(kinds, own, strict=True))
                        if chosen not in seen:
                            seen.append(chosen)
                            yield chosen


def disagreeing(replays: Mapping[Arithmetic, Replay], inputs: Values, dump: Values) -> set[str]:
    """Kinds of operators to which arithmetics give other outputs on the same inputs."""
    reference = replays["reference"]
    graph = reference.executor.graph
    values, found = reference.start() | inputs, set[str]()
    for operator in graph.operators:
        if id(operator) not in reference.planned:
            continue
        if any(i not in values for i in operator.inputs if i != OPTIONAL):
            continue
        try:
            results = {a: replay.run(replay.planned[id(operator)], values)[0] for a, replay in replays.items()}
        except QCoreError:
            continue
        first = results["reference"]
        if any(not Mismatch.between(other[o], first[o]).equal for other in results.values() for o in operator.outputs):
            found.add(kind(graph, operator))
        values |= first | {o: dump[o] for o in operator.outputs if o in dump}
    return found
