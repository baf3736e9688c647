"""REAL, IMAG and COMPLEX_ABS: a complex number's parts and its magnitude, as real numbers of the same precision.

Source (TensorFlow Lite 2.21): tflite/kernels/complex_support.cc.
"""

from __future__ import annotations

from functools import partial
from types import MappingProxyType

import numpy as np

from qcore.kernels.elementwise import Function, apply
from qcore.kernels.opdef import FLOAT_FUNCTION, Array, Node, OpDef, Step

PARTS = MappingProxyType({"complex64": "float32", "complex128": "float64"})
"""Type of the output, by type of the input."""


def prepare(node: Node, function: Function) -> Step:
    """A real number for each complex one."""
    input, wanted = node.input(0), PARTS[node.input(0).dtype]
    node.require(node.output.dtype == wanted, f"output is {node.output.dtype}, expected {wanted} for {input.dtype}")
    return Step(apply, function, (input.shape,))


def real(x: Array) -> Array:
    """The real parts of complex64 | complex128[...]."""
    return x.real


def imaginary(x: Array) -> Array:
    """The imaginary parts of complex64 | complex128[...]."""
    return x.imag


def magnitude(x: Array) -> Array:
    """The magnitudes of complex64 | complex128[...], without overflow on the way."""
    return np.asarray(np.hypot(x.real, x.imag))


REAL = OpDef("REAL", partial(prepare, function=real), tuple(PARTS), (1, 1))
IMAG = OpDef("IMAG", partial(prepare, function=imaginary), tuple(PARTS), (1, 1))
COMPLEX_ABS = OpDef(
    "COMPLEX_ABS", partial(prepare, function=magnitude), tuple(PARTS), (1, 1), tolerances=dict.fromkeys(PARTS, FLOAT_FUNCTION)
)
