"""Deadlines and memory: whatever a source did not get to is left wide, never wrong, and the verdict says why."""

import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moments import Moments
from test_bounds_soundness import violations

import nnsym as nn
from nnsym.bounds.engine.forward.forward import forward_linear
from nnsym.bounds.engine.forward.zonotope import zonotope
from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.refine import refined
from nnsym.bounds.methods import METHODS, compute, margin
from nnsym.bounds.points.attack import search
from nnsym.bounds.points.tape import Tape
from nnsym.bounds.rational.exact import exact_margin
from nnsym.encode.registry import encodings, find_encoding
from nnsym.encode.walk import encode_columns
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms
from nnsym.ir.intervals import interval_run
from nnsym.ir.linear import Dense, Sparse, matrix_map
from nnsym.ir.node import affine, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import relu
from nnsym.relaxation.sources import find_source
from nnsym.results.clock import NEVER, Clock, Deadline, OutOfTime
from nnsym.testing.random_nets import KINDS, random_network, random_query

SOURCES = (*METHODS, "alpha:30:shared", "lp", "search", "lipschitz:sdp")


def claim(widths=(16, 60, 60, 60, 2)):
    f = nn.zoo.random_mlp(3, widths=widths)
    x = nn.Variable(widths[0], name="x")
    y = f(x)
    return nn.forall(x, where=nn.box(x, -1, 1), then=y[0] >= -3)


def test_a_deadline_is_a_value():
    assert NEVER.left == np.inf
    assert not NEVER.passed
    assert NEVER.share(0.1) is NEVER
    NEVER.check()
    gone = Deadline.after(0)
    assert (gone.left, gone.passed, gone.share(0.5).passed, gone.grace.passed) == (0.0, True, True, False)
    assert 4 < Deadline.after(10).share(0.5).left <= 5
    with pytest.raises(OutOfTime):
        gone.check()
    source = find_source("crown").within(5).until(NEVER)  # an earlier one stays
    assert 0 < source.deadline.left <= 5
    assert source == find_source("crown")
    assert source.text == "crown"


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("kind", KINDS)
def test_without_time_bounds_are_sound_and_say_so(source, kind):
    query = random_query(random_network(kind, 7), 7)
    bounds = compute(query, find_source(source).within(0.0))
    assert bounds.ended == "timeout"
    assert violations(query, bounds, np.random.default_rng(0)) == 0


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=6, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 10**6), seconds=st.sampled_from([1e-4, 1e-3, 3e-3, 1e-2]))
def test_cut_short_anywhere_bounds_stay_sound(source, kind, seed, seconds):
    query = random_query(random_network(kind, seed), seed)
    bounds = compute(query, find_source(source).within(seconds))
    assert bounds.ended in ("", "timeout")
    assert violations(query, bounds, np.random.default_rng(seed)) == 0


def test_with_time_enough_a_deadline_changes_nothing():
    query = claim((4, 20, 20, 2)).query
    for source in METHODS:
        free, held = compute(query, source), compute(query, find_source(source).within(3600))
        assert held.ended == ""
        assert (free.rows.lower == held.rows.lower).all()


def test_an_ascent_keeps_its_best_iterate_and_the_layers_share_the_time():
    p = claim()
    linear = margin(p.query, compute(p.query, "crown"))
    used = time.process_time()
    found = nn.verify(p, "alpha:100000", timeout=3)
    assert (found.status.value, found.reason) == ("unknown", "timeout")
    assert found.lower > linear
    assert time.process_time() - used < 8


@pytest.mark.parametrize("make", [zonotope, forward_linear])
def test_forms_that_would_not_fit_leave_intervals(make):
    query = claim((4, 20, 20, 2)).query
    bounds, plain = make(query, memory=1000), compute(query, "ibp")
    assert bounds.ended == "memory"
    assert (bounds.rows.lower == plain.rows.lower).all()
    assert make(query).rows.lower > plain.rows.lower


def test_a_verdict_without_time_is_a_timeout_by_every_method():
    p = claim((4, 20, 20, 2))
    for method in (None, "ibp", "crown", "alpha:50", "zonotope", "forward", "lp", *encodings(), "triangle+krelu3"):
        found = nn.verify(p, method, timeout=1e-6)
        assert (found.status.value, found.reason) == ("unknown", "timeout"), method


def test_an_optimum_without_time_is_an_interval():
    f, x = nn.zoo.random_mlp(3, widths=(2, 4, 1)), nn.Variable(2, name="x")
    for method in ("crown", "zonotope", "bigm", "triangle"):
        optimum = nn.minimize(f(x)[0], method, where=nn.box(x, 0, 1), timeout=1e-6)
        assert optimum.lower <= optimum.upper


def test_terms_that_there_is_no_time_for_are_intervals_of_anything():
    x = nn.Variable(16, name="x")
    y = nn.zoo.random_mlp(3, widths=(16, 60, 60, 60, 2))(x)
    found = nn.reach(y, where=nn.box(x, -1, 1), timeout=1e-9)
    assert [(o.lower, o.upper, o.point) for o in (*found.minima, *found.maxima)] == [(-np.inf, np.inf, None)] * 4


def test_an_open_input_is_named_where_time_was_not_the_reason():
    x = nn.Variable(1, name="x")
    p = nn.forall(x, then=nn.relu(x)[0] >= -1)
    assert nn.verify(p, "ibp").status.value == "verified"
    with pytest.raises(nn.NnsymError, match="input 'x'"):
        nn.verify(nn.forall(x, then=x[0] >= -1), "ibp")


def test_programs_and_exact_checks_are_not_begun_past_a_deadline():
    query = claim((4, 8, 2)).query
    bounds = compute(query, "crown")
    with pytest.raises(OutOfTime):
        encode_columns(query, bounds, find_encoding("bigm"), deadline=Deadline.after(0))
    assert exact_margin(query, bounds, deadline=Deadline.after(0)) is None
    assert exact_margin(query, bounds) is not None


def test_vacuity_shares_the_budget_of_the_verdict():
    f, x = nn.zoo.random_mlp(1, widths=(8, 60, 60, 60, 2)), nn.Variable(8, name="x")
    y = f(x)
    p = nn.forall(x, where=[nn.box(x, -1, 1), y[0] - y[1] >= 100], then=y[0] + y[1] <= 1000)
    checked = nn.vacuous(p, clock=Clock(1e-6))
    assert checked.vacuous is None
    assert checked.result.reason == "timeout"


def test_a_search_without_time_to_lay_out_matrices_ends_in_a_timeout():
    p = claim()
    for dtype in ("float32", "float64"):
        with pytest.raises(OutOfTime):
            Engine(p.query, dtype=dtype, deadline=Deadline.after(0))
    with pytest.raises(OutOfTime):
        refined(p.query, deadline=Deadline.after(0))
    found = nn.verify(p, "bab", timeout=1e-6)
    assert (found.status.value, found.reason, found.lower) == ("unknown", "timeout", -np.inf)
    x = nn.Variable(16, name="x")
    y = nn.zoo.random_mlp(3, widths=(16, 60, 60, 60, 2))(x)
    least = nn.minimize(y[0], "bab", where=nn.box(x, -1, 1), timeout=1e-6)
    assert least.lower == -np.inf


def test_one_layer_of_many_columns_is_left_between_its_blocks():
    """A copy of every input for every neuron is one node: the time is looked at between its columns and its rows."""
    p = claim(widths=(16, 60, 2))
    bounds = compute(p.query, "ibp")
    balas, looks = find_encoding("balas"), Moments()
    encode_columns(p.query, bounds, balas, deadline=looks)
    taken = looks.taken
    assert taken > 3 * len(p.query.nodes)
    for few in range(0, taken, 3):
        with pytest.raises(OutOfTime):
            encode_columns(p.query, bounds, balas, deadline=Moments(few))


def test_intervals_that_came_late_are_infinite():
    query = claim().query
    nodes, start = query.nodes, {x: box.outer for x, box in query.boxes.items()}
    asked = iter(range(1000))
    found = interval_run(nodes, start, late=lambda: next(asked) >= 2)
    whole = interval_run(nodes, start)
    reached = [n for n in nodes if np.isfinite(found[n][0]).all()]
    assert len(reached) == 3
    assert all((found[n][0] == whole[n][0]).all() for n in reached)
    assert all((found[n][0] == -np.inf).all() and (found[n][1] == np.inf).all() for n in nodes if n not in reached)


def test_large_networks_are_searched_in_groups():
    x = new_input("x", 1)
    wide = Sparse(np.linspace(-1, 1, 60_000), np.zeros(60_000, int), np.arange(60_001), 1)
    y = affine(
        (
            (
                Sparse(np.ones(60_000), np.arange(60_000), np.array([0, 60_000]), 60_000),
                pointwise(relu(), affine(((wide, x),))),
            ),
        )
    )
    query = Query("wide", {x: Box(np.array([-1.0]), np.array([2.0]))}, Rows.of(y), Atoms(np.array([0]), False, True))
    most = Tape(query).most
    assert 1 < most < 60
    found = search(query, restarts=2 * most + 1, steps=3)
    assert len(found) == 2 * most + 1
    assert (np.diff(found.margin) >= 0).all()
    assert found.margin[0] == pytest.approx(query.margin(query.values(found[0])))
    assert len(search(query, restarts=2 * most + 1, steps=3, seconds=0.0)) >= 1


def test_matrices_of_zeros_are_kept_without_them():
    rng = np.random.default_rng(0)
    weight = np.where(rng.random((2048, 1024)) < 0.001, rng.normal(size=(2048, 1024)), 0.0).astype(np.float32)
    for stored in (weight, np.asfortranarray(weight)):
        linear = matrix_map(stored)
        assert isinstance(linear, Sparse)
        assert linear.nnz == np.count_nonzero(weight)
        assert (linear.matrix().toarray() == weight).all()
    assert isinstance(matrix_map(weight[:100]), Dense)
    assert isinstance(matrix_map(np.ones((1024, 1024))), Dense)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), spread=st.sampled_from([0, 30, 900]))
def test_exact_products_are_exact(seed, spread):
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 6, 2)
    weight = rng.normal(size=(m, n)) * 2.0 ** rng.integers(-spread, spread + 1, (m, n)) * (rng.random((m, n)) < 0.7)
    x = np.array([Fraction(int(a), int(b)) for a, b in rng.integers(1, 99, (n, 2))], dtype=object)
    expected = [sum((Fraction(w) * v for w, v in zip(row, x, strict=True)), Fraction(0)) for row in weight.tolist()]
    assert Dense(weight).apply(x).tolist() == expected
    assert Dense(weight.T).adjoint(x).tolist() == expected
    assert to_fractions(np.zeros(0)).size == 0
