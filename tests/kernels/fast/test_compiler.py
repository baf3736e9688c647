"""The cache of compiled code: what is damaged or foreign is made anew, and nothing but time depends on it."""

from __future__ import annotations

import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest

from qcore.errors import InputError
from qcore.kernels.fast import compiler, cpu
from qcore.kernels.fast.cache import stored
from qcore.kernels.fast.calls import NATIVE
from qcore.kernels.fast.image import MAGIC
from qcore.kernels.fast.ir import F64, I64, Code


class Arguments(NamedTuple):
    output: int


class Constant:
    """A kernel that writes a number."""

    def __init__(self, value: int):
        self.value = value

    def __repr__(self) -> str:
        return f"Constant({self.value})"

    def emit(self, name, tier):
        code = Code(name, Arguments)
        code.store(I64(self.value), code.pointer("output"))
        return code


class Exponential(Constant):
    """A kernel that writes a number and exp(thread) together, and asks the mathematical library for that."""

    def __repr__(self) -> str:
        return f"Exponential({self.value})"

    def emit(self, name, tier):
        code = Code(name, Arguments)
        power = code.elementwise("exp", code.builder.sitofp(code.thread, F64))
        code.store(code.add(code.builder.fptosi(power, I64), self.value), code.pointer("output"))
        return code


def run(made: compiler.Compiler, kernel: Constant) -> int:
    output = np.zeros(1, np.int64)
    arguments = np.array(Arguments(output.ctypes.data), np.int64)
    NATIVE(made.addresses([kernel])[kernel])(arguments.ctypes.data, 0, 1)
    return int(output[0])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("QCORE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_code_is_kept_and_used_again(folder, monkeypatch):
    assert run(compiler.Compiler(cpu.tier()), Constant(7)) == 7
    (entry,) = folder.iterdir()
    monkeypatch.setattr(compiler.Compiler, "_compile", lambda self, kernel: pytest.fail("compiled again"))
    assert run(compiler.Compiler(cpu.tier()), Constant(7)) == 7
    assert list(folder.iterdir()) == [entry]


@pytest.mark.parametrize("content", [b"", b"short", bytes(5000)], ids=["empty", "short", "zeros"])
def test_a_damaged_entry_is_made_anew(folder, content):
    run(compiler.Compiler(cpu.tier()), Constant(8))
    (entry,) = folder.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(content)
    assert run(compiler.Compiler(cpu.tier()), Constant(8)) == 8
    assert entry.read_bytes() == whole


def test_every_changed_bit_of_an_entry_is_noticed(folder):
    run(compiler.Compiler(cpu.tier()), Constant(9))
    (entry,) = folder.iterdir()
    whole = entry.read_bytes()
    for place in range(0, len(whole), 97):
        entry.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert stored(entry.name, lambda: b"made") == b"made"


def test_an_entry_under_the_name_of_another_is_not_taken(folder):
    assert stored("one", lambda: b"first") == b"first"
    (folder / "one").rename(folder / "other")
    assert stored("other", lambda: b"second") == b"second"
    assert stored("other", lambda: b"third") == b"second"


def test_code_that_has_no_image_is_kept_as_an_object(folder, monkeypatch):
    assert run(compiler.Compiler(cpu.tier()), Exponential(7)) == 8
    (entry,) = folder.iterdir()
    assert MAGIC not in entry.read_bytes()
    monkeypatch.setattr(compiler.Compiler, "_compile", lambda self, kernel: pytest.fail("compiled again"))
    assert run(compiler.Compiler(cpu.tier()), Exponential(7)) == 8


def test_other_tiers_have_entries_of_their_own(folder):
    for tier in cpu.usable():
        run(compiler.Compiler(tier), Constant(10))
    assert len(list(folder.iterdir())) == len(cpu.usable())


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("QCORE_CACHE", str(tmp_path / "file" / "below"))
    assert run(compiler.Compiler(cpu.tier()), Constant(11)) == 11


def test_the_cache_can_be_turned_off(tmp_path, monkeypatch):
    monkeypatch.setenv("QCORE_CACHE", "off")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(compiler.Compiler(cpu.tier()), Constant(12)) == 12
    assert list(tmp_path.iterdir()) == []


def test_processes_that_compile_the_same_at_a_time_agree(folder):
    program = """
from tests.kernels.fast.test_compiler import Constant, compiler, cpu, run
print(run(compiler.Compiler(cpu.tier()), Constant(13)))
"""
    started = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=60)[0].strip() for process in started] == ["13"] * 3
    assert len(list(folder.glob("qcore_*"))) == 1


def test_an_unknown_tier_is_refused(monkeypatch):
    monkeypatch.setenv("QCORE_CPU", "abacus")
    with pytest.raises(InputError, match="QCORE_CPU: got 'abacus', this processor has .*generic"):
        cpu.tier()


def test_lower_tiers_leave_out_the_features_of_higher_ones():
    own = [tier for tier in cpu.TIERS if tier.family == cpu.family()]
    for lower, higher in zip(own[1:], own, strict=False):
        allowed = cpu.target_features(lower).split(",")
        assert not {f"+{need}" for need in set(higher.needs) - set(lower.needs)} & set(allowed)


@pytest.mark.parametrize(
    ("family", "features", "names"),
    [
        ("x86_64", {"avx2": True, "avxvnni": False}, ["avx2", "generic"]),
        ("aarch64", {"dotprod": True, "i8mm": True}, ["i8mm", "dotprod", "generic"]),
        ("aarch64", {"dotprod": True, "i8mm": False, "avx2": True}, ["dotprod", "generic"]),
        ("aarch64", {}, ["generic"]),
        ("riscv64", {"dotprod": True}, ["generic"]),
    ],
)
def test_tiers_are_those_of_the_processor_s_family(monkeypatch, family, features, names):
    monkeypatch.setattr(cpu, "family", lambda: family)
    monkeypatch.setattr(cpu, "features", lambda: features)
    assert [(tier.name, tier.family) for tier in cpu.usable()] == [(name, family) for name in names]


@pytest.mark.parametrize(("word", "bit", "told"), [(16, 1 << 20, True), (16, 1 << 19, False), (26, 1 << 13, False)])
def test_linux_is_asked_for_what_llvm_does_not_look_for(monkeypatch, word, bit, told):
    """Its auxiliary vector has bits for features that LLVM's report of aarch64 leaves out."""

    class System:
        def getauxval(self, asked):
            return {16: 1 << 20, 26: 1 << 12}[asked.value]

    monkeypatch.setattr("ctypes.CDLL", lambda name: System())
    monkeypatch.setattr("platform.system", lambda: "Linux")
    assert cpu._told(word, bit, b"") is told
