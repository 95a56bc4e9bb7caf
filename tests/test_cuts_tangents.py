"""Tangents: every run stays, and rounds close the relaxation to the hull of the curve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from neurons import query_of
from scipy.optimize import linprog

from nnsym.bounds.methods import compute
from nnsym.encode.registry import find_encoding
from nnsym.encoding import Rounds
from nnsym.ir.functions.sigmoidal import lines
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, new_input, pointwise
from nnsym.ir.smooth_functions import Sigmoid, Tanh
from nnsym.judge.programs.build import build
from nnsym.solvers.base import Goal, Limits
from nnsym.solvers.registry import find
from nnsym.testing.check_encoding import check_encoding
from tests.depth import drawn

SPANS = [(-3.0, 2.0), (-1.0, 4.0), (-2.0, -0.5), (0.5, 4.0), (-0.2, 6.0), (-9.0, 0.1)]


@pytest.mark.parametrize("fn", [Sigmoid(), Tanh()], ids=lambda fn: fn.name)
@pytest.mark.parametrize(("lo", "hi"), SPANS)
def test_the_line_at_a_point_is_the_hull_there_and_holds_everywhere(fn, lo, hi):
    grid = np.linspace(lo, hi, 2001)
    curve = fn.value(grid)
    for x in np.linspace(lo, hi, drawn(13, 5)):
        low, below, high, above = (v[0] for v in lines(fn, *(np.array([v]) for v in (lo, hi, x))))
        assert (high * grid + above >= curve).all()
        assert (low * grid + below <= curve).all()
        for sign, value in ((1.0, high * x + above), (-1.0, low * x + below)):
            equal = np.stack((grid, np.ones(len(grid))))
            best = linprog(-sign * curve, A_eq=equal, b_eq=[x, 1.0], bounds=(0, None))
            assert value == pytest.approx(-sign * best.fun, abs=1e-5)


def test_rounds_converge_to_the_hull():
    """One neuron, an objective that leans on the curved side: the optimum of the hull is known."""
    x = new_input("x", 1)
    h = affine(((Dense(np.ones((1, 1))), x),))
    y = pointwise(Tanh(), h)
    both = affine(((Dense(-np.ones((1, 1))), y), (Dense(np.full((1, 1), 0.3)), x)))
    query = query_of(both, {x: [-1.0]}, {x: [3.0]})
    bounds = compute(query, "ibp")
    rows = replace(bounds.rows, lower=np.array([-9.0]), upper=np.array([9.0]))
    cut = replace(find_encoding("triangle+tangents"), rounds=Rounds(gain=0.0, most=40))
    values = [
        find("highs").solve(build(query, replace(bounds, rows=rows), e), Limits(), Goal(decide=False)).objective
        for e in (find_encoding("triangle"), cut)
    ]
    grid = np.linspace(-1, 3, 100001)
    assert values[1] == pytest.approx((0.3 * grid - np.tanh(grid)).min(), abs=1e-5)
    assert values[0] < values[1] - 0.01


@pytest.mark.slow
def test_conformance():
    check_encoding("triangle+tangents", kinds=("sigmoid", "tanh", "dense"), seeds=range(2), runs=4, bounds=("ibp",))
