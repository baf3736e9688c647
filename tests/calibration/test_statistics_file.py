"""The file of statistics: what is written is read, and whatever is damaged ends in an InputError."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import qcore
from qcore.calibration import Statistics, calibrate, statistics_file
from tests.calibration.models import residual

DATA = list(np.random.default_rng(1).normal(size=(6, 1, 4)).astype(np.float32))
STATISTICS = calibrate(residual(), DATA, "percentile", percentile=99.5)
CONTENT = STATISTICS.to_bytes()

Arrays = dict[str, np.ndarray]


def rewritten(change: Callable[[Arrays], object]) -> bytes:
    """The file after a change to its arrays."""
    with np.load(io.BytesIO(CONTENT)) as file:
        arrays = dict(file)
    change(arrays)
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def header(**fields: object) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        text = json.dumps({**json.loads(arrays["header"].tobytes()), **fields})
        arrays["header"] = np.frombuffer(text.encode(), np.uint8)

    return change


def entry(name: str, place: tuple[int, ...], value: float) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        arrays[name][place] = value

    return change


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    STATISTICS.save(tmp_path / "statistics.npz")
    loaded = Statistics.load(tmp_path / "statistics.npz")
    assert loaded.to_bytes() == CONTENT
    assert (loaded.method, loaded.percentile, loaded.samples) == ("percentile", 99.5, 6)
    assert {k: loaded.range(*k) for k in loaded.tensors} == {k: STATISTICS.range(*k) for k in STATISTICS.tensors}


def test_loaded_statistics_merge_with_new_ones() -> None:
    first = calibrate(residual(), DATA[:2])
    rest = calibrate(residual(), DATA[2:], first_sample=2)
    assert Statistics.load(first.to_bytes()).merge(rest).to_bytes() == calibrate(residual(), DATA).to_bytes()


def test_empty_statistics_have_a_file_too() -> None:
    assert Statistics.load(Statistics().to_bytes()).tensors == {}


def test_names_of_any_characters_are_kept() -> None:
    stats = Statistics.load(CONTENT)
    stats.tensors[0, 0].name = 'a\0b"\ud800\u00e9\n'
    assert Statistics.load(stats.to_bytes()).tensors[0, 0].name == stats.tensors[0, 0].name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("keys"), "holds .*, expected"),
        (lambda a: a.update(keys=a["keys"].astype(np.int32)), "keys has another type or shape"),
        (lambda a: a.update(histograms=a["histograms"][:, :100]), "histograms has another type or shape"),
        (lambda a: a.update(header=np.array([{}], object)), "not an archive of arrays that can be read"),
        (lambda a: a.update(header=np.frombuffer(b"[" * 100_000, np.uint8)), "header is not JSON"),
        (header(format="other"), "does not say 'qcore calibration statistics'"),
        (header(version=2), "version is 2, expected 1"),
        (header(method="median"), "method is 'median'"),
        (header(percentile=None), "percentile is None"),
        (header(samples=-1), "samples is -1"),
        (header(names=[1]), "names is not a list of strings"),
        (header(names=["x"]), "keys has 5 rows, expected one for each of 1 tensors"),
        (entry("keys", (1, 1), 0), "keys are negative, not ascending, or not distinct"),
        (entry("keys", (0, 0), -1), "keys are negative"),
        (entry("recent_sizes", (0,), -1), "recent_sizes: a size is negative or over 512"),
        (entry("recent_sizes", (0,), 7), "recent: 30 samples and 30 values, expected 31"),
        (entry("recent_ranges", (0, 0), np.nan), "recent: a value is not finite"),
        (entry("recent_ranges", (0, 0), 1e9), "latest samples are not in order"),
        (entry("recent_samples", (0,), 3), "latest samples are not in order"),
        (entry("extreme_samples", (0,), -3), "sample's number is negative"),
        (entry("extreme_values", (0,), -1e9), "most extreme samples are not in order"),
        (lambda a: a["extreme_sizes"][0].__iadd__([-1, 1]), "not as many greatest as least samples"),
        (entry("counts", (0, 0), 5), "does not hold as many values as the tensor"),
        (entry("counts", (0, 0), 1 << 60), "a count is out of range"),
        (entry("counts", (0, 1), 24), "does not hold as many values"),
        (entry("counts", (0, 2), -1), "a count is out of range"),
        (entry("exponents", (0,), 4000), "exponent is out of range"),
        (entry("exponents", (0,), -100), "lie beyond the histogram"),
        (entry("histograms", (0, 0), -1), "does not hold as many values"),
        (entry("ranges", (0, 0), np.inf), "minimum and maximum are no range"),
        (entry("ranges", (0, 1), np.nan), "minimum and maximum are no range"),
        (entry("ranges", (0, 3), np.nan), "written_minimum and written_maximum are no range"),
    ],
)
def test_a_damaged_file_is_refused(change: Callable[[Arrays], object], message: str) -> None:
    with pytest.raises(qcore.InputError, match=message):
        Statistics.load(rewritten(change))


@given(st.integers(0, len(CONTENT) - 1), st.integers(0, 255), st.integers(0, len(CONTENT)))
def test_damaged_bytes_end_in_an_input_error_or_in_statistics(place: int, value: int, length: int) -> None:
    damaged = bytearray(CONTENT)
    damaged[place] = value
    for data in (bytes(damaged), CONTENT[:length], bytes(damaged[place:])):
        try:
            stats = Statistics.load(data)
        except qcore.InputError:
            continue
        for key in stats.tensors:
            stats.choices(*key)


@given(st.sampled_from(["counts", "ranges", "exponents", "recent_ranges", "recent_samples", "extreme_values"]), st.data())
def test_damaged_numbers_end_in_an_input_error_or_in_statistics(name: str, data: st.DataObject) -> None:
    def change(arrays: Arrays) -> None:
        array = arrays[name]
        place = data.draw(st.integers(0, array.size - 1))
        floats = st.floats(width=32) if array.dtype == np.float32 else st.integers(-(1 << 63), (1 << 63) - 1)
        array.reshape(-1)[place] = data.draw(floats)

    try:
        stats = Statistics.load(rewritten(change))
    except qcore.InputError:
        return
    for key in stats.tensors:
        stats.choices(*key)
    assert stats.merge(stats).report()


def test_an_archive_that_would_unpack_to_too_much_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics_file, "LARGEST_FILE", 1_000_000)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("keys.npy", bytes(1_000_001))
    with pytest.raises(qcore.InputError, match="its arrays take 1000001 bytes, at most 1000000 are read"):
        Statistics.load(out.getvalue())


def test_files_that_cannot_be_read_or_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(qcore.InputError, match=r"cannot read .*missing\.npz"):
        Statistics.load(tmp_path / "missing.npz")
    for path in (tmp_path, tmp_path / "missing" / "statistics.npz", "nul\0", None):
        with pytest.raises(qcore.InputError, match="cannot write"):
            STATISTICS.save(path)  # type: ignore[arg-type]


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "statistics.npz"
    STATISTICS.save(path)

    def full(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(qcore.InputError, match=r"cannot write .*statistics\.npz.*disk full"):
        Statistics().save(path)
    assert path.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [path]
