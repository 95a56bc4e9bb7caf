"""Every source on small random graphs at the edges of what bounds meet: dead and alive elements behind every kind of
node, points for boxes, open inputs, two runs, and ranges from 2^-100 to beyond 2^100, in both formats.

No crash, and exact values inside: the numbers are evaluated in rationals.
"""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnsym.bounds.methods import METHODS, compute, margin
from nnsym.bounds.points.attack import search
from nnsym.bounds.rational.exact import exact_margin
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, maximum, new_input, pointwise, product
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows, stack
from nnsym.ir.univariate import absolute, clip, leaky_relu, relu, sign

SOURCES = (*METHODS, "alpha:2", "alpha:2:shared")
SCALES = (2.0**-100, 2.0**-30, 1.0, 1.0, 1.0, 2.0**30, 2.0**60, 2.0**101)
FUNCTIONS = (relu(), relu(), leaky_relu(0.1), absolute(), clip(-0.25, 0.625), sign())


def network(rng, scales):
    """How to build one on an input of two elements: used twice it makes two runs."""
    steps, far = [], max(10.0, max(scales))
    size = 2
    for _ in range(int(rng.integers(1, 5))):
        kind = rng.choice(["affine", "affine", "pointwise", "pointwise", "max", "product"])
        if kind == "affine":
            out = int(rng.integers(1, 5))
            weight = rng.integers(-3, 4, (out, size)) * rng.choice(scales) / 3
            weight = weight * rng.choice([0.0, 1.0, 1.0], (out, 1))
            steps.append((kind, weight, rng.choice([0.0, -1.0, -10.0, 10.0, -far], out)))
            size = out
        elif kind == "pointwise":
            steps.append((kind, FUNCTIONS[rng.integers(len(FUNCTIONS))], None))
        elif kind == "max":
            groups = rng.integers(0, size, (int(rng.integers(1, 4)), int(rng.integers(1, 4))))
            groups[:, 1:] = np.where(rng.random(groups[:, 1:].shape) < 0.2, -1, groups[:, 1:])
            steps.append((kind, groups, None))
            size = len(groups)
        else:
            steps.append((kind, bool(rng.integers(2)), None))

    def build(x):
        node, first = x, None
        for kind, what, more in steps:
            if kind == "affine":
                node = affine(((Dense(what), node),), more)
            elif kind == "pointwise":
                node = pointwise(what, node)
            elif kind == "max":
                node = maximum(node, what)
            else:
                other = first if what and first is not None and first.size == node.size else node
                node = product(node, other)
            first = node if first is None else first
        return node

    return build


def box(rng, scales):
    middle = rng.integers(-4, 5, 2) * rng.choice(scales) / 4
    radius = rng.choice([0.0, 1.0, 1.0], 2) * rng.choice(scales)
    low, high = middle - radius, middle + radius
    shut = rng.random((2, 2)) < 0.85
    return Box(np.where(shut[0], low, -np.inf), np.where(shut[1], high, np.inf))


def edge_query(seed):
    """One run, or two that are compared; every other one with numbers near 1, so that more of them are bounded."""
    rng = np.random.default_rng(seed)
    scales = SCALES if seed % 2 else (1.0,)
    build = network(rng, scales)
    x, u = new_input("x", 2), new_input("u", 2)
    boxes = {x: box(rng, scales)}
    rows = Rows.of(build(x))
    if rng.random() < 0.4:
        boxes[u] = box(rng, scales)
        other = Rows.of(build(u))
        both = stack([rows, other])
        rows = both.combine(np.hstack([np.eye(len(rows)), -np.eye(len(rows))]))
    return Query(f"edge {seed}", boxes, rows, Atoms(np.arange(len(rows)), False, True, every=False))


def exact_points(query, rng, count=6):
    found = {}
    for x, limits in query.boxes.items():
        low, high = (np.where(np.isfinite(s), s, t) for s, t in ((limits.lower, -7.0), (limits.upper, 7.0)))
        low, high = to_fractions(np.minimum(low, high)), to_fractions(np.maximum(low, high))
        low = np.maximum(low, np.array([-(10**40)] * 2, dtype=object))
        share = np.array([[Fraction(int(t), 4) for t in row] for row in rng.integers(0, 5, (count, 2))], dtype=object)
        inside = low + share * (high - low)
        found[x] = np.array(
            [[min(max(v, lo), hi) for v, lo, hi in zip(r, *sides(limits), strict=True)] for r in inside]
        )
    return found


def sides(limits):
    return [[Fraction(v) if np.isfinite(v) else v for v in side] for side in (limits.lower, limits.upper)]


def check(query, seed, *found):
    values = query.values(exact_points(query, np.random.default_rng(seed)), exact=True)
    rows = query.rows.value(values)
    for bounds in found:
        inside(query, values, rows, bounds)


def inside(query, values, rows, bounds):
    assert (rows >= bounds.rows.lower).all()
    assert (rows <= bounds.rows.upper).all()
    for node in query.nodes:
        assert not np.isnan(bounds[node].lower).any()
        assert (values[node] >= bounds[node].lower).all()
        assert (values[node] <= bounds[node].upper).all()


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), dtype=st.sampled_from(["float64", "float32"]))
def test_edges_are_bounded_without_a_crash(source, seed, dtype):
    query = edge_query(seed)
    check(query, seed, compute(query, source, dtype=dtype))


BEHIND = {
    "maximum": lambda h: maximum(h, [[0, 1], [2, 3], [1, -1]]),
    "relu": lambda h: pointwise(relu(), h),
    "leaky": lambda h: pointwise(leaky_relu(0.1), h),
    "clip": lambda h: pointwise(clip(-20.0, 0.625), h),
    "abs": lambda h: pointwise(absolute(), affine(((Dense(-np.eye(4)), h),))),
    "product": lambda h: product(h, h),
    "sum": lambda h: affine(((Dense(np.eye(4)), maximum(h, [[0, 1], [2, 3], [1, 1], [0, 3]])), (Dense(np.eye(4)), h))),
}


@pytest.mark.parametrize(
    ("alive", "runs"),
    [
        ("none", 1),
        ("one", 1),
        ("one", 2),
        ("all", 1),
        *(pytest.param(k, 2, marks=pytest.mark.slow) for k in ("none", "all")),
    ],
)
@pytest.mark.parametrize("kind", BEHIND)
def test_dead_elements_directly_behind_every_kind_of_node(kind, alive, runs):
    weight = np.array([[1.0, 0], [0, 1], [1, 1], [1, -1]])
    bias = np.full(4, -10.0) if kind != "product" else np.zeros(4)
    bias[: {"none": 0, "one": 1, "all": 4}[alive]] += 10
    made = []
    for name in ("x", "u")[:runs]:
        x = new_input(name, 2)
        made.append((x, pointwise(relu(), BEHIND[kind](affine(((Dense(weight), x),), bias)))))
    rows = stack([Rows.of(y) for _, y in made])
    size = made[0][1].size
    rows = rows.combine(np.hstack([np.eye(size), -np.eye(size)][:runs]))
    boxes = {x: Box(np.full(2, -1.0), np.full(2, 1.0)) for x, _ in made}
    query = Query("dead", boxes, rows, Atoms(np.arange(size), False, True, every=False))
    crown = compute(query, "crown")
    others = (compute(query, source) for source in ("forward", "zonotope", "ibp-merged", "alpha:2"))
    check(query, 0, crown, compute(query, "crown", dtype="float32"), *others)
    least = search(query, restarts=2, steps=2).margin.min()
    exact = exact_margin(query, crown)
    assert exact is None or exact <= least
    assert margin(query, crown) <= least


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_searches_and_exact_checks_meet_the_same_edges(seed):
    query = edge_query(seed)
    found = search(query, restarts=3, steps=3)
    bounds = compute(query, "crown")
    exact = exact_margin(query, bounds)
    assert exact is None or exact >= margin(query, bounds)
    assert len(found) > 0
