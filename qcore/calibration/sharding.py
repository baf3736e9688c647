"""Work on many samples, spread over an executor."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from itertools import islice
from typing import TypeVar

SHARD = 16
"""Samples that an executor is given at a time."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_shards(executor: Executor, work: Callable[[list[Item]], Result], items: Iterable[Item]) -> Iterator[Result]:
    """What ``work`` makes of the items, shard by shard, as it gets done; few enough are under way at a time that memory stays bounded.

    An error of a shard ends the drawing of items, and takes back what has not begun.
    """
    pending: set[Future[Result]] = set()
    source = iter(items)
    try:
        while True:
            while len(pending) < 2 * (os.cpu_count() or 1) and (shard := list(islice(source, SHARD))):
                pending.add(executor.submit(work, shard))
            if not pending:
                return
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from [future.result() for future in done]
    finally:
        for future in pending:
            future.cancel()
