"""What probabilities at a point say of a distance: closed forms, worst classifiers, and integrals against samples."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.stats import norm
from smoothed import half_space, smoothed_half_space

import nnsym as nn
from nnsym.errors import InputError
from nnsym.evidence.certificate import Known, NeymanPearson
from nnsym.evidence.distances import MARGIN, nowhere_less, steepest
from nnsym.evidence.dsrs import DoubleSampling, best_dual
from nnsym.evidence.dual import Dual, Interval, Two
from nnsym.evidence.general_gaussian import GeneralGaussian, Pair, needed
from nnsym.evidence.margin import least_rows
from nnsym.evidence.order1 import FirstOrder, gradient_bound, least, slab

MNIST = GeneralGaussian(sigma=1.0, k=380)
CIFAR = GeneralGaussian(sigma=0.5, k=1530)


def known(noise: object, lower: float, size: int = 2, **more: object) -> Known:
    return Known(noise=noise, size=size, top=0, lower=lower, uppers=(1.0, 1.0), **more)


def test_the_closed_forms_of_independent_noise() -> None:
    for p in (0.51, 0.8, 0.99, 0.99999):
        assert NeymanPearson().radius(known(nn.gaussian(0.5), p), 2) == pytest.approx(0.5 * norm.ppf(p), rel=1e-9)
        assert NeymanPearson().radius(known(nn.laplace(2.0), p), 1) == pytest.approx(
            -2 * math.log(2 * (1 - p)), rel=1e-6
        )
        assert NeymanPearson().radius(known(nn.uniform(3.0), p), 1) == pytest.approx(6 * (p - 0.5), rel=1e-9)
        assert NeymanPearson().radius(known(nn.gaussian(0.5), p), 2) <= 0.5 * norm.ppf(p)
    for noise in (nn.gaussian(0.5), nn.laplace(1.0), nn.uniform(1.0)):
        assert NeymanPearson().radius(known(noise, 0.5), 2) == 0
        assert NeymanPearson().radius(known(noise, 0.1), 1) == 0


def test_the_panda_of_the_lecture() -> None:
    panda = Known(noise=nn.gaussian(1.0), size=2, top=0, lower=0.80, uppers=(1.0, 0.15, 0.05))
    assert NeymanPearson().radius(panda, 2) == pytest.approx((norm.ppf(0.8) - norm.ppf(0.15)) / 2, rel=1e-9)
    assert round(NeymanPearson().radius(panda, 2), 3) == 0.939


def test_norms_are_translated_and_the_barrier_stands() -> None:
    for size in (2, 784, 3072):
        there = known(nn.gaussian(1.0), 0.999, size)
        radius = NeymanPearson().radius(there, 2)
        assert NeymanPearson().radius(there, 1) == radius
        assert NeymanPearson().radius(there, np.inf) == pytest.approx(radius / math.sqrt(size), rel=1e-9)
        there = known(nn.laplace(1.0), 0.999, size)
        assert NeymanPearson().radius(there, np.inf) == pytest.approx(NeymanPearson().radius(there, 1) / size, rel=1e-9)


@given(st.floats(0.5, 1), st.floats(0, 4), st.sampled_from(["gaussian", "laplace", "uniform", "general"]))
@settings(deadline=None, max_examples=60)
def test_bounds_fall_with_the_distance_and_grow_with_the_probability(p: float, t: float, name: str) -> None:
    families = {"gaussian": nn.gaussian(1), "laplace": nn.laplace(1), "uniform": nn.uniform(1)}
    noise, size = families.get(name, GeneralGaussian(sigma=1.0, k=3)), 10
    here = noise.least(p, t, size)
    assert 0 <= here <= p
    assert noise.least(p, t * 1.1, size) <= here + 1e-9
    assert noise.least(min(1.0, p + 0.01), t, size) >= here - 1e-9
    assert noise.most(p, t, size) >= p


def interval_classifiers(noise: object, p: float, shift: float) -> float:
    """The least probability, over intervals of the line with probability p at 0, of the interval moved by ``shift``."""
    cdf = {"laplace": lambda v: np.where(v < 0, np.exp(v) / 2, 1 - np.exp(-v) / 2), "uniform": None}
    of = norm.cdf if "gaussian" in noise.text else cdf["laplace"]
    ends = np.linspace(-10, 10, 1001)
    mass = of(ends[None, :]) - of(ends[:, None])
    moved = of(ends[None, :] - shift) - of(ends[:, None] - shift)
    return float(moved[mass >= p].min())


@pytest.mark.parametrize("noise", [nn.gaussian(1.0), nn.laplace(1.0)], ids=lambda n: n.text)
@pytest.mark.parametrize("p", [0.6, 0.95])
def test_no_interval_of_the_line_does_worse(noise: object, p: float) -> None:
    worst = interval_classifiers(noise, p, 0.7)
    assert noise.least(p, 0.7, 1) <= worst
    assert noise.least(p, 0.7, 1) >= worst - 0.02  # the half-line is nearly among them


@pytest.mark.parametrize("k", [0, 3])
def test_general_gaussian_masses_are_those_of_samples(k: int) -> None:
    noise, size, away = GeneralGaussian(sigma=0.7, k=k), 10, 0.9
    pair, source = Pair(noise, size, away), np.random.default_rng(1)
    v = noise.draw(source, 200_000, size)
    assert v.std() == pytest.approx(0.7, rel=0.01)
    scale = 2 * noise.scale(size) ** 2
    shift = np.zeros(size)
    shift[0] = away
    ratio = pair.height(((v - shift) ** 2).sum(axis=1) / scale) - pair.height((v**2).sum(axis=1) / scale)
    moved = pair.height((v**2).sum(axis=1) / scale) - pair.height(((v + shift) ** 2).sum(axis=1) / scale)
    for c in (-1.0, 0.0, 0.5):
        assert pair.mass(c).value == pytest.approx(float((ratio >= c).mean()), abs=0.006)
        assert pair.shifted(c).value == pytest.approx(float((moved >= c).mean()), abs=0.006)
        assert pair.mass(c).error < 1e-9


def test_general_gaussian_of_no_k_is_the_gaussian() -> None:
    noise, plain = GeneralGaussian(sigma=0.5, k=0), nn.gaussian(0.5)
    for p in (0.6, 0.9, 0.999):
        for distance in (0.1, 0.5, 1.0):
            assert noise.least(p, distance, 20) == pytest.approx(plain.least(p, distance / 0.5, 20), abs=1e-9)
            assert noise.least(p, distance, 20) <= plain.least(p, distance / 0.5, 20) + 1e-12


def test_anchors_of_general_gaussians() -> None:
    mnist = [0.66006, 0.79532, 0.89194, 0.95033, 0.98022, 0.99320, 0.99798]
    cifar = [0.66537, 0.80335, 0.89953, 0.95568, 0.98319, 0.99453, 0.99848]
    assert [round(needed(MNIST, 0.4 * k, 784), 5) for k in range(1, 8)] == mnist
    assert [round(needed(CIFAR, 0.2 * k, 3072), 5) for k in range(1, 8)] == cifar


DUALS = [(2.0, 0.0), (1.0, 5.0), (3.0, -2.0), (3.0, -20.0), (8.0, -3000.0), (-0.5, 3000.0)]


@pytest.mark.parametrize(("l1", "m"), DUALS)
def test_masses_of_double_sampling_are_those_of_samples(l1: float, m: float) -> None:
    two, away, size = Two(MNIST, 0.8, 784), 1.2, 784
    dual, source = Dual(two, away, l1, m), np.random.default_rng(0)
    scale = 2 * MNIST.scale(size) ** 2
    shift = np.zeros(size)
    shift[0] = away

    def inside(x: np.ndarray) -> float:
        t, moved = (x**2).sum(axis=1) / scale, ((x - shift) ** 2).sum(axis=1) / scale
        factor = l1 + m * np.exp(-two.kappa * t)
        ratio = dual.pair.height(t) - dual.pair.height(moved)
        return float(((factor > 0) & (ratio < np.log(np.where(factor > 0, factor, 1)))).mean())

    x = MNIST.draw(source, 4_000, size)
    other = GeneralGaussian(sigma=0.8, k=380).draw(source, 4_000, size)
    found = [inside(x), inside(other), inside(x + shift)]
    assert [dual.p.value, dual.q.value, dual.r.value] == pytest.approx(found, abs=0.03)
    assert max(dual.p.error, dual.q.error, dual.r.error) < 1e-9


def test_any_multipliers_are_a_certificate_and_the_best_ones_beat_one_noise() -> None:
    two, interval = Two(MNIST, 0.8, 784), Interval((0.969, 0.971), (0.9895, 0.9905))
    plain, best = MNIST.least(0.969, 1.8, 784), best_dual(two, 1.8, interval)
    assert best.value(interval) > plain + 0.01
    for l1, m in DUALS:
        assert Dual(two, 1.8, l1, m).value(interval) <= best.value(interval) + 1e-6


def test_multipliers_of_opposite_signs_are_walked_down() -> None:
    """More mass at large radii than at small ones: l2 < 0 < l1, where S is no cap of every sphere."""
    two, interval = Two(MNIST, 0.8, 784), Interval((0.989, 0.991), (0.9845, 0.9855))
    away = 2.22
    dual = best_dual(two, away, interval)
    assert dual.l2 < 0 < dual.l1
    assert dual.sign_change > 0
    level = dual.value(interval) - MARGIN
    assert nowhere_less(dual, interval, level, 0.0)
    assert not nowhere_less(dual, interval, level + 2 * MARGIN, 0.0)
    for share in (0.2, 0.6, 0.99, 0.9999):
        assert Dual(two, share * away, dual.l1, dual.m).value(interval) >= level
    near = Dual(two, away - 1e-3, dual.l1, dual.m).value(interval)
    assert abs(near - dual.value(interval)) <= 1e-3 * steepest(two)


def test_the_second_noise_never_hurts() -> None:
    certificate = DoubleSampling(share=0.8)
    second = GeneralGaussian(sigma=0.8, k=380)
    for q in (0.999,):
        told = known(MNIST, 0.97, 784, upper=0.972, second=(second, q - 1e-3, q + 5e-4))
        for distance in (0.5, 2.4):
            assert certificate.least(told, distance) >= MNIST.least(0.97, distance, 784)


@pytest.mark.parametrize(
    ("p", "radii"),
    [
        (0.8, [0.8416, 1.0118, 1.2084, 1.2680]),
        (0.95, [1.6449, 1.7739, 1.9167, 1.9599]),
        (0.99, [2.3263, 2.4289, 2.5416, 2.5758]),
    ],
)
def test_first_order_anchors(p: float, radii: list[float]) -> None:
    top = norm.pdf(norm.ppf(p))
    for share, radius in zip((1, 0.5, 0.1, 0), radii, strict=True):
        told = known(nn.gaussian(1.0), p, slope=share * top)
        assert FirstOrder().radius(told, 2) == pytest.approx(radius, abs=6e-5)
        a, b = slab(p, share * top)
        assert norm.cdf(b) - norm.cdf(a) == pytest.approx(p, abs=1e-9)
        assert least(p, share * top, 0.5) >= nn.gaussian(1.0).least(p, 0.5, 2)


def test_a_gradient_is_bounded_from_above() -> None:
    """Class 1 of a half-space has the gradient phi(d / sigma) / sigma; a slab round 0 has none, and gains by it."""
    found = nn.evidence(smoothed_half_space(size=30), np.zeros(30), n=40_000, certificate="order1")
    bound = gradient_bound(*found.gradient, 20_000, 5e-4)
    assert norm.pdf(2.0) <= bound <= norm.pdf(2.0) + 0.12
    assert found.radius(certificate="order1") <= 1.0
    weight = np.array([[0.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    flat = nn.sequential([(weight, np.array([0.0, -1.0, -1.0]))], name="slab")  # class 0 where |x_0| < 1
    both = nn.evidence(nn.smooth(flat, nn.gaussian(0.5)), [0, 0], n=100_000, certificate="order1")
    assert both.radius(certificate="order1") > both.radius(certificate="np") + 0.05
    assert both.radius(certificate="order1") <= 1.0


def test_rounding_is_charged_where_two_centres_nearly_meet() -> None:
    noise = GeneralGaussian(sigma=1.0, k=3)
    for away in (1e-300, 1e-16, 1e-9, 1e-6):
        assert 0.5 - 1e-3 < noise.least(0.5, away, 10) <= 0.5
        assert needed(noise, away, 10) >= 0.5
    assert Pair(noise, 10, 1e-9).mass(0.0).error > 1e-7
    assert Pair(noise, 10, 1.0).mass(0.0).error < 1e-8


@given(st.integers(0, 10**6), st.integers(2, 6))
@settings(deadline=None, max_examples=30)
def test_rows_over_probabilities_are_a_linear_program(seed: int, classes: int) -> None:
    source = np.random.default_rng(seed)
    rows, constant = source.normal(size=(4, classes)), source.normal(size=4)
    inside = source.dirichlet(np.ones(classes))
    lower, upper = inside * source.random(classes), np.minimum(1, inside + source.random(classes))
    found = least_rows(rows, constant, lower, upper)
    bounds = list(zip(lower, upper, strict=True))
    for k in range(4):
        exact = linprog(rows[k], A_eq=np.ones((1, classes)), b_eq=[1], bounds=bounds).fun + constant[k]
        assert found[k] == pytest.approx(exact, abs=1e-8)
        assert found[k] <= rows[k] @ inside + constant[k]


@pytest.mark.slow
def test_double_sampling_from_end_to_end_stays_within_the_truth() -> None:
    """A half-space at distance 1: whatever spherical noise, its class changes there."""
    g = nn.smooth(half_space(size=20), nn.general_gaussian(0.5, 6))
    for seed in range(3):
        found = nn.evidence(g, np.zeros(20), n=20_000, seed=seed, certificate="dsrs")
        assert 0.9 < found.radius(certificate="dsrs") <= 1.0
    held = nn.verify(nn.props.robust(g, np.zeros(20), 1, 0.8, p=2), nn.sampling(n=20_000, certificate="dsrs"))
    assert held.verified


_SECOND = {"noise": "general_gaussian(0.4, 1)", "hits": 90, "n": 100}


@pytest.mark.parametrize(
    "fields",
    [
        {"second": {**_SECOND, "hits": 101}},
        {"second": {**_SECOND, "noise": "gaussian(0.4)"}},
        {"second": {**_SECOND, "noise": "general_gaussian(0.4, 0)"}},
        {"second": {**_SECOND, "noise": "general_gaussian(0.5, 1)"}},
        {"second": _SECOND, "stop": "sequential"},
        {"gradient": [0.0, 0.0], "stop": "sequential"},
        {"gradient": [0.02, -5.0]},
        {"gradient": [-math.inf, 1.0]},
        {"gradient": [0.0, 0.0], "counts": [1, 0]},
        {"counts": [10**400, 1]},
        {"size": 0},
    ],
)
def test_evidence_that_no_sampling_gives_is_refused(fields: dict[str, object], tmp_path: Path) -> None:
    """What stands in a file is asked whether it may be: bounds of it would be errors, or too good."""
    noise = "gaussian(0.5)" if "gradient" in fields else "general_gaussian(0.5, 1)"
    plain = {"nnsym evidence": 1, "noise": noise, "size": 4, "counts": [900, 100], "selected": [90, 10]}
    plain |= {"stop": "fixed", "seed": 0, "second": None, "gradient": None, "network": "", "point": "", "versions": {}}
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps(plain | fields))
    with pytest.raises(InputError):
        nn.load_evidence(file).radius(certificate="order1" if "gradient" in fields else "dsrs")
    file.write_text(json.dumps(plain)[:-1] + ', "counts": [1000, 0]}')
    with pytest.raises(InputError, match="a name stands twice"):
        nn.load_evidence(file)


@pytest.mark.parametrize("alpha", [5e-324, 1e-17, 0.0, 1.0, math.nan])
def test_a_probability_of_error_leaves_a_confidence_below_1(alpha: float) -> None:
    g = smoothed_half_space()
    with pytest.raises(InputError, match="alpha is"):
        nn.evidence(g, np.zeros(g.size), n=100, n0=10).radius(alpha=alpha)
    with pytest.raises(InputError, match="alpha is"):
        nn.sampling(alpha=alpha)
