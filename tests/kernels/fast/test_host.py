"""The processor is asked for once, and again wherever another answer could follow."""

from __future__ import annotations

import llvmlite.binding as llvm
import pytest

from qcore.kernels.fast import host as module
from qcore.kernels.fast.backend import describe
from qcore.kernels.fast.host import host

LINES = """processor\t: 0
vendor_id\t: Maker
cpu family\t: 6
model\t\t: 85
model name\t: Some Processor
stepping\t: 7
cpu MHz\t\t: 1234.5
flags\t\t: fpu sse2 avx2
power management:

processor\t: 1
vendor_id\t: Maker
"""


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """How often LLVM was asked so far, in a list; processors are what the file says."""
    monkeypatch.setenv("QCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "PROCESSORS", tmp_path / "cpuinfo")
    module.PROCESSORS.write_text(LINES)
    calls: list[bytes] = []
    own = module._asked
    monkeypatch.setattr(module, "_asked", lambda: calls.append(own()) or calls[-1])
    return calls


def ask():
    return host.__wrapped__()


def test_it_is_what_llvm_says(asked):
    version, triple, name, features = describe()
    assert (version, triple, name) == (".".join(map(str, llvm.llvm_version_info)), llvm.get_process_triple(), llvm.get_host_cpu_name())
    for _ in range(2):
        assert ask() == (version, triple, name, features)


def test_llvm_is_asked_once(asked):
    assert ask() == ask() == ask()
    assert len(asked) == 1


def test_what_changes_by_itself_is_left_out(asked):
    ask()
    module.PROCESSORS.write_text(LINES.replace("1234.5", "4321.0"))
    ask()
    assert len(asked) == 1


@pytest.mark.parametrize(("old", "new"), [("avx2", "avx2 avx512f"), ("85", "86"), ("Some", "Another"), ("stepping\t: 7", "stepping\t: 8")])
def test_another_processor_is_asked_for(asked, old, new):
    ask()
    module.PROCESSORS.write_text(LINES.replace(old, new))
    ask()
    assert len(asked) == 2


@pytest.mark.parametrize("content", ["", "flags: avx2\n", "no colon\n", LINES.replace("flags", "Features")], ids=range(4))
def test_a_system_that_does_not_say_enough_has_llvm_asked_each_time(asked, content):
    module.PROCESSORS.write_text(content)
    assert ask() == ask()
    assert len(asked) == 2


def test_a_system_without_the_file_has_llvm_asked_each_time(asked):
    module.PROCESSORS.unlink()
    assert ask() == ask()
    assert len(asked) == 2


def test_a_damaged_answer_is_asked_for_again(asked):
    ask()
    (entry,) = (module.PROCESSORS.parent / "cache").iterdir()
    entry.write_bytes(entry.read_bytes().replace(b"+", b"-"))
    ask()
    assert len(asked) == 2
