"""The processor's own estimates of reciprocals: a dozen bits, which processors of different makers fill in differently."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.fast.cpu import features, target_features, usable
from qcore.kernels.fast.host import host

Reals = NDArray[np.float32]


class Instruction(NamedTuple):
    """An instruction of x86-64 on vectors.

    call: of LLVM's intrinsic, with %x for the vector. lanes: floats in one. needs: LLVM's name of the feature.
    """

    declaration: str
    call: str
    lanes: int
    needs: str


RECIPROCAL = Instruction(
    "declare <8 x float> @llvm.x86.avx.rcp.ps.256(<8 x float>)", "<8 x float> @llvm.x86.avx.rcp.ps.256(<8 x float> %x)", 8, "avx"
)
"""1 / x, to 12 bits."""

RECIPROCAL_ROOT = Instruction(
    "declare <16 x float> @llvm.x86.avx512.rsqrt14.ps.512(<16 x float>, <16 x float>, i16)",
    "<16 x float> @llvm.x86.avx512.rsqrt14.ps.512(<16 x float> %x, <16 x float> zeroinitializer, i16 -1)",
    16,
    "avx512f",
)
"""1 / sqrt(x), to 14 bits."""

LOOP = """
{declaration}
define void @estimate(ptr %from, ptr %to, i64 %count) {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %source = getelementptr <{lanes} x float>, ptr %from, i64 %i
  %target = getelementptr <{lanes} x float>, ptr %to, i64 %i
  %x = load <{lanes} x float>, ptr %source, align 4
  %y = call {call}
  store <{lanes} x float> %y, ptr %target, align 4
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %count
  br i1 %more, label %loop, label %end
end:
  ret void
}}
"""


def available(instruction: Instruction) -> bool:
    """This processor has it."""
    return host().triple.startswith("x86_64") and bool(features().get(instruction.needs))


def estimate(instruction: Instruction, x: Reals) -> Reals:
    """What the processor, which must have the instruction, makes of float32[...]."""
    vectors = np.zeros((-(-x.size // instruction.lanes), instruction.lanes), np.float32)
    vectors.reshape(-1)[: x.size] = x.reshape(-1)
    if len(vectors):
        address = vectors.ctypes.data
        _compiled(instruction).function(address, address, len(vectors))
    return vectors.reshape(-1)[: x.size].reshape(x.shape)


@dataclass(frozen=True)
class Compiled:
    """A function, and what must live as long as it."""

    function: ctypes._FuncPointer
    backend: object


@cache
def _compiled(instruction: Instruction) -> Compiled:
    from qcore.kernels.fast.backend import Backend

    backend = Backend(host().name, target_features(usable()[0]))
    (address,) = backend.loaded({"estimate": backend.compiled(LOOP.format(**instruction._asdict()))})
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(address)
    return Compiled(function, backend)
