"""Runs models in TensorFlow Lite or LiteRT, in processes that may end: ``python weight_worker.py PACKAGE``.

Standard input has a pickled list of (model bytes, input). Standard output gets a pickled list that has, for each of them, what the three
arithmetics made of it: an output and whether a delegate took part, the text of an error, or None where the process ended.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

RESOLVERS = ("BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "AUTO")


def interpreter(package: str) -> tuple[Any, Any]:
    """The package's Interpreter and its types of resolvers."""
    if package == "tensorflow":
        import tensorflow as tf

        return tf.lite.Interpreter, tf.lite.experimental.OpResolverType
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    return Interpreter, OpResolverType


def run(kinds: tuple[Any, Any], content: bytes, given: np.ndarray, resolver: str) -> Any:
    """What one arithmetic makes of a model."""
    try:
        it = kinds[0](model_content=content, experimental_op_resolver_type=kinds[1][resolver], num_threads=1)
        it.allocate_tensors()
        it.set_tensor(it.get_input_details()[0]["index"], given)
        it.invoke()
        output = np.array(it.get_tensor(it.get_output_details()[0]["index"]))
        return output, any(operator["op_name"] == "DELEGATE" for operator in it._get_ops_details())
    except (RuntimeError, ValueError) as error:
        return str(error)


def results(kinds: tuple[Any, Any], tasks: Sequence[tuple[bytes, np.ndarray, str]]) -> list[Any]:
    """One child process after another works through the tasks; each that ends leaves out the task that ended it."""
    found: list[Any] = []
    while len(found) < len(tasks):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            with os.fdopen(write, "wb") as pipe:
                for task in tasks[len(found) :]:
                    pickle.dump(run(kinds, *task), pipe)
                    pipe.flush()
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            while True:
                try:
                    found.append(pickle.load(pipe))
                except EOFError:
                    break
        os.waitpid(child, 0)
        if len(found) < len(tasks):
            found.append(None)
    return found


def main(package: str) -> None:
    """Runs the models that come in."""
    tasks = [(content, x, resolver) for content, x in pickle.load(sys.stdin.buffer) for resolver in RESOLVERS]
    out = os.dup(1)
    os.dup2(2, 1)  # what packages print
    flat = results(interpreter(package), tasks)
    with os.fdopen(out, "wb") as pipe:
        pickle.dump([flat[i : i + len(RESOLVERS)] for i in range(0, len(flat), len(RESOLVERS))], pipe)


if __name__ == "__main__":
    main(sys.argv[1])
