"""LP-tightened bounds: true, never looser than linear ones, the optimum of the triangle program, within their time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neurons import query_of

import nnsym as nn
from nnsym.bounds.domains import domain_margin
from nnsym.bounds.layers import open_elements
from nnsym.bounds.methods import compute, margin
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.errors import InputError
from nnsym.ir.node import Pointwise, new_input
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.relaxation.sources import Lp, find_source
from nnsym.solvers.base import Goal, Limits
from nnsym.solvers.registry import find
from nnsym.testing.random_nets import KINDS, SMOOTH_KINDS, random_network, random_query


def draw(kind, seed, width=4):
    return random_query(random_network(kind, seed, width=width), seed, max_unstable=24)


@settings(max_examples=6, deadline=None)
@given(
    kind=st.sampled_from((*KINDS, *SMOOTH_KINDS)),
    seed=st.integers(0, 2**16),
    text=st.sampled_from(["lp", "lp:triangle+tj"]),
)
def test_they_hold_at_every_point_and_are_nowhere_looser_than_crown(kind, seed, text):
    query = draw(kind, seed)
    tight, linear = find_source(text).compute(query), compute(query, "crown")
    assert tight.method == "lp"
    rng, exact = np.random.default_rng(seed), kind in KINDS
    for k in range(6):
        point = {}
        for x, box in query.boxes.items():
            low, high = box.outer
            point[x] = low + (rng.integers(0, 2, x.size) if k % 2 else rng.integers(0, 9, x.size) / 8) * (high - low)
        values = query.values(point, exact=exact)
        slack = 0 if exact else 1e-12
        for node in query.nodes:
            assert (tight[node].lower <= values[node] + slack).all()
            assert (values[node] <= tight[node].upper + slack).all()
        rows = query.rows.value(values)
        assert (tight.rows.lower <= rows + slack).all()
        assert (rows <= tight.rows.upper + slack).all()
    for node in query.nodes:
        assert (tight[node].lower >= linear[node].lower).all()
        assert (tight[node].upper <= linear[node].upper).all()
    assert margin(query, tight) >= margin(query, linear)
    if exact:
        assert margin(query, tight) <= float(minimum_margin(query, max_unstable=24).margin)


def test_they_close_neurons_that_linear_bounds_leave_open_and_widen_the_margin():
    fewer = better = 0
    for seed in range(8):
        query = draw("dense", seed, width=8)
        tight, linear = find_source("lp").compute(query), compute(query, "crown")
        count = [
            sum(open_elements(b, n).sum() for n in query.nodes if isinstance(n, Pointwise)) for b in (tight, linear)
        ]
        fewer += count[0] < count[1]
        better += margin(query, tight) > margin(query, linear) + 1e-3
    assert fewer >= 2
    assert better >= 4


def test_a_row_has_the_optimum_of_the_triangle_program():
    x = new_input("x", 2)
    y = random_network("dense", 1, width=6).apply((x,)).output("y")
    query = query_of(y, {x: -np.ones(2)}, {x: np.ones(2)})
    bounds = find_source("lp").compute(query)
    answer = find("highs").solve(encode(query, bounds, find_encoding("triangle")), Limits(), Goal(decide=False))
    assert margin(query, bounds) == pytest.approx(answer.objective, abs=1e-6)
    assert margin(query, bounds) > margin(query, compute(query, "crown")) + 1e-3


def test_cuts_inside_are_at_least_as_good():
    gained = 0
    for seed in range(4):
        query = draw("dense", seed, width=8)
        plain, cut = (margin(query, find_source(text).compute(query)) for text in ("lp", "lp:triangle+tj"))
        assert cut >= plain - 1e-7
        gained += cut > plain + 1e-4
    assert gained >= 1


def test_they_are_named_and_feed_every_encoding():
    x = nn.Variable(3, name="x")
    y = nn.zoo.random_mlp(0)(x)
    p = nn.forall(x, where=nn.box(x, -1, 1), then=y[0] <= 50)
    for method in ("lp", "bigm", "triangle"):
        result = nn.verify(p, method, bounds="lp") if method != "lp" else nn.verify(p, method)
        assert (result.status.value, result.bounds) == ("verified", "lp")
    assert find_source("lp:triangle+tj").text == "lp:triangle+tj"
    assert find_source("lp").text == "lp"
    with pytest.raises(InputError, match=r"'bigm' is no linear relaxation"):
        find_source("lp:bigm")
    with pytest.raises(InputError, match=r"there are no bounds 'lq'.*lp"):
        find_source("lq")


def test_without_time_they_are_intervals_and_say_so():
    query = draw("dense", 1, width=6)
    bounds, intervals = Lp().within(0.0).compute(query), compute(query, "ibp")
    assert bounds.ended == "timeout"
    for node in query.nodes:
        assert (bounds[node].lower == intervals[node].lower).all()


def test_a_batch_gives_each_domain_what_it_gets_alone():
    query = draw("dense", 4, width=6)
    (x,) = query.inputs
    low, high = query.boxes[x].outer
    middle = (low + high) / 2
    boxes = {x: (np.stack((low, middle)), np.stack((middle, high)))}
    batch = find_source("lp").compute(query, boxes)
    alone = find_source("lp").compute(query, {x: (low[None], middle[None])}).box(0)
    assert (batch.box(0).rows.lower == alone.rows.lower).all()
    assert domain_margin(query, find_source("lp"))[0] >= margin(query, compute(query, "crown"))
