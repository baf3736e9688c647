"""Calibration of whole models: what is looked at, clean states, shards, memory."""

from __future__ import annotations

import concurrent.futures
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import qcore
from qcore.calibration import calibrate
from qcore.calibration.sharding import SHARD
from qcore.model import Model
from tests.calibration.executors import EXECUTORS
from tests.calibration.models import counter, loop, one_input, recurrent, residual, tensor, two_inputs, two_signatures

RNG = np.random.default_rng(9)


def samples(count: int, shape: tuple[int, ...] = (1, 4)) -> list[np.ndarray]:
    return list(RNG.normal(size=(count, *shape)).astype(np.float32))


def ends(model: Model, data: object, **options: object) -> dict[str, tuple[float, float]]:
    stats = calibrate(model, data, **options)  # type: ignore[arg-type]
    return {t.name: (t.minimum, t.maximum) for t in stats.tensors.values()}


def test_inputs_and_every_operators_output_are_seen() -> None:
    found = ends(two_inputs(), [[np.float32([[1, 2, 3, 4]]), np.float32([[4, 2, 0, -6]])]])
    assert found == {"a": (1, 4), "b": (-6, 4), "d": (-3, 10), "y": (-10, 3)}


def test_the_statistics_are_those_of_the_values() -> None:
    data = samples(20)
    stats = calibrate(one_input(), data)
    t = stats.tensors[0, 1]
    everything = np.abs(np.concatenate(data))
    assert (t.count, t.minimum, t.maximum) == (80, everything.min(), everything.max())
    assert stats.samples == 20
    np.testing.assert_array_equal(t.recent.highs, everything.max(axis=1))


def test_constants_and_integers_are_not_looked_at() -> None:
    stats = calibrate(loop(), [np.float32([1])])
    assert {t.name for t in stats.tensors.values()} == {"x", "y", "c", "b", "twice"}


def test_loops_are_seen_in_every_iteration() -> None:
    found = ends(loop(), [np.float32([3])])
    assert found == {"x": (3, 3), "c": (3, 192), "b": (3, 96), "twice": (6, 192), "y": (192, 192)}


def test_a_subgraph_that_never_runs_has_no_statistics() -> None:
    assert set(ends(loop(), [np.float32([500])])) == {"x", "c", "y"}


def test_signatures_have_statistics_of_their_own_subgraphs() -> None:
    one, two = samples(2)
    stats = calibrate(two_signatures(), [("double", {"in": one}), ("negate", {"in": two}), ("double", {"in": two})])
    assert {key: (t.name, t.count) for key, t in stats.tensors.items()} == {
        (0, 0): ("x", 8),
        (0, 1): ("sum", 8),
        (1, 0): ("x", 4),
        (1, 1): ("minus", 4),
    }
    assert stats.range(1, 1) == (-two.max(), -two.min())


@pytest.mark.parametrize("model", [recurrent, counter])
def test_every_sample_starts_from_a_clean_state(model: object) -> None:
    shape = (1, 2) if model is recurrent else (1, 4)
    data = [np.full(shape, 3, np.float32)] * 5
    stats = calibrate(model(), data)  # type: ignore[operator]
    result = next(t for t in stats.tensors.values() if t.name in ("y", "new"))
    assert (result.minimum, result.maximum) == (3, 3)


def test_variables_are_seen_before_and_after_they_change() -> None:
    stats = calibrate(recurrent(), [np.float32([[2, 3]])])
    state = next(t for t in stats.tensors.values() if t.name == "state")
    assert (state.count, state.minimum, state.maximum) == (4, 0, 3)


def test_shapes_may_change_from_sample_to_sample() -> None:
    stats = calibrate(one_input((1, 4), (-1, 4)), [np.ones((n, 4), np.float32) for n in (1, 5, 2)])
    assert stats.tensors[0, 1].count == 32


def test_nan_that_the_model_computes_is_counted_not_refused() -> None:
    model = one_input()
    model.subgraphs[0].operators[0].code.name = "SQRT"
    t = calibrate(model, [np.float32([[4, -1, 9, -4]])]).tensors[0, 1]
    assert (t.nan, t.count, t.minimum, t.maximum) == (2, 2, 2, 3)


def test_models_come_as_objects_paths_and_bytes(tmp_path: Path) -> None:
    model, data = residual(), samples(3)
    qcore.save(model, tmp_path / "m.tflite")
    expected = calibrate(model, data).to_bytes()
    for source in (tmp_path / "m.tflite", str(tmp_path / "m.tflite"), model.to_bytes()):
        assert calibrate(source, data).to_bytes() == expected
    with pytest.raises(qcore.ModelError):
        calibrate(b"no model", data)


def test_looking_on_changes_no_result() -> None:
    model = residual()
    interpreter = qcore.Interpreter(model_content=model, arithmetic="builtin", experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    (x,) = samples(1)
    interpreter.set_tensor(0, x)
    interpreter.invoke()
    stats = calibrate(model, [x])
    for index in range(5):
        value = interpreter.get_tensor(index)
        assert (stats.tensors[0, index].minimum, stats.tensors[0, index].maximum) == (value.min(), value.max())


def test_parts_calibrated_apart_merge_into_the_whole() -> None:
    data = samples(30)
    whole = calibrate(residual(), data)
    parts = [calibrate(residual(), data[first : first + 7], first_sample=first) for first in range(0, 30, 7)]
    merged = parts[3].merge(parts[0]).merge(parts[4].merge(parts[2])).merge(parts[1])
    assert merged.to_bytes() == whole.to_bytes()


@pytest.mark.parametrize("kind", EXECUTORS)
def test_any_executor_gives_the_statistics_and_the_errors_of_one_process(kind: str) -> None:
    data = [("negate", {"in": x}) for x in samples(2 * SHARD + 5)] + samples(4)
    ending, endless = np.float32([1]), np.float32([-1])
    with EXECUTORS[kind]() as executor:
        parallel = calibrate(two_signatures(), iter(data), executor=executor)
        assert parallel.to_bytes() == calibrate(two_signatures(), data).to_bytes()
        with pytest.raises(qcore.InputError, match=r"^sample 20, input 'x': got shape \[1, 3\], expected \[1, 4\]$"):
            calibrate(one_input(), [*samples(20), np.zeros((1, 3), np.float32)], executor=executor)
        with pytest.raises(qcore.ModelError, match=rf"^sample {SHARD}: WHILE \(op 0, output 'y'\): goes on after 50 iterations"):
            calibrate(loop(), [*[ending] * SHARD, endless], executor=executor, loop_limit=50)
        with pytest.raises(qcore.InputError, match="drawing failed after 1: KeyError"):
            calibrate(one_input(), ({0: x}[n] for n, x in enumerate(samples(2))), executor=executor)


class Counting(concurrent.futures.ThreadPoolExecutor):
    """Counts the shards that were handed out and are not yet fetched."""

    def __init__(self) -> None:
        super().__init__(1)
        self.drawn = 0

    def data(self) -> Iterator[np.ndarray]:
        for sample in samples(40 * SHARD):
            self.drawn += 1
            yield sample


def test_an_error_stops_the_drawing_of_samples() -> None:
    with Counting() as executor:
        broken = (np.zeros((1, 3), np.float32) if n == 0 else x for n, x in enumerate(executor.data()))
        with pytest.raises(qcore.InputError, match="sample 0"):
            calibrate(one_input(), broken, executor=executor)
        assert executor.drawn < 40 * SHARD


def test_memory_does_not_grow_with_the_number_of_samples() -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        calibrate(one_input((1, 4096)), (np.full((1, 4096), n % 7, np.float32) for n in range(count)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(10)
    # 1200 samples more are 20 MB; the slack is for the ranges of the latest ones.
    assert peak(1500) < peak(300) + 200_000


def test_a_progress_bar_is_shown_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    calibrate(one_input(), samples(3), progress=True)
    captured = capsys.readouterr()
    assert "calibrating" in captured.err
    assert captured.out == ""
    calibrate(one_input(), samples(3))
    assert capsys.readouterr().err == ""


def test_a_model_without_float_tensors_has_no_statistics() -> None:
    model = one_input()
    model.subgraphs[0].tensors = [tensor("x", dtype="int32"), tensor("y", dtype="int32")]
    stats = calibrate(model, [np.int32([[1, -2, 3, 4]])])
    assert (stats.tensors, stats.samples) == ({}, 1)
