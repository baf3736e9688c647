"""Threads that run programs together: the same bits for any number, from any thread, at any time."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

import qcore
from tests.conformance.harness import random_inputs
from tests.kernels.fast.test_convolution import CONV, model

CASE = [1, 12, 12, 16], [64, 3, 3, 16], [1, 12, 12, 64]


def interpreter(threads: int) -> tuple[qcore.Interpreter, np.ndarray]:
    rng = np.random.default_rng(0)
    m = model(rng, "CONV_2D", *CASE, CONV)
    made = qcore.Interpreter(model_content=m, engine="fast", num_threads=threads)
    made.allocate_tensors()
    (x,) = random_inputs(m, rng)
    made.set_tensor(made.get_input_details()[0]["index"], x)
    return made, x


def output(made: qcore.Interpreter) -> np.ndarray:
    made.invoke()
    return made.get_tensor(made.get_output_details()[0]["index"])


@pytest.mark.parametrize("pause", [0.0, 0.1], ids=["watching", "asleep"])
def test_the_team_is_there_again_after_a_pause(pause):
    """While threads watch for work, and after they have gone to sleep."""
    made, _ = interpreter(3)
    want = output(interpreter(1)[0])
    for _ in range(5):
        time.sleep(pause)
        np.testing.assert_array_equal(output(made), want)


def test_more_threads_than_processors():
    """Parts of threads that do not come are done by others."""
    made, _ = interpreter(16)
    want = output(interpreter(1)[0])
    for _ in range(30):
        np.testing.assert_array_equal(output(made), want)


def test_programs_that_come_at_a_time():
    """One has the team, the others do without; all are right."""
    want = output(interpreter(1)[0])
    wrong: list[int] = []

    def work() -> None:
        made, _ = interpreter(2)
        wrong.extend(i for i in range(50) if not np.array_equal(output(made), want))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


def test_other_threads_of_python_go_on_meanwhile():
    """A run releases the interpreter's lock."""
    made, _ = interpreter(1)
    counted = 0
    done = threading.Event()

    def count() -> None:
        nonlocal counted
        while not done.is_set():
            counted += 1

    counter = threading.Thread(target=count)
    counter.start()
    for _ in range(20):
        made.invoke()
    done.set()
    counter.join()
    assert counted > 0
