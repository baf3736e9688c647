"""Tables, hashes and text against TensorFlow Lite: whole rows, halving of unordered keys, random texts; fingerprints against TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.kernels.farmhash import fingerprint64
from tests.conformance.harness import T, assert_same, one_operator, random_inputs, run_qcore, run_tflite
from tests.kernels.tables import table_model


@pytest.mark.parametrize("combiner", ["SUM", "MEAN", "SQRTN"])
@pytest.mark.parametrize("seed", range(6))
def test_sparse_lookups(seed: int, combiner: str) -> None:
    """Examples in order, and for odd seeds in no order, so that some come back."""
    rng = np.random.default_rng(seed)
    count, examples = 12, (2, 3)
    indices = np.stack([*np.unravel_index(rng.integers(0, 6, count), examples), rng.integers(0, 4, count)], axis=1)
    if seed % 2 == 0:
        indices = indices[np.lexsort(indices.T[::-1])]
    fixed = [rng.integers(0, 5, count), indices, [*examples, 4]]
    inputs = [T("int32", np.shape(value), value=value) for value in fixed] + [T("float32", (count,)), T("float32", (5, 2, 3))]
    model = one_operator("EMBEDDING_LOOKUP_SPARSE", inputs, [T("float32", (1,))], {"combiner": combiner})
    assert_same(model, random_inputs(model, rng, 0.5, 2))


@pytest.mark.parametrize("dtype", ["float32", "int8", "int64", "string"])
@pytest.mark.parametrize("seed", range(4))
def test_lookups_by_key(seed: int, dtype: str) -> None:
    """Keys in order, with some several times, or in no order."""
    rng = np.random.default_rng(seed)
    keys = rng.integers(-5, 6, int(rng.integers(1, 12)))
    keys, wanted = np.sort(keys) if seed % 2 else keys, np.arange(-7, 8)
    shape = (len(keys),) if dtype == "string" else (len(keys), 3)
    values = [b"v%d" % k for k in range(len(keys))] if dtype == "string" else rng.integers(1, 100, shape)
    inputs = [T("int32", wanted.shape), T("int32", keys.shape), T(dtype, shape)]
    model = one_operator("HASHTABLE_LOOKUP", inputs, [T(dtype, (1,) * len(shape)), T("uint8", (1,))])
    arrays = [wanted.astype(np.int32), keys.astype(np.int32), np.array(values, object if dtype == "string" else dtype)]
    assert_same(model, arrays)


@pytest.mark.parametrize(("keys", "values"), [("string", "int64"), ("int64", "string")])
def test_tables_of_a_session(keys: str, values: str) -> None:
    """TensorFlow Lite's reference set has no tables; its usual kernels are the same code."""
    arrays = {"string": np.array([b"a", b"", b"ccc", b"a"], object), "int64": np.array([5, -1, 2**40, 5])}
    wanted = {"string": np.array([b"ccc", b"no"], object), "int64": np.array([2**40, 7])}
    inputs = [arrays[keys], arrays[values], wanted[keys], wanted[values][1:]]
    model = table_model(keys, values)
    for index, array in zip((1, 2, 3, 4), inputs, strict=True):
        model.subgraphs[0].tensors[index].shape = array.shape
    got, expected = run_qcore(model, inputs), run_tflite(model, inputs, "BUILTIN_WITHOUT_DEFAULT_DELEGATES")
    assert [array.tolist() for array in got] == [array.tolist() for array in expected]


@pytest.mark.parametrize("kind", ["DENSE", "SPARSE"])
@pytest.mark.parametrize("dtype", ["int32", "float32", "uint8", "int64"])
@pytest.mark.parametrize("shape", [(1,), (7, 3), (4, 40)])
def test_projections(shape: tuple[int, ...], dtype: str, kind: str) -> None:
    for width in (1, 7, 31, 32):
        inputs = [T("float32", (6, width)), T(dtype, shape), T("float32", shape[:1])]
        for given in (inputs, inputs[:2]):
            model = one_operator("LSH_PROJECTION", given, [T("int32", (1,))], {"type": kind})
            assert_same(model, random_inputs(model, np.random.default_rng(width)))


def test_fingerprints_of_every_length() -> None:
    tf = pytest.importorskip("tensorflow", reason="needs tensorflow")
    rng = np.random.default_rng(0)
    for length in [*range(200), 1023, 1024, 1025]:
        strings = rng.integers(0, 256, (8, length)).astype(np.uint8)
        for buckets in (2**61 - 1, 2**62 + 12345):
            wanted = tf.strings.to_hash_bucket_fast([string.tobytes() for string in strings], buckets).numpy()
            assert [int(value) % buckets for value in fingerprint64(strings)] == wanted.tolist()


@pytest.mark.parametrize("seed", range(20))
def test_texts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    text = bytes(rng.choice(list(b"ab\xc3   \t\n"), int(rng.integers(1, 25))).astype(np.uint8))
    options = {"ngram_size": int(rng.integers(1, 5)), "max_skip_size": int(rng.integers(0, 4)), "include_all_ngrams": bool(seed % 2)}
    model = one_operator("SKIP_GRAM", [T("string", (1,))], [T("string", (1,))], options)
    (got,) = run_qcore(model, [np.array([text], object)])
    if got.size:  # TensorFlow Lite's binding cannot read an empty tensor of strings
        assert got.tolist() == run_tflite(model, [np.array([text], object)])[0].tolist()
