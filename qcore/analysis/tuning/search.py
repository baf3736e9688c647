"""The way from the narrowest choice to wider ones: what takes most noise out for its bytes goes first, and is measured again on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from qcore.analysis.tuning.choices import Choice, Move, Space
from qcore.analysis.tuning.measuring import Bench, Measured

ROUNDS = 40
"""A way is cut into about so many steps."""

LOOKED_AT = 3
"""Moves that are measured again for each that is made."""


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """What the types of single operators and regions do to the outputs, while all others are int8.

    plain: all int8. weights: by operator, noise by type. regions: by region, noise of int8. worth: by move, noise that it takes out.
    price: by move, bytes of file and activations that it takes.
    """

    plain: Measured
    weights: list[dict[str, float]]
    regions: list[float]
    worth: dict[Move, float] = field(default_factory=dict)
    price: dict[Move, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Step:
    """A place on the way.

    noise: of the outputs, relative to their power.
    """

    choice: Choice
    measured: Measured
    noise: float


def sensitivity(space: Space, bench: Bench, advance: Callable[[int], None]) -> Sensitivity:
    """Measures every move by itself; all are measured with all else int8, where noises hardly disturb each other."""
    plain, narrowest = space.throughout("int8"), space.narrowest
    lower = [Move(place, "int4") for place, kind in enumerate(narrowest.weights) if kind == "int4"]
    upper = [Move(place, "float32") for place in range(len(space.weighted))]
    wide = [Move(number, "int16") for number in range(len(space.regions))]
    moves = [*lower, *upper, *wide]
    first, *rest = bench.measure([space.rules(choice) for choice in (plain, *(move.applied(plain) for move in moves))], advance)
    by_move = dict(zip(moves, rest, strict=True))
    weights = []
    for place in range(len(space.weighted)):
        real = by_move[Move(place, "float32")]
        measured = {"int4": by_move.get(Move(place, "int4")), "int8": first, "float32": real}
        weights.append({kind: bench.power(real.outputs, one.outputs) for kind, one in measured.items() if one is not None})
    found = Sensitivity(first, weights, [bench.power(first.outputs, by_move[move].outputs) for move in wide])
    for move, one in by_move.items():
        # From int4 to int8 is the way back of what was measured.
        way = replace(move, to="int8") if move.to == "int4" else move
        found.worth[way] = bench.power(first.outputs, one.outputs)
        found.price[way] = abs(one.memory - first.memory)
    return found


def walk(space: Space, bench: Bench, known: Sensitivity, max_bytes: int | None = None) -> Iterator[Step]:
    """The steps from the narrowest choice on, for as long as they are asked for.

    Args:
        space: what there is to choose.
        bench: to measure with.
        known: where to start from; a round measures the most promising moves again, as things have become.
        max_bytes: of the file.
    """
    worth, price, refused = dict(known.worth), dict(known.price), set[Move]()
    choice = space.narrowest
    (now,) = bench.measure([space.rules(choice)])
    total = len(space.weighted) * (len(space.types) - 1) + len(space.regions)
    at_once = max(1, total // ROUNDS)
    yield Step(choice, now, bench.noise(now))
    while moves := [move for move in space.moves(choice) if move not in refused]:
        looked_at = ranked(moves, worth, price)[: LOOKED_AT * at_once]
        for move, one in zip(looked_at, bench.measure([space.rules(move.applied(choice)) for move in looked_at]), strict=True):
            worth[move], price[move] = bench.power(now.outputs, one.outputs), one.memory - now.memory
            if worth[move] == 0 or (max_bytes is not None and one.bytes > max_bytes):
                refused.add(move)
        made = [move for move in ranked(looked_at, worth, price) if move not in refused][:at_once]
        while made:
            wider = choice
            for move in made:
                wider = move.applied(wider)
            (then,) = bench.measure([space.rules(wider)])
            if max_bytes is None or then.bytes <= max_bytes:
                choice, now = wider, then
                yield Step(choice, now, bench.noise(now))
                break
            made = made[: len(made) // 2]


def ranked(moves: list[Move], worth: Mapping[Move, float], price: Mapping[Move, int]) -> list[Move]:
    """Moves by the noise that they take out for each byte, the best first."""
    return sorted(moves, key=lambda move: (-worth.get(move, 0.0) / max(price.get(move, 1), 1), move))
