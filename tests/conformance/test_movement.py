"""Operators that move values, against TensorFlow Lite: random shapes, axes, masks and margins, exact to the bit.

Left out is what TensorFlow Lite 2.21 cannot do: transposing a scalar (its output is never written), and the element types and
ranks that came later.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.conformance.harness import T, assert_same, one_operator, random_inputs, run_qcore

SEEDS = range(8)
TYPES = ["float32", "int8", "uint8", "int16", "int32", "int64"]


def vector(values: Any, dtype: str = "int32") -> T:
    values = np.asarray(values, dtype)
    return T(dtype, values.shape, value=values)


def check(name: str, ins: list[T], outs: list[T], options: dict[str, Any] | None = None, version: int = 1) -> None:
    """Compare on random values; outputs without elements, which TensorFlow Lite's binding cannot read, are left alone."""
    model = one_operator(name, ins, outs, options, version)
    arrays = random_inputs(model, np.random.default_rng(0))
    if all(output.size for output in run_qcore(model, arrays)):
        assert_same(model, arrays)


def shape_of(rng: np.random.Generator, least: int, most: int, sizes: tuple[int, ...] = (1, 2, 3, 5)) -> tuple[int, ...]:
    return tuple(int(size) for size in rng.choice(sizes, rng.integers(least, most + 1)))


@pytest.mark.parametrize("seed", range(40))
def test_concatenation_of_uint8_at_other_scales(seed: int) -> None:
    """All 256 codes, at random scales and at ones whose ratio makes ties."""
    rng = np.random.default_rng(seed)

    def tensor(shape: tuple[int, ...]) -> T:
        scale = rng.choice([0.125, 0.25, 0.5, 1.0]) if seed % 2 else np.exp(rng.normal() * 2)
        return T("uint8", shape, float(scale), int(rng.choice([0, 255, rng.integers(256)])))

    model = one_operator("CONCATENATION", [tensor((256,)) for _ in range(3)], [tensor((768,))], {"axis": 0})
    assert_same(model, [np.arange(256, dtype=np.uint8)] * 3)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", [*TYPES, "bool"])
def test_concatenation(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = shape_of(rng, 1, 5)
    axis = int(rng.integers(-len(shape), len(shape)))
    ins = []
    for size in rng.integers(1, 4, 3):
        sizes = list(shape)
        sizes[axis] = int(size)
        ins.append(T(dtype, sizes))
    check("CONCATENATION", ins, [T(dtype, ())], {"axis": axis})


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", TYPES)
def test_pack_and_unpack(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = shape_of(rng, 0, 3)
    axis = int(rng.integers(-len(shape) - 1, len(shape) + 1))
    check("PACK", [T(dtype, shape)] * 3, [T(dtype, ())], {"axis": axis, "values_count": 3})
    if dtype != "int64" and shape:
        axis = int(rng.integers(-len(shape), len(shape)))
        check("UNPACK", [T(dtype, shape)], [T(dtype, ())] * shape[axis], {"axis": axis, "num": shape[axis]})


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", TYPES)
def test_split(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = list(shape_of(rng, 1, 4))
    axis = int(rng.integers(-len(shape), len(shape)))
    shape[axis] = 6
    check("SPLIT", [vector(axis), T(dtype, shape)], [T(dtype, ())] * 3, {"num_splits": 3})
    check("SPLIT_V", [T(dtype, shape), vector([1, -1, 2], "int64"), vector(axis)], [T(dtype, ())] * 3, {"num_splits": 3})


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", [*TYPES, "bool"])
def test_transpose(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = shape_of(rng, 1, 6)
    order = rng.permutation(len(shape)) - rng.integers(0, 2, len(shape)) * len(shape)
    check("TRANSPOSE", [T(dtype, shape), vector(order)], [T(dtype, ())])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shape", [[12], [-1, 3], [2, -1, 2], [1, 12, 1], [3, 4, -1]])
def test_reshape(shape: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    dtype, given = str(rng.choice([*TYPES, "bool"])), tuple(int(size) for size in rng.permutation([1, 3, 4]))
    check("RESHAPE", [T(dtype, given), vector(shape)], [T(dtype, ())])
    check("RESHAPE", [T(dtype, given)], [T(dtype, ())], {"new_shape": shape})


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", [*TYPES, "bool"])
def test_padding(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = shape_of(rng, 1, 4)
    scale, zero_point = {"int8": (0.5, int(rng.choice([-128, 0, 127]))), "uint8": (0.5, int(rng.choice([0, 7, 255])))}.get(dtype, (None, 0))
    paddings = rng.integers(0, 3, (len(shape), 2))

    def tensor(shape: tuple[int, ...]) -> T:
        return T(dtype, shape, scale, zero_point)

    check("PAD", [tensor(shape), vector(paddings, str(rng.choice(["int32", "int64"])))], [tensor(())])
    check("PADV2", [tensor(shape), vector(paddings), tensor(())], [tensor(())])
    for mode, most in (("REFLECT", 1), ("SYMMETRIC", 0)):
        mirrored = np.minimum(paddings, np.array(shape)[:, np.newaxis] - most)
        if dtype != "bool":
            check("MIRROR_PAD", [tensor(shape), vector(mirrored)], [tensor(())], {"mode": mode})


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", [*TYPES, "bool"])
def test_slice(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = shape_of(rng, 1, 5)
    begin = rng.integers(0, shape)
    size = np.where(rng.integers(0, 3, len(shape)) == 0, -1, rng.integers(1, np.array(shape) - begin + 1))
    index_type = str(rng.choice(["int32", "int64"]))
    check("SLICE", [T(dtype, shape), vector(begin, index_type), vector(size, index_type)], [T(dtype, ())])


def random_mask(rng: np.random.Generator, count: int, share: float) -> int:
    return sum(1 << entry for entry in range(count) if rng.random() < share)


@pytest.mark.parametrize("seed", range(150))
def test_strided_slice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = shape_of(rng, 1, 4, (1, 2, 3, 5))
    count = int(rng.integers(1, len(shape) + 1))
    begin, end = rng.integers(-6, 7, (2, count))
    strides = rng.choice([1, 1, 2, -1, -2], count)
    shrunk = random_mask(rng, count, 0.15)
    for entry in range(count):
        if shrunk >> entry & 1:
            strides[entry], begin[entry] = 1, rng.integers(-6, shape[entry])
    options = {
        "begin_mask": random_mask(rng, count, 0.3),
        "end_mask": random_mask(rng, count, 0.3),
        "shrink_axis_mask": shrunk,
        "new_axis_mask": random_mask(rng, count, 0.15) & ~shrunk if len(shape) < 3 else 0,
        "ellipsis_mask": 1 << int(rng.integers(count)) if rng.random() < 0.3 and not shrunk else 0,
    }
    dtype = str(rng.choice([*TYPES, "bool"]))
    check("STRIDED_SLICE", [T(dtype, shape), vector(begin), vector(end), vector(strides)], [T(dtype, ())], options)


@pytest.mark.parametrize("seed", SEEDS)
def test_strided_slice_with_offset(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = shape_of(rng, 1, 4)
    begin = rng.integers(0, shape)
    size = rng.integers(1, np.array(shape) - begin + 1)
    strides = rng.integers(1, 3, len(shape))
    check("STRIDED_SLICE", [T("int8", shape), vector(begin), vector(size), vector(strides)], [T("int8", ())], {"offset": True})


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", [*TYPES, "bool"])
def test_gather(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    batch_dims = int(rng.integers(0, 3))
    batch = shape_of(rng, batch_dims, batch_dims)
    shape = batch + shape_of(rng, 1, 3)
    axis = int(rng.integers(batch_dims, len(shape)))
    indices = rng.integers(0, shape[axis], batch + shape_of(rng, 0, 2))
    index_type = str(rng.choice(["int16", "int32", "int64"]))
    check("GATHER", [T(dtype, shape), vector(indices, index_type)], [T(dtype, ())], {"axis": axis, "batch_dims": batch_dims})


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int32", "int64", "bool"])
def test_gather_nd_and_scatter_nd(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = shape_of(rng, 1, 4)
    depth, outer = int(rng.integers(1, len(shape) + 1)), shape_of(rng, 1, 2)
    indices = rng.integers(0, shape[:depth], (*outer, depth))
    check("GATHER_ND", [T(dtype, shape), vector(indices)], [T(dtype, ())])
    check("SCATTER_ND", [vector(indices), T(dtype, outer + shape[depth:]), vector(shape)], [T(dtype, ())])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", [*TYPES, "bool"])
def test_repetition(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = shape_of(rng, 1, 4)
    if dtype != "int16":
        check("TILE", [T(dtype, shape), vector(rng.integers(1, 4, len(shape)), "int64")], [T(dtype, ())])
    wider = [2, *(int(rng.integers(1, 4)) if size == 1 else size for size in shape)]
    check("BROADCAST_TO", [T(dtype, shape), vector(wider)], [T(dtype, ())], version=2)
    if dtype != "uint8":
        check("FILL", [vector(shape), T(dtype, ())], [T(dtype, ())])


@pytest.mark.parametrize("seed", range(40))
def test_range(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for dtype in ("float32", "int32", "int64"):
        start, limit = np.sort(rng.integers(-30, 30, 2))
        delta = rng.integers(1, 8) / (10 if dtype == "float32" else 1)
        values = [start, limit + 1, delta] if seed % 2 else [limit + 1, start, -delta]
        check("RANGE", [T(dtype, (), value=value) for value in values], [T(dtype, ())])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", TYPES)
def test_blocks(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scale, zero_point = {"int8": (0.5, int(rng.choice([-128, 5]))), "uint8": (0.5, int(rng.choice([0, 255])))}.get(dtype, (None, 0))
    batch, height, width, channels, rows, columns = (int(size) for size in rng.integers(1, 4, 6))

    def tensor(*shape: int) -> T:
        return T(dtype, shape, scale, zero_point)

    if dtype != "int16":
        check("SPACE_TO_DEPTH", [tensor(batch, height * rows, width * rows, channels)], [tensor()], {"block_size": rows})
        check("DEPTH_TO_SPACE", [tensor(batch, height, width, channels * rows * rows)], [tensor()], {"block_size": rows})
    before, after = rng.integers(0, 3, (2, 2))
    margins = np.stack([before, before * [rows - 1, columns - 1] + after * [rows, columns]], 1)
    padded = [tensor(batch, height * rows, width * columns, channels), vector([rows, columns]), vector(margins)]
    check("SPACE_TO_BATCH_ND", padded, [tensor()])
    crops = [[int(rng.integers(0, rows)), 0], [0, int(rng.integers(0, columns))]]
    blocks = [tensor(batch * rows * columns, height, width, channels), vector([rows, columns]), vector(crops)]
    check("BATCH_TO_SPACE_ND", blocks, [tensor()])
    check("SPACE_TO_BATCH_ND", [tensor(batch, height * rows, channels), vector([rows]), vector([[rows, 0]])], [tensor()])
    check("BATCH_TO_SPACE_ND", [tensor(batch * rows, height, channels), vector([rows]), vector([[rows - 1, 0]])], [tensor()])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int32", "int64"])
def test_values_set_into_a_larger_tensor(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = shape_of(rng, 2, 4)
    check("MATRIX_DIAG", [T(dtype, shape)], [T(dtype, ())])
    check("MATRIX_SET_DIAG", [T(dtype, shape), T(dtype, (*shape[:-2], min(shape[-2:])))], [T(dtype, ())])
    indices = rng.integers(0, shape, (6, len(shape)))
    check("SPARSE_TO_DENSE", [vector(indices, "int64"), vector(shape), T(dtype, (6,)), T(dtype, ())], [T(dtype, ())])
    check("DILATE", [T(dtype, shape), vector(rng.integers(1, 4, len(shape))), T(dtype, ())], [T(dtype, ())])
    if dtype != "uint8":
        start, update = vector(rng.integers(-2, 6, len(shape))), T(dtype, tuple(int(size) for size in rng.integers(1, np.array(shape) + 1)))
        check("DYNAMIC_UPDATE_SLICE", [T(dtype, shape), update, start], [T(dtype, ())])
