"""XNNPACK's orders of float32 sums, on terms that show them: next to 2**24, a 1 is lost unless another 1 is added to it first."""

from __future__ import annotations

import numpy as np

from qcore.kernels.delegate_sums import fused, products, row_sums, sums_of_exponentials, window_sums

BIG = 2.0**25
"""Adding 2 to it changes nothing, adding 4 does."""


def meeting(depth: int, *twos: int) -> np.ndarray:
    """A row that begins with BIG and has twos at these places."""
    row = np.zeros((1, depth), np.float32)
    row[0, 0] = BIG
    row[0, list(twos)] = 2
    return row


def test_a_fused_step_rounds_once() -> None:
    x = np.float32(1 + 2**-12)
    assert fused(x, x, np.float32(-1)) == np.float32(2.0**-11 + 2.0**-24)
    assert x * x - np.float32(1) == np.float32(2.0**-11)


def test_products_are_taken_in_turn_from_the_bias_on() -> None:
    """Against one product at a time in longer arithmetic, rounded at each step."""
    rng = np.random.default_rng(0)
    x, w, bias = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 3, 20), (2, 4, 20), (1, 1, 4)))
    total = np.broadcast_to(bias, (2, 3, 4)).astype(np.float32)
    for k in range(20):
        product = x[:, :, np.newaxis, k].astype(np.float64) * w[:, np.newaxis, :, k]
        total = (total.astype(np.longdouble) + product).astype(np.float32)
    np.testing.assert_array_equal(products(x, w, bias), total)
    assert products(x[:, :, :0], w[:, :, :0]).tolist() == np.zeros((2, 3, 4)).tolist()


def test_rows_have_two_accumulators_of_sixteen_lanes() -> None:
    assert row_sums(meeting(64, 16, 48))[0] == BIG + 4  # the other accumulator
    assert row_sums(meeting(64, 32, 33))[0] == BIG  # 32 meets BIG, 33 alone does not survive it
    assert row_sums(meeting(50, 33, 49))[0] == BIG + 4  # a vector left over goes to the first accumulator: lane 1 twice
    assert row_sums(meeting(16, 8, 9))[0] == BIG  # lanes 8 and 0 meet first, 9 comes alone
    assert row_sums(meeting(16, 1, 9))[0] == BIG + 4  # lanes 1 and 9 meet before BIG
    assert row_sums(np.ones((3, 37), np.float32)).tolist() == [37, 37, 37]


def test_exponentials_are_summed_four_vectors_at_a_time() -> None:
    assert sums_of_exponentials(meeting(64, 16, 48))[0] == BIG + 4
    assert sums_of_exponentials(meeting(48, 17, 33))[0] == BIG + 4  # fewer: vector by vector, lane 1 twice
    assert sums_of_exponentials(meeting(48, 16, 32))[0] == BIG  # lane 0, one after the other
    assert sums_of_exponentials(np.ones((2, 100), np.float32)).tolist() == [100, 100]


def test_windows_are_summed_nine_pixels_at_a_time() -> None:
    assert window_sums(meeting(9, 2, 3)[0])[()] == BIG + 4  # these two first
    assert window_sums(meeting(9, 1, 8)[0])[()] == BIG  # both meet BIG
    assert window_sums(meeting(18, 9, 10)[0])[()] == BIG + 4  # the next nine, together
    assert window_sums(np.ones((25, 2, 3), np.float32)).tolist() == np.full((2, 3), 25.0).tolist()
