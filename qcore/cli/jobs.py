"""Work spread over processes, for the commands."""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

from qcore.errors import InputError


def add_jobs_argument(parser: argparse.ArgumentParser) -> None:
    """Declare how many processes share the work."""
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that share the work (default 1); figures stay the same")


@contextmanager
def executor_of(args: argparse.Namespace) -> Iterator[Executor | None]:
    """The processes of --jobs; None for a single one.

    Raises:
        InputError: there are to be none.
    """
    if args.jobs < 1:
        raise InputError(f"--jobs is {args.jobs}, expected at least 1")
    if args.jobs == 1:
        yield None
        return
    # Forked processes may wait forever for threads that they do not have.
    with ProcessPoolExecutor(args.jobs, multiprocessing.get_context("spawn")) as executor:
        yield executor
