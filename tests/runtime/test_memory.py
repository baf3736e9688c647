"""The arena: tensors alive at the same time never overlap, and memory is shared where it can be."""

from hypothesis import given
from hypothesis import strategies as st

from qcore.runtime.memory import ALIGNMENT, Life, aligned, place


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 20), st.integers(0, 8)), max_size=25))
def test_tensors_alive_together_do_not_overlap(rows: list[tuple[int, int, int]]) -> None:
    lives = [Life(size, first, first + length) for size, first, length in rows]
    offsets, total = place(lives)
    for i, (a, at_a) in enumerate(zip(lives, offsets, strict=True)):
        assert at_a % ALIGNMENT == 0
        assert at_a + a.size <= total or a.size == 0
        for b, at_b in zip(lives[:i], offsets[:i], strict=True):
            if a.first <= b.last and b.first <= a.last and a.size and b.size:
                assert at_a + a.size <= at_b or at_b + b.size <= at_a


def test_a_chain_needs_only_its_two_largest_neighbours() -> None:
    sizes = [640, 128, 640, 128, 640]
    offsets, total = place([Life(size, i, i + 1) for i, size in enumerate(sizes)])
    assert total == 640 + 128
    assert len(set(offsets)) == 2


def test_a_gap_between_two_tensors_is_used() -> None:
    lives = [Life(300, 0, 9), Life(200, 0, 2), Life(100, 0, 9), Life(150, 5, 6)]
    offsets, total = place(lives)
    assert offsets[3] == offsets[1]
    assert total == sum(aligned(life.size) for life in lives[:3])


def test_nothing_needs_no_memory() -> None:
    assert place([]) == ([], 0)
