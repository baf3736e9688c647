"""Running a model by one of its signatures: named arrays in, named arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np

from qcore.errors import InputError
from qcore.kernels.opdef import Array
from qcore.model import Signature
from qcore.runtime.details import tensor_details
from qcore.runtime.executor import Executor


class SignatureRunner:
    """A callable that ``Interpreter.get_signature_runner`` gives: ``runner(x=array)["y"]``.

    Inputs are resized to the arrays given. Values are the tensors' own integers or floats, as in ``tf.lite``.
    """

    def __init__(self, executor: Executor, signature: Signature):
        self._executor = executor
        self._signature = signature

    def __call__(self, **inputs: Any) -> dict[str, Array]:
        """Run on these inputs.

        Raises:
            InputError: a name is missing or unknown, or a value does not fit.
            QCoreError: the model cannot run on them.
        """
        names = dict(self._signature.inputs)
        if set(inputs) != set(names):
            raise InputError(f"signature '{self._signature.key}': got inputs {sorted(inputs)}, expected {sorted(names)}")
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        for name, array in arrays.items():
            self._executor.resize(names[name], array.shape)
        self._executor.allocate()
        for name, array in arrays.items():
            self._executor.write(names[name], array)
        self._executor.invoke()
        return {name: self._executor.read(index).copy() for name, index in self._signature.outputs}

    def get_input_details(self) -> dict[str, dict[str, Any]]:
        """Each input's details by its name in the signature."""
        return {name: tensor_details(self._executor, index) for name, index in self._signature.inputs}

    def get_output_details(self) -> dict[str, dict[str, Any]]:
        """Each output's details by its name in the signature."""
        return {name: tensor_details(self._executor, index) for name, index in self._signature.outputs}
