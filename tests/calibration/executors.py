"""Everything that calibration and evaluation may be spread over."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest


@contextmanager
def dask(processes: bool) -> Iterator[concurrent.futures.Executor]:
    """A cluster on this machine: one worker, in a process of its own or in this one."""
    distributed = pytest.importorskip("distributed", reason="needs the extra 'distributed'")
    settings = {"n_workers": 1, "threads_per_worker": 2, "processes": processes, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client, client.get_executor() as executor:
        yield executor


EXECUTORS: dict[str, Callable[[], AbstractContextManager[concurrent.futures.Executor]]] = {
    "threads": lambda: concurrent.futures.ThreadPoolExecutor(3),
    "processes": lambda: concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("spawn")),
    "dask": lambda: dask(processes=False),
    "dask with processes": lambda: dask(processes=True),
}
