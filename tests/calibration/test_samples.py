"""The forms that samples come in, and the refusal of those that do not fit."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qcore
from qcore.calibration import calibrate
from qcore.calibration.samples import Feeder, iterate
from qcore.model import Model
from tests.calibration.models import loop, one_input, tensor, two_inputs, two_signatures

A, B = (np.random.default_rng(n).normal(size=(1, 4)).astype(np.float32) for n in (1, 2))


def values(model: Model, sample: object, **options: Any) -> list[np.ndarray]:
    feed = Feeder(model, **options).feed(0, sample)
    return [feed.values[i] for i in model.subgraphs[feed.subgraph].inputs]


@pytest.mark.parametrize(
    "sample",
    [
        [A, B],
        (A, B),
        {"a": A, "b": B},
        {"second": B, "first": A},
        ("serve", {"first": A, "second": B}),
        [A.tolist(), B[0]],
        [A.astype(np.float64), B.astype(">f4")],
    ],
)
def test_every_form_gives_each_input_its_array(sample: object) -> None:
    a, b = values(two_inputs(), sample)
    assert (a.dtype, a.shape) == (np.float32, (1, 4))
    np.testing.assert_array_equal(a, A)
    np.testing.assert_array_equal(b, B)


def test_a_signature_chooses_its_subgraph() -> None:
    model = two_signatures()
    assert Feeder(model).feed(0, A).subgraph == 0
    assert Feeder(model, signature="negate").feed(0, A).subgraph == 1
    assert Feeder(model, signature="negate").feed(0, {"in": A}).subgraph == 1
    assert Feeder(model, signature="negate").feed(0, ("double", {"in": A})).subgraph == 0


def test_open_dimensions_take_any_size() -> None:
    (x,) = values(one_input((1, 4), (-1, 4)), np.ones((7, 4), np.float32))
    assert x.shape == (7, 4)


class Failing:
    """What cannot be turned into an array."""

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise RuntimeError("no array today")


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ([A], "sample 3: got 1 arrays, the model has 2 inputs"),
        ([A, B, A], "sample 3: got 3 arrays"),
        (A, "sample 3: got 1 arrays"),
        (None, "sample 3: got 1 arrays"),
        ([], "sample 3: got 0 arrays"),
        ({"a": A}, r"sample 3: got inputs \['a'\], expected \['first', 'second'\]"),
        ({"a": A, "c": B}, r"sample 3: got inputs \['a', 'c'\]"),
        ({"a": A, "first": A}, r"sample 3: got inputs \['a', 'first'\]"),
        ({"a": A, "b": B, "c": B}, "sample 3: got inputs"),
        ({}, r"sample 3: got inputs \[\]"),
        ({0: A, 1: B}, r"sample 3: got inputs \[0, 1\], expected \['first', 'second'\]"),
        ({0: A, "b": B}, r"sample 3: got inputs \[0, 'b'\]"),
        ({"a": A, "b": {"c": B}}, r"sample 3, input 'b': got shape \[\]"),
        (("serve", {"a": A, "b": B}), r"sample 3: got inputs \['a', 'b'\], expected \['first', 'second'\]"),
        (("serve", A, B), "sample 3: got 3 arrays"),
        ((None, {"first": A}), r"sample 3, input 'a': got shape \[\]"),
        (("other", {"first": A}), r"sample 3: no signature 'other', the model has \['serve'\]"),
        ([A, B[:, :3]], r"sample 3, input 'b': got shape \[1, 3\], expected \[1, 4\]"),
        ([A[np.newaxis, np.newaxis], B], r"sample 3, input 'a': got shape \[1, 1, 1, 4\]"),
        ([np.float32(1), B], r"sample 3, input 'a': got shape \[\]"),
        ([np.zeros((0, 4), np.float32), B], r"sample 3, input 'a': got shape \[0, 4\]"),
        ([A, np.uint8([[1, 2, 3, 4]])], "sample 3, input 'b': got uint8, expected float32; scale it as the model was trained on"),
        ([None, B], r"sample 3, input 'a': got shape \[\]"),
        ([b"bytes", B], r"sample 3, input 'a': got shape \[\]"),
        ([np.zeros(0, np.float32), B], r"sample 3, input 'a': got shape \[1, 0\]"),
        ([A, B > 0], "sample 3, input 'b': got bool, expected float32"),
        ([A, B.astype(np.complex64)], "sample 3, input 'b': got complex64"),
        ([A, [["a"] * 4]], "sample 3, input 'b': got <U1"),
        ([A, [["a", None, {}, 3]]], "sample 3, input 'b': got object"),
        ([A, [[10**400] * 4]], "sample 3, input 'b': got object"),
        ([A, np.array([["2020-01-01"] * 4], "M8")], "sample 3, input 'b': got datetime64"),
        ([A, np.zeros((1, 4), [("f", "f4")])], r"sample 3, input 'b': got \[\('f', '<f4'\)\]"),
        ([A, [[1, 2], [3]]], "sample 3, input 'b': not an array"),
        ([A, Failing()], "sample 3, input 'b': not an array: no array today"),
        ([A, np.array([[1, np.nan, 2, np.nan]])], r"sample 3, input 'b': 2 values are NaN or infinite, the first, nan, at \(0, 1\)"),
        ([np.array([[1e39, 1, 2, 3]]), B], r"sample 3, input 'a': 1 values are NaN or infinite, the first, inf, at \(0, 0\)"),
    ],
)
def test_a_sample_that_does_not_fit_is_named_with_its_input(sample: object, message: str) -> None:
    with pytest.raises(qcore.InputError, match=message):
        Feeder(two_inputs()).feed(3, sample)


def test_nan_may_be_let_through() -> None:
    (x,) = values(one_input(), np.array([[np.nan, np.inf, 1, 2]]), nan="ignore")
    assert np.isnan(x[0, 0])


def test_an_empty_open_dimension_is_refused() -> None:
    with pytest.raises(qcore.InputError, match=r"sample 0, input 'x': got shape \[0, 4\], which holds nothing"):
        values(one_input((1, 4), (-1, 4)), np.zeros((0, 4), np.float32))


@pytest.mark.parametrize(
    ("dtype", "given", "accepted"),
    [
        ("int32", np.int64([[1, 2]]), True),
        ("int32", np.int64([[1, 2**40]]), False),
        ("int32", np.float32([[1, 2]]), False),
        ("uint8", np.int64([[1, -1]]), False),
        ("bool", np.array([[True, False]]), True),
        ("bool", np.int64([[0, 1]]), False),
        ("string", np.array([["a", "b"]]), True),
        ("string", np.int64([[0, 1]]), False),
        ("float16", np.float64([[0, 1]]), True),
    ],
)
def test_inputs_of_other_types_take_values_they_can_hold(dtype: str, given: np.ndarray, accepted: bool) -> None:
    model = one_input((1, 2))
    model.subgraphs[0].tensors[0] = tensor("x", (1, 2), dtype)
    if accepted:
        (x,) = values(model, given)
        assert x.tolist() == given.tolist()
    else:
        with pytest.raises(qcore.InputError, match=f"input 'x': got {given.dtype}, expected {dtype}"):
            values(model, given)


def generator() -> Any:
    yield A
    yield B


def test_samples_come_from_any_iterable_or_function() -> None:
    together = np.concatenate([A, B])
    expected = calibrate(one_input(), [A, B]).to_bytes()
    for samples in ((A, B), generator(), generator, together, {0: A, 1: B}.values()):
        assert calibrate(one_input(), samples).to_bytes() == expected  # type: ignore[arg-type]


def test_a_folder_of_arrays_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "2.npz", A, B)
    np.savez(tmp_path / "1.npz", second=A, first=B)
    (tmp_path / "notes.txt").write_text("no sample")
    expected = calibrate(two_inputs(), [[B, A], [A, B]]).to_bytes()
    for folder in (tmp_path, str(tmp_path)):
        assert calibrate(two_inputs(), folder).to_bytes() == expected
    assert len(iterate(tmp_path)) == 2  # type: ignore[arg-type]
    np.save(tmp_path / "3.npy", A)
    with pytest.raises(qcore.InputError, match="sample 2: got 1 arrays"):
        calibrate(two_inputs(), tmp_path)


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:40], lambda b: b"PK\x03\x04" + b[8:60], lambda b: b"", lambda b: b"\x80\x04" + b, lambda b: b[:-30], lambda b: b[30:]],
)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_damaged_file_is_named(tmp_path: Path, suffix: str, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"sample{suffix}"
    with path.open("wb") as file:
        (np.save if suffix == ".npy" else np.savez)(file, A)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(qcore.InputError, match=rf"cannot read .*sample\{suffix}"):
        calibrate(one_input(), tmp_path)


@pytest.mark.parametrize("content", [np.array([{}], object), {"x": 1}])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_pickled_objects_are_not_loaded(tmp_path: Path, suffix: str, content: Any) -> None:
    with (tmp_path / f"x{suffix}").open("wb") as file:
        (np.save if suffix == ".npy" else np.savez)(file, np.asarray(content, object), allow_pickle=True)
    with pytest.raises(qcore.InputError, match=rf"cannot read .*x\{suffix}"):
        calibrate(one_input(), tmp_path)
    (tmp_path / f"x{suffix}").write_bytes(pickle.dumps(content))
    with pytest.raises(qcore.InputError, match=rf"cannot read .*x\{suffix}"):
        calibrate(one_input(), tmp_path)


def test_an_archive_that_unpacks_to_too_much_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qcore.calibration.samples.LARGEST_ARCHIVE", 1_000_000)
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros(1_000_000, np.uint8))
    with pytest.raises(qcore.InputError, match=r"cannot read .*x\.npz.*unpacks to 1000128 bytes, at most 1000000"):
        calibrate(one_input(), tmp_path)


def test_an_array_that_says_it_is_huge_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", A)
    content = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(content.replace(b"(1, 4), }" + b" " * 12, b"(1, 4000000000000), }"))
    with pytest.raises(qcore.InputError, match=r"cannot read .*x\.npy"):
        calibrate(one_input(), tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.npy")
    with pytest.raises(qcore.InputError, match=r"cannot read .*x\.npy.*no regular file"):
        calibrate(one_input(), tmp_path)


def failing(count: int) -> Iterator[np.ndarray]:
    """Some samples, then an error."""
    for _ in range(count):
        yield A
    raise OSError("disk gone")


class Unreadable(list[np.ndarray]):
    """An iterable that knows its length but cannot be read."""

    def __iter__(self) -> Iterator[np.ndarray]:
        raise RuntimeError("no iterator")


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "there is none"),
        (iter(()), "there is none"),
        (lambda: iter(()), "there is none"),
        (3, "got int, expected an iterable"),
        (None, "got NoneType"),
        ({"x": A}, "got dict, expected an iterable of samples; a single one goes into a list"),
        (np.float32(1), "expected an iterable"),
        (np.array(1.0), "got ndarray"),
        ("missing folder", "cannot read the folder 'missing folder'"),
        ("nul\0", "cannot read the folder"),
        (failing(0), "drawing failed after 0: OSError: disk gone"),
        (failing(2), "drawing failed after 2: OSError: disk gone"),
        (lambda: failing(1), "drawing failed after 1: OSError: disk gone"),
        (lambda: {}["x"], "the function that gives them failed: KeyError: 'x'"),
        (Unreadable(), "drawing failed after 0: RuntimeError: no iterator"),
        (Path(__file__), "cannot read the folder"),
    ],
)
def test_what_holds_no_samples_is_refused(samples: Any, message: str) -> None:
    with pytest.raises(qcore.InputError, match=message):
        calibrate(one_input(), samples)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(qcore.InputError, match="there is none"):
        calibrate(one_input(), tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "median"}, "method is 'median'"),
        ({"percentile": 20}, "percentile is 20"),
        ({"signature": "serve"}, r"no signature 'serve', the model has \[\]"),
        ({"nan": "drop"}, "nan is 'drop'"),
        ({"arithmetic": "exact"}, "arithmetic is 'exact'"),
        ({"first_sample": -1}, "first_sample is -1"),
        ({"first_sample": 1.5}, "first_sample is 1.5"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(qcore.InputError, match=message):
        calibrate(one_input(), [A], **arguments)


def test_a_model_that_fails_on_a_sample_names_it() -> None:
    with pytest.raises(qcore.ModelError, match=r"sample 11: WHILE \(op 0, output 'y'\): goes on after 50 iterations"):
        calibrate(loop(), [np.float32([1]), np.float32([-1])], first_sample=10, loop_limit=50)
