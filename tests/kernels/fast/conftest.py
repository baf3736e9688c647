from __future__ import annotations

import pytest

from qcore.kernels.fast import cpu


@pytest.fixture(params=[tier.name for tier in cpu.usable()])
def tier(request, monkeypatch) -> str:
    """Runs a test once for each tier that this processor has."""
    monkeypatch.setenv("QCORE_CPU", request.param)
    return str(request.param)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Compiled code goes into a folder of its own, so that every run compiles what it tests."""
    patch = pytest.MonkeyPatch()
    patch.setenv("QCORE_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()
