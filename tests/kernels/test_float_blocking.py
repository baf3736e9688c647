"""How float32 products are cut: on caches of known sizes, so that the processor does not matter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qcore.kernels import float_blocking
from qcore.kernels.float_blocking import Caches, Cut, cut_with_threads, one_thread


@pytest.fixture(autouse=True)
def known_caches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(float_blocking, "caches", lambda: Caches(48 << 10, 1 << 20, 32 << 20))
    return None


def test_a_product_that_fits_is_not_cut() -> None:
    assert one_thread(27, 32, 40) == (27, 32, 40)


def test_a_deep_product_in_one_thread_is_cut_evenly_by_the_first_cache() -> None:
    """At most 608 of depth: (49152 - 256) / 80 in whole eights; 1280 makes three parts, the last about as large as the others."""
    assert one_thread(1280, 100, 7).depth == 432


def test_threads_cut_the_depth_at_320() -> None:
    assert cut_with_threads(3136, 144, 1000, gathered=True) == Cut(((0, 1000),), 320, 48)


def test_one_row_is_cut_into_sixteens() -> None:
    assert cut_with_threads(1, 100, 200, gathered=False) == Cut(((0, 200),), 16, 100)
    assert cut_with_threads(1, 100, 127, gathered=False).depth == 127
    assert cut_with_threads(1, 8000, 200, gathered=False).depth == 4


def test_few_rows_share_the_depth_among_threads() -> None:
    cut = cut_with_threads(9, 160, 960, gathered=False)
    assert len(cut.shares) > 1
    assert cut.shares[0][0] == 0
    assert cut.shares[-1][1] == 960
    assert all(end == start for (_, end), (start, _) in zip(cut.shares, cut.shares[1:], strict=False))


def test_a_small_product_takes_one_thread() -> None:
    assert cut_with_threads(16, 16, 16, gathered=False) == Cut(((0, 16),), 16, 16)


def test_caches_of_this_processor_are_plausible() -> None:
    level1, level2, level3 = float_blocking.__dict__["caches"]()
    assert 0 < level1 <= level2
    assert level3 > 0
