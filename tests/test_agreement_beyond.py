"""Agreement where the exact oracle does not reach: integer inputs, products, smooth activations."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from random_properties import shifted

from nnsym.ask.verify import verify
from nnsym.bounds.points.attack import search
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense, Select
from nnsym.ir.node import affine, new_input
from nnsym.ir.node import product as times
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.judge.methods import crown, ibp
from nnsym.judge.probe import least_margin
from nnsym.judge.programs.methods import program
from nnsym.results.result import Verdict
from nnsym.solvers.registry import find
from nnsym.testing.random_nets import SMOOTH_KINDS, random_network, random_query

LANES = [lane for lane in ("highs", "gurobi", "glpk", "z3") if find(lane).availability().available]
WHOLE = ((-2.0, -1.0, 0.0, 1.0), (-1.0, 0.0, 1.0, 2.0))


def integers(seed: int) -> Query:
    """Two inputs that take integers only, in boxes whose ends are none."""
    network = random_network(("dense", "abs", "leaky")[seed % 3], seed, width=3)
    x = new_input("x", 2, integer=np.array([True, True]))
    rng = np.random.default_rng([seed, 3])
    y = network.apply((x,)).output("y")
    rows = Rows.of(y).combine(rng.integers(-4, 5, (2, 3)) / 2) + Rows.constants(rng.integers(-16, 17, 2) / 8)
    formula = Atoms(np.arange(2), bool(seed % 2), soft=True, every=bool(seed % 4 > 1))
    return Query(f"integers-{seed}", {x: Box(np.array([-2.5, -1.25]), np.array([1.75, 2.5]))}, rows, formula)


@pytest.mark.parametrize(
    ("seed", "close"),
    [
        pytest.param(seed, close, marks=[] if seed % 4 == k else pytest.mark.slow)
        for seed in range(6)
        for k, close in enumerate((None, -(2.0**-20), 0.0, 2.0**-20))
    ],
)
def test_integer_inputs_agree_with_enumeration(seed, close):
    query = integers(seed)
    (x,) = query.inputs
    least = min(query.margin(query.values({x: to_fractions(p)}, exact=True)) for p in product(*WHOLE))
    if close is not None:
        query, least = shifted(query, close - least), close
    violated = least < 0 or (least == 0 and not query.strict)
    lane = LANES[seed % len(LANES)]
    for method in (program("bigm", solver=lane, optimise=lane != "z3"), program("smt"), crown(), program("triangle")):
        result = verify(query, method)
        assert result.status is not (Verdict.VERIFIED if violated else Verdict.FALSIFIED), (method.name, least)
        if method.name.startswith(("bigm", "smt")):
            assert result.status is not Verdict.UNKNOWN, (method.name, result.reason)
        assert result.lower <= least + 1e-6
        if method.name.startswith("bigm") and lane != "z3":
            assert result.lower == pytest.approx(least, abs=1e-6)
        if result.counterexample is not None:
            assert all(v.denominator == 1 for v in result.counterexample.inputs["x"])


def bilinear(seed: int) -> tuple[Query, float]:
    """``x0 x1 + a x0 + b x1 + c > 0`` over a box; the least margin is attained at a corner."""
    rng = np.random.default_rng([seed, 5])
    x = new_input("x", 2)
    one, two = (affine(((Select(np.array([k]), 2), x),)) for k in (0, 1))
    line = affine(((Dense(rng.integers(-8, 9, (1, 2)) / 8), x),), rng.integers(-8, 9, 1) / 8)
    rows = Rows.of(times(one, two)) + Rows.of(line)
    low = rng.integers(-8, 8, 2) / 8
    high = low + rng.integers(1, 9, 2) / 8
    query = Query(f"bilinear-{seed}", {x: Box(low, high)}, rows, Atoms(np.array([0]), bool(seed % 2), soft=True))
    corners = [np.array(p) for p in product(*zip(low, high, strict=True))]
    return query, min(float(query.margin(query.values({x: to_fractions(p)}, exact=True))) for p in corners)


@pytest.mark.parametrize("seed", range(8))
def test_products_agree_with_their_corners(seed):
    query, least = bilinear(seed)
    margin = (-(2.0**-12), 0.0, 2.0**-12)[seed % 3]
    query = shifted(query, margin - least)
    violated = margin < 0 or (margin == 0 and not query.strict)
    for method in (ibp(), crown(), program("triangle", optimise=True), program("smt")):
        result = verify(query, method)
        assert result.status is not (Verdict.VERIFIED if violated else Verdict.FALSIFIED), method.name
        assert result.lower <= margin + 1e-9
    assert result.status is (Verdict.FALSIFIED if violated else Verdict.VERIFIED)


@pytest.mark.parametrize("kind", SMOOTH_KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_nothing_verifies_what_an_attack_refutes(kind, seed):
    query = random_query(random_network(kind, seed), seed)
    found = min(search(query, restarts=8, steps=60).margin.min(initial=np.inf), least_margin(query))
    if not np.isfinite(found):
        pytest.skip("no point meets the precondition")
    query = shifted(query, -found - 2.0**-30)
    for method in (ibp(), crown(), program("triangle"), program("triangle", bounds="ibp", optimise=True)):
        result = verify(query, method)
        assert result.status is not Verdict.VERIFIED, method.name
        assert result.lower <= 0
    gap = -verify(query, crown()).lower
    assert verify(shifted(query, gap * 1.001 + 1e-9), crown()).status is Verdict.VERIFIED
