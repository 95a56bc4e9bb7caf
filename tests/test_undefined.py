"""Where a function is not defined nothing is found, however what reads it is bounded."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import nnsym as nn
from nnsym.judge.repair import repaired
from nnsym.replay import attained, found_at

X = nn.Variable(2, name="x")

#: Functions of X[0] that have no value at -3/2.
PARTIAL: dict[str, Callable[[Any], Any]] = {
    "log": nn.log,
    "sqrt": nn.sqrt,
    "reciprocal": lambda u: 1 / (u + 1.5),
    "inverse square": lambda u: (u + 1.5) ** -2,
    "power": lambda u: u**0.5,
    "falling power": lambda u: u**-1.5,
    "quotient": lambda u: X[1] / (u + 1.5),
    "layer of a network": lambda u: nn.sequential([([[1.0]], [0.0]), ([[2.0]], [1.0])], activation="log")([u])[0],
}

#: What has a range in [-3, 3] whatever its argument is.
BOUNDED: dict[str, Callable[[Any], Any]] = {
    "clip": lambda v: nn.clip(v, -3, 3),
    "maximum of a minimum": lambda v: nn.max(nn.min(v, X[1]), -3),
    "sign": nn.sign,
    "tanh": lambda v: nn.apply("tanh", v),
    "sine of a square": lambda v: nn.sin(v * v),
    "product": lambda v: nn.clip(v, -1, 1) * nn.clip(X[1] * v, -1, 1),
}


def at(query: Any, first: Any) -> dict[Any, Any]:
    (x,) = query.inputs
    return {x: np.array([Fraction(first), Fraction(1, 2)], dtype=object)}


@pytest.mark.parametrize("bounded", BOUNDED)
@pytest.mark.parametrize("partial", PARTIAL)
def test_no_point_without_a_value_is_one_of_any_statement(partial: str, bounded: str) -> None:
    term = BOUNDED[bounded](PARTIAL[partial](X[0]))
    box, only = nn.box(X, [-2, 0], [4, 1]), nn.box(X, [-1.5, 0], [-1.5, 1])
    for prop in (
        nn.forall(X, where=box, then=term >= 4),
        nn.exists(X, where=box, then=term <= 4),
        nn.forall(X, where=box & (term <= 4), then=X[0] >= 5),
        nn.forall(X, where=box, then=(term >= 4) & (term <= -4)),
    ):
        assert found_at(prop.query, at(prop.query, "-3/2")) is None
        assert found_at(prop.query, at(prop.query, "5/4")) is not None
        assert np.isnan(prop.margin([-1.5, 0.5])) or np.isinf(prop.margin([-1.5, 0.5]))
    assert np.isnan(term([-1.5, 0.5]))
    least = nn.minimize(term, "attack", where=only, timeout=5)
    assert least.point is None
    assert least.upper == np.inf
    assert attained(least.query, at(least.query, "-3/2")) is None
    some = nn.minimize(term, "attack", where=box, timeout=5)
    if some.point is not None:
        assert np.isfinite(term(some.point.inputs["x"]))


def test_a_row_that_reads_no_such_element_is_decided() -> None:
    logs = nn.log(X)
    prop = nn.forall(X, where=nn.box(X, -1, 1), then=(nn.clip(logs, -1, 1)[1] >= 2) | (X[0] > 0))
    assert found_at(prop.query, at(prop.query, "-1/2")) is not None  # the logarithm of X[1] has a value
    both = nn.forall(X, where=nn.box(X, -1, 1), then=(nn.clip(logs, -1, 1)[0] >= 2) & (X[1] > 1))
    assert found_at(both.query, at(both.query, "-1/2")) is not None  # X[1] > 1 is false there


@pytest.mark.parametrize("partial", [k if k == "log" else pytest.param(k, marks=pytest.mark.slow) for k in PARTIAL])
def test_a_point_without_a_tangent_is_not_repaired(partial: str) -> None:
    term = nn.clip(PARTIAL[partial](X[0]), -3, 3)
    query = nn.forall(X, where=nn.box(X, [-2, 0], [4, 1]), then=term >= 4).query
    for near in repaired(query, at(query, "-3/2"), conclusion=True):
        assert found_at(query, near) is None or np.isfinite(term(next(iter(near.values()))))
    found = nn.verify(nn.forall(X, where=nn.box(X, [-1.5, 0], [-1.5, 1]), then=term >= 4), timeout=5)
    assert (found.status.value, found.reason) == ("unknown", "undefined")


def test_bounded_functions_of_what_overflows_have_their_limits() -> None:
    """``clip(e^1500, 0, 1)`` is 1 and ``relu(-e^1500)`` is 0, though no float holds their arguments."""
    huge = nn.exp(2000 * X[0])
    for term, value in (
        (nn.clip(huge, 0, 1), 1),
        (nn.clip(-huge, -1, 0), -1),
        (nn.relu(-huge), 0),
        (nn.sign(-huge), -1),
        (nn.apply("hard_tanh", huge), 1),
        (nn.apply("relu6", -huge), 0),
    ):
        assert term([0.75, 0.75]) == value
        prop = nn.forall(X, where=nn.box(X, 0.5, 1), then=term != value)
        assert not prop([0.75, 0.75])
        tight = nn.forall(X, where=nn.box(X, 0.5, 1), then=term <= value - 0.5)
        assert nn.verify(tight, timeout=20).falsified
