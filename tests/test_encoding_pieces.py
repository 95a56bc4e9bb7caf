"""Clip, sign and any other piecewise-linear function in every encoding: rows, sizes, strength, conformance."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neurons import grid, program_of

from nnsym.bounds.base import Interval
from nnsym.bounds.methods import compute
from nnsym.encode.point import residual
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode, exactness_of
from nnsym.encoding import Encoding, Exactness
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms
from nnsym.ir.functions.pieces import profile
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import Piecewise, clip, relu, sign
from nnsym.program import Program, Tag
from nnsym.solvers.base import Goal, Limits, Status
from nnsym.solvers.registry import find
from nnsym.testing.check_encoding import ConformanceError, check_encoding
from nnsym.write.smtlib import to_smtlib
from tests.depth import drawn
from tests.pieces import FUNCTIONS, functions, two_hinges

EXACT = ("bigm", "balas", "partition2", "indicator", "sos1", "smt", "smt-textbook", "smt-ite", "smt-implies")
NETWORK = frozenset({Tag.NETWORK})
LIMITS = Limits(seconds=30)
KINDS = ("clip", "sign")


def holds(program: Program, h: object, y: object) -> bool:
    """Is ``(h, y)`` in the program, exactly, for some value of its binaries? The columns of copies follow from them."""
    blocks = [b for b in program.blocks if b.role in ("phase", "choice")]
    free = np.concatenate([np.arange(b.start, b.start + len(b.index)) for b in blocks] or [np.zeros(0, int)])
    for bits in product((0, 1), repeat=len(free)):
        point = to_fractions(np.zeros(program.n_columns))
        point[free] = to_fractions(np.array(bits, dtype=float)) if len(free) else point[free]
        for block in program.blocks:
            span = slice(block.start, block.start + len(block.index))
            if block.node == "x":
                point[span] = Fraction(h)
            elif block.factors is not None:
                point[span] = point[block.factors[0]] * point[block.factors[1]]
            elif block.role == "post":
                point[span] = Fraction(y)
        if residual(program, point, NETWORK)[0] == 0:
            return True
    return False


def closure(fn: Piecewise, h: float, low: float, high: float) -> set[float]:
    """The values at ``h`` of the graph over [low, high] and its limits, by definition."""
    found = {float(fn.value(np.array([h]))[0])}
    for k, t in enumerate(fn.breaks[0]):
        if h == t:
            found |= {fn.slopes[0, k] * t + fn.offsets[0, k]} if low < t else set()
            found |= {fn.slopes[0, k + 1] * t + fn.offsets[0, k + 1]} if t < high else set()
    return found


@pytest.mark.parametrize("name", ["bigm", "balas", "indicator", "smt-textbook", "smt-ite", "smt-implies"])
@pytest.mark.parametrize("kind", FUNCTIONS)
@pytest.mark.parametrize(("low", "high"), [pytest.param(-2.0, 0.5, marks=pytest.mark.slow), (-0.5, 2.0)])
def test_the_rows_describe_the_closed_graph_and_nothing_else(name, kind, low, high):
    fn = FUNCTIONS[kind]
    program = program_of(lambda x: pointwise(fn, x), [low], [high], name)
    strict = name.startswith("smt-")  # definitions by cases have no ends to close
    for h in grid(low, high, 0.5):
        allowed = {float(fn.value(np.array([h]))[0])} if strict else closure(fn, h, low, high)
        for y in {-1.0, 0.0, 0.25, 1.0, *allowed, *(v + 0.25 for v in allowed)}:
            assert holds(program, h, y) == (y in allowed), (h, y)


@pytest.mark.parametrize("fn", [clip(-0.3, 1.1), clip(-3.4, 0.1), clip(0.1, 1e6 + 0.1)], ids=["short", "wide", "wider"])
@pytest.mark.parametrize("name", ["bigm", "balas", "smt"])
def test_numbers_that_floats_round_are_stated_exactly(name, fn):
    """Right next to the kinks too, in rationals: no M is left over in an active row."""
    (a, b), tiny = (Fraction(t) for t in fn.breaks[0]), Fraction(1, 10**18)
    program = program_of(lambda x: pointwise(fn, x), [-5.3], [float(b) + 7.7], name)
    for h in (a - 1, a - tiny, a, a + tiny, (a + b) / 2, b - tiny, b, b + tiny, b + 3):
        y = min(max(h, a), b)
        assert holds(program, h, y)
        assert not holds(program, h, y + tiny / 10)
        assert not holds(program, h, y - tiny / 10)


@pytest.mark.parametrize(
    ("fn", "low", "high", "binaries", "columns"),
    [
        (clip(0.0, 1.0), -1.0, 2.0, 2, 1),
        (clip(0.0, 1.0), -1.0, 0.5, 1, 1),
        (clip(0.0, 1.0), 0.5, 3.0, 1, 1),
        (clip(0.0, 1.0), 0.0, 1.0, 0, 0),  # the identity shares the column of h
        (clip(0.0, 1.0), -2.0, 0.0, 0, 0),  # zero has none
        (clip(0.0, 1.0), 1.0, 2.0, 0, 1),  # a constant
        (Piecewise([1.0], [2.0, 0.0], [0.5, 2.5], [2.5]), -3.0, 1.0, 0, 1),  # any other line
        (sign(), -1.0, 1.0, 3, 1),
        (sign(), 0.0, 1.0, 2, 1),
        (sign(), 0.5, 1.0, 0, 1),
    ],
)
def test_size_in_big_m(fn, low, high, binaries, columns):
    program = program_of(lambda x: pointwise(fn, x), [low], [high], "bigm")
    assert program.n_binary == binaries
    assert sum(len(b.index) for b in program.blocks if b.role == "post") == columns


@pytest.mark.parametrize("name", ["bigm", "triangle", "balas", "smt"])
def test_flat_lines_are_bounds_of_the_column_whatever_is_known_of_the_node(name):
    x = new_input("x", 1)
    y = pointwise(clip(0.0, 1.0), x)
    query = Query("loose", {x: Box(-np.ones(1), 2 * np.ones(1))}, Rows.of(y), Atoms(np.arange(1), False, True))
    bounds = compute(query, "ibp")
    loose = replace(bounds, nodes={**bounds.nodes, y: Interval(np.full(1, -9.0), np.full(1, 9.0), "assumed")})
    program = encode(query, loose, find_encoding(name))
    (column,) = (b.start for b in program.blocks if b.role == "post" and len(b.index))
    assert (program.lower[column], program.upper[column]) == (0.0, 1.0)


def test_a_clip_costs_no_more_than_what_it_replaces():
    """Less than a chain of two hinges, and with one kink open no more than a ReLU."""
    for low, high in ((-1.0, 2.0), (-1.0, 0.5), (0.5, 2.0)):
        sizes = []
        for make in (lambda x: pointwise(clip(0.0, 1.0), x), lambda x: two_hinges(x, 0.0, 1.0)):
            program = program_of(make, [low], [high], "bigm")
            sizes.append((program.n_binary, program.n_columns, program.n_rows))
        assert all(mine <= other for mine, other in zip(*sizes, strict=True))
        assert sizes[0][1] < sizes[1][1]
    one = program_of(lambda x: pointwise(relu(), x), [-1.0], [0.5], "bigm")
    clipped = program_of(lambda x: pointwise(clip(0.0, 1.0), x), [-1.0], [0.5], "bigm")
    assert (clipped.n_binary, clipped.n_columns, clipped.n_rows) == (one.n_binary, one.n_columns, one.n_rows)


def optimum(query: Query, encoding: str | Encoding) -> float:
    program = encode(query, compute(query, "ibp"), find_encoding(encoding))
    answer = find("highs").solve(program, LIMITS, Goal(decide=False))
    assert answer.status is Status.OPTIMAL, answer
    return answer.objective


def support(make, low: float, high: float, slope: float, sign_: float) -> Query:
    """Minimise ``sign (y - slope h)``."""
    x = new_input("x", 1)
    row = affine(((Dense([[sign_]]), make(x)), (Dense([[-sign_ * slope]]), x)))
    return Query("s", {x: Box(np.array([low]), np.array([high]))}, Rows.of(row), Atoms(np.array([0]), False, True))


@settings(max_examples=40, deadline=None)
@given(
    functions(),
    st.integers(-8, 7),
    st.integers(1, 10),
    st.sampled_from([-2.0, -0.3, 0.0, 0.4, 1.0, 3.0]),
    st.booleans(),
)
def test_the_triangle_and_balas_are_the_hull(fn, start, width, slope, up):
    low, high, sign_ = start / 4, (start + width) / 4, 1.0 if up else -1.0
    points = profile(fn, np.array([low]), np.array([high]))
    there = np.isfinite(points.low)
    exact = min((sign_ * (y - slope * points.x))[there].min() for y in (points.low, points.high))
    query = support(lambda x: pointwise(fn, x), low, high, slope, sign_)
    assert optimum(query, "triangle") == pytest.approx(exact, abs=1e-6)
    assert optimum(query, find_encoding("balas").relax()) == pytest.approx(exact, abs=1e-6)
    assert optimum(query, find_encoding("bigm").relax()) <= exact + 1e-6
    if not fn.jumps:
        assert optimum(query, "bigm") == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slope", (-1.0, 0.2, 0.75, 0.0, 0.5, 2.0)[: drawn(6, 3)])
def test_relaxed_big_m_is_the_hull_of_clip_and_sign(kind, slope):
    for sign_, (low, high) in product((1.0, -1.0), ((-2.0, 3.0), (-1.5, 0.5), (0.25, 4.0))):
        query = support(lambda x: pointwise(FUNCTIONS[kind], x), low, high, slope, sign_)
        assert optimum(query, find_encoding("bigm").relax()) == pytest.approx(optimum(query, "triangle"), abs=1e-6)


def test_the_hull_is_tighter_than_that_of_two_hinges():
    gains = []
    for slope, sign_ in product((0.2, 0.5, 0.8), (1.0, -1.0)):
        one = optimum(support(lambda x: pointwise(clip(0.0, 1.0), x), -1.0, 2.0, slope, sign_), "triangle")
        two = optimum(support(lambda x: two_hinges(x, 0.0, 1.0), -1.0, 2.0, slope, sign_), "triangle")
        gains.append(one - two)
    assert min(gains) >= -1e-9
    assert max(gains) > 0.1


@pytest.mark.parametrize("name", [*EXACT, "triangle", "line-parallel", "smt-short12"])
def test_conformance(name):
    from nnsym.judge.programs.methods import default_solver

    if not find(default_solver(find_encoding(name))).availability().available:
        pytest.skip(f"no solver for {name} here")
    seeds = range(drawn(2, 1))
    assert check_encoding(name, kinds=KINDS, seeds=seeds, runs=3, bounds=("crown",)).queries == 2 * len(seeds)


def _broken(name: str, damage) -> Encoding:
    """The encoding with the function of every piecewise-linear node replaced."""
    encoding = find_encoding(name)
    rule = next(r for r in encoding.rules if r.fn is Piecewise)

    def wrong(ctx, node, args):
        other = pointwise(damage(node.fn), node.parents[0])
        ctx = replace(ctx, names={**ctx.names, other: ctx.names[node]}, bounds=_loose(ctx.bounds, node, other))
        return rule.rule(ctx, other, args)

    def _loose(bounds, node, other):
        return replace(bounds, nodes={**bounds.nodes, other: bounds.nodes[node]})

    rules = tuple(replace(r, rule=wrong) if r is rule else r for r in encoding.rules)
    return replace(encoding, name=f"{name}-broken", rules=rules)


DAMAGE = {
    "slopes for offsets": lambda f: Piecewise(f.breaks, f.offsets, f.slopes, f.at),
    "upside down": lambda f: Piecewise(f.breaks, -f.slopes, -f.offsets, -f.at),
    "a limit moved": lambda f: Piecewise(f.breaks, f.slopes, f.offsets + 0.125, f.at + 0.125),
    "breaks moved": lambda f: Piecewise(f.breaks + 0.125, f.slopes, f.offsets, f.at),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["bigm", "balas", "triangle", "smt"])
def test_the_kit_catches_wrong_pieces(name, damage):
    with pytest.raises(ConformanceError):
        check_encoding(_broken(name, DAMAGE[damage]), kinds=KINDS, seeds=range(4), runs=4, bounds=("crown",))


def test_every_text_of_cases():
    texts = {}
    for form in ("textbook", "ite", "implies"):
        program = program_of(lambda x: pointwise(sign(), x), [-1.0], [2.0], f"smt-{form}")
        (texts[form],) = (
            line for line in to_smtlib(program, named=False).splitlines() if "sign_1" in line and "(> " in line
        )
    h, y = "|x[0].value|", "|sign_1[0].post|"
    assert texts["ite"] == f"(assert (= {y} (ite (> {h} 0.0) 1.0 (ite (>= {h} 0.0) 0.0 (- 1.0)))))"
    assert texts["textbook"] == (
        f"(assert (or (and (< {h} 0.0) (= {y} (- 1.0))) (and (>= {h} 0.0) (<= {h} 0.0) (= {y} 0.0)) "
        f"(and (> {h} 0.0) (= {y} 1.0))))"
    )
    assert texts["implies"] == (
        f"(assert (and (=> (> {h} 0.0) (= {y} 1.0)) (=> (and (>= {h} 0.0) (<= {h} 0.0)) (= {y} 0.0)) "
        f"(=> (< {h} 0.0) (= {y} (- 1.0)))))"
    )


def test_what_closes_a_jump_is_outer_and_says_so():
    query = support(lambda x: pointwise(sign(), x), -1.0, 1.0, 0.0, 1.0)
    assert exactness_of(find_encoding("bigm"), query) is Exactness.OUTER
    assert exactness_of(find_encoding("bigm"), query, closed=True) is Exactness.EXACT
    assert exactness_of(find_encoding("smt"), query) is Exactness.EXACT
    program = encode(query, compute(query, "ibp"), find_encoding("bigm"))
    assert program.meta["exactness"] == "outer"
    assert "lower bound" in program.decides
    smooth = support(lambda x: pointwise(clip(0.0, 1.0), x), -1.0, 1.0, 0.0, 1.0)
    assert exactness_of(find_encoding("bigm"), smooth) is Exactness.EXACT
