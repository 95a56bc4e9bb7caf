"""Activations of a kind that nnsym does not have: one class each, with everything; wrong twins are refused."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnsym as nn
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.functions import activations as registry
from nnsym.ir.smooth_functions import Sigmoid, Smooth, Tanh
from nnsym.ir.univariate import Univariate, absolute, leaky_relu, relu6, sign
from nnsym.testing.check_activation import check_activation
from nnsym.testing.check_bounds import ConformanceError

pytestmark = pytest.mark.slow

Array = np.ndarray[Any, np.dtype[Any]]


class Softplus(Smooth):
    """ln(1 + e^x)."""

    name = "softplus"

    def value(self, x: Array) -> Array:
        return np.logaddexp(0.0, x)

    def derivative(self, x: Array) -> Array:
        return np.asarray(1 / (1 + np.exp(-x)))


class SiLU(Smooth):
    """x / (1 + e^-x)."""

    name = "gated"
    extremes = (-1.2784645427610738,)
    inflections = (-2.3993572805154678, 2.3993572805154678)

    def value(self, x: Array) -> Array:
        return np.asarray(x / (1 + np.exp(-x)))

    def derivative(self, x: Array) -> Array:
        x = np.clip(x, -700.0, 700.0)
        return np.asarray((1 + x / (1 + np.exp(x))) / (1 + np.exp(-x)))


class Bump(Smooth):
    """e^(-x^2 / 2): two inflections, a maximum, and limits at infinity."""

    name = "bump"
    extremes = (0.0,)
    inflections = (-1.0, 1.0)

    def value(self, x: Array) -> Array:
        return np.exp(-x * x / 2)

    def derivative(self, x: Array) -> Array:
        return np.where(np.isinf(x), 0.0, -x) * np.exp(-x * x / 2)


NEW = (Softplus(), SiLU(), Bump())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "fn", [*NEW, Sigmoid(), Tanh(), absolute(), relu6(), sign(), leaky_relu([0.1, 0.3])], ids=lambda fn: fn.name
)
def test_the_kit_takes_what_is_right(fn: Univariate) -> None:
    done = check_activation(fn, seeds=range(2))
    assert done.answers > 3000
    assert [name for name, _ in done.skipped] == (["derivative"] if fn.name == "sign" else [])


class NoInflection(SiLU):
    inflections = (2.3993572805154678,)


class NoInflections(SiLU):
    inflections = ()


class FarInflection(SiLU):
    inflections = (-2.4, 2.4)


class NoExtreme(SiLU):
    extremes = ()


class Steeper(Softplus):
    def derivative(self, x: Array) -> Array:
        return super().derivative(x) * 1.001


class Flatter(Softplus):
    def derivative(self, x: Array) -> Array:
        return super().derivative(x) - 1e-5


class Inward(Softplus):
    """Its range is rounded inward."""

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        low, high = super().span(lower, upper)
        return low + 1e-13, high


class Mixed(SiLU):
    """In a batch every interval gets what the first one is due."""

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        low, high = super().span(lower, upper)
        return (low, high) if low.ndim == 1 else (0 * low + low.min(axis=0), 0 * high + high[:1])


class Selected(SiLU):
    """A selection of its elements is something else."""

    def take(self, index: Array) -> Univariate:
        return SiLU() if len(index) == 1 else Softplus()


class Near(SiLU):
    """Far out it has no value."""

    def value(self, x: Array) -> Array:
        return np.where(np.abs(x) > 300, np.nan, super().value(x))


class Rational(SiLU):
    """It says that it is exact."""

    exact = True


class FarOut(Softplus):
    """A range that is rounded inward far from every listed point only."""

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        low, high = super().span(lower, upper)
        return low, np.where((lower > 100) & (upper < 1e4), high - 1e-3 * (high - low), high)


class Hasty(Univariate):
    """|x|, said to be exact, with a line that is off by 2^-60 in rationals."""

    name, key, exact = "hasty", "hasty", True

    def value(self, x: Array) -> Array:
        return np.abs(x)

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return absolute().span(lower, upper)

    def lines(self, lower: Array, upper: Array, at: Array | None = None) -> tuple[Array, Array, Array, Array]:
        a, b, c, d = absolute().lines(lower, upper)
        return a, b, c, d - 2.0**-60


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "wrong",
    [
        NoInflection,
        NoInflections,
        FarInflection,
        NoExtreme,
        Steeper,
        Flatter,
        Inward,
        FarOut,
        Hasty,
        Mixed,
        Selected,
        Near,
        Rational,
    ],
)
def test_the_kit_refuses_a_wrong_twin(wrong: type[Univariate]) -> None:
    with pytest.raises((ConformanceError, InputError)) as caught:
        check_activation(wrong())
    assert wrong().name in str(caught.value)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("fn", NEW, ids=lambda fn: fn.name)
def test_lines_are_the_hull_at_the_middle_and_at_any_point(fn: Smooth) -> None:
    """Against the hull of 401 samples, which lies within it and comes as near as the samples are dense."""
    ends = np.array([-6.0, -3.0, -1.5, -0.3, 0.0, 0.4, 2.0, 3.0, 7.0])
    lo, hi = (np.array(side) for side in zip(*itertools.combinations(ends, 2), strict=True))
    share = np.linspace(0, 1, 401)[:, None]
    x = lo + share * (hi - lo)
    y = fn.value(x)
    for place, at in ((200, None), (120, x[120]), (380, x[380])):
        a, b, c, d = fn.lines(lo, hi, at)
        assert (a * x + b <= y).all()
        assert (y <= c * x + d).all()
        left, right = slice(0, place + 1), slice(place + 1, None)
        weight = (x[place] - x[left][:, None]) / (x[right][None] - x[left][:, None])
        chords = y[left][:, None] + weight * (y[right][None] - y[left][:, None])
        top, bottom = chords.max(axis=(0, 1)), chords.min(axis=(0, 1))
        slack = 1e-4 + 2e-5 * (hi - lo) ** 2
        assert (c * x[place] + d - top <= slack).all()
        assert (bottom - a * x[place] - b <= slack).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_tangents_and_chords_of_a_convex_function_are_exact_to_rounding() -> None:
    fn, lo, hi = Softplus(), np.array([-1.0, -30.0, 0.5]), np.array([2.0, 4.0, 0.5])
    a, b, c, d = fn.lines(lo, hi)
    middle = 0.5 * (lo + hi)
    np.testing.assert_allclose(a * middle + b, fn.value(middle), atol=1e-12)
    for end in (lo, hi):
        np.testing.assert_allclose(c * end + d, fn.value(end), atol=1e-12)
    low, high = SiLU().span(np.array([-5.0, -np.inf]), np.array([0.0, -5.0]))
    np.testing.assert_allclose(low[0], SiLU().value(np.array(-1.2784645427610738)), atol=1e-12)
    assert high[0] < 1e-14
    assert low[1] == -np.inf  # its value at -inf is NaN: nothing is known there


def _claim(fn: Univariate, limit: float) -> tuple[nn.Property, float]:
    """``f <= limit`` over a box, and the largest value that was seen."""
    rng = np.random.default_rng(0)
    layers = [(rng.normal(size=(6, 2)), rng.normal(size=6)), (rng.normal(size=(1, 6)), None)]
    x = nn.Variable(2, name="x")
    f = nn.sequential(layers, activation=fn)
    seen = max(float(f(point)[0]) for point in rng.uniform(-1, 1, (500, 2)))
    return nn.forall(x, where=nn.box(x, -1, 1), then=f(x)[0] <= seen + limit), seen


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("fn", NEW, ids=lambda fn: fn.name)
def test_one_class_has_every_bound_relaxation_attack_and_file(fn: Smooth, tmp_path: Path) -> None:
    p, seen = _claim(fn, 30.0)
    for method in (None, "ibp", "crown", "zonotope", "forward", "alpha", "triangle", "triangle+tangents"):
        result = nn.verify(p, method, timeout=20)
        assert result.status.value == "verified", (method, result)
    wrong, _ = _claim(fn, -0.5)
    found = nn.verify(wrong, timeout=20)
    assert found.status.value == "falsified"
    assert not wrong(found.counterexample.inputs["x"])
    lower = [nn.verify(p, m, timeout=20).lower for m in ("ibp", "crown", "triangle+tangents")]
    assert lower == sorted(lower)
    assert lower[-1] <= 30.0 + 1e-9
    assert nn.export(p, tmp_path / "model.lp", encoding="triangle").stat().st_size > 500
    assert nn.draw("triangle", op=fn).legends[0].get_texts()[-1].get_text() == f"{fn.name}(h)"
    assert seen < np.inf


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_two_networks_with_a_new_activation_are_compared() -> None:
    rng = np.random.default_rng(1)
    layers = [(rng.normal(size=(4, 2)), rng.normal(size=4)), (rng.normal(size=(1, 4)), None)]
    near = [(w + 2.0**-12, b) for w, b in layers]
    f, g = (nn.sequential(ls, activation=SiLU(), name=n) for ls, n in ((layers, "f"), (near, "g")))
    x = nn.Variable(2)
    p = nn.forall(x, where=nn.box(x, -1, 1), then=nn.abs(f(x)[0] - g(x)[0]) <= 0.05)
    assert nn.verify(p, "crown").status.value == "verified"
    assert p.margin([0.3, -0.2]) >= nn.verify(p, "crown").lower


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_apply_writes_an_activation_in_the_language() -> None:
    x = nn.Variable(2, name="x")
    p = nn.forall(x, where=nn.box(x, -1, 1), then=nn.apply(SiLU(), x)[0] >= -0.27)
    assert nn.verify(p, "crown").status.value == "verified"
    assert "gated(x)[0]" in str(p)
    with pytest.raises(UnsupportedError, match="no text form"):
        nn.dumps(p)
    named = nn.forall(x, where=nn.box(x, -1, 1), then=nn.apply("tanh", x)[0] <= 0.77)
    assert nn.parse(nn.dumps(named)).hash == named.hash
    assert nn.verify(named, "crown").status.value == "verified"
    for wrong in ("swish", SiLU, 3):
        with pytest.raises(InputError, match=r"activation"):
            nn.apply(wrong, x)  # type: ignore[arg-type]


class _Point:
    """An entry point of an installed package."""

    def __init__(self, value: str, loaded: object) -> None:
        self.value, self.loaded = value, loaded

    def load(self) -> object:
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_packages_offer_activations_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        _Point("a:SILU", SiLU()),
        _Point("b:broken", ImportError("no such module")),
        _Point("c:TANH", Tanh()),
        _Point("d:Class", SiLU),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == "nnsym.activations" else [])
    registry.activations.cache_clear()
    try:
        f = nn.sequential([([[1.0]], None), ([[1.0]], None)], activation="gated")
        x = nn.Variable(1, name="x")
        p = nn.forall(x, where=nn.box(x, -1, 1), then=nn.apply("gated", x)[0] >= f(x)[0] - 1e-6)
        assert nn.parse(nn.dumps(nn.forall(x, then=nn.apply("gated", x)[0] <= 1))).hash
        assert p([0.5])
        assert nn.draw("triangle", op="gated").legends
        with pytest.raises(InputError, match="unknown activation 'gamish'") as caught:
            nn.sequential([([[1.0]], None)], activation="gamish")
        assert "b:broken: ImportError: no such module" in caught.value.remedy
        assert "c:TANH: InputError: 'tanh' is offered already" in caught.value.remedy
        assert "d:Class: InputError" in caught.value.remedy
    finally:
        registry.activations.cache_clear()


class Bare(Univariate):
    """ln(1 + e^x) with its value alone."""

    name, key = "bare_softplus", "bare_softplus"  # type: ignore[assignment]

    def value(self, x: Array) -> Array:
        return np.logaddexp(0.0, x)


class Ranged(Bare):
    """The range too: that is enough for bounds and an LP."""

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return self.value(lower) * (1 - 1e-15) - 1e-300, self.value(upper) * (1 + 1e-15)


@pytest.mark.parametrize("method", ["ibp", "crown", "zonotope", "triangle"])
def test_what_a_function_does_not_say_is_named_with_the_remedy(method: str) -> None:
    x = nn.Variable(2, name="x")
    f = nn.sequential([(np.eye(2), None), ([[1.0, 1.0]], None)], activation=Bare())
    p = nn.forall(x, where=nn.box(x, -1, 1), then=f(x)[0] <= 1000)
    with pytest.raises(UnsupportedError, match=r"activation 'bare_softplus': .* not say its range") as caught:
        nn.verify(p, method)
    assert "nnsym.ir.smooth_functions.Smooth" in caught.value.remedy
    with pytest.raises(UnsupportedError, match="bare_softplus"):
        nn.verify(p, "bigm")
    ranged = nn.sequential([(np.eye(2), None), ([[1.0, 1.0]], None)], activation=Ranged())
    q = nn.forall(x, where=nn.box(x, -1, 1), then=ranged(x)[0] <= 1000)
    assert nn.verify(q, method).status.value == "verified"


def test_searches_try_points_where_a_function_says_no_derivative() -> None:
    """An LP that bounds do not decide begins with a search, which is no error."""
    x = nn.Variable(2, name="x")
    f = nn.sequential([([[1.0, -1.0], [1.0, 1.0]], None), ([[1.0, -1.0]], None)], activation=Ranged())
    p = nn.forall(x, where=nn.box(x, -1, 1), then=f(x)[0] >= -1.6)
    for method in ("triangle", "bab"):
        assert nn.verify(p, method, timeout=5).status.value != "falsified"
    wrong = nn.forall(x, where=nn.box(x, -1, 1), then=f(x)[0] >= 0)
    assert nn.verify(wrong, "attack").status.value == "falsified"


def test_the_key_of_a_function_does_not_change_when_it_is_asked() -> None:
    fn = SiLU()
    before = fn.key
    fn.lines(np.array([-1.0]), np.array([1.0]))
    assert fn.key == before == SiLU().key != Softplus().key


def test_a_class_that_was_written_anew_is_not_the_old_one() -> None:
    """As in a notebook whose cell runs again: one name, one key, and the node of the old class still alive."""
    x = nn.Variable(1, name="x")
    old = nn.apply(Bare(), x)
    new = nn.apply(Ranged(), x)
    p = nn.forall(x, where=nn.box(x, -1, 1), then=new[0] <= 2)
    assert nn.verify(p, "crown").status.value == "verified"
    assert old.text.string == new.text.string
