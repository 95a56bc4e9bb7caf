"""Noise of a covariance, on a grid, and of labels: what each weighs, and what is drawn of it."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from scipy.stats import norm
from smoothed import half_space, robust_at_zero

import nnsym as nn
from nnsym.errors import InputError
from nnsym.evidence.draw import Sampler
from nnsym.evidence.families import FAMILIES, parse_noise
from nnsym.evidence.flips import Flips
from nnsym.evidence.grid import GridGaussian, table


@pytest.mark.parametrize(
    "noise",
    [
        nn.gaussian(0.5),
        nn.gaussian([0.5, 0.1]),
        nn.gaussian(covariance=[[1, 0.5], [0.5, 1]]),
        nn.gaussian(0.5, grid=0.25),
        nn.general_gaussian(0.1, 2),
        nn.laplace(0.3),
        nn.uniform(1),
        nn.flips(0.1),
    ],
    ids=lambda n: n.text,
)
def test_texts_are_read_back(noise: object) -> None:
    assert parse_noise(noise.text) == noise
    assert noise.text.partition("(")[0] in FAMILIES


@pytest.mark.parametrize(
    "text", ["gaussian()", "gaussian(1, covariance=[[1]])", "normal(1)", "gaussian(open('x'))", "1"]
)
def test_other_texts_are_no_noise(text: str) -> None:
    with pytest.raises(InputError):
        parse_noise(text)


def test_a_covariance_weighs_every_direction() -> None:
    """Element 0 has the variance 1/4 whatever it is correlated with; the ball's worst direction is the narrowest."""
    covariance = np.array([[0.25, 0.2], [0.2, 0.25]])
    g = nn.smooth(half_space(), nn.gaussian(covariance=covariance))
    found = nn.evidence(g, [0, 0], n=20_000)
    assert found.counts[1] / found.n == pytest.approx(norm.cdf(2.0), abs=0.01)
    narrow = math.sqrt(np.linalg.eigvalsh(covariance)[0])
    assert found.radius() <= narrow * norm.ppf(found.lower(1e-3))
    assert found.radius() == pytest.approx(narrow * norm.ppf(found.lower(1e-3)), rel=1e-6)
    noise = g.noise
    shift = noise.factor @ [3, -4]
    assert noise.distance_of_box(np.abs(shift)) >= 5
    drawn = noise.draw(np.random.default_rng(0), 50_000, 2)
    assert np.cov(drawn.T) == pytest.approx(covariance, abs=0.01)


@pytest.mark.parametrize("matrix", [[[1, 2], [2, 1]], [[1, 0.5], [0, 1]], [[1]], [[1, 1], [1, 1]], [1, 2]])
def test_what_is_no_covariance_of_two_elements(matrix: object) -> None:
    with pytest.raises(InputError):
        nn.smooth(half_space(), nn.gaussian(covariance=matrix))


def test_deviations_of_their_own() -> None:
    g = nn.smooth(half_space(), nn.gaussian([0.5, 0.1]))
    found = nn.evidence(g, [0, 0], n=20_000)
    assert found.radius() == pytest.approx(0.1 * norm.ppf(found.lower(1e-3)), rel=1e-6)
    x = nn.Variable(2, name="x")
    box = nn.box(x, [-0.9, -0.001], [0.9, 0.001])
    assert nn.verify(nn.forall(x, where=box, then=nn.argmax(g(x)) == 1), nn.sampling(n=20_000)).verified


def test_noise_on_a_grid_is_the_rounded_gaussian() -> None:
    noise = GridGaussian(sigma=0.5, step=0.25)
    drawn = noise.draw(np.random.default_rng(0), 100_000, 2)
    for k in range(-4, 5):
        wanted = norm.cdf((k + 0.5) * 0.5) - norm.cdf((k - 0.5) * 0.5)
        assert (drawn == k).mean() == pytest.approx(wanted, abs=5 * math.sqrt(wanted / 200_000))
    tails = table(0.5, 0.25)
    assert (np.diff(tails.astype(np.float64)) > 0).all()
    assert float(tails[-1]) / 2**63 == pytest.approx(2 * norm.sf(0.25), rel=1e-12)


def test_a_classifier_on_a_grid_sees_only_its_points() -> None:
    seen: list[np.ndarray] = []

    def classify(points: np.ndarray) -> np.ndarray:
        seen.append(points)
        return np.zeros(len(points), dtype=int)

    noise = nn.gaussian(0.3, grid=1 / 255)
    sampler = Sampler(run=classify, classes=2, noise=noise)
    point = np.rint(np.array([0.2, 0.7]) * 255) * (1 / 255)
    sampler.evidence(point, n=1_000, n0=10, seed=0, certificate=nn.sampling().certificate)
    whole = np.concatenate(seen) / (1 / 255)
    assert np.abs(whole - np.rint(whole)).max() < 1e-9
    assert (np.rint(whole) * (1 / 255) == np.concatenate(seen)).all()
    with pytest.raises(InputError, match="not on the grid"):
        sampler.evidence(np.array([0.001, 0.0]), n=10, n0=10, seed=0, certificate=nn.sampling().certificate)


def test_a_grid_costs_next_to_nothing() -> None:
    on_grid = nn.gaussian(0.5, grid=1 / 256)
    plain = nn.gaussian(0.5)
    assert on_grid.least(0.99, 1.0, 784) <= plain.least(0.99, 1.0, 784)
    assert on_grid.least(0.99, 1.0, 784) == pytest.approx(plain.least(0.99, 1.0, 784), abs=1e-9)
    assert nn.verify(robust_at_zero(nn.smooth(half_space(), on_grid), 0.9), nn.sampling(n=20_000)).verified


def worst_of_flips(q: Fraction, p: Fraction, flips: int) -> Fraction:
    """The greedy answer over all 2^r outcomes of the labels that differ, one by one."""
    outcomes = []
    for vector in product((0, 1), repeat=flips):
        ones = sum(vector)
        here = q**ones * (1 - q) ** (flips - ones)
        outcomes.append((here, q ** (flips - ones) * (1 - q) ** ones))
    left, found = p, Fraction(0)
    for here, there in sorted(outcomes, key=lambda pair: pair[1] / pair[0]):
        taken = min(here, left)
        found, left = found + there * taken / here, left - taken
    return found


def test_flipped_labels_are_counted_exactly() -> None:
    noise = Flips(q=0.25)
    for p in (0.6, 0.9, 0.99):
        values = [noise.least(p, r, 50) for r in range(6)]
        exact = [float(worst_of_flips(Fraction(1, 4), Fraction(p), r)) for r in range(6)]
        assert values == pytest.approx(exact, abs=1e-14)
        assert all(a <= b for a, b in zip(values, exact, strict=True))
        assert sorted(values, reverse=True) == values
    assert Flips(q=0.3).distance(0.5, 50) == 0


def test_a_vote_over_labels_keeps_its_class() -> None:
    """A majority of 25 labels, 22 of them 1: what is certified is no more than what an adversary can do."""
    labels = np.array([1.0] * 22 + [0.0] * 3)
    noise = nn.flips(0.2)
    sampler = Sampler(run=lambda rows: (rows.sum(axis=1) > 12.5).astype(int), classes=2, noise=noise)
    found = sampler.evidence(labels, n=20_000, n0=100, seed=0, certificate=nn.sampling().certificate)
    flips = math.floor(found.radius(p=1))
    assert 1 <= flips <= 9  # ten flips leave twelve of 25, and the smoothed vote follows
    poisoned = labels.copy()
    poisoned[:flips] = 0.0
    after = sampler.evidence(poisoned, n=20_000, n0=100, seed=1, certificate=nn.sampling().certificate)
    assert after.top == 1
