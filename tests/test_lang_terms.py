"""Functions of terms against numpy: products, clip, extremes along axes, the k largest, argmin and argmax."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnsym as nn
from nnsym.ask.export import build_program
from nnsym.ir.evaluate import evaluate
from nnsym.ir.exact import to_fractions
from nnsym.ir.node import Max, Product
from nnsym.ir.rows import Rows
from nnsym.lang.algebra.order import order_statistics, running_maxima

small = st.integers(-3, 3).map(Fraction)
vectors = st.lists(small, min_size=1, max_size=9)


def value(term: Any, *points: tuple[Any, Any]) -> Any:
    """A term at points of variables, exactly."""
    given_ = {x.input: to_fractions(np.array(point, dtype=object).ravel()) for x, point in points}
    at = evaluate((*given_, *term.rows.parts), given_)
    return np.array(term.rows.value(at)).reshape(term.shape)


A, B = np.arange(6.0).reshape(2, 3) - 2, np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.0]])


def test_products_are_numpys() -> None:
    x, z = nn.Variable((2, 3), name="x"), nn.Variable((3, 2), name="z")
    points = (x, A), (z, B)
    pairs = [
        (x * z.T, A * B.T), (x @ z, A @ B), (z @ x, B @ A), (x[0] @ z, A[0] @ B), (x @ z[:, 1], A @ B[:, 1]),
        (x[0] @ z[:, 0], A[0] @ B[:, 0]), (x**2, A**2), (x[0, 1] ** 3, A[0, 1] ** 3), (x**1, A),
        ((x - A) * (x + 1), 0 * A), (x[:, :1] * x, A[:, :1] * A), (2 * x * "0.5" * x, A * A), (x * x - x**2, 0 * A),
    ]  # fmt: skip
    for term, expected in pairs:
        assert term.shape == np.shape(expected)
        assert (value(term, *points) == expected).all()


def test_products_are_nodes_only_where_both_sides_are_unknown() -> None:
    x = nn.Variable(3, name="x")
    assert isinstance(next(iter((x * x).rows.parts)), Product)
    assert list((x * [1, 2, 3]).rows.parts) == [x.input]
    assert str((-x) ** 2 + x[0] * -x[1]) == "(-x) ** 2 + x[0] * (-x[1])" or "x[0] * -x[1]" in str(x[0] * -x[1])


def test_a_quadratic_property_is_decided_where_products_are_taken() -> None:
    x = nn.Variable(2, name="x")
    p = nn.forall(x, where=nn.box(x, -1, 1) & (200 * x[0] >= x[1] ** 2), then=x[0] >= 0)
    assert p([0.5, 1])
    assert nn.verify(p, "smt", solver="z3", timeout=30).status.value == "verified"
    q = nn.forall(x, where=nn.box(x, -1, 1), then=x @ x <= "1.9")
    found = nn.verify(q, "smt", solver="z3", timeout=30)
    assert found.status.value == "falsified"
    assert q.margin(*found.counterexample.inputs.values()) == pytest.approx(found.counterexample.margin)


@given(vectors, small, st.integers(0, 4))
def test_clip_is_numpys(v: list[Fraction], low: Fraction, width: int) -> None:
    x = nn.Variable(len(v))
    high = low + width
    assert list(value(nn.clip(x, low, high), (x, v))) == [min(max(e, low), high) for e in v]
    assert list(value(nn.clip(x, lower=low), (x, v))) == [max(e, low) for e in v]
    assert list(value(nn.clip(x, upper=x[0]), (x, v))) == [min(e, v[0]) for e in v]


doubles = st.floats(-1e20, 1e20, allow_nan=False)


@given(doubles, doubles.filter(bool), doubles, doubles, doubles, st.sampled_from(["lower", "upper", "both", "term"]))
@settings(max_examples=60, deadline=None)
def test_a_clip_rounds_nothing_of_what_it_clips(v: float, a: float, b: float, t: float, c: float, kind: str) -> None:
    """``c clip(a v + b, t)`` inside a function is that of these floats, however far t and b are apart."""
    x = nn.Variable(2, name="x")
    limits = {"lower": (t, None), "upper": (None, t), "both": (t, t), "term": (x[1], None)}[kind]
    inner, end = Fraction(a) * Fraction(v) + Fraction(b), Fraction(t)
    clipped = {"lower": max(inner, end), "upper": min(inner, end), "both": end, "term": max(inner, end)}[kind]
    found = value(nn.abs(c * nn.clip(a * x[0] + b, *limits)), (x, [Fraction(v), end]))
    assert found == abs(Fraction(c) * clipped)


@pytest.mark.parametrize("axis", [None, 0, 1, 2, (0, 2), -1])
def test_extremes_along_axes_are_numpys(axis: Any) -> None:
    x = nn.Variable((2, 3, 4))
    point = np.random.default_rng(1).integers(-5, 6, (2, 3, 4))
    for term, expected in ((x.max(axis), point.max(axis)), (x.min(axis), point.min(axis)), (x.abs(), abs(point))):
        assert term.shape == np.shape(expected)
        assert (value(term, (x, point)) == expected).all()


@given(vectors)
def test_running_maxima_are_numpys(v: list[Fraction]) -> None:
    x = nn.Variable(len(v))
    rows = running_maxima(Rows.of(x.input))
    at = evaluate((x.input, *rows.parts), {x.input: to_fractions(np.array(v, dtype=object))})
    assert list(rows.value(at)) == [max(v[: k + 1]) for k in range(len(v))]


@given(vectors, st.integers(1, 9))
def test_order_statistics_are_the_sorted_elements(v: list[Fraction], k: int) -> None:
    x = nn.Variable(len(v))
    rows = order_statistics(Rows.of(x.input), k)
    at = evaluate((x.input, *rows.parts), {x.input: to_fractions(np.array(v, dtype=object))})
    assert list(rows.value(at)) == sorted(v, reverse=True)[:k]


@settings(deadline=None)
@given(vectors, st.data())
def test_topk_is_a_stable_sort(v: list[Fraction], data: st.DataObject) -> None:
    """Membership, its exact complement, its margin (over the others' k-th largest), the values and their sum."""
    k, c = data.draw(st.integers(1, len(v))), data.draw(st.integers(0, len(v) - 1))
    x = nn.Variable(len(v))
    top = nn.topk(x, k)
    inside = c in sorted(range(len(v)), key=lambda i: -v[i])[:k]
    assert nn.forall(x, then=top.has(c))(v) == inside
    assert nn.forall(x, then=~top.has(c))(v) != inside
    others = sorted(v[:c] + v[c + 1 :], reverse=True)
    assert nn.forall(x, then=top.has(c)).margin(v) == (float(v[c] - others[k - 1]) if k < len(v) else np.inf)
    assert list(value(top.values, (x, v))) == sorted(v, reverse=True)[:k]
    assert value(top.sum(), (x, v)) == sum(sorted(v, reverse=True)[:k])


@pytest.mark.parametrize("values", [[1, 1, 0], [0, -1, -1], [1, 1, 1], [2, 1, 0]])
def test_argmin_is_the_first_index_of_the_smallest(values: list[int]) -> None:
    y = nn.Variable(3, name="y")
    for c in range(3):
        assert nn.forall(y, then=nn.argmin(y) == c)(values) == (int(np.argmin(values)) == c)
        assert nn.forall(y, then=nn.argmin(y) != c)(values) == (int(np.argmin(values)) != c)
    assert nn.forall(y, then=nn.argmin(y) == nn.argmax(y))(values) == (np.argmin(values) == np.argmax(values))
    assert str(nn.argmin(y) == 1) == "argmin(y) == 1"


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_two_argmax_over_many_elements_are_those_of_the_pairs(data: st.DataObject) -> None:
    """Running maxima give the truth values and the margins of all pairwise comparisons, ties included."""
    n, m = data.draw(st.integers(17, 20)), data.draw(st.integers(2, 20))
    a = data.draw(st.lists(small, min_size=n, max_size=n))
    b = data.draw(st.lists(small, min_size=m, max_size=m))
    y, z = nn.Variable(n, name="y"), nn.Variable(m, name="z")
    same = nn.forall([y, z], then=nn.argmax(y) == nn.argmax(z))
    pairs = nn.any((nn.argmax(y) == c) & (nn.argmax(z) == c) for c in range(min(n, m)))
    plain = nn.forall([y, z], then=pairs)
    assert same(a, b) == plain(a, b) == (a.index(max(a)) == b.index(max(b)))
    assert same.margin(a, b) == plain.margin(a, b)
    assert nn.forall([y, z], then=nn.argmax(y) != nn.argmax(z))(a, b) != same(a, b)


@pytest.mark.parametrize("seed", range(6))
def test_margins_of_two_argmax_over_distinct_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.permutation(20), rng.permutation(20)
    b[[a.argmax(), b.argmax()]] = b[[b.argmax(), a.argmax()]] if seed % 2 else b[[a.argmax(), b.argmax()]]
    y, z = nn.Variable(20, name="y"), nn.Variable(20, name="z")
    both = [min(v[c] - np.delete(v, c).max() for v in (a, b)) for c in range(20)]
    p = nn.forall([y, z], then=nn.argmax(y) == nn.argmax(z))
    assert p(a, b) == (a.argmax() == b.argmax())
    assert p.margin(a, b) == max(both)


def sizes(n: int, encoding: str) -> np.ndarray[Any, Any]:
    """Columns, rows and nonzeros of a property over n outputs with max, argmax of known classes, and two argmax."""
    weights = np.random.default_rng(n).integers(-8, 9, (2, n, 3)) / 8
    f, g = (nn.sequential([(w, np.zeros(n))], name=name) for w, name in zip(weights, "fg", strict=True))
    x = nn.Variable(3, name="x")
    y, z = f(x), g(x)
    p = nn.forall(
        x,
        where=nn.box(x, -1, 1) & (nn.argmax(y) != 1) & (nn.max(z) <= 3),
        then=(nn.argmax(y) == nn.argmax(z)) | nn.topk(y, 3).has(0) | (nn.argmin(z) == 2),
    )
    _, program, _ = build_program(p, encoding, bounds="ibp")
    largest = [node.groups.shape[1] for node in p.query.nodes if isinstance(node, Max)]
    assert max(largest) == n
    return np.array([program.n_columns, program.n_rows, program.nnz, len(p.query.rows)])


@pytest.mark.parametrize("n", [250, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("encoding", ["bigm", pytest.param("smt", marks=pytest.mark.slow)])
def test_many_outputs_compile_to_linear_size(encoding: str, n: int) -> None:
    one, two = (sizes(k, encoding) for k in (n, 2 * n))
    assert (two <= 2.1 * one).all()
    assert (two > 2 * n).all()
