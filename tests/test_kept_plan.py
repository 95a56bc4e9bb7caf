"""What passes of the kept engine are made of: matrices cut to what matters, ends in another format, balls, offsets."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

import numpy as np
import pytest

from nnsym.bounds.kept.cuts import Cuts
from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.passes.descent import Choice, Seed, descend
from nnsym.bounds.kept.passes.inputs import least
from nnsym.bounds.kept.passes.refresh import Refresh
from nnsym.bounds.kept.plan.balls import Round
from nnsym.bounds.kept.plan.maps import Matrix, columns
from nnsym.bounds.kept.rounding import FLOAT32, FLOAT64, Precision
from nnsym.ir.convolution import Conv
from nnsym.ir.domain import Ball, Box
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense, LinearMap, Scale, Select, Sparse
from nnsym.ir.node import affine, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import relu
from nnsym.results.clock import NEVER
from tests.depth import drawn


def maps(rng: np.random.Generator) -> list[LinearMap]:
    """Of every kind; some with zeros, some with numbers that float32 holds."""
    whole = rng.integers(-4, 5, (5, 6)) / 8
    sparse = Sparse(np.array([1.5, -0.3, 2.0, 0.7]), np.array([0, 3, 3, 5]), np.array([0, 2, 2, 3, 4]), 6)
    kernel = Conv(rng.normal(size=(2, 1, 2)), (1, 6), (1,), (0, 0), (1,))
    wide = Dense(np.where(rng.random((300, 500)) < 0.01, rng.normal(size=(300, 500)), 0.0))
    return [Dense(whole), Dense(rng.normal(size=(5, 6))), Scale(rng.normal(size=6)), sparse, kernel, wide,
            Select(np.array([3, -1, 0, 0]), 6)]  # fmt: skip


@pytest.mark.parametrize("by", [FLOAT64, FLOAT32], ids=["float64", "float32"])
@pytest.mark.parametrize("seed", range(2))
def test_matrices_are_the_parts_of_maps_that_matter(by: Precision, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for linear in maps(rng):
        out, into = (np.flatnonzero(rng.random(n) < (1.0, 0.6)[seed]) for n in (linear.n_out, linear.n_in))
        part = linear.matrix().toarray()[np.ix_(out, into)]
        made = Matrix.of(linear, out, into, by)
        some, others = (np.flatnonzero(rng.random(len(kept)) < 0.5) for kept in (out, into))
        cut = made.part(some, others)
        assert (part[np.ix_(some, others)] == cut.apply(np.eye(len(others))).T).all()
        assert (cut.copies, cut.back) == (made.copies, max((part[np.ix_(some, others)] != 0).sum(axis=0), default=0))
        held = part.astype(by.dtype)
        assert made.shape == part.shape
        assert made.terms == max(np.count_nonzero(part, axis=1), default=0)
        assert made.back == max(np.count_nonzero(part, axis=0), default=0)
        assert (made.touched == (part != 0).any(axis=1)).all()
        assert made.rounded == (held != part).any()
        assert made.copies == isinstance(linear, Select)
        x, c = rng.normal(size=(3, len(into))), rng.normal(size=(2, 3, len(out))).astype(by.dtype)
        assert np.allclose(made.apply(x), x @ part.T)
        assert np.allclose(made.stretch(np.abs(x)), np.abs(x) @ np.abs(part).T)
        assert np.allclose(made.forward(x.astype(by.dtype)), x @ part.T, atol=1e-4)
        assert np.allclose(made.adjoint(c), c @ part, atol=1e-4)
        open_ended = np.where(rng.random(x.shape) < 0.2, np.inf, np.abs(x))
        wanted = np.where(np.isinf(open_ended) @ (part != 0).T, np.inf, 0.0)
        assert (np.isinf(made.stretch(open_ended)) == np.isinf(wanted)).all()
        index = rng.integers(0, max(len(out), 1), (2, 2))
        assert (made.rows(index) == held[index]).all()
        read = np.zeros(linear.n_out, dtype=bool)
        read[out] = True
        assert (columns(linear, read) == (linear.matrix().toarray()[out] != 0).any(axis=0)).all()


def test_ends_in_another_format_stay_on_their_side() -> None:
    """Outside of an interval for bounds, inside for choices, and at its end where that is held."""
    rng = np.random.default_rng(2)
    least = np.concatenate([rng.normal(size=400) * 10.0 ** rng.integers(-30, 30, 400), [0.0, 1.5, -0.25, 1e-60]])
    most = least + np.abs(least) * rng.choice([1e-3, 1.0], len(least)) + 1e-44
    for by in (FLOAT64, FLOAT32):
        held = least.astype(by.dtype) == least
        assert (by.down(least).astype(np.float64) <= least).all()
        assert (by.up(least).astype(np.float64) >= least).all()
        assert by.up(np.zeros(1))[0] == by.down(np.zeros(1))[0] == 0
        low, high = by.inside(least, most)
        assert low.dtype == high.dtype == by.dtype
        assert (low.astype(np.float64) >= least).all()
        assert (high.astype(np.float64) <= most).all()
        assert (low[held] == least[held]).all()
        there = most.astype(by.dtype) == most
        assert (high[there] == most[there]).all()
        assert np.allclose(low, least, rtol=1e-6, atol=1e-29)


def norm(c: list[Fraction], p: int) -> tuple[Fraction, Fraction]:
    """Bounds of the norm that is dual to p."""
    if p == 1:
        most = max(map(abs, c))
        return most, most
    scale = 1 << 200
    root = isqrt((sum(v * v for v in c) * scale * scale).__floor__())
    return Fraction(root, scale), Fraction(root + 1, scale)


@pytest.mark.parametrize("p", [1, 2])
def test_the_least_of_a_form_over_a_ball_is_below_the_exact_one(p: int) -> None:
    """Far from the origin that the form is seen from, and at it, where the rounded centre is all that is left."""
    rng = np.random.default_rng(p)
    for _ in range(drawn(400, 100)):
        n = int(rng.integers(1, 6))
        centre = np.array([Fraction(int(v), 997) for v in rng.integers(-999, 1000, n)], dtype=object)
        radius = Fraction(int(rng.integers(0, 3)), int(rng.choice([3, 10**15, 10**25])))
        origin = centre.astype(np.float64) + rng.choice([0.0, 1e-9, 3.7, 1e6]) * rng.normal(size=n)
        c = rng.normal(size=n) * 10.0 ** rng.choice([0, -120, 6])
        found = Fraction(float(Round.of(Ball(centre, radius, p)).least(c, origin, 2)))
        exact = [Fraction(float(v)) for v in c]
        seen = sum((a * (x - Fraction(float(o))) for a, x, o in zip(exact, centre, origin, strict=True)), Fraction(0))
        size = sum(
            (abs(a * (x - Fraction(float(o)))) for a, x, o in zip(exact, centre, origin, strict=True)), Fraction(0)
        )
        least, most = norm(exact, p)
        assert found <= seen - radius * least
        allowed = Fraction(1, 10**13) * (size + radius * most) + Fraction(1, 10**15) * sum(map(abs, exact))
        assert found >= seen - radius * most - allowed


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rows_of_open_inputs_have_bounds_only_where_they_do_not_read_them(dtype: str) -> None:
    """However small the coefficient is: a multiple of x0 in [-1, 2] and of x1, of which no end is known."""
    x = new_input("x", 2)
    weights = np.array([[1.0, 0.0], [0.5, 0.0], [1.0, 1.0], [1.0, 0.5], [0.0, -1e-6], [0.25, 3.0]])
    y = affine(((Dense(weights), x),), np.zeros(6))
    box = Box(np.array([-1.0, -np.inf]), np.array([2.0, np.inf]))
    query = Query("open", {x: box}, Rows.of(y), Atoms(np.arange(6), True, True))
    engine = Engine(query, dtype=dtype)
    run = Refresh(engine.plan, 1, engine._base, {}, {}, NEVER)
    seed = Seed(engine.plan.spec, None, np.arange(6)[:, None], np.ones((6, 1)))
    with np.errstate(all="ignore"):
        state = run.run(None, engine.plan.spec, x)
        found = least(state, seed, descend(state, seed, Choice())).ravel()
    assert (np.isfinite(found) == (weights[:, 1] == 0)).all()
    assert np.allclose(found[:2], [-1, -0.5], rtol=1e-5)


@pytest.mark.parametrize("far", [0.0, 1e4, 1e8])
def test_offsets_of_cuts_pay_for_coefficients_that_cancel(far: float) -> None:
    """``M`` is ``line W``, or ``(1 - top) W``, up to a rounding: what is left of it counts where inputs are far out.

    The centre is orthogonal to W, so that the neuron's own range is not, and pays for nothing.
    """
    rng = np.random.default_rng(4)
    for _ in range(8):
        weight, bias, share = rng.normal(size=(1, 4)), rng.normal(size=1) / 9, float(rng.choice([0.3, 0.7]))
        centre = rng.normal(size=4)
        centre -= (centre @ weight[0]) / (weight[0] @ weight[0]) * weight[0]
        x = new_input("x", 4)
        z = affine(((Dense(weight), x),), bias)
        box = Box(far * centre - 1, far * centre + 1)
        node = pointwise(relu(), z)
        query = Query("cuts", {x: box}, Rows.of(node), Atoms(np.arange(1), True, True))
        own = ((1.0 - share) if rng.integers(2) else share) * weight
        m = Sparse(own.ravel(), np.arange(4), np.array([0, 4]), 4)
        engine = Engine(
            query, cuts={node: Cuts(np.zeros(1, dtype=np.int64), (m,), np.array([share]), np.array([share]))}
        )
        state = Refresh(engine.plan, 1, engine._base, {}, {}, NEVER).run(None, engine.plan.spec, x)
        low, high = (Fraction(float(side[0, 0])) for side in state.sides(z))
        at, b = Fraction(share), Fraction(float(bias[0]))
        passive = greatest(at, weight[0], own[0], box) + at * (b - low)
        active = greatest(1 - at, weight[0], own[0], box) + (1 - at) * b + at * high
        assert max(passive, active) <= Fraction(float(state.cut(node).offset[0, 0]))


def greatest(factor: Fraction, weight: np.ndarray, own: np.ndarray, box: Box) -> Fraction:
    """The most of ``(factor W - M) x`` in a box, in rationals."""
    total = Fraction(0)
    for w, m, low, high in zip(weight, own, *box.outer, strict=True):
        left = factor * Fraction(float(w)) - Fraction(float(m))
        total += max(left * Fraction(float(low)), left * Fraction(float(high)))
    return total
