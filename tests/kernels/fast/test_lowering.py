"""The table of lowerings is made of names: each of them is the name of something."""

from __future__ import annotations

from importlib import import_module

import pytest

from qcore.kernels.fast.lowering import LOWERINGS


@pytest.mark.parametrize(("kernel", "lowering"), LOWERINGS.items())
def test_a_row_names_a_kernel_and_a_function(kernel, lowering):
    module, _, name = kernel.rpartition(".")
    found = getattr(import_module(f"qcore.{module}"), name)
    assert (found.__module__, found.__qualname__) == (f"qcore.{module}", name)
    module, _, name = lowering.rpartition(".")
    assert callable(getattr(import_module(f"qcore.kernels.fast.{module}"), name))
