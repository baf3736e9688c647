"""Random numbers against TensorFlow Lite: the same ones from the same seeds, over several invokes of one interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import qcore
from qcore.model import Model
from tests.conformance.harness import T, one_operator

SEEDS = [{"seed": a, "seed2": b} for a, b in [(0, 1), (1, 0), (1234567890123456789, -5), (-1, 2**63 - 1)]]


def assert_same_sequence(model: Model, *inputs: np.ndarray, rtol: float = 0) -> None:
    """Three invokes on the same inputs."""
    tf = pytest.importorskip("tensorflow", reason="needs tensorflow")
    reference = tf.lite.experimental.OpResolverType.BUILTIN_REF
    mine = qcore.Interpreter(model_content=model)
    other = tf.lite.Interpreter(model_content=model.to_bytes(), experimental_op_resolver_type=reference)
    for interpreter in (mine, other):
        interpreter.allocate_tensors()
        for details, array in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.set_tensor(details["index"], array)
    for _ in range(3):
        results: list[list[Any]] = []
        for interpreter in (mine, other):
            interpreter.invoke()
            results.append([np.array(interpreter.get_tensor(details["index"])) for details in interpreter.get_output_details()])
        for got, want in zip(*results, strict=True):
            assert (got.dtype, got.shape) == (want.dtype, want.shape)
            np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
@pytest.mark.parametrize(("operator", "rtol"), [("RANDOM_UNIFORM", 0), ("RANDOM_STANDARD_NORMAL", 1e-5)])
def test_numbers(operator: str, rtol: float, seeds: dict[str, int]) -> None:
    """The normal ones differ in the last bits of the C library's functions."""
    for shape in ((7, 40), (2,), (16,)):
        model = one_operator(operator, [T("int32", (len(shape),), value=shape)], [T("float32", shape)], seeds)
        assert_same_sequence(model, rtol=rtol)


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
@pytest.mark.parametrize("count", [1, 2, 5, 50])
def test_classes(seeds: dict[str, int], count: int) -> None:
    logits = np.array([[0, 1, -2, 0.5], [-np.inf, 3, 3, np.nan], [100, 99, 98, -100]], np.float32)
    inputs = [T("float32", logits.shape), T("int32", (), value=count)]
    for dtype in ("int32", "int64"):
        model = one_operator("MULTINOMIAL", inputs, [T(dtype, (3, count))], seeds)
        assert_same_sequence(model, logits)


@pytest.mark.parametrize(("algorithm", "sizes"), [("DEFAULT", (2, 3)), ("PHILOX", (2, 3)), ("THREEFRY", (2,))])
@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64"])
def test_bits(dtype: str, algorithm: str, sizes: tuple[int, ...]) -> None:
    """A counter that wraps, too."""
    for size in sizes:
        for counter in (3, 2**32 - 1, 2**64 - 2):
            state = np.array([0x0123456789ABCDEF, counter, 77][:size], np.uint64)
            outputs = [T("uint64", (size,)), T(dtype, (3, 5))]
            model = one_operator("STABLEHLO_RNG_BIT_GENERATOR", [T("uint64", (size,))], outputs, {"algorithm": algorithm})
            assert_same_sequence(model, state)
