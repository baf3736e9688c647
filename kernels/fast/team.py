"""Threads that run programs together.

They live as long as the process. Between programs they watch for the next one for a while, which starts it at once, and then sleep in
Python until they are woken.

Every call has as many parts as there are threads. Each thread claims its own part first, and then what nobody has claimed; when all parts
are done, at a counter in shared memory, it goes on to the next call. So nobody waits for a thread that has not come yet, because it sleeps
or others have its processor: it finds its part done. What a program holds is read by those alone who have claimed a part of it, for which
the first thread waits; so nothing is read once the program is over.

A program that comes while the team is busy does without: its own thread does all the work. How the work is shared never changes a bit.
"""

from __future__ import annotations

import ctypes
import os
import threading
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from qcore.kernels.fast.calls import NATIVE, run_call
from qcore.kernels.fast.compiler import compiler
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.ir import I64, POINTER, Code, Value
from qcore.kernels.fast.memory import aligned_bytes

WATCH = 20_000
"""How often an idle thread looks for the next program before it sleeps: for about a millisecond."""

PATIENCE = 2_000
"""How often a waiting thread looks before it lets others have its processor, for where there are more threads than processors."""

LINE = 64
"""Bytes of a cache line; what several threads write lies in lines of its own."""


class Shared(NamedTuple):
    """Offsets in the memory that threads share, in bytes; each holds an int64.

    epoch: programs so far. done: parts of calls done so far.
    base: done when the present program began, which is written after calls and call_count, what it runs, and read before them: a thread
        that is late may find what the next program runs, but then has nothing to claim.
    sleepers: threads that are to be woken for it. yields: address of sched_yield, or 0.
    asleep: 1 while a thread other than the first sleeps, each in a line of its own; wake: likewise, 1 if it is to be woken.
    claimed: likewise, what ``done`` will be when the last call is over whose part of that number was claimed.
    """

    epoch: int = 0
    done: int = LINE
    base: int = 2 * LINE
    calls: int = 2 * LINE + 8
    call_count: int = 2 * LINE + 16
    sleepers: int = 2 * LINE + 24
    yields: int = 2 * LINE + 32
    asleep: int = 3 * LINE
    wake: int = 3 * LINE + 8
    claimed: int = 3 * LINE + 16


AT = Shared()


class Arguments(NamedTuple):
    """Addresses: of the shared memory, and of the epoch that a thread has seen."""

    shared: int
    seen: int


@dataclass(frozen=True)
class Part:
    """What a thread does: "begin" tells of a program, "lead" runs it as the first thread, "watch" runs programs until none comes."""

    role: Literal["begin", "lead", "watch"]

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function."""
        code = Code(name, Arguments)
        {"begin": _begin, "lead": _run, "watch": _watch}[self.role](code, tier)
        return code


def _word(code: Code, offset: Value | int) -> Value:
    return code.at(code.pointer("shared"), offset)


def _read(code: Code, offset: int) -> Value:
    return code.builder.load_atomic(_word(code, offset), "seq_cst", 8, typ=I64)


def _exchange(code: Code, offset: Value | int, value: Value | int) -> Value:
    return code.builder.atomic_rmw("xchg", _word(code, offset), code.wide(value), "seq_cst")


def _of(code: Code, offset: int, thread: Value) -> Value:
    """Where a thread's own word is."""
    return code.add(offset, code.multiply(thread, LINE))


def _pause(code: Code, tier: Tier) -> None:
    """Let a little time pass in a loop that waits; on aarch64 by a barrier, since its hint to wait takes none."""
    if tier.family == "x86_64":
        code.call("llvm.x86.sse2.pause", ir.VoidType(), [])
    elif tier.family == "aarch64":
        code.call("llvm.aarch64.isb", ir.VoidType(), [ir.Constant(ir.IntType(32), 15)])


def _begin(code: Code, _: Tier) -> None:
    """Publish a program, and find out who sleeps."""
    b = code.builder
    _exchange(code, AT.base, _read(code, AT.done))
    b.atomic_rmw("add", _word(code, AT.epoch), I64(1), "seq_cst")
    sleepers = code.variable(I64(0))
    with code.loop(1, code.threads) as thread:
        asleep = _exchange(code, _of(code, AT.asleep, thread), 0)
        b.store(asleep, _word(code, _of(code, AT.wake, thread)))
        sleepers.set(code.add(sleepers.get(), asleep))
    b.store(sleepers.get(), _word(code, AT.sleepers))


def _run(code: Code, tier: Tier) -> None:
    """All calls of the present program: the parts of each that nobody else has claimed, then a wait until all are done."""
    b = code.builder
    base, count = _read(code, AT.base), _read(code, AT.call_count)
    calls = b.inttoptr(_read(code, AT.calls), POINTER)
    with code.loop(0, count) as i:
        after = code.add(base, code.multiply(code.add(i, 1), code.threads))
        with code.loop(code.thread, code.add(code.thread, code.threads)) as turn:
            part = b.select(b.icmp_signed("<", turn, code.threads), turn, b.sub(turn, code.threads))
            word = _word(code, _of(code, AT.claimed, part))
            unclaimed = b.icmp_signed("<", b.load_atomic(word, "seq_cst", 8, typ=I64), after)
            with b.if_then(unclaimed):
                mine = b.icmp_signed("<", b.atomic_rmw("max", word, after, "seq_cst"), after)
                with b.if_then(mine):
                    run_call(code, calls, i, part)
                    b.atomic_rmw("add", _word(code, AT.done), I64(1), "seq_cst")
        looks = code.variable(I64(0))
        looks.set(I64(0))
        with code.repeat() as all_are_done:
            code.leave_if(b.icmp_signed(">=", _read(code, AT.done), after), all_are_done)
            _pause(code, tier)
            looks.set(code.add(looks.get(), 1))
            yields = code.load(I64, _word(code, AT.yields), 0, 8)
            tired = b.icmp_signed(">", looks.get(), I64(PATIENCE))
            with b.if_then(b.and_(tired, b.icmp_signed("!=", yields, I64(0)))):
                looks.set(I64(0))
                b.call(b.inttoptr(yields, ir.FunctionType(ir.IntType(32), []).as_pointer()), [])


def _watch(code: Code, tier: Tier) -> None:
    """Run programs until none has come for a while; then return, to sleep until woken."""
    b = code.builder
    seen = code.pointer("seen")
    looks, epoch = code.variable(I64(0)), code.variable(I64(0))
    with code.repeat() as done:
        looks.set(I64(0))
        last = code.load(I64, seen, 0, 8)
        with code.repeat() as comes:
            epoch.set(_read(code, AT.epoch))
            code.leave_if(b.icmp_signed("!=", epoch.get(), last), comes)
            _pause(code, tier)
            looks.set(code.add(looks.get(), 1))
            with b.if_then(b.icmp_signed(">", looks.get(), I64(WATCH))):
                _exchange(code, _of(code, AT.asleep, code.thread), 1)
                # A program that came meanwhile may have been told that this thread is awake.
                late = b.icmp_signed("!=", _read(code, AT.epoch), last)
                with b.if_then(b.not_(late)):
                    b.branch(done)
                    b.position_at_end(code.function.append_basic_block("unreachable"))
                # Whoever began it has taken note already: it will wake this thread, which must go and be woken.
                noted = b.icmp_signed("==", _exchange(code, _of(code, AT.asleep, code.thread), 0), I64(0))
                with b.if_then(noted):
                    b.branch(done)
                    b.position_at_end(code.function.append_basic_block("unreachable"))
        code.builder.store(epoch.get(), seen)
        _run(code, tier)


class Team:
    """Threads that run programs together.

    Args:
        threads: how many, with the one that asks.
        tier: whose instructions to use.
    """

    def __init__(self, threads: int, tier: Tier):
        parts = [Part("begin"), Part("lead"), Part("watch")]
        addresses = compiler(tier).addresses(parts)
        self._begin, self._lead, self._watch = (NATIVE(addresses[part]) for part in parts)
        self._threads = threads
        self._busy = threading.Lock()
        self._memory = aligned_bytes((threads + 4) * LINE)
        self._words = self._memory.view(np.int64)
        self._words[AT.yields // 8] = _sched_yield()
        self._arguments = np.array(Arguments(self._memory.ctypes.data, 0), np.int64)
        self._woken = [threading.Semaphore(0) for _ in range(threads)]
        for thread in range(1, threads):
            threading.Thread(target=self._work, args=(thread,), name=f"qcore {thread}", daemon=True).start()

    def run(self, loop: NDArray[np.int64]) -> bool:
        """Run a program, whose calls and their number these are; False if the team is busy."""
        if not self._busy.acquire(blocking=False):
            return False
        try:
            words, address = self._words, self._arguments.ctypes.data
            words[AT.calls // 8], words[AT.call_count // 8] = loop
            self._begin(address, 0, self._threads)
            if words[AT.sleepers // 8]:
                for thread in range(1, self._threads):
                    if words[(AT.wake + thread * LINE) // 8]:
                        self._woken[thread].release()
            self._lead(address, 0, self._threads)
        finally:
            self._busy.release()
        return True

    def _work(self, thread: int) -> None:
        seen = np.zeros(1, np.int64)
        arguments = np.array(Arguments(self._memory.ctypes.data, seen.ctypes.data), np.int64)
        while True:
            self._watch(arguments.ctypes.data, thread, self._threads)
            self._woken[thread].acquire()


_teams: dict[tuple[int, int, Tier], Team] = {}
_teams_lock = threading.Lock()


def team(threads: int, tier: Tier) -> Team:
    """The team of so many threads in this process."""
    key = os.getpid(), threads, tier
    with _teams_lock:
        if key not in _teams:
            _teams[key] = Team(threads, tier)
        return _teams[key]


def _sched_yield() -> int:
    """Address of the C library's function; 0 where there is none."""
    try:
        function = ctypes.CDLL(None).sched_yield
    except (OSError, TypeError, AttributeError):
        return 0
    return ctypes.cast(function, ctypes.c_void_p).value or 0
