"""What a property means: against a plain evaluation in Fractions that shares no code with the language."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnsym as nn
from nnsym.ir.exact import to_fractions

NET = nn.zoo.random_mlp(7, widths=(3, 4, 3))
numbers = st.sampled_from([Fraction(k, 4) for k in range(-8, 9)])  # float64, as nonlinear functions round others
anything = st.one_of(numbers, st.just(Fraction(1, 3)))
points = st.lists(anything, min_size=3, max_size=3)


def terms(depth: int) -> st.SearchStrategy[Any]:
    leaf = st.one_of(
        st.tuples(st.just("x"), st.integers(0, 2)),
        st.tuples(st.just("y"), st.integers(0, 2)),
        st.tuples(st.just("c"), numbers),
    )
    if depth == 0:
        return leaf
    sub = terms(depth - 1)
    return st.one_of(
        leaf,
        st.tuples(st.sampled_from(["add", "sub", "max", "min"]), sub, sub),
        st.tuples(st.just("scale"), numbers, sub),
        st.tuples(st.sampled_from(["abs", "relu", "neg"]), sub),
    )


def formulas(depth: int) -> st.SearchStrategy[Any]:
    small = terms(1)
    leaf = st.one_of(
        st.tuples(st.sampled_from(["<=", "<", ">=", ">", "==", "!="]), small, small),
        st.tuples(st.sampled_from(["argmax", "loses", "wins"]), st.integers(0, 2)),
        st.tuples(st.just("box"), anything, st.integers(0, 6)),
        st.tuples(st.sampled_from(["all", "any"]), st.sampled_from(["<=", "<", "==", "!="]), anything),
        st.tuples(st.just("ball"), numbers, st.sampled_from([1, 2, np.inf])),
        st.tuples(st.just("norm"), st.sampled_from(list(COMPARE)), numbers),
    )
    if depth == 0:
        return leaf
    sub = formulas(depth - 1)
    return st.one_of(
        leaf, st.tuples(st.sampled_from(["and", "or", "implies", "iff"]), sub, sub), st.tuples(st.just("not"), sub)
    )


def term_nn(t: Any, x: Any, y: Any) -> Any:
    kind, *rest = t
    if kind in "xyc":
        return {"x": x, "y": y}[kind][rest[0]] if kind != "c" else rest[0]
    if kind == "scale":
        return rest[0] * _term(term_nn(rest[1], x, y), x)
    parts = [_term(term_nn(r, x, y), x) for r in rest]
    functions = {
        "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "max": nn.max, "min": nn.min,
        "abs": abs, "relu": nn.relu, "neg": lambda a: -a,
    }  # fmt: skip
    return functions[kind](*parts)


def _term(value: Any, x: Any) -> Any:
    return value + 0 * x[0]  # a constant as a term


def term_plain(t: Any, x: list[Fraction], y: list[Fraction]) -> Fraction:
    kind, *rest = t
    if kind in "xyc":
        return {"x": x, "y": y}[kind][rest[0]] if kind != "c" else rest[0]
    if kind == "scale":
        return rest[0] * term_plain(rest[1], x, y)
    parts = [term_plain(r, x, y) for r in rest]
    match kind:
        case "add":
            return parts[0] + parts[1]
        case "sub":
            return parts[0] - parts[1]
        case "max" | "min":
            return max(parts) if kind == "max" else min(parts)
        case "abs":
            return abs(parts[0])
        case "relu":
            return max(parts[0], Fraction(0))
    return -parts[0]


COMPARE = {
    "<=": lambda a, b: a <= b, "<": lambda a, b: a < b, ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
}  # fmt: skip


def formula_nn(f: Any, x: Any, y: Any) -> Any:
    match f:
        case ("and", a, b):
            return formula_nn(a, x, y) & formula_nn(b, x, y)
        case ("or", a, b):
            return formula_nn(a, x, y) | formula_nn(b, x, y)
        case ("implies", a, b):
            return formula_nn(a, x, y) >> formula_nn(b, x, y)
        case ("iff", a, b):
            return formula_nn(a, x, y) == formula_nn(b, x, y)
        case ("not", a):
            return ~formula_nn(a, x, y)
        case ("argmax", c):
            return nn.argmax(y) == c
        case ("loses", c):
            return nn.argmax(y) != c
        case ("wins", c):
            return nn.wins(y, c)
        case ("box", lower, width):
            return nn.box(x, [lower, -np.inf, lower], lower + Fraction(width, 4))
        case ("ball", eps, p):
            return nn.ball(x, [0, "0.25", Fraction(1, 2)], abs(eps), p=p)
        case ("norm", op, c):
            return COMPARE[op](nn.norm(x - y, 2), c)
        case ("all", op, c):
            return nn.all(COMPARE[op](y, c))
        case ("any", op, c):
            return nn.any(COMPARE[op](y, c))
        case (op, a, b):
            return COMPARE[op](_term(term_nn(a, x, y), x), term_nn(b, x, y))


def formula_plain(f: Any, x: list[Fraction], y: list[Fraction]) -> tuple[bool, Any]:
    """Truth value and margin of a statement."""

    def atom(op: str, a: Any, b: Any) -> tuple[bool, Any]:
        d = {"<": b - a, ">": a - b, "=": -abs(a - b), "!": abs(a - b)}[op[0]]
        return bool(COMPARE[op](a, b)), d

    def conj(parts: list[tuple[bool, Any]]) -> tuple[bool, Any]:
        return all(p for p, _ in parts), min((m for _, m in parts), default=np.inf)

    def neg(p: tuple[bool, Any]) -> tuple[bool, Any]:
        return not p[0], -p[1]

    def disj(parts: list[tuple[bool, Any]]) -> tuple[bool, Any]:
        return neg(conj([neg(p) for p in parts]))

    match f:
        case ("and" | "or" | "implies" | "iff", a, b):
            p, q = formula_plain(a, x, y), formula_plain(b, x, y)
            return {
                "and": lambda: conj([p, q]), "or": lambda: disj([p, q]), "implies": lambda: disj([neg(p), q]),
                "iff": lambda: disj([conj([p, q]), conj([neg(p), neg(q)])]),
            }[f[0]]()  # fmt: skip
        case ("not", a):
            return neg(formula_plain(a, x, y))
        case ("argmax" | "loses", c):
            won = y.index(max(y)) == c
            margin = min(y[c] - v for j, v in enumerate(y) if j != c)
            return (won, margin) if f[0] == "argmax" else (not won, -margin)
        case ("wins", c):
            margin = min(y[c] - v for j, v in enumerate(y) if j != c)
            return margin > 0, margin
        case ("box", lower, width):
            upper = lower + Fraction(width, 4)
            return conj([atom("<=", lower, x[0]), atom("<=", lower, x[2]), *(atom("<=", v, upper) for v in x)])
        case ("ball", eps, p):
            d = [abs(v - c) for v, c in zip(x, [Fraction(0), Fraction(1, 4), Fraction(1, 2)], strict=True)]
            sides = conj([atom("<=", v, abs(eps)) for v in d])
            return sides if p == np.inf else atom("<=", sum(v**p for v in d), abs(eps) ** p)
        case ("norm", op, c):
            squares = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
            if c >= 0:
                return atom(op, squares, c * c)
            holds = op in (">=", ">", "!=")  # a length is larger than every negative number
            return holds, np.inf if holds else -np.inf
        case ("all", op, c):
            return conj([atom(op, v, c) for v in y])
        case ("any", op, c):
            return disj([atom(op, v, c) for v in y])
        case (op, a, b):
            return atom(op, term_plain(a, x, y), term_plain(b, x, y))
    raise AssertionError(f)


@settings(deadline=None, max_examples=100)
@given(formulas(2), formulas(2), st.lists(points, min_size=1, max_size=4))
def test_property_equals_plain_evaluation(where: Any, then: Any, samples: list[list[Fraction]]) -> None:
    x = nn.Variable(3)
    y = NET(x)
    p = nn.forall(x, where=formula_nn(where, x, y), then=formula_nn(then, x, y))
    for point in samples:
        outputs = list(NET.evaluate(to_fractions(np.array(point, dtype=object))))
        applies, _ = formula_plain(where, point, outputs)
        holds, margin = formula_plain(then, point, outputs)
        assert p(point) == (not applies or holds)
        values = p.query.values({x.input: to_fractions(np.array(point, dtype=object))}, exact=True)
        assert p.query.violated(values) != p(point)
        assert p.margin(point) == (float(margin) if applies else np.inf)
        if applies and margin != 0:
            assert (margin > 0) == holds


@settings(deadline=None, max_examples=60)
@given(formulas(2), points)
def test_domain_box_contains_every_point_of_the_premise(where: Any, point: list[Fraction]) -> None:
    x = nn.Variable(3)
    y = NET(x)
    p = nn.forall(x, where=formula_nn(where, x, y), then=y[0] >= 0)
    outputs = list(NET.evaluate(to_fractions(np.array(point, dtype=object))))
    if formula_plain(where, point, outputs)[0]:
        box = p.query.boxes[x.input]
        assert all(low <= v <= high for low, v, high in zip(box.lower, point, box.upper, strict=True))


@settings(deadline=None, max_examples=40)
@given(terms(3), points)
def test_terms_equal_plain_evaluation(term: Any, point: list[Fraction]) -> None:
    x = nn.Variable(3)
    y = NET(x)
    outputs = list(NET.evaluate(to_fractions(np.array(point, dtype=object))))
    expected = term_plain(term, point, outputs)
    limit = expected.numerator / 4096
    p = nn.forall(x, then=_term(term_nn(term, x, y), x) >= limit)
    assert p.margin(point) == pytest.approx(float(expected - Fraction(limit)), abs=1e-12)


@pytest.mark.parametrize(("values", "winner"), [([1, 1, 0], 0), ([0, 1, 1], 1), ([1, 1, 1], 0), ([0, 1, 2], 2)])
def test_argmax_is_the_first_index_and_its_negation_is_exact(values: list[int], winner: int) -> None:
    y = nn.Variable(3, name="y")
    for c in range(3):
        equal = nn.forall(y, then=nn.argmax(y) == c)
        other = nn.forall(y, then=nn.argmax(y) != c)
        assert equal(values) == (int(np.argmax(values)) == c) == (c == winner)
        assert equal(values) != other(values)
        assert nn.forall(y, then=nn.wins(y, c))(values) == (sorted(values)[-2] < values[c])


def test_two_argmax_agree_exactly_when_their_first_indices_do() -> None:
    y, z = nn.Variable(3, name="y"), nn.Variable(3, name="z")
    p = nn.forall([y, z], then=nn.argmax(y) == nn.argmax(z))
    for a in ([1, 1, 0], [0, 1, 1], [2, 0, 2]):
        for b in ([1, 0, 0], [0, 0, 1], [3, 3, 3]):
            assert p(a, b) == (np.argmax(a) == np.argmax(b))


def test_signs_and_strictness_of_the_margin_rows() -> None:
    x = nn.Variable(2)
    for statement, strict, sign in [
        (x[0] >= x[1], True, 1), (x[0] > x[1], False, 1), (x[0] <= x[1], True, -1), (x[0] < x[1], False, -1),
    ]:  # fmt: skip
        p = nn.forall(x, then=statement)
        (atoms,) = [p.query.formula]
        assert atoms.strict is strict
        assert atoms.soft
        assert p.query.strict is strict
        assert p.margin([3, 1]) == 2.0 * sign
        assert p([1, 1]) == strict


def test_expressions_on_both_sides_stay_as_written() -> None:
    """x + y >= x - y: intervals must see [1, 3] and [0, 2], linear bounds cancel x; merged, all would be trivial."""
    v = nn.Variable(2, name="v")
    p = nn.forall(v, where=nn.box(v, [1, 0], [2, 1]), then=v[0] + v[1] >= v[0] - v[1])
    assert len(p.query.rows.parts) == 2
    assert v.input not in p.query.rows.parts
    assert p.margin([1, 0]) == 0.0
    assert p([1, 0])
    plain = nn.forall(v, then=v[0] >= v[1])
    assert list(plain.query.rows.parts) == [v.input]
    apart = nn.forall(v, then=v[0] + 1 >= 2 * v[1])
    assert list(apart.query.rows.parts) == [v.input]


@pytest.mark.parametrize("number", ["0.1", Fraction(1, 3), 0.1, 2**60 + 1])
def test_numbers_are_exact(number: Any) -> None:
    x = nn.Variable(1)
    p = nn.forall(x, then=x[0] * 3 <= number)
    limit = Fraction(number) / 3
    assert p([limit])
    assert not p([limit + Fraction(1, 10**40)])
