"""The orders of float32 sums, on terms that show them: next to 2**24, a 1 is lost unless another 1 is added to it first."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.kernels.float_blocking import Cut
from qcore.kernels.float_products import (
    SUMS,
    Dots,
    Order,
    Way,
    contraction,
    dot,
    in_eights,
    in_fours,
    in_pairs,
    in_turn,
    matrix_product,
    sums_along_memory,
    sums_in_turn,
)

BIG = 2.0**25
"""Adding 2 to it changes nothing, adding 4 does."""


def survives(way: Way, depth: int, first: int, second: int) -> bool:
    """Whether 2 at two places is added up before it meets BIG at the first."""
    x = np.zeros((1, depth), np.float32)
    x[0, 0], x[0, first], x[0, second] = BIG, 2, 2
    return bool(SUMS[way](x, np.ones((depth, 1), np.float32))[0, 0] > BIG)


def test_in_turn_every_term_meets_the_first() -> None:
    assert not any(survives("in turn", 16, i, j) for i in range(1, 16) for j in range(i + 1, 16))


def test_in_pairs_odd_terms_are_apart_up_to_the_last_whole_eight() -> None:
    for i in range(1, 19):
        for j in range(i + 1, 19):
            assert survives("in pairs", 19, i, j) == (i % 2 == j % 2 == 1 and j < 16), (i, j)


def test_in_eights_terms_of_other_remainders_are_apart() -> None:
    for i in range(1, 8):
        for j in range(1, 8):
            same_lane = i == j
            odd = i % 2 == j % 2 == 1
            upper = i in (4, 6) and j in (4, 6)
            assert survives("in eights", 16, i, j + 8) == (same_lane or odd or upper), (i, j)


def test_in_fours_terms_of_other_remainders_are_apart() -> None:
    for i in range(1, 4):
        for j in range(1, 4):
            x = np.zeros((1, 9), np.float32)
            x[0, [0, i, j + 4]] = BIG, 2, 2
            assert (in_fours(x, np.ones((9, 1), np.float32))[0, 0] > BIG) == (i == j or {i, j} == {2, 3}), (i, j)


def test_in_eights_of_fewer_goes_by_twos() -> None:
    assert survives("in eights", 6, 1, 3)
    assert not survives("in eights", 7, 1, 6)


def test_dot_adds_lanes_as_a_tree() -> None:
    lanes = np.array([BIG, 0, 0, 2, 0, 0, 0, 2], np.float32)
    assert dot(lanes[np.newaxis])[0] == BIG + 4  # 3 and 7 first
    lanes = np.array([BIG, 0, 0, 0, 2, 2, 0, 0], np.float32)
    assert dot(lanes[np.newaxis])[0] == BIG  # 4 meets 0 first


def test_dot_of_four_accumulators_adds_the_last_ones_first() -> None:
    products = np.zeros((1, 32), np.float32)
    products[0, [0, 16, 24]] = BIG, 2, 2
    assert dot(products, accumulators=4)[0] == BIG + 4
    assert dot(products)[0] == BIG


def test_dot_in_vectors_of_four() -> None:
    products = np.array([[BIG, 0, 0, 2, 0, 0, 0, 2, 0]], np.float32)
    assert dot(products, vector=4)[0] == BIG + 4  # both in lane 3
    products = np.array([[BIG, 2, 0, 0, 2, 0, 0, 0, 0]], np.float32)
    assert dot(products, vector=4)[0] == BIG  # lanes 0 and 1


def test_sums_along_memory_begin_where_vectors_do() -> None:
    """The second row begins at place 6: with 2 numbers before a vector of 8 or of 4."""
    rows = np.zeros((2, 14), np.float32)
    rows[1, [0, 2, 3]] = BIG, 2, 2
    for vector in (8, 4):
        assert sums_along_memory(rows, vector).tolist() == [0, BIG + 4]
    rows[1, [2, 3]], rows[1, [12, 13]] = 0, 2
    assert sums_along_memory(rows, 8).tolist() == [0, BIG]  # left over at the end
    assert sums_along_memory(rows, 4).tolist() == [0, BIG + 4]


def test_dot_with_half_a_vector() -> None:
    products = np.array([[BIG, 0, 0, 0, 0, 0, 0, 0, 2, 2, 0, 0]], np.float32)
    assert dot(products)[0] == BIG
    assert dot(products, half=True)[0] == BIG + 4


@pytest.mark.parametrize("rows", [1, 3, 4, 6, 50])
@pytest.mark.parametrize("channels", [1, 3, 4, 16, 23, 37])
def test_ways_cover_each_channel_once_and_agree_with_a_product_in_float64(rows: int, channels: int) -> None:
    rng = np.random.default_rng(0)
    x, filter = (rng.uniform(-1, 1, (n, 30)).astype(np.float32) for n in (rows, channels))
    order = contraction(rows, channels, 30, gathered=False)
    assert isinstance(order, Order)
    covered = [i for run, _ in order.ways() for i in range(channels)[run]]
    assert covered == list(range(channels))
    for product in (order, matrix_product(rows, channels, 30), matrix_product(rows, channels, 30, 4), sums_in_turn(rows, channels, 30)):
        np.testing.assert_allclose(product(x, filter), x.astype(np.float64) @ filter.T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "cut", [Cut(((0, 40),), 16, 16), Cut(((0, 16), (16, 40)), 8, 32), Cut(((0, 10), (10, 20), (20, 30), (30, 40)), 10, 20)]
)
def test_rows_of_a_product_may_be_taken_in_parts(cut: Cut) -> None:
    """As tiles of an image are: the result does not depend on where it is divided."""
    rng = np.random.default_rng(1)
    x, filter = rng.normal(0, 1, (11, 40)).astype(np.float32), rng.normal(0, 1, (35, 40)).astype(np.float32)
    order = Order(11, 35, cut)
    whole = order(x, filter)
    for middle in range(12):
        np.testing.assert_array_equal(np.concatenate([order(x[:middle], filter), order(x[middle:], filter, middle)]), whole)


def test_parts_of_dot_products() -> None:
    rng = np.random.default_rng(2)
    x, filter = rng.normal(0, 1, (5, 13)).astype(np.float32), rng.normal(0, 1, (1, 13)).astype(np.float32)
    dots = matrix_product(5, 1, 13)
    assert isinstance(dots, Dots)
    np.testing.assert_array_equal(np.concatenate([dots(x[:2], filter), dots(x[2:], filter, 2)]), dots(x, filter))


@pytest.mark.parametrize("function", [in_turn, in_pairs, in_eights, in_fours])
@pytest.mark.parametrize("shape", [(0, 5, 3), (4, 0, 3), (4, 5, 0)])
def test_empty_products(function: object, shape: tuple[int, int, int]) -> None:
    rows, depth, channels = shape
    assert callable(function)
    result = function(np.ones((rows, depth), np.float32), np.ones((depth, channels), np.float32))
    np.testing.assert_array_equal(result, np.zeros((rows, channels), np.float32))
