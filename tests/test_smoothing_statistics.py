"""Confidence is what it says: coverage over seeds, the level of sequential tests, and samples that nothing moves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, norm
from smoothed import robust_at_zero, smoothed_half_space

import nnsym as nn
from nnsym.evidence import confidence
from nnsym.evidence.draw import Sampler
from nnsym.evidence.evidence import Evidence
from nnsym.evidence.sampling import Draws, Purpose
from nnsym.results.result import Verdict


def counted(hits: int, n: int, **more: object) -> Evidence:
    return Evidence(noise=nn.gaussian(1.0), size=784, counts=(hits, n - hits), selected=(1, 0), **more)


def test_clopper_and_pearson_at_or_below_the_level() -> None:
    for n in (10, 1000, 100_000):
        for hits in {1, 2, n // 3, n // 2, n - 1, n}:
            for alpha in (1e-9, 1e-3, 0.05):
                low = confidence.lower(hits, n, alpha)
                assert binom.sf(hits - 1, n, low) <= alpha * (1 + 1e-9)
                assert binom.sf(hits - 1, n, low * (1 + 1e-6)) > alpha * (1 - 1e-3)
                assert confidence.upper(n - hits, n, alpha) >= 1 - low
                assert confidence.anytime_lower(hits, n, alpha) < low
    assert confidence.lower(0, 10, 0.05) == 0
    assert confidence.upper(10, 10, 0.05) == 1


def test_the_ceiling_of_so_many_samples() -> None:
    assert counted(100_000, 100_000).radius(alpha=1e-3) == pytest.approx(norm.ppf(0.001**1e-5), rel=1e-6)
    assert round(counted(100_000, 100_000).radius(), 4) == 3.8115
    assert counted(50_000, 100_000).radius() == 0


def test_both_forms_of_two_classes() -> None:
    panda = Evidence(noise=nn.gaussian(1.0), size=2, counts=(80_000, 15_000, 5_000), selected=(80, 15, 5))
    radius = panda.radius(classes="all")
    assert 0.92 < radius < 0.939
    assert radius > panda.radius()  # one class alone: Phi^-1(0.8) = 0.84
    known = panda.known(1e-3, nn.sampling(classes="all").certificate, "all")
    assert known.lower == confidence.lower(80_000, 100_000, 1e-3 / 3)
    assert known.uppers[1] == pytest.approx(confidence.upper(15_000, 100_000, 1e-3 / 3), rel=1e-12)


@pytest.mark.slow
def test_a_half_space_is_covered() -> None:
    """The true radius is 1: at alpha = 0.001 no more than 1 of 1,000 may be certified beyond it, here none is."""
    g = smoothed_half_space()
    found = [nn.evidence(g, [0, 0], n=100_000, n0=10, seed=seed).radius(alpha=1e-3) for seed in range(1000)]
    assert sum(radius <= 1.0 for radius in found) >= 999
    assert np.mean(found) >= 0.98


def test_coverage_at_a_level_that_shows() -> None:
    """At alpha = 0.2 the bound fails in up to a fifth of the draws, and in nearly so many."""
    g = smoothed_half_space()
    found = [nn.evidence(g, [0, 0], n=1_000, n0=10, seed=seed).radius(alpha=0.2) for seed in range(400)]
    wrong = np.mean([radius > 1.0 for radius in found])
    assert 0.1 <= wrong <= 0.2 + 3 * math.sqrt(0.16 / 400)


def errors_of_type_one(alpha: float, runs: int, n: int) -> float:
    """The share of runs that claim more than p where the probability is p."""
    p, source = float(norm.cdf(1.0)), np.random.default_rng(3)
    drawn = np.arange(1, n + 1)
    hits = np.cumsum(source.random((runs, n)) < p, axis=1)
    return float((confidence.above(hits, drawn[None, :], p).max(axis=1) >= -math.log(alpha)).mean())


def test_a_sequential_test_keeps_its_level() -> None:
    alpha, runs = 0.05, 2000
    wrong = errors_of_type_one(alpha, runs, 500)
    assert 0 < wrong <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)


def test_bounds_at_any_time_hold_at_all_times() -> None:
    p, source = 0.9, np.random.default_rng(5)
    wrong = 0
    for _ in range(80):
        hits = np.cumsum(source.random(300) < p)
        wrong += any(confidence.anytime_lower(int(hits[k]), k + 1, 0.05) > p for k in range(0, 300, 10))
    assert wrong <= 0.05 * 80 + 3 * math.sqrt(0.05 * 0.95 * 80)


def test_sequential_verdicts_need_fewer_samples() -> None:
    g = smoothed_half_space()
    method = nn.sampling(stop="sequential")
    easy, hard = nn.verify(robust_at_zero(g, 0.5), method), nn.verify(robust_at_zero(g, 0.95), method)
    assert easy.verified
    assert hard.verified
    assert easy.evidence.n < hard.evidence.n < 100_000
    assert not nn.verify(robust_at_zero(g, 1.0), method).verified
    assert nn.verify(robust_at_zero(g, 0.5, label=0), method).status is Verdict.FALSIFIED
    assert easy.evidence.radius() <= 1.0  # a bound that may stop at any time
    hopeless = nn.verify(robust_at_zero(g, 5.0), method)
    assert hopeless.reason == "abstain"
    assert hopeless.evidence.n <= 100


def test_a_sequential_verdict_is_wrong_no_more_often_than_alpha() -> None:
    g, alpha, runs = smoothed_half_space(), 0.1, 80
    prop = robust_at_zero(g, 1.0)  # just false
    wrong = sum(
        nn.verify(prop, nn.sampling(stop="sequential", alpha=alpha, n=400, n0=5, seed=k)).verified for k in range(runs)
    )
    assert wrong <= alpha * runs + 3 * math.sqrt(alpha * (1 - alpha) * runs)


@pytest.mark.parametrize(
    "noise",
    [nn.gaussian(0.5), nn.laplace(0.4), nn.uniform([2.0, 0.5, 2.0, 1.0, 1.0]), nn.general_gaussian(0.5, 1)],
    ids=lambda n: n.text,
)
def test_batches_change_no_count(noise: object) -> None:
    g = nn.smooth(smoothed_half_space(size=5).network, noise)
    found = {nn.evidence(g, np.zeros(5), n=2_500, batch=batch).counts for batch in (0, 1, 7, 1000)}
    assert len(found) == 1
    other = nn.evidence(g, np.zeros(5), n=2_500, seed=1)
    assert other.counts != found.pop()


def test_batches_change_no_stopping_time() -> None:
    prop = robust_at_zero(smoothed_half_space(), 0.8)
    found = [nn.verify(prop, nn.sampling(stop="sequential", batch=batch)).evidence for batch in (1, 7, 1000)]
    assert found[0] == found[1] == found[2]


def test_samples_are_a_function_of_seed_point_purpose_and_number() -> None:
    noise, point = nn.gaussian(1.0), np.zeros(300)

    def rows(start: int, stop: int, **more: object) -> np.ndarray:
        told = {"noise": noise, "point": point, "seed": 0, "purpose": Purpose.JUDGE, **more}
        return np.concatenate(list(Draws(**told).batches(start, stop, 100)))

    whole = rows(0, 1000)
    assert (rows(613, 777) == whole[613:777]).all()
    for other in ({"seed": 1}, {"point": point + 1}, {"purpose": Purpose.SELECT}, {"purpose": Purpose.SECOND}):
        assert not np.isin(rows(0, 1000, **other), whole).any()
    assert len(np.unique(whole)) == whole.size
    assert abs(whole.mean()) < 5 / math.sqrt(whole.size)
    assert abs(whole.std() - 1) < 5 / math.sqrt(2 * whole.size)


def test_the_class_is_selected_by_samples_that_do_not_judge() -> None:
    """Of ten equal classes the selected one is no more frequent among the samples that judge it."""

    def digit(points: np.ndarray) -> np.ndarray:
        return (np.abs(points[:, 0]) * 1e6).astype(int) % 10

    sampler = Sampler(run=digit, classes=10, noise=nn.gaussian(1.0))
    certificate = nn.sampling().certificate
    shares = []
    for seed in range(200):
        told = sampler.evidence(np.zeros(2), n=100, n0=10, seed=seed, certificate=certificate)
        shares.append(told.counts[told.top] / 100)
    assert abs(np.mean(shares) - 0.1) < 5 * math.sqrt(0.09 / 20_000)
