"""Tracing shows a run as it is: no bit depends on being looked at."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import qcore
from qcore.errors import InputError
from qcore.kernels.opdef import Arithmetic
from tests.quantizer.builder import dense

DIGITS = Path(qcore.__file__).parent / "data" / "digits_int8.tflite"


def digit() -> np.ndarray:
    with np.load(DIGITS.parent / "digits.npz") as data:
        return data["images"][:1, ..., np.newaxis] / np.float32(16)


@pytest.mark.parametrize("arithmetic", get_args(Arithmetic))
@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_no_bit_depends_on_tracing(arithmetic: Arithmetic, engine: str) -> None:
    """Outputs are those of an interpreter that keeps nothing, on either engine; every tensor is that of one that keeps all."""
    traced = qcore.trace(str(DIGITS), digit(), arithmetic=arithmetic, engine=engine)
    plain = qcore.Interpreter(str(DIGITS), arithmetic=arithmetic, engine=engine)
    for name, real in plain.run(digit()).items():
        np.testing.assert_array_equal(traced[name].real, real)
    keeping = qcore.Interpreter(str(DIGITS), arithmetic=arithmetic, engine="reference", experimental_preserve_all_tensors=True)
    keeping.run(digit())
    for tensor in traced.tensors:
        np.testing.assert_array_equal(tensor.elements, keeping.get_tensor(tensor.index))


def test_codes_and_real_values_by_name() -> None:
    traced = qcore.trace(str(DIGITS), digit())
    tensor = traced["sequential_1/flatten_1/Reshape"]
    assert (tensor.producer, tensor.quantized, tensor.elements.dtype) == (7, True, np.int8)
    q = tensor.tensor.quantization
    assert q is not None
    np.testing.assert_array_equal(tensor.real, q.scale[0] * (tensor.elements.astype(np.float32) - q.zero_point[0]).astype(np.float32))


def test_inputs_are_named_as_the_signature_names_them() -> None:
    model = dense(np.random.default_rng(0))
    assert model.signatures is not None
    model.signatures[0].inputs = [("features", model.subgraphs[0].inputs[0])]
    x = np.random.default_rng(1).normal(size=(1, 64)).astype(np.float32)
    by_place = qcore.trace(model, x)
    for traced in (qcore.trace(model, x=x), qcore.trace(model, {"features": x}), qcore.trace(model, signature="serve", features=x)):
        np.testing.assert_array_equal(traced["y"].elements, by_place["y"].elements)


def test_inputs_that_do_not_fit_are_refused() -> None:
    model, x = dense(np.random.default_rng(0)), np.zeros((1, 64), np.float32)
    for given, named, message in [
        ((), {}, "got 0 arrays, the model has 1"),
        ((x, x), {}, "got 2 arrays, the model has 1"),
        ((), {"z": x}, "input 'z': the model has no input of that name, but 'x'"),
        ((x,), {"x": x}, "got 1 arrays and the names"),
        (([[1], [1, 2]],), {}, "not an array"),
    ]:
        with pytest.raises(InputError, match=message):
            qcore.trace(model, *given, **named)
    with pytest.raises(InputError, match="no signature 'none'"):
        qcore.trace(model, x, signature="none")
