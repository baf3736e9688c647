"""RANDOM_UNIFORM, RANDOM_STANDARD_NORMAL, MULTINOMIAL: sequences that go on and start anew, distributions, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import qcore
from qcore.errors import QCoreError
from tests.conformance.harness import T, one_operator, run_qcore

SEEDS = {"seed": 1, "seed2": 2}


def numbers(operator: str, shape: Any, dtype: str = "float32", **seeds: int) -> qcore.Interpreter:
    model = one_operator(operator, [T("int32", np.shape(shape), value=shape)], [T(dtype, (1,))], seeds)
    interpreter = qcore.Interpreter(model_content=model)
    interpreter.allocate_tensors()
    return interpreter


def draw(interpreter: qcore.Interpreter) -> np.ndarray:
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


@pytest.mark.parametrize("operator", ["RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL"])
def test_a_sequence_goes_on_and_starts_anew_with_another_interpreter(operator: str) -> None:
    """Ten numbers take three counters of four, so that the next ten start with the thirteenth."""
    interpreter = numbers(operator, [2, 5], **SEEDS)
    first, second = draw(interpreter), draw(interpreter)
    assert first.shape == (2, 5)
    whole = draw(numbers(operator, [24], **SEEDS))
    assert [*first.ravel(), *second.ravel()] == [*whole[:10], *whole[12:22]]
    assert (draw(numbers(operator, [24], seed=2, seed2=1)) != whole).all()


def test_seeds_of_zero_give_other_numbers_each_time() -> None:
    assert (draw(numbers("RANDOM_UNIFORM", [8])) != draw(numbers("RANDOM_UNIFORM", [8]))).any()


def test_distributions() -> None:
    uniform = draw(numbers("RANDOM_UNIFORM", [10_000], **SEEDS))
    assert 0 <= uniform.min() < 0.01 < 0.99 < uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.01
    normal = draw(numbers("RANDOM_STANDARD_NORMAL", [10_000], **SEEDS))
    assert abs(normal.mean()) < 0.03
    assert abs(normal.std() - 1) < 0.03


def choose(logits: Any, count: int, dtype: str = "int64") -> np.ndarray:
    array = np.array(logits, np.float32)
    model = one_operator("MULTINOMIAL", [T("float32", array.shape), T("int32", (), value=count)], [T(dtype, (1, 1))], SEEDS)
    return run_qcore(model, [array])[0]


def test_classes_come_up_as_their_logits_say() -> None:
    got = choose([np.log([1, 2, 5]), [-np.inf, np.inf, 0], [1000, 1000, -1000]], 4000)
    assert got.shape == (3, 4000)
    np.testing.assert_allclose(np.bincount(got[0]) / 4000, [1 / 8, 2 / 8, 5 / 8], atol=0.03)
    assert set(got[1]) == {2}
    np.testing.assert_allclose(np.bincount(got[2]) / 4000, [1 / 2, 1 / 2], atol=0.03)


def test_logits_of_which_none_is_finite_give_a_class_that_is_not_there() -> None:
    """As TensorFlow Lite does."""
    assert choose([[-np.inf, np.nan]], 2, "int32").tolist() == [[2, 2]]


def test_no_numbers() -> None:
    assert draw(numbers("RANDOM_UNIFORM", [3, 0], **SEEDS)).shape == (3, 0)
    assert draw(numbers("RANDOM_STANDARD_NORMAL", [0], **SEEDS)).shape == (0,)
    assert choose([[1, 2]], 0).shape == (1, 0)


def test_refusals() -> None:
    with pytest.raises(QCoreError, match="output is int32, expected float32"):
        numbers("RANDOM_UNIFORM", [3], "int32")
    with pytest.raises(QCoreError, match="expected sizes from 0"):
        numbers("RANDOM_UNIFORM", [-3])
    with pytest.raises(QCoreError, match="the memory limit is"):
        numbers("RANDOM_STANDARD_NORMAL", [2**30])
    with pytest.raises(QCoreError, match="there are no classes"):
        choose(np.zeros((2, 0)), 1)
    with pytest.raises(QCoreError, match="-1 samples are wanted"):
        choose([[1, 2]], -1)
    with pytest.raises(QCoreError, match="output is float32, qcore has int32, int64"):
        choose([[1, 2]], 1, "float32")
    with pytest.raises(QCoreError, match="rank 1"):
        choose([1, 2], 1)
