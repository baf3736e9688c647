"""Where the way to wider types ends: files on it are evaluated by the metric, and those around the limit quantized with all care."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qcore.analysis.evaluation import Evaluation
from qcore.analysis.tuning.choices import Choice, Space
from qcore.analysis.tuning.composing import compose
from qcore.analysis.tuning.files import Files
from qcore.analysis.tuning.judging import Judge
from qcore.analysis.tuning.measuring import Bench, run
from qcore.analysis.tuning.result import Point
from qcore.analysis.tuning.search import Sensitivity, Step, walk
from qcore.calibration.calibrating import progress_bar
from qcore.model import Model
from qcore.quantizer import Rule, Rules
from qcore.quantizer.recovery.recover import Accuracy, read_methods

APART = 10**0.2
"""What noise of constants that were taken from other models may be over that of constants that go together: 2 dB."""

ROUNDING = 1e-9
"""How far the difference of two shares of samples may be from what it stands for."""

AT_ONCE = 2
"""Files that are quantized with all care side by side."""


@dataclass(frozen=True, eq=False)
class File:
    """A file that was evaluated; choice: that it was made of; warnings: of its making."""

    model: Model
    choice: Choice
    point: Point
    evaluation: Evaluation
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limit:
    """What is asked for: the smallest file that loses at most ``loss``, or the best one of at most ``bytes``."""

    loss: float | None
    bytes: int | None

    def holds(self, point: Point) -> bool:
        """A file keeps to it."""
        return (self.loss is None or point.loss <= self.loss + ROUNDING) and (self.bytes is None or point.bytes <= self.bytes)

    def best(self, files: list[File]) -> File:
        """The file that was asked for; without one, that of the least loss."""
        held = [file for file in files if self.holds(file.point)]
        if held and self.loss is not None:
            return min(held, key=lambda file: (file.point.bytes, file.point.loss))
        return min(held or files, key=lambda file: (file.point.loss, file.point.noise))


class Decision:
    """Makes, evaluates and keeps files.

    Args:
        space: what there is to choose.
        bench: to measure with.
        judge: to evaluate with.
        files: to make them.
        accuracy: as for ``quantize_model``.
        limit: to keep to.
        progress: show progress bars on standard error.
    """

    def __init__(self, space: Space, bench: Bench, judge: Judge, files: Files, accuracy: Accuracy, limit: Limit, progress: bool):
        self.space, self.bench, self.judge, self.files = space, bench, judge, files
        self.accuracy, self.limit, self.progress = accuracy, limit, progress
        self.final = not read_methods(accuracy)

    def estimates(self, known: Sensitivity) -> list[File]:
        """Files on the way to wider types: up to some that hold the loss well, or to the last that fits the bytes; and that of int8."""
        found: list[File] = []
        enough = 0.0
        with progress_bar(self.progress, None, "choosing") as advance:
            for step in walk(self.space, self.bench, known, self.limit.bytes):
                found.append(self.estimate(step))
                advance(1)
                if self.limit.loss is not None and not enough and self.limit.holds(found[-1].point):
                    enough = step.noise / (1.0 if self.final else APART)
                if step.noise <= enough:
                    break
            plain = Step(self.space.throughout("int8"), known.plain, self.bench.noise(known.plain))
            if all(file.choice != plain.choice for file in found):
                found.append(self.estimate(plain))
        return found

    def estimate(self, step: Step) -> File:
        """The file of a step, made as it was measured."""
        job, rules = self.bench.job, self.space.rules(step.choice)
        return self.file(compose(job.model, job.statistics, job.bank, rules), step.choice, rules, step.noise, self.final)

    def file(self, model: Model, choice: Choice, rules: Rules, noise: float, final: bool, warnings: tuple[str, ...] = ()) -> File:
        """A model, evaluated."""
        found = self.judge.evaluate(model)
        point = Point(len(model.to_bytes()), found.value, self.judge.loss(found), noise, rules, final)
        return File(model, choice, point, found, warnings)

    def unquantized(self) -> File:
        """What rules make that keep everything in floating point."""
        rules = Rules.of([Rule(False)])
        ((model, _),) = self.files.make([rules], None, lambda count: None)
        return self.file(model, self.space.throughout("float32"), rules, 0.0, True)

    def tried(self, estimates: list[File], trials: int) -> list[File]:
        """Files around the limit, quantized with all of accuracy.

        For a limit of bytes the best two; for one of loss where estimates see it, where it is if they lie by 2 dB, then what these say.
        """
        way = self.descending(estimates)
        found: dict[int, File] = {}
        if self.limit.bytes is not None:
            wanted = list(range(len(way)))[-min(trials, AT_ONCE) :]
        else:
            first = next((i for i, file in enumerate(way) if self.limit.holds(file.point)), len(way) - 1)
            wanted = sorted({first, next(i for i, file in enumerate(way) if file.point.noise <= way[first].point.noise * APART)})[-trials:]
        with progress_bar(self.progress, trials, "quantizing") as advance:
            while wanted:
                made = self.files.make([way[i].point.rules for i in wanted], self.accuracy, advance)
                for i, (model, warned) in zip(wanted, made, strict=True):
                    noise = self.bench.power(self.bench.expected, run(model, self.bench.job.samples))
                    found[i] = self.file(model, way[i].choice, way[i].point.rules, noise, True, tuple(warned))
                held = {i: self.limit.holds(file.point) for i, file in found.items()}
                if self.limit.loss is not None:
                    wanted = next_trials(held, len(way), trials - len(found))
                elif any(held.values()):
                    wanted = []
                else:
                    # Biases that only some of them have made them larger than their estimates.
                    least = min(found)
                    wanted = list(range(max(0, least - min(trials - len(found), AT_ONCE)), least))
        return [found[i] for i in sorted(found)]

    def descending(self, estimates: list[File]) -> list[File]:
        """Files within the limit of bytes, the smallest first, of which each has less noise than all before."""
        way: list[File] = []
        for file in sorted(estimates, key=lambda file: (file.point.bytes, file.point.noise)):
            fits = self.limit.bytes is None or file.point.bytes <= self.limit.bytes
            if fits and (not way or file.point.noise < way[-1].point.noise):
                way.append(file)
        return way


def next_trials(held: Mapping[int, bool], count: int, left: int) -> list[int]:
    """Which files to try, after some: those between the last that fails and the first that holds the limit; without one, up to the last.

    Args:
        held: by number of a file that was tried, whether it holds the limit.
        count: of all files.
        left: trials; there is always one more where nothing holds.
    """
    good = min((i for i, holds in held.items() if holds), default=None)
    bad = max((i for i in held if good is None or i < good), default=-1)
    if good is None:
        left = min(max(left, 1), AT_ONCE, count - 1 - bad)
        return [bad + (count - 1 - bad) * (number + 1) // left for number in range(left)]
    left = min(left, AT_ONCE, good - bad - 1)
    return [bad + (good - bad) * (number + 1) // (left + 1) for number in range(left)]
