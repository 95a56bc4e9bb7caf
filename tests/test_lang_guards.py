"""Expressions that Python would silently misread: each works or raises at the user's line with the remedy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nnsym as nn
from nnsym.errors import InputError, LanguageError, UnsupportedError

x = nn.Variable(3, name="x")
z = nn.Variable(1, name="z")
y = nn.zoo.random_mlp(1, widths=(3, 4, 2))(x)


# fmt: off
PITFALLS: list[tuple[str, Callable[[], Any], str, str]] = [
    ("chain", lambda: 0 < y[0] < 1, "'random_mlp_1(x)[0] > 0' is neither true", "Split the chain: (0 <"),
    ("and", lambda: (y[0] < 1) and (y[1] < 1), "neither true nor false", "Use & for and"),
    ("or", lambda: (y[0] < 1) or (y[1] < 1), "neither true nor false", "| for or"),
    ("not", lambda: not y[0] < 1, "neither true nor false", "~ for not"),
    ("max", lambda: max(y[0], y[1]) < 1, "neither true nor false", "nn.max or nn.min"),
    ("min", lambda: min(y) < 1, "neither true nor false", "nn.max or nn.min"),
    ("sorted", lambda: sorted(y), "neither true nor false", "nn.max or nn.min"),
    ("all", lambda: all(y < 1), "neither true nor false", "nn.all or nn.any"),
    ("any", lambda: any(v < 1 for v in y), "neither true nor false", "nn.all or nn.any"),
    ("in", lambda: y[0] in [1, 2], "neither true nor false", "nn.any([a == b for b in items])"),
    ("in term", lambda: 1 in y, "'in' has no meaning", "nn.any([a == b for b in items])"),
    ("if", lambda: 1 if y[0] > 0 else 2, "neither true nor false", "(condition) >> (conclusion)"),
    ("term as truth", lambda: bool(y[0]), "neither true nor false", "(condition) >> (conclusion)"),
    ("precedence", lambda: y[0] < 1 & y[1] < 1, "is a number, not a formula", "bind tighter"),
    ("chain of formulas", lambda: (y[0] > 0) < 1, "cannot be ordered", "Split the chain"),
    ("number as formula", lambda: (y[0] < 1) & 1, "int is not a formula", "bind tighter"),
    ("argmax in", lambda: nn.argmax(y) in (0, 1), "neither true nor false", "nn.any"),
    ("argmax order", lambda: nn.argmax(y) < 1, "can only be compared by == and !=", "nn.any"),
    ("argmax index", lambda: [10, 20][nn.argmax(y)], "can only be compared", "nn.any"),
    ("argmax fraction", lambda: nn.argmax(y) == 0.5, "not a class number", "integer"),
    ("argmax class", lambda: nn.argmax(y) != 2, "class 2 does not exist among 2 elements", "0 to 1"),
    ("power", lambda: y ** 0, "'random_mlp_1(x)' to the power 0 is not taken", "Exponents are constants: whole"),
    ("exponent", lambda: 2 ** y[0], "a term as exponent", "term ** 2"),
    ("float", lambda: math.sqrt(y[0]), "no value before it is evaluated", "Compare it"),
    ("numpy array", lambda: np.array([y[0], y[1]]), "is not an array of numbers", "nn.concat"),
    ("numpy sum", lambda: np.sum(y), "numpy's sum does not take terms", "term.sum()"),
    ("numpy maximum", lambda: np.maximum(y, 0), "numpy's maximum does not take terms", "nn.max(a, b)"),
    ("numpy ufunc method", lambda: np.add.reduce(y), "numpy's add does not take terms", "nn.max"),
    ("numpy where", lambda: np.where(y > 0, y, 0), "numpy's where does not take terms", "(condition) >> (conclusion)"),
    ("numpy clip", lambda: np.clip(y, 0, 1), "numpy's clip does not take terms", "nn.clip(term, lower, upper)"),
    ("numpy argmax", lambda: np.argmax(y), "numpy's argmax does not take terms", "nn.argmax"),
    ("numpy norm", lambda: np.linalg.norm(y), "numpy's norm does not take terms", "nn.norm(term, p)"),
    ("numpy all", lambda: np.all(y > 0), "numpy's all does not take terms and formulas", "nn.all or nn.any"),
    ("numpy logic", lambda: np.logical_and(y > 0, y < 1), "numpy's logical_and does not take", "nn.all or nn.any"),
    ("numpy of formulas", lambda: np.array(y > 0), "is not an array of numbers", "nn.max"),
    ("numpy closeness", lambda: np.allclose(y, 0), "numpy's allclose does not take", "nn.abs(a - b) <= tolerance"),
    ("torch function", lambda: torch.max(y), "torch's max does not take terms", "nn.max"),
    ("numpy sign", lambda: np.sign(y), "numpy's sign does not take terms", "nn.sign"),
    ("torch relu", lambda: torch.relu(y), "torch's relu does not take terms", "nn.relu"),
    ("torch where", lambda: torch.where(y > 0, y, 0), "torch's where does not take terms", ">>"),
    ("set of terms", lambda: {y[0], y[1]}, "is unhashable: == builds a formula", "list"),
    ("key of a dict", lambda: {y[0] <= 1: "low"}, "is unhashable: == means 'if and only if'", "list"),
    ("argmax in a set", lambda: {nn.argmax(y)}, "unhashable", "nn.any"),
    ("find in a list", lambda: [y[0], y[1]].index(y[1]), "neither true nor false", ""),
    ("while", lambda: [0 for _ in iter(lambda: bool(y[0] > 0), True)], "neither true nor false", ">>"),
    ("ternary default", lambda: y[0] or 0.0, "neither true nor false", "| for or"),
    ("not in", lambda: y[0] not in (1, 2), "neither true nor false", "nn.any([a == b for b in items])"),
    ("not equal then and", lambda: y[0] != 1 and y[1] != 1, "neither true nor false", "& for and"),
    ("chain of equals", lambda: y[0] == y[1] == 0, "neither true nor false", ""),
    ("chain of three", lambda: 0 <= x[0] <= x[1] < 1, "neither true nor false", "Split the chain"),
    ("count formulas", lambda: sum([y[0] > 0, y[1] > 0]) >= 1, "is a formula, not a number", "nn.all and nn.any"),
    ("formula times", lambda: 2.0 * (y[0] > 0), "is a formula, not a number", "nn.all and nn.any"),
    ("assignment", lambda: y.__setitem__(0, 1), "cannot be assigned to", "nn.concat"),
    ("remainder", lambda: x[0] % 2, "whole division and remainders", "integer variable"),
    ("round", lambda: round(x[0]), "no value before it is evaluated", "Compare it"),
    ("range of a term", lambda: range(x[0]), "no value before it is evaluated", "Compare it"),
    ("class in topk", lambda: 0 in nn.topk(y, 1), "is no number", "nn.topk(y, k).has(c)"),
    ("topk of too many", lambda: nn.topk(y, 3), "nn.topk of 3 among 2 elements", "k is 1 to 2"),
    ("topk of a fraction", lambda: nn.topk(y, 1.5), "a whole number of elements, not 1.5", ""),
    ("clip backwards", lambda: nn.clip(y, 1, 0), "lower limit 1 exceeds its upper limit 0", "Exchange"),
    ("clip far away", lambda: nn.clip(x, -1, "1e400"), "asked of a number beyond 1.8e308", "smaller numbers"),
    ("relu far away", lambda: nn.relu(x - "1e400"), "asked of a number beyond 1.8e308", "smaller numbers"),
    ("max far away", lambda: nn.max(x * "1e400"), "asked of a number beyond 1.8e308", "smaller numbers"),
    ("index by term", lambda: y[x[0]], "an index must be known", "nn.argmax"),
    ("shape", lambda: y <= [1, 2, 3], "shapes (2,) and (3,) do not fit", ""),
    ("range", lambda: y[2], "out of bounds", ""),
    ("iterate a number", lambda: list(y[0]), "cannot be iterated", ""),
    ("None", lambda: y[0] == None, "None is not a number", ""),  # noqa: E711
    ("text", lambda: y[0] <= "high", "'high' is not a number", ""),
    ("array of comparisons", lambda: nn.forall(x, then=y <= 1), "array of 2 comparisons", "nn.all(...)"),
    ("term as conclusion", lambda: nn.forall(x, then=y[0]), "Term is not a formula", "Compare terms first"),
    ("property as truth", lambda: bool(nn.forall(x, then=y[0] <= 1)), "not known to hold", "nn.verify"),
    ("no conclusion", lambda: nn.forall(x), "needs a conclusion", "then="),
    ("network as variable", lambda: nn.forall(y, then=y[0] <= 1), "ranges over variables", "nn.Variable"),
    ("two names", lambda: nn.forall([x, nn.Variable(1)], then=y[0] <= 1), "two variables are called 'x'", "name="),
    ("free variable", lambda: nn.forall(z, then=y[0] <= 1).hash, "'x', which forall does not", "nn.forall([x, y]"),
    ("free in a box", lambda: nn.verify(nn.forall(z, where=nn.box(x, 0, 1), then=True)), "about 'x'", "then=..."),
    ("box of numbers", lambda: nn.box([1, 2], 0, 1), "not a term", ""),
]
# fmt: on


@pytest.mark.parametrize(("expression", "reason", "remedy"), [p[1:] for p in PITFALLS], ids=[p[0] for p in PITFALLS])
def test_pitfall_raises_with_place_and_remedy(expression: Callable[[], Any], reason: str, remedy: str) -> None:
    with pytest.raises((LanguageError, InputError)) as caught:
        expression()
    message = str(caught.value)
    assert reason in message
    assert remedy in message
    assert message.startswith("test_lang_guards.py:")
    assert f"test_lang_guards.py:{expression.__code__.co_firstlineno}: `" in message


# fmt: off
NUMBERS: list[tuple[str, Callable[[], Any], str]] = [
    ("NaN", lambda: x[0] <= math.nan, "NaN"),
    ("infinity", lambda: x[0] <= math.inf, "infinite"),
    ("zero", lambda: x / [1, 0, 1], "division by zero"),
    ("empty box", lambda: nn.box(x, [0, 2, 0], 1), "nothing for x[1]: 2.0 > 1.0"),
    ("NaN box", lambda: nn.box(x, math.nan, 1), "lower holds NaN"),
    ("box shape", lambda: nn.box(x, [0, 1], 1), "lower has shape (2,), 'x' has shape (3,)"),
    ("negative eps", lambda: nn.ball(x, 0, -1), "eps is negative"),
    ("ball outside", lambda: nn.ball(x, [0, 3, 0], 1, within=(0, 1)), "nothing for x[1]: 2.0 > 1.0"),
    ("no elements", lambda: nn.Variable(0), "no elements"),
]
# fmt: on


@pytest.mark.parametrize(("expression", "reason"), [n[1:] for n in NUMBERS], ids=[n[0] for n in NUMBERS])
def test_bad_numbers_raise_with_place(expression: Callable[[], Any], reason: str) -> None:
    with pytest.raises(InputError) as caught:
        expression()
    assert reason in str(caught.value)
    assert str(caught.value).startswith("test_lang_guards.py:")


def test_norms_that_are_not_known_raise_with_place() -> None:
    with pytest.raises(UnsupportedError, match=r"test_lang_guards.py:\d+.*p=1, p=2 and p=inf"):
        nn.ball(x, 0, 1, p=3)


def test_terms_and_formulas_are_unhashable() -> None:
    for value in (x, y[0], y[0] <= 1, nn.argmax(y), nn.topk(y, 1)):
        with pytest.raises(TypeError, match=r"unhashable|is no number"):
            hash(value)


def test_comparing_by_equality_never_answers_false() -> None:
    assert isinstance(y[0] != 4, type(y[0] == 4))
    p = nn.forall(x, then=y[0] != 4)
    assert len(p.query.rows) == 2


@pytest.mark.parametrize("make", [np.array, torch.tensor, list])
def test_arrays_stand_on_the_left(make: Any) -> None:
    a = make([1.0, 2.0, 3.0])
    point = [1, 2, 4]
    pairs = [
        (a + x, [2, 4, 7]), (a - x, [0, 0, -1]), (a * x, [1, 4, 12]), (x - a, [0, 0, 1]), (x / a, [1, 1, 4 / 3]),
        (x @ a, 17), (a @ x, 17),
    ] if make is not list else [(a + x, [2, 4, 7]), (a * x, [1, 4, 12])]  # fmt: skip
    for term, expected in pairs:
        p = nn.forall(x, then=nn.all(nn.abs(term - np.asarray(expected)) <= 1e-12))
        assert p(point)
    for formula, holds in [(a <= x, True), (a >= x, False), (a == x, False), (a < x + 1, True)]:
        assert nn.forall(x, then=nn.all(formula))(point) is holds


def test_numbers_and_truths_of_numpy_stand_on_the_left() -> None:
    one, true = np.float64(1.0), np.bool_(True)
    first = true & (one + x[0] >= np.int64(2))
    p = nn.forall(x, then=nn.all(one <= x) & first & nn.all(np.array([True, True]) | (y < 0)))
    assert p([1, 2, 3])
    assert not p([0, 2, 3])
    assert nn.forall(x, then=(np.array([[1.0, 0, 0]]) @ x == 1).all())([1, 2, 3])
    assert nn.forall(x, then=np.less_equal(1, x).all())([1, 2, 3])
    assert nn.forall(x, then=(torch.tensor([True, False]) | (y[:2] == y[:2])).all())([1, 2, 3])


def test_what_reads_terms_without_asking_them_works() -> None:
    assert f"{y[0]:}" == str(y[0]) == "random_mlp_1(x)[0]"
    assert y[0] is not None
    (low, high), mask = y, np.array([True, False])
    assert nn.forall(x, then=nn.all(y[mask] == low) & (high == y[-1]))([1, 2, 3])


def test_builtin_sum_abs_len_and_unpacking_work() -> None:
    a, b, c = x
    p = nn.forall(x, then=(sum(x) == a + b + c) & (abs(a) >= 0) & (sum(v for v in x) == x.sum()))
    assert p([1, -2, 3])
    assert len(x) == 3
    with pytest.raises(ValueError, match="unpack"):
        a, b = x


def test_the_page_of_the_language_has_every_remedy() -> None:
    """docs/language.md names what each guard says, but for numbers that depend on the example."""
    page = (Path(__file__).parents[1] / "docs" / "language.md").read_text(encoding="utf-8").replace("\\|", "|")
    for name, expression, _, _ in PITFALLS:
        with pytest.raises((LanguageError, InputError)) as caught:
            expression()
        error = caught.value
        said = error.remedy or error.reason.partition(". ")[2]
        assert re.sub(r"\d+ to \d+$", "", said) in page, name


HUGE = 10**5000


@pytest.mark.parametrize("make", [lambda y: y * HUGE <= 1, lambda y: y <= HUGE, lambda y: nn.box(y, -HUGE, 1)])
def test_integers_of_any_length_have_a_text_and_are_refused_by_name_where_floats_are_needed(make):
    y = nn.Variable(1, name="y")
    p = nn.forall(y, where=nn.box(y, -1, 1), then=make(y))
    assert "1000000" in str(p)
    with pytest.raises(nn.InputError, match=r"beyond 1\.8e308"):
        nn.verify(p, "crown")


def test_powers_of_more_digits_than_python_prints_are_refused_by_name():
    with pytest.raises(nn.LanguageError):
        nn.Variable(1, name="y") ** HUGE


def test_a_fraction_of_any_length_has_a_text():
    term = nn.Variable(1, name="y") * Fraction(1, HUGE)
    assert str(term).startswith("y * (1/1000")  # long texts are shown by their ends
    assert str(term).endswith("000)")


@pytest.mark.parametrize("option", [{"precision": "1e400"}, {"precision": 0}, {"high": HUGE}, {"low": "a"}])
def test_a_search_refuses_ends_and_widths_that_are_no_numbers(option):
    x = nn.Variable(1, name="x")
    with pytest.raises(nn.InputError):
        nn.largest(lambda e: nn.forall(x, where=nn.ball(x, [0], e), then=x <= 1), "crown", **({"high": 1} | option))


@pytest.mark.parametrize("number", [Fraction(10**5000, 3), 10**400, "1e999"], ids=["fraction", "integer", "text"])
@pytest.mark.parametrize("made", [lambda x, c: x[0] + c, lambda x, c: x[0] * c, lambda x, c: abs(x[0] + c)])
def test_numbers_beyond_float64_are_refused_in_words(number, made):
    x = nn.Variable(2, name="x")
    with pytest.raises((InputError, LanguageError), match=r"beyond|not a number|infinity"):
        nn.verify(nn.forall(x, where=nn.box(x, 0, 1), then=made(x, number) <= 3), "bigm")
