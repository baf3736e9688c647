"""Images: code that was laid out in advance does what LLVM's own loader makes of it, or is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from struct import pack_into

import numpy as np
import pytest

from qcore.kernels.fast import compiler, cpu
from qcore.kernels.fast.backend import Backend
from qcore.kernels.fast.calls import NATIVE
from qcore.kernels.fast.image import NotFlat, can_load, flattened, loaded
from qcore.schema import save
from tests.conformance.harness import T, one_operator, random_inputs
from tests.kernels.fast.compare import assert_fast

pytestmark = pytest.mark.skipif(not can_load(), reason="this system loads no images")

STORE = "define void @f(ptr %p, i64 %a, i64 %b) {{\n{}\nret void\n}}\n"
VECTOR = "store <4 x i64> <i64 7, i64 -1, i64 11, i64 13>, ptr %p, align 1"
CHOICE = (
    """
  switch i64 %a, label %other [
    i64 0, label %zero
    i64 1, label %one
    i64 2, label %two
    i64 3, label %three
    i64 4, label %four
  ]
"""
    + "".join(
        f"{name}:\n  store volatile i64 {number}, ptr %p\n  br label %end\n"
        for name, number in (("zero", 17), ("one", 5), ("two", 800), ("three", 3), ("four", -4), ("other", 1))
    )
    + "end:"
)
SETTING = "call void @llvm.memset.p0.i64(ptr %p, i8 9, i64 %b, i1 0)"
COPYING = "%q = getelementptr i8, ptr %p, i64 %b\ncall void @llvm.memcpy.p0.p0.i64(ptr %q, ptr %p, i64 %b, i1 0)"
DECLARED = """
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @elsewhere()
"""
BODIES = {"constants": VECTOR, "jumps": CHOICE, "set": SETTING, "copy": COPYING}


def movable(instructions: str) -> bytes:
    return Backend("", "").compiled(instructions, movable=True)


def module(body: str) -> str:
    return STORE.format(body) + DECLARED


def results(function: int) -> list[np.ndarray]:
    called = NATIVE(function)
    memories = []
    for number in range(7):
        memory = np.arange(64, dtype=np.uint8)
        called(memory.ctypes.data, number, 8)
        memories.append(memory)
    return memories


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_an_image_does_what_llvm_makes_of_the_object(body):
    image, plain = flattened(movable(module(body)), "f"), Backend("", "")
    (expected,) = plain.loaded({"f": plain.compiled(module(body))})
    for function in loaded([image, image]):
        np.testing.assert_array_equal(results(function), results(expected))


def test_code_can_be_run_and_not_written():
    (function,) = loaded([flattened(movable(module(VECTOR)), "f")])
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(number, 16) for number in line.split()[0].split("-"))
        if start <= function < end:
            assert line.split()[1] == "r-xp"
            return
    pytest.fail("the function is nowhere")


REFUSED = {
    "a function of another library": (STORE.format("call void @elsewhere()") + DECLARED, "to 'elsewhere'"),
    "memory to write to": ("@g = global i64 5\n" + STORE.format("store i64 1, ptr @g"), "section .* is not just to be read and run"),
    "memory of zeros": ("@g = internal global i64 0\n" + STORE.format("store volatile i64 1, ptr @g"), "section .* is not just"),
    "an address of another module": ("@g = external global i64\n" + STORE.format("store i64 1, ptr @g"), "relocation of type"),
}


@pytest.mark.parametrize(("instructions", "message"), REFUSED.values(), ids=REFUSED)
def test_an_object_that_asks_for_more_has_no_image(instructions, message):
    with pytest.raises(NotFlat, match=message):
        flattened(movable(instructions), "f")


def test_addresses_that_are_not_distances_are_refused():
    with pytest.raises(NotFlat, match="a relocation of type 1 "):
        flattened(Backend("", "").compiled(module(VECTOR)), "f")


def test_objects_of_other_processors_and_formats_are_refused():
    code = bytearray(movable(module(VECTOR)))
    pack_into("<H", code, 18, 183)  # aarch64
    for other in (bytes(code), b"", b"\x7fELF", b"\xcf\xfa\xed\xfe" + bytes(500)):
        with pytest.raises(NotFlat, match="no object file in ELF for x86-64"):
            flattened(other, "f")


KEPT: list[object] = []


@pytest.fixture
def without_images(monkeypatch):
    """As on a system that loads none. What is compiled here stays, since code goes when its compiler does."""
    monkeypatch.setattr(compiler, "can_load", lambda: False)
    compilers: dict[cpu.Tier, compiler.Compiler] = {}
    monkeypatch.setattr(compiler, "_compilers", compilers)
    KEPT.append(compilers)
    return compilers


def test_systems_without_images_run_what_llvm_loads(tier, without_images):
    tensors = [T("int8", [1, 4, 70], 0.05, 3), T("int8", [1, 4, 70], 0.03, -5)]
    m = one_operator("ADD", tensors, [T("int8", [1, 4, 70], 0.07, 7)], version=2)
    assert_fast(m, random_inputs(m, np.random.default_rng(1)))
    assert len(without_images) == 1


def test_a_warm_process_loads_no_compiler(tmp_path):
    tensors = [T("int8", [1, 4, 70], 0.05, 3), T("int8", [1, 4, 70], 0.03, -5)]
    save(one_operator("ADD", tensors, [T("int8", [1, 4, 70], 0.07, 7)], version=2), tmp_path / "add.tflite")
    program = f"""
import sys, qcore
it = qcore.Interpreter({str(tmp_path / "add.tflite")!r}, engine="fast", num_threads=2)
it.allocate_tensors()
it.invoke()
print(it.get_tensor(it.get_output_details()[0]["index"]).tolist(), "llvmlite.binding" in sys.modules)
"""
    environment = os.environ | {"QCORE_CACHE": str(tmp_path / "cache")}
    cold, warm = (subprocess.check_output([sys.executable, "-c", program], text=True, env=environment).rsplit(" ", 1) for _ in range(2))
    assert cold[0] == warm[0]
    assert (cold[1], warm[1]) == ("True\n", "False\n")
