"""FakeQuant and QuantizedKernel are what numerics says, on every backend that is installed; and ordinary layers."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("keras", reason="needs keras")

import keras
import numpy as np

from qcore import InputError
from qcore.qat import FakeQuant, QuantizedKernel
from tests.qat import facts

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("fact", facts.FACTS, ids=lambda fact: fact.__name__)
def test_here(fact: Callable[[], None]) -> None:
    fact()


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_on_another_backend(backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs {backend}")
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.qat.facts"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert result.stdout.strip().endswith(backend), result.stderr


def test_layers_are_made_again_from_their_configuration() -> None:
    fake_quant = FakeQuant(0.9, (-1, 1), True, 16, name="codes")
    assert fake_quant.get_config()["bits"] == 16
    assert FakeQuant.from_config(fake_quant.get_config()).get_config() == fake_quant.get_config()
    kernel = QuantizedKernel(keras.layers.Dense(3, name="dense"), 4)
    again = QuantizedKernel.from_config(kernel.get_config())
    assert (again.name, again.bits, again.layer.units) == ("quantized_dense", 4, 3)


def test_a_kernel_of_one_bit_is_refused() -> None:
    with pytest.raises(InputError, match="layer 'dense': got 1 bits, expected 2 to 8"):
        QuantizedKernel(keras.layers.Dense(3, name="dense"), 1)


def test_the_kernel_that_the_optimizer_moves_is_not_rounded() -> None:
    x = keras.Input((4,))
    dense = keras.layers.Dense(3)
    model = keras.Model(x, QuantizedKernel(dense, 2)(x))
    before = keras.ops.convert_to_numpy(dense.kernel).copy()
    model.predict(np.ones((2, 4)), verbose=0)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(dense.kernel), before)
    assert len(np.unique(abs(before))) == 12
