"""Distinct values without ``np.unique``."""

from __future__ import annotations

import numpy as np

from nnsym.ir.distinct import distinct


def test_values_are_those_of_unique_over_all_arrays() -> None:
    rng = np.random.default_rng(3)
    for count in range(40):
        some, more = rng.integers(-4, 4, (count, 2)) / 2.0, rng.integers(-4, 4, count // 3) / 2.0
        np.testing.assert_array_equal(distinct(some, more), np.union1d(some, more))
    assert distinct(np.zeros(0, np.int64), np.array([3, 1, 3])).dtype == np.int64
