"""Norms of layers from above: never below the true norm, in rationals, and close to it."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from nnsym.bounds.lipschitz.frequencies import convolution_norm
from nnsym.bounds.lipschitz.gram import spectral_norm
from nnsym.bounds.lipschitz.norms import operator_norm
from nnsym.errors import InputError
from nnsym.ir.convolution import Conv
from nnsym.ir.exact import to_fractions
from nnsym.ir.linear import Dense, Scale, Select

NORMS = (1, 2, np.inf)


def covers(bound: float, matrix: np.ndarray) -> bool:
    """``bound^2 I - A'A`` is positive semidefinite, by elimination in rationals."""
    small = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    exact = to_fractions(small)
    a = -(exact.T @ exact)
    a[np.diag_indices(len(a))] += Fraction(bound) ** 2
    for k in range(len(a)):
        if a[k, k] < 0 or (a[k, k] == 0 and any(v != 0 for v in a[k + 1 :, k])):
            return False
        if a[k, k]:
            a[k + 1 :, k + 1 :] -= np.outer(a[k + 1 :, k], a[k + 1 :, k] / a[k, k])
    return True


def random_conv(rng: np.random.Generator) -> Conv:
    """Strided, padded, dilated, grouped; one axis or two, a few elements."""
    rank = int(rng.integers(1, 3))
    groups = int(rng.choice([1, 1, 2]))
    channels, outputs = (groups * int(n) for n in rng.integers(1, 3, 2))
    kernel, strides, dilations = (tuple(map(int, rng.integers(1, top, rank))) for top in (4, 4, 3))
    pads = tuple(map(int, rng.integers(0, 3, 2 * rank)))
    reach = [d * (k - 1) + 1 - pads[a] - pads[rank + a] for a, (d, k) in enumerate(zip(dilations, kernel, strict=True))]
    spatial = tuple(int(max(1, r) + rng.integers(0, 4)) for r in reach)
    weight = rng.standard_normal((outputs, channels // groups, *kernel)).round(int(rng.integers(1, 16)))
    return Conv(weight, (channels, *spatial), strides, pads, dilations, groups)


def some_matrices(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    shapes = rng.integers(1, 9, (count, 2))
    return [rng.standard_normal(shape) * 10.0 ** rng.integers(-12, 12) for shape in shapes]


def check_convolutions(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        conv = random_conv(rng)
        matrix = conv.matrix().toarray()
        assert covers(operator_norm(conv), matrix), conv
        if min(matrix.shape) <= 24:
            assert covers(convolution_norm(conv), matrix), conv
        true = np.linalg.svd(matrix, compute_uv=False)[0]
        assert operator_norm(conv) <= true * (1 + 1e-6) + 1e-200


def test_bounds_of_random_layers_hold_in_rationals() -> None:
    rng = np.random.default_rng(0)
    for matrix in some_matrices(rng, 60):
        assert covers(spectral_norm(matrix), matrix)
        assert covers(spectral_norm(matrix, steps=1), matrix)
    check_convolutions(1, 40)


@pytest.mark.slow
def test_bounds_of_a_thousand_layers_hold_in_rationals() -> None:
    for matrix in some_matrices(np.random.default_rng(2), 400):
        assert covers(spectral_norm(matrix), matrix)
    check_convolutions(3, 600)


def test_the_check_sees_a_bound_that_is_too_small() -> None:
    matrix = np.random.default_rng(4).standard_normal((5, 7))
    true = np.linalg.svd(matrix, compute_uv=False)[0]
    assert not covers(true * (1 - 1e-14), matrix)
    assert covers(true * (1 + 1e-14), matrix)


@pytest.mark.parametrize("shape", [(64, 64), (300, 80), (24, 200)])
def test_gram_iteration_is_close(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(shape))
    matrix = rng.standard_normal(shape)
    assert spectral_norm(matrix) <= np.linalg.norm(matrix, 2) * (1 + 1e-9)
    steps = [spectral_norm(matrix, steps=t) for t in range(1, 9)]
    assert all(later <= earlier * (1 + 1e-12) for earlier, later in itertools.pairwise(steps))
    spiked = matrix / np.linalg.norm(matrix, 2) + 3 * np.eye(*shape) * (np.arange(shape[1]) == 0)
    assert spectral_norm(spiked, steps=8) <= np.linalg.norm(spiked, 2) * (1 + 1e-6)  # any gap of a few per cent


def test_equal_singular_values_are_close_too() -> None:
    orthogonal = np.linalg.qr(np.random.default_rng(0).standard_normal((48, 48)))[0]
    assert 1 - 1e-15 <= spectral_norm(orthogonal) <= 1 + 1e-9
    assert spectral_norm(np.eye(5)) <= 1 + 1e-11


def test_extreme_numbers() -> None:
    assert spectral_norm(np.zeros((3, 4))) == 0.0
    assert spectral_norm(np.full((2, 2), 5e-324)) >= 1e-323
    assert np.isclose(spectral_norm(np.full((2, 2), 1e300)), 2e300)
    assert spectral_norm(np.array([[np.inf, 1.0]])) == np.inf


@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize("q", NORMS)
def test_norms_of_all_pairs_hold_at_vectors(p: float, q: float) -> None:
    rng = np.random.default_rng(5)
    for shape in ((3, 6), (7, 2), (5, 5)):
        matrix = rng.standard_normal(shape)
        corners = np.concatenate(
            (rng.choice([-1.0, 1.0], (64, shape[1])), np.eye(shape[1]), rng.standard_normal((64, shape[1])))
        )
        lengths = np.linalg.norm(corners, ord=p, axis=1)
        reached = (np.linalg.norm(corners @ matrix.T, ord=q, axis=1) / lengths).max()
        bound = operator_norm(Dense(matrix), p, q)
        assert reached <= bound * (1 + 1e-14)
        if p == 1 or q == np.inf:  # these are maxima of norms of columns, or rows
            dual = {1: np.inf, 2: 2, np.inf: 1}[p]
            exact = (
                np.linalg.norm(matrix, ord=q, axis=0).max()
                if p == 1
                else np.linalg.norm(matrix, ord=dual, axis=1).max()
            )
            assert bound <= exact * (1 + 1e-13)


def test_selections_and_scales() -> None:
    assert operator_norm(Select([2, 0, -1], 3)) == 1.0
    assert np.isclose(operator_norm(Select([1, 1, 1, 0], 3)), np.sqrt(3))
    assert operator_norm(Scale([1.0, -3.0, 0.5])) == 3.0
    with pytest.raises(InputError, match="Use 1, 2 or inf"):
        operator_norm(Scale([1.0]), 3)


def test_strides_are_split_into_phases() -> None:
    """The first layer of a usual MNIST network: within 5 % of the truth; without phases it is 85 % off."""
    conv = Conv(
        np.random.default_rng(0).standard_normal((8, 1, 4, 4)) / 4, (1, 14, 14), (2, 2), (1, 1, 1, 1), (1, 1), 1
    )
    true = np.linalg.norm(conv.matrix().toarray(), 2)
    assert true <= convolution_norm(conv) <= 1.05 * true


def test_large_convolutions_go_by_frequencies() -> None:
    """A matrix of 67 million entries, none of which is made; a circular layer's norm is what its blocks say."""
    weight = np.zeros((16, 16, 3, 3))
    weight[np.arange(16), np.arange(16), 1, 1] = 2.0
    conv = Conv(weight, (16, 22, 22), (1, 1), (1, 1, 1, 1), (1, 1), 1)
    assert 2.0 <= operator_norm(conv) <= 2.0 + 1e-9
