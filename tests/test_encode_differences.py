"""Cuts of two runs: real runs satisfy them exactly, the LP gets no weaker, exact optima stay what they are."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnsym as nn
from nnsym.bounds.methods import compute
from nnsym.encode.point import NOMINAL, complete, residual
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.program import Tag
from nnsym.solvers.base import Goal, Limits, Status
from nnsym.solvers.registry import find
from nnsym.testing.random_nets import random_network
from tests.test_differential import HOW, compared, runs

CUTS = "line over the gap", "range of the difference"


def pairs(kind, seed, how, *, other=False, **sizes):
    rng = np.random.default_rng(seed)
    network = random_network(kind, seed, **sizes)
    x = next(iter(network.inputs.values())).node
    query, z = compared(next(iter(network.outputs.values())).node, x, how, rng, other=other, radius=0.5)
    return query, x, z, rng


def cuts(program):
    return [block for block in program.rows if any(word in block.origin for word in CUTS)]


@settings(max_examples=15, deadline=None)
@given(
    kind=st.sampled_from(("dense", "leaky", "abs", "residual", "conv", "maxpool")),
    seed=st.integers(0, 10**6),
    how=st.sampled_from(HOW),
    other=st.booleans(),
)
def test_runs_satisfy_every_cut_exactly(kind, seed, how, other):
    query, x, z, rng = pairs(kind, seed, how, other=other)
    bounds = compute(query, "crown")
    points = runs(query, x, z, rng, 6)
    for name in ("triangle", "bigm", "smt"):
        program = encode(query, bounds, find_encoding(name))
        for k in range(len(points[x])):
            point = complete(program, query, {node: v[k] for node, v in points.items()}, exact=True)
            assert residual(program, point, NOMINAL | {Tag.PRECONDITION}) == (0.0, "")


def test_what_rests_on_preconditions_is_no_cut_of_every_run():
    for how, tag in (("near", Tag.PRECONDITION), ("shared", Tag.CUT)):
        query, *_ = pairs("dense", 3, how)
        found = cuts(encode(query, compute(query, "crown"), find_encoding("bigm")))
        assert found
        assert {block.tag for block in found} == {tag}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("seed", [0, 3, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 2))])
def test_exact_optima_stay_and_linear_ones_rise(how, seed):
    query, *_ = pairs(("dense", "leaky", "abs", "residual")[seed], seed, how, width=3)
    bounds = compute(query, "ibp")
    bare = replace(bounds, differences={})
    for name in ("triangle", "bigm"):
        with_cuts, without = (
            find("highs").solve(encode(query, b, find_encoding(name)), Limits(seconds=30), Goal(decide=False))
            for b in (bounds, bare)
        )
        assert with_cuts.status is without.status is Status.OPTIMAL
        if name == "bigm":
            assert with_cuts.objective == pytest.approx(without.objective, abs=1e-6)
        else:
            assert with_cuts.objective >= without.objective - 1e-7


def test_the_relaxation_sees_that_neurons_move_together():
    rng = np.random.default_rng(0)
    layers = [(rng.normal(size=(m, n)) / 2, rng.normal(size=m) / 9) for n, m in ((4, 12), (12, 12), (12, 1))]
    f, x, z = nn.sequential(layers, activation="relu"), nn.Variable(4, name="x"), nn.Variable(4, name="z")
    close = [nn.box(x, -1, 1), nn.box(z, -1, 1), x[0] <= z[0], nn.all(x[1:] == z[1:])]
    query = nn.forall([x, z], where=close, then=f(x)[0] <= f(z)[0] + 0.1).query
    bounds = compute(query, "crown")
    optima = [
        find("highs")
        .solve(encode(query, b, find_encoding("triangle")), Limits(seconds=30), Goal(decide=False))
        .objective
        for b in (bounds, replace(bounds, differences={}))
    ]
    assert optima[0] > optima[1] + 0.1


@pytest.mark.parametrize("method", ["crown", "triangle", "bigm", "smt"])
def test_monotone_equivalent_and_lipschitz_pairs_in_every_method(method):
    """Two applications and two networks: verdicts, replayed counterexamples, exports."""
    rng = np.random.default_rng(5)
    rise = [(np.abs(rng.normal(size=(m, n))).round(2), rng.normal(size=m).round(2)) for n, m in ((2, 4), (4, 1))]
    f = nn.sequential(rise, activation="relu")
    rough = [(np.round(w * 16) / 16, np.round(b * 16) / 16) for w, b in rise]
    g, fall = (
        nn.sequential(rough, activation="relu"),
        nn.sequential([(-rise[0][0], rise[0][1]), rise[1]], activation="relu"),
    )
    x, z = nn.Variable(2, name="x"), nn.Variable(2, name="z")
    both = [nn.box(x, -1, 1), nn.box(z, -1, 1)]
    up = [*both, x[0] <= z[0], x[1] == z[1]]
    near = [*both, nn.norm(x - z, float("inf")) <= 0.125]
    steep = 1.01 * float(np.abs(rise[1][0] @ np.abs(rise[0][0])).sum())  # no slope is larger
    holds = (
        nn.forall([x, z], where=up, then=f(x)[0] <= f(z)[0], name="monotone"),
        nn.forall(x, where=nn.box(x, -1, 1), then=nn.norm(f(x) - g(x), float("inf")) <= 1, name="equivalent"),
        nn.forall([x, z], where=near, then=abs(f(x)[0] - f(z)[0]) <= 0.125 * steep, name="lipschitz"),
    )
    fails = (
        nn.forall([x, z], where=up, then=fall(x)[0] <= fall(z)[0], name="falling"),
        nn.forall(x, where=nn.box(x, -1, 1), then=nn.norm(f(x) - g(x), float("inf")) <= 1e-4, name="unlike"),
    )
    for p in holds:
        r = nn.verify(p, method, timeout=60)
        assert r.status.value == "verified", (p.name, r.reason)
        assert p.name != "monotone" or r.trust.value == "exact"
    for p in fails:
        r = nn.verify(p, method, timeout=60)
        assert r.status.value != "verified"
        if method in ("bigm", "smt"):
            assert r.status.value == "falsified"


@pytest.mark.parametrize("suffix", ["lp", "mps", "smt2"])
def test_cuts_are_exported(tmp_path, suffix):
    query, *_ = pairs("dense", 3, "shared")
    program = encode(query, compute(query, "crown"), find_encoding("bigm"))
    assert cuts(program)
    from nnsym.ask.export import export

    path = tmp_path / f"pair.{suffix}"
    export(query, path, encoding="bigm")
    assert "line over the gap" in path.read_text()
