"""The order of strength: for the same intermediate bounds IBP <= linear <= triangle LP <= big-M = exact <= attack."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from neurons import query_of
from random_properties import is_violated, nested_query

from nnsym.ask.verify import verify
from nnsym.bounds.base import Bounds
from nnsym.bounds.engine.backward.linear import Backward, crown
from nnsym.bounds.engine.backward.slopes import Ascent
from nnsym.bounds.engine.inputs import domain
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.methods import compute, margin
from nnsym.bounds.points.attack import search
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.encoding import Encoding
from nnsym.ir.node import new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.ir.univariate import relu
from nnsym.judge.probe import least_margin
from nnsym.program import Program
from nnsym.solvers.base import Answer, Goal, Limits, Status
from nnsym.solvers.registry import find
from nnsym.testing.random_nets import KINDS, random_network, random_query

BIGM, TRIANGLE = find_encoding("bigm"), find_encoding("triangle")


def solve(program: Program) -> Answer:
    return find("highs").solve(program, Limits(seconds=60), Goal(decide=False))


def optimum(query: Query, bounds: Bounds, encoding: Encoding) -> tuple[float, float]:
    """The optimum and the certified bound of it; +inf where there is no feasible point."""
    answer = solve(encode(query, bounds, encoding))
    if answer.status is Status.INFEASIBLE:
        return np.inf, answer.certified
    assert answer.status is Status.OPTIMAL, answer
    return answer.objective, answer.certified


def below(lesser: float, greater: float, tolerance: float = 1e-7) -> bool:
    return lesser <= greater or lesser - greater <= tolerance * max(1.0, abs(greater))


def draw(kind: str, seed: int, *, nested: bool, tight: bool) -> Query:
    network = random_network(kind, seed, width=3)
    return (nested_query if nested else random_query)(network, seed, tight=tight, max_unstable=20)


@settings(max_examples=15, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**16), nested=st.booleans(), tight=st.booleans())
def test_every_method_is_at_least_as_strong_as_those_before_it(kind, seed, nested, tight):
    query = draw(kind, seed, nested=nested, tight=tight)
    least = float(minimum_margin(query, max_unstable=20).margin)
    intervals, linear = compute(query, "ibp"), compute(query, "crown")
    assert below(margin(query, intervals), margin(query, linear), 1e-12)
    for bounds in (intervals, linear):
        same = crown(query, intermediate=bounds)  # the rows backwards, on these bounds of the nodes
        rows = replace(bounds, rows=bounds.rows.intersect(same.rows))  # those of two runs may be tighter
        outer, certified = optimum(query, rows, TRIANGLE)
        exact, _ = optimum(query, rows, BIGM)
        assert margin(query, bounds) <= margin(query, rows)
        assert below(margin(query, rows), outer)
        assert below(certified, outer)
        assert below(outer, exact)
        if np.isfinite(least):
            assert exact == pytest.approx(least, abs=1e-6, rel=1e-6)
            assert certified <= least
        elif least == -np.inf:
            assert exact < 0
        else:
            assert exact == np.inf
        relaxed, _ = optimum(query, rows, BIGM.relax())
        assert relaxed == pytest.approx(outer, abs=1e-7, rel=1e-7)
    assert below(least, least_margin(query), 1e-9)
    assert below(least, search(query, restarts=8, steps=20).margin.min(initial=np.inf), 1e-9)


@settings(max_examples=8, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**16), nested=st.booleans())
@example(kind="maxpool", seed=5469, nested=True)
def test_backward_methods_lie_between_intervals_and_the_triangle_on_the_same_bounds(kind, seed, nested):
    query = draw(kind, seed, nested=nested, tight=False)
    for source in ("ibp", "zonotope"):
        bounds = compute(query, source)
        plain = replace(bounds, rows=compute(query, "ibp").rows)
        outer, _ = optimum(query, plain, TRIANGLE)
        for lower in ("interval", "zero", "parallel", "adaptive"):
            found = crown(query, intermediate=bounds, lower=lower)
            assert below(margin(query, plain), margin(query, found), 1e-12)  # sums in another order
            assert below(margin(query, found), outer)
        climbed = crown(query, intermediate=bounds, ascent=Ascent(iterations=4))
        assert margin(query, climbed) >= margin(query, crown(query, intermediate=bounds))
        assert below(margin(query, climbed), outer)


@settings(max_examples=6, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**16))
@example(kind="abs", seed=8214)  # an empty precondition, which HiGHS tells by an infinite bound
def test_a_stronger_method_verifies_what_a_weaker_one_does(kind, seed):
    query = draw(kind, seed, nested=True, tight=False)
    verified = [
        verify(query, name, shortcut=False).status == "verified" for name in ("ibp", "crown", "triangle", "bigm")
    ]
    assert verified == sorted(verified)
    assert verified[-1] is not is_violated(query, max_unstable=20)


def test_a_bare_method_may_lose_to_a_weaker_one():
    """relu(x) on [-1, 2] is at least 0 by intervals and -1 by CROWN's line alone; intersected it is 0 again."""
    x = new_input("x", 1)
    y = pointwise(relu(), x)
    query = query_of(y, {x: [-1.0]}, {x: [2.0]})
    maps = Maps("cpu")
    line = Backward(query, domain(query, None, maps)[0], maps, fixed={})
    line.run(None)
    assert float(line.backward(y, torch.arange(1)).lower) == pytest.approx(-1.0)
    intervals, linear = compute(query, "ibp"), compute(query, "crown")
    assert margin(query, intervals) == margin(query, linear) == 0.0
    for encoding in (TRIANGLE, BIGM, BIGM.relax()):
        assert optimum(query, linear, encoding)[0] == pytest.approx(0.0, abs=1e-9)
    assert minimum_margin(query).margin == 0


def test_each_step_of_the_order_gains_something():
    gains = np.zeros(3, dtype=int)
    for seed in range(8):
        query = draw("dense", seed, nested=False, tight=False)
        bounds = compute(query, "ibp")
        rows = replace(bounds, rows=crown(query, intermediate=bounds).rows)
        values = [margin(query, bounds), margin(query, rows)]
        values += [optimum(query, rows, encoding)[0] for encoding in (TRIANGLE, BIGM)]
        gains += [a < b - 1e-3 for a, b in pairwise(values)]
    assert (gains >= 2).all()


def test_root_lp_of_a_run_is_the_relaxed_optimum():
    query = draw("dense", 2, nested=False, tight=False)
    result = verify(query, "bigm", optimise=True, relaxation=True)
    assert result.relaxation is not None
    assert result.relaxation == pytest.approx(optimum(query, compute(query, "crown"), TRIANGLE)[0], abs=1e-7)
    assert result.relaxation <= result.lower + 1e-7
