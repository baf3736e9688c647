"""``calibrate``: run a float model on samples and keep statistics of every tensor on the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from rich.console import Console
from rich.progress import Progress

from qcore.calibration.observers import Method, check_method
from qcore.calibration.samples import Feed, Feeder, NanPolicy, Sample, Samples, iterate
from qcore.calibration.sharding import in_shards
from qcore.calibration.sharing import overwritten_inputs
from qcore.calibration.statistics import Statistics, is_calibrated
from qcore.errors import InputError, QCoreError
from qcore.kernels.opdef import Arithmetic, Array, OpDef
from qcore.model import Model
from qcore.runtime.plan import DEFAULT_LOOP_LIMIT, DEFAULT_MEMORY_LIMIT, Plan, Settings, require_arithmetic
from qcore.runtime.session import Session
from qcore.schema import load
from qcore.schema.check import check

Numbered = tuple[int, Sample]


@dataclass(frozen=True)
class Options:
    """What a shard needs to know besides the model and its samples; see ``calibrate``."""

    method: Method
    percentile: float
    signature: str | None
    nan: NanPolicy
    settings: Settings


def calibrate(
    model: Model | str | os.PathLike[str] | bytes,
    samples: Samples,
    method: Method = "minmax",
    *,
    percentile: float = 99.99,
    signature: str | None = None,
    nan: NanPolicy = "raise",
    first_sample: int = 0,
    executor: Executor | None = None,
    progress: bool = False,
    arithmetic: Arithmetic = "builtin",
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    loop_limit: int = DEFAULT_LOOP_LIMIT,
    custom_ops: Mapping[str, OpDef] | None = None,
) -> Statistics:
    """Run a float model on samples, and keep statistics of the values of each of its tensors.

    Looked at are the float32 tensors of all subgraphs that are not constant: inputs, variables and operators' outputs, in control flow
    those of every call. Each sample is run on its own: variables, and whatever else a model keeps, start anew with it. One pass over the
    samples serves every method, and memory does not grow with their number.

    Args:
        model: a ``Model``, a path or a file's bytes.
        samples: an iterable of samples (a list, a generator, an array with samples along its first axis); a function that gives one; or a
            folder of ``.npy`` and ``.npz`` files. A sample is the array of a model with one input, a list of arrays in the order of the
            inputs, a mapping from input name (the signature's or the tensor's own) to array, or a pair of a signature's key and such a
            mapping. Arrays are floats of any width where the input is float32 or quantized, else of the input's own type; a first
            dimension of 1 may be left out.
        method: how ``Statistics.range`` finds ranges: "minmax", "moving_average", "percentile", "entropy" or "mse".
        percentile: of method "percentile", over 50, at most 100.
        signature: key of the signature that samples go to which name none; without, the first subgraph.
        nan: "raise" refuses samples with NaN or infinities, "ignore" runs them. Those that the model computes are never refused: they
            are counted, left out of every range, and ``Statistics.report`` names them.
        first_sample: number of the first sample. Runs that are to be merged should not share numbers.
        executor: any ``concurrent.futures.Executor``; shards of the samples go to it. The statistics are the same, to the last bit.
        progress: show a progress bar on standard error.
        arithmetic: whose kernels; TensorFlow's calibrator runs "builtin".
        memory_limit: as for ``Interpreter``.
        loop_limit: likewise.
        custom_ops: likewise; they must be picklable for an executor of processes.

    Raises:
        InputError: an argument is wrong, there is no sample, or one does not fit; the message names sample and input.
        QCoreError: the model is wrong, or cannot run on a sample, which the message names.

    Source: tflite/tools/optimize/calibration/calibrator.cc; there variables live on from sample to sample.
    """
    check_method(method, percentile)
    require_arithmetic("calibrate", arithmetic)
    if isinstance(first_sample, bool) or not isinstance(first_sample, int) or not 0 <= first_sample < 1 << 62:
        raise InputError(f"calibrate: first_sample is {first_sample!r}, expected a number of at least 0")
    settings = Settings(arithmetic, memory_limit=memory_limit, loop_limit=loop_limit, custom_ops=custom_ops or {}, engine="fast")
    options = Options(method, percentile, signature, nan, settings)
    source = iterate(samples)
    with progress_bar(progress, len(source) if isinstance(source, Sized) else None) as advance:
        numbered = enumerate(source, first_sample)
        if executor is None:
            statistics = calibrate_shard(model, numbered, options, advance)
        else:
            statistics = calibrate_shards(executor, model, numbered, options, advance)
    if not statistics.samples:
        raise InputError("samples: there is none, calibration needs at least one")
    return statistics


def calibrate_shard(
    model: Model | str | os.PathLike[str] | bytes,
    numbered: Iterable[Numbered],
    options: Options,
    advance: Callable[[int], None] = lambda count: None,
) -> Statistics:
    """Statistics of some samples, given with their numbers in ascending order; ``advance`` is told of each that is done."""
    run = Run(read_model(model), options)
    for number, sample in numbered:
        run.take(number, sample)
        advance(1)
    return run.statistics


def calibrate_shards(
    executor: Executor,
    model: Model | str | os.PathLike[str] | bytes,
    numbered: Iterable[Numbered],
    options: Options,
    advance: Callable[[int], None],
) -> Statistics:
    """The same, in shards that an executor runs."""
    statistics = Statistics(options.method, options.percentile)
    for part in in_shards(executor, partial(calibrate_shard, read_model(model).to_bytes(), options=options), numbered):
        advance(part.samples)
        statistics = statistics.merge(part)
    return statistics


@dataclass
class Run:
    """A model that is being run on samples, and what was seen of it."""

    model: Model
    options: Options
    statistics: Statistics = field(init=False)

    def __post_init__(self) -> None:
        self.statistics = Statistics(self.options.method, self.options.percentile)
        self.feeder = Feeder(self.model, self.options.signature, self.options.nan)
        self.tensors = [{i: t for i, t in enumerate(graph.tensors) if is_calibrated(t)} for graph in self.model.subgraphs]
        self.plans: dict[int, tuple[Plan, dict[int, int]]] = {}
        self.number = 0
        self.session = Session(self.model, self.options.settings, self.observe)

    def observe(self, subgraph: int, values: Mapping[int, Array]) -> None:
        """Take up values that the present sample led to."""
        self.statistics.observe(self.number, subgraph, self.tensors[subgraph], values, self.overwritten(subgraph))

    def overwritten(self, subgraph: int) -> dict[int, int]:
        """By number of an output, the input that TensorFlow Lite writes it over, with the shapes of the present plan."""
        plan = self.session.executor(subgraph).allocated()
        known = self.plans.get(subgraph)
        if known is None or known[0] is not plan:
            known = plan, overwritten_inputs(self.model.subgraphs[subgraph], plan.shapes)
            self.plans[subgraph] = known
        return known[1]

    def take(self, number: int, sample: Sample) -> None:
        """Run one sample.

        Raises:
            InputError: it does not fit.
            QCoreError: the model cannot run on it.
        """
        feed = self.feeder.feed(number, sample)
        self.number = number
        try:
            self.invoke(feed)
        except QCoreError as error:
            raise type(error)(f"sample {number}: {error}") from error
        self.statistics.samples += 1

    def invoke(self, feed: Feed) -> None:
        """Run the model from a clean state."""
        self.session.restart()
        self.session.call(feed.subgraph, [feed.values[i] for i in self.model.subgraphs[feed.subgraph].inputs])


def read_model(model: Model | str | os.PathLike[str] | bytes) -> Model:
    """A model that was checked.

    Raises:
        QCoreError: it is damaged, or cannot be read.
    """
    if not isinstance(model, Model):
        return load(model)
    check(model)
    return model


@contextmanager
def progress_bar(shown: bool, total: int | None, work: str = "calibrating") -> Iterator[Callable[[int], None]]:
    """A bar on standard error, and the function that moves it on by so many samples."""
    with Progress(console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task(work, total=total)
        yield lambda count: bar.advance(task, count)
