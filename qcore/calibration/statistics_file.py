"""The file that keeps statistics: a NumPy ``.npz`` archive, version 1.

| array | type and shape | holds |
|---|---|---|
| header | uint8[bytes] | UTF-8 JSON: format, version, method, percentile, samples, and names: one for each tensor |
| keys | int64[n, 2] | numbers of subgraph and tensor, ascending |
| counts | int64[n, 5] | count, zeros, nan, infinite, first_nonfinite |
| ranges | float32[n, 4] | minimum, maximum, written_minimum, written_maximum |
| exponents | int64[n] | of the histograms |
| histograms | int64[n, 4096] | their counts |
| recent_sizes | int64[n] | rows of each tensor in the next two |
| recent_samples | int64[rows] | numbers of samples |
| recent_ranges | float32[rows, 2] | lows, highs |
| extreme_sizes | int64[n, 2] | rows of each tensor in the next two: highest, then lowest |
| extreme_samples | int64[rows] | numbers of samples |
| extreme_values | float32[rows] | values; those of the lowest with their sign changed |

The names are those of ``TensorStatistics``, ``Histogram``, ``Recent`` and ``Extremes``, where the rules stand that a file must keep.
Nothing in a file is executed, and everything is checked before it is believed.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qcore.calibration.extremes import KEPT, RECENT, Extremes, Recent
from qcore.calibration.histogram import BINS, HALF, LARGEST_EXPONENT, SMALLEST_EXPONENT, Histogram
from qcore.calibration.observers import Method, check_method
from qcore.calibration.tensor_statistics import NEVER, TensorStatistics
from qcore.errors import InputError
from qcore.kernels.opdef import Array

FORMAT, VERSION = "qcore calibration statistics", 1
LARGEST_FILE = 1 << 30
"""Bytes that a file's arrays may take in memory: those of 32,000 tensors."""
NO_RANGE = (np.inf, -np.inf)
"""Least and greatest value of a tensor that had none."""
LARGEST_HEADER = 1 << 26
"""Bytes of the header."""
LARGEST_COUNT = 1 << 50
"""Elements of a tensor, so that sums over bins stay within int64."""

_COUNTS = ("count", "zeros", "nan", "infinite", "first_nonfinite")
_RANGES = ("minimum", "maximum", "written_minimum", "written_maximum")

_LAYOUT: Mapping[str, tuple[Any, int | None]] = {
    "header": (np.uint8, None),
    "keys": (np.int64, 2),
    "counts": (np.int64, len(_COUNTS)),
    "ranges": (np.float32, len(_RANGES)),
    "exponents": (np.int64, None),
    "histograms": (np.int64, BINS),
    "recent_sizes": (np.int64, None),
    "recent_samples": (np.int64, None),
    "recent_ranges": (np.float32, 2),
    "extreme_sizes": (np.int64, 2),
    "extreme_samples": (np.int64, None),
    "extreme_values": (np.float32, None),
}
"""Element type of each array, and the size of its second dimension where it has one."""


@dataclass(frozen=True)
class Contents:
    """What a file holds; the fields are those of ``Statistics``."""

    method: Method
    percentile: float
    samples: int
    tensors: dict[tuple[int, int], TensorStatistics]


def pack(contents: Contents) -> bytes:
    """The bytes of a file."""
    items = sorted(contents.tensors.items())
    tensors = [tensor for _, tensor in items]
    header = {
        "format": FORMAT,
        "version": VERSION,
        "method": contents.method,
        "percentile": contents.percentile,
        "samples": contents.samples,
        "names": [t.name for t in tensors],
    }
    extremes = [e for t in tensors for e in (t.highest, t.lowest)]
    values: dict[str, Any] = {
        "header": np.frombuffer(json.dumps(header).encode(), np.uint8),
        "keys": [key for key, _ in items],
        "counts": [[getattr(t, name) for name in _COUNTS] for t in tensors],
        "ranges": [[getattr(t, name) for name in _RANGES] for t in tensors],
        "exponents": [t.histogram.exponent for t in tensors],
        "histograms": [t.histogram.counts for t in tensors],
        "recent_sizes": [t.recent.samples.size for t in tensors],
        "recent_samples": [n for t in tensors for n in t.recent.samples],
        "recent_ranges": [pair for t in tensors for pair in zip(t.recent.lows, t.recent.highs, strict=True)],
        "extreme_sizes": [e.samples.size for e in extremes],
        "extreme_samples": [n for e in extremes for n in e.samples],
        "extreme_values": [v for e in extremes for v in e.values],
    }
    arrays = {name: np.asarray(values[name], dtype).reshape((-1, columns) if columns else -1) for name, (dtype, columns) in _LAYOUT.items()}
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def unpack(data: bytes) -> Contents:
    """What a file's bytes hold.

    Raises:
        InputError: they are no such file, of another version, or damaged.
    """
    arrays = _arrays(data)
    header = _header(arrays["header"])
    names = header["names"]
    for name in ("keys", "counts", "ranges", "exponents", "histograms", "recent_sizes", "extreme_sizes"):
        _require(len(arrays[name]) == len(names), f"{name} has {len(arrays[name])} rows, expected one for each of {len(names)} tensors")
    keys = [(int(subgraph), int(tensor)) for subgraph, tensor in arrays["keys"]]
    _require(keys == sorted(set(keys)) and (not keys or arrays["keys"].min() >= 0), "keys are negative, not ascending, or not distinct")
    exponents = arrays["exponents"]
    _require(bool(((exponents >= SMALLEST_EXPONENT) & (exponents <= LARGEST_EXPONENT)).all()), "a histogram's exponent is out of range")
    recent = _parts(arrays, "recent", RECENT)
    extremes = _parts(arrays, "extreme", KEPT)
    tensors = {}
    for row, (key, name) in enumerate(zip(keys, names, strict=True)):
        highest, lowest = (Extremes(samples, values) for samples, values in extremes[2 * row : 2 * row + 2])
        samples, ranges = recent[row]
        tensors[key] = TensorStatistics(
            name,
            **dict(zip(_COUNTS, arrays["counts"][row].tolist(), strict=True)),
            **dict(zip(_RANGES, arrays["ranges"][row].tolist(), strict=True)),
            histogram=Histogram(int(exponents[row]), arrays["histograms"][row]),
            recent=Recent(samples, ranges[:, 0].copy(), ranges[:, 1].copy()),
            highest=highest,
            lowest=lowest,
        )
        _check_tensor(tensors[key])
    return Contents(header["method"], header["percentile"], header["samples"], tensors)


def read_file(path: str | os.PathLike[str]) -> bytes:
    """A file's bytes.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"statistics: cannot read {path!r}: {error}") from error


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(f"statistics file: {message}")


def _arrays(data: bytes) -> dict[str, Array]:
    """Every array of the archive, in its type and shape."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        _require(size <= LARGEST_FILE, f"its arrays take {size} bytes, at most {LARGEST_FILE} are read")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            _require(sorted(file.files) == sorted(_LAYOUT), f"holds {sorted(file.files)[:20]}, expected {sorted(_LAYOUT)}")
            arrays = {name: file[name] for name in _LAYOUT}
    except InputError:
        raise
    except Exception as error:  # NumPy lets those of its parsers through: zipfile, zlib, struct, tokenize
        raise InputError(f"statistics file: not an archive of arrays that can be read: {error}") from error
    for name, (dtype, columns) in _LAYOUT.items():
        array = arrays[name]
        fits = isinstance(array, np.ndarray) and array.dtype == dtype and array.ndim == (1 if columns is None else 2)
        _require(fits and columns in (None, array.shape[-1]), f"{name} has another type or shape than version {VERSION} of the format has")
    return arrays


def _header(array: Array) -> dict[str, Any]:
    _require(array.size <= LARGEST_HEADER, f"its header has {array.size} bytes, at most {LARGEST_HEADER} are read")
    try:
        header = json.loads(array.tobytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"statistics file: its header is not JSON: {error}") from error
    _require(isinstance(header, dict) and header.get("format") == FORMAT, f"its header does not say {FORMAT!r}")
    _require(header.get("version") == VERSION, f"its version is {header.get('version')!r}, expected {VERSION}")
    check_method(header.get("method"), header.get("percentile"))
    samples, names = header.get("samples"), header.get("names")
    _require(type(samples) is int and 0 <= samples < 1 << 63, f"samples is {samples!r}, expected a count")
    _require(isinstance(names, list) and all(isinstance(name, str) for name in names), "names is not a list of strings")
    assert isinstance(header, dict)
    return header


def _parts(arrays: Mapping[str, Array], kind: str, most: int) -> list[tuple[Array, Array]]:
    """Rows of one array of samples and one of values, cut into the tensors' parts."""
    samples, values = (arrays[name] for name in arrays if name.startswith(kind) and not name.endswith("_sizes"))
    sizes = arrays[f"{kind}_sizes"].reshape(-1)
    _require(bool(((sizes >= 0) & (sizes <= most)).all()), f"{kind}_sizes: a size is negative or over {most}")
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if ends.size else 0
    _require(len(samples) == len(values) == total, f"{kind}: {len(samples)} samples and {len(values)} values, expected {total}")
    _require(bool(np.isfinite(values).all() and (samples >= 0).all()), f"{kind}: a value is not finite, or a sample's number is negative")
    return [(samples[end - size : end], values[end - size : end]) for end, size in zip(ends, sizes, strict=True)]


def _is_range(low: float, high: float) -> bool:
    return bool(np.isfinite([low, high]).all()) and low <= high


def _check_tensor(t: TensorStatistics) -> None:
    """Refuse statistics that no observation leads to, as far as anything relies on it."""
    h, recent = t.histogram, t.recent
    reach = max(-t.minimum, t.maximum)
    rules = {
        "a count is out of range": 0 <= t.zeros <= t.count <= LARGEST_COUNT and min(t.nan, t.infinite, t.first_nonfinite - NEVER) >= 0,
        "the histogram does not hold as many values as the tensor": bool(
            (h.counts >= 0).all() and (h.counts <= t.count).all() and h.counts.sum() == t.count and h.counts[HALF] >= t.zeros
        ),
        "minimum and maximum are no range": _is_range(t.minimum, t.maximum) or (t.count == 0 and (t.minimum, t.maximum) == NO_RANGE),
        "written_minimum and written_maximum are no range": _is_range(t.written_minimum, t.written_maximum)
        or (t.written_minimum, t.written_maximum) == NO_RANGE,
        "minimum and maximum lie beyond the histogram": t.count == 0 or reach < 2.0**h.exponent,
        "the latest samples are not in order": bool((np.diff(recent.samples) > 0).all() and (recent.lows <= recent.highs).all()),
        "there are not as many greatest as least samples": t.highest.samples.size == t.lowest.samples.size
        and bool(t.highest.samples.size) == bool(t.count),
        "the most extreme samples are not in order": all(
            bool((np.diff(e.values) <= 0).all()) and np.unique(e.samples).size == e.samples.size for e in (t.highest, t.lowest)
        ),
    }
    for message, holds in rules.items():
        _require(holds, f"tensor '{t.name}': {message}")
