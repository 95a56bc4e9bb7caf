"""Thresholds of families: robust radii and Lipschitz constants, against exact bisection by the oracle."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

import nnsym as nn
from nnsym.errors import InputError
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.results.result import Trust, Verdict

f = nn.zoo.random_mlp(3, widths=(2, 5, 3))
CENTRE = [0.5, 0.5]
LABEL = int(f.evaluate(np.array(CENTRE)).argmax())


def exact_bracket(family: Callable[[float], nn.Property], low: float, high: float, width: float) -> tuple[float, float]:
    """Bisection by the exact oracle; nothing of nnsym's search is in it."""
    while high - low > width:
        middle = (low + high) / 2
        holds = minimum_margin(family(middle).query, max_unstable=30).margin > 0
        low, high = (middle, high) if holds else (low, middle)
    return low, high


def robust(eps: float) -> nn.Property:
    return nn.props.robust(f, CENTRE, LABEL, eps)


@pytest.mark.parametrize("method", [None, "smt"])
def test_the_radius_is_that_of_exact_bisection(method: str | None) -> None:
    low, high = exact_bracket(robust, 0.0, 4.0, 1e-3)
    found = nn.radius(f, CENTRE, LABEL, method, high=4, precision=2.0**-8)
    assert found.complete
    assert found.lower <= high
    assert low <= found.upper
    assert found.upper - found.lower <= 2.0**-8
    assert found.certificate is not None
    assert found.certificate.trust in (Trust.CERTIFIED, Trust.SOLVER, Trust.EXACT)
    assert found.witness is not None  # checked again, in plain arithmetic
    point = np.array(found.witness.inputs["x"], dtype=float)
    assert np.abs(point - CENTRE).max() <= found.falsified
    assert f.evaluate(point).argmax() != LABEL
    assert len(found.results) < 9  # halving alone asks 12 times


def test_a_witness_moves_the_end_to_where_it_still_counts() -> None:
    first = nn.verify(robust(4.0), "attack")
    assert first.counterexample is not None
    found = nn.largest(robust, "attack", low=0.0, high=4.0)  # an attack verifies nothing, and falsifies all the same
    assert found.certified == -np.inf
    assert found.falsified < 4.0
    assert "not verified at any number that was asked; fails at" in repr(found)
    found = nn.largest(robust, "bigm", high=4.0, precision=3.0)
    assert found.falsified < 4.0  # nothing was asked between 0 and 4
    assert [at for at, _ in found.results] == [0.0, 4.0]
    assert not robust(found.falsified)(found.witness.inputs["x"])  # type: ignore[union-attr]


@pytest.mark.parametrize("goal", ["largest", "smallest"])
def test_an_attack_alone_finds_the_falsified_end(goal: str) -> None:
    low, high = exact_bracket(robust, 0.0, 4.0, 1e-3)
    if goal == "largest":
        found = nn.largest(robust, "attack", high=4.0, precision=2.0**-6)
    else:
        found = nn.smallest(lambda v: robust(4.0 - v), "attack", high=4.0, precision=2.0**-6)
    assert found.goal == goal
    end = found.falsified if goal == "largest" else 4.0 - found.falsified
    assert low <= end <= high + 0.5
    assert not np.isfinite(found.certified)
    assert "inf" not in repr(found)


@pytest.mark.slow
def test_a_question_that_is_too_hard_does_not_cost_the_bracket() -> None:
    """The far end of a wide network takes a MILP long; bounds and a counter-search bracket in a moment."""
    wide = nn.zoo.random_mlp(1, widths=(12, 60, 60, 60, 3))
    centre = np.full(12, 0.5)
    label = int(wide.evaluate(centre).argmax())
    found = nn.radius(wide, centre, label, nn.milp("bigm", solver="highs"), high=2, precision=1e-3, timeout=6)
    assert 0 < found.certified < found.falsified < 2
    assert found.certified > 0
    assert found.witness is not None


def test_the_text_says_what_is_known() -> None:
    wrong = nn.radius(f, CENTRE, (LABEL + 1) % 3, "crown", high=1)
    assert repr(wrong) == (
        "<largest not known: not verified at any number that was asked; no counterexample known up to 0; "
        "not closed to the precision>"
    )
    held = nn.radius(f, CENTRE, LABEL, "crown", high=2.0**-6)
    assert "largest at least 0.015625: holds at 0.015625, trust" in repr(held)
    assert "no counterexample known up to 0.015625" in repr(held)
    failed = nn.radius(f, CENTRE, (LABEL + 1) % 3, high=1)
    assert "largest below 0: not verified" in repr(failed)
    assert "fails at 0, replayed in exact rationals" in repr(failed)
    steep = nn.smallest(lambda v: robust(4.0 - v), "crown", high=4.0)
    assert "smallest at most" in repr(steep)
    assert "no counterexample known down to 0" in repr(steep)
    for said in (wrong, held, failed, steep):
        assert "inf" not in repr(said)
    for precision in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match="positive precision"):
            nn.largest(robust, high=1, precision=precision)


def test_bounds_give_a_certified_end_and_no_witness() -> None:
    found = nn.radius(robust, method="crown", high=4.0, precision=2.0**-6)
    exact = exact_bracket(robust, 0.0, 4.0, 1e-3)
    assert 0 < found.certified <= exact[1]
    assert found.witness is None
    assert found.falsified == np.inf
    assert not found.complete
    assert "not closed to the precision" in repr(found)
    unknown = [at for at, r in found.results if r.status is Verdict.UNKNOWN]
    assert min(unknown) - found.certified <= 2.0**-6


def test_the_ends_of_the_search_are_reported_as_they_are() -> None:
    assert nn.largest(robust, "bigm", high=0.125).certified == 0.125
    wrong = nn.radius(lambda eps: nn.props.robust(f, CENTRE, (LABEL + 1) % 3, eps), high=1)
    assert (wrong.certified, wrong.falsified, len(wrong.results)) == (-np.inf, 0.0, 1)
    with pytest.raises(InputError, match="low < high"):
        nn.largest(robust, low=2, high=1)
    with pytest.raises(InputError, match="takes no point"):
        nn.radius(robust, CENTRE, high=1)
    with pytest.raises(InputError, match="needs a point and its label"):
        nn.radius(f, high=1)
    x = nn.Variable(1)
    with pytest.raises(InputError, match="goes by counterexamples"):
        nn.largest(lambda eps: nn.exists(x, where=nn.box(x, 0, eps), then=x[0] >= 1), high=1)


@pytest.mark.slow
def test_the_smallest_lipschitz_constant_is_the_steepest_slope() -> None:
    """|f(x) - f(z)| <= L norm(x - z, inf) on [-1, 1], for a function of one variable: its steepest piece."""
    g = nn.zoo.random_mlp(6, widths=(1, 4, 1))
    grid = np.linspace(-1, 1, 4001)
    steepest = np.abs(np.diff(g.evaluate(grid[:, None]).ravel()) / np.diff(grid)).max()
    found = nn.lipschitz(g, -1, 1, high=16, precision=2.0**-7)
    assert found.complete
    assert found.lower <= steepest + 1e-6
    assert steepest <= found.upper + 1e-6
    assert found.goal == "smallest"
    assert found.certified > found.falsified
    loose = nn.lipschitz(g, -1, 1, high=16, precision=2.0**-5, gap=Fraction(1, 2))
    assert loose.upper < found.lower  # a gap allows more
    x, z = (np.array(found.witness.inputs[name], dtype=float) for name in "xz")  # type: ignore[union-attr]
    slope = abs(g.evaluate(x) - g.evaluate(z)) / np.abs(x - z).max()
    assert slope >= found.falsified - 1e-9


@pytest.mark.parametrize("method", ["bigm", "smt"])
@pytest.mark.parametrize("p", [1, float("inf")])
def test_a_norm_on_the_right_side_is_never_dropped(method: str, p: float) -> None:
    """Two outputs, two inputs: exact at a constant just above and just below the true one of a linear map."""
    linear = nn.sequential([([[1.0, 2.0], [0.0, 1.0]], [0.0, 0.0])])
    true = 3.0 if p == float("inf") else 2.0  # the largest row sum, the largest entry
    for constant, expected in ((true, Verdict.VERIFIED), (true - 0.125, Verdict.FALSIFIED)):
        assert nn.verify(nn.props.lipschitz(linear, -1, 1, constant, p=p), method).status is expected
    assert nn.verify(nn.props.lipschitz(linear, -1, 1, true, p=p), "triangle").status is not Verdict.FALSIFIED


def test_a_wrong_option_is_told_in_the_name_of_what_was_asked() -> None:
    """Not in that of the function which it is passed on to."""
    f = nn.sequential([(np.eye(2), np.zeros(2))])
    g, x = nn.smooth(f, nn.gaussian(0.5)), nn.Variable(2, name="x")
    p, where = nn.forall(x, where=nn.box(x, 0, 1), then=x[0] >= 0), nn.box(x, 0, 1)
    asked = {
        "radius": lambda **o: nn.radius(f, [1.0, 0.0], 0, high=1, **o),
        "largest": lambda **o: nn.largest(lambda eps: p, high=1, **o),
        "smallest": lambda **o: nn.smallest(lambda eps: p, high=1, **o),
        "lipschitz": lambda **o: nn.lipschitz(f, 0, 1, high=1, **o),
        "maximize": lambda **o: nn.maximize(x[0], where=where, **o),
        "reach": lambda **o: nn.reach(x, where=where, **o),
        "margin_table": lambda **o: nn.margin_table(f, [1.0, 0.0], 0, 0.1, **o),
        "vacuous": lambda **o: nn.vacuous(p, **o),
    }
    for name, ask in asked.items():
        with pytest.raises(TypeError, match=rf"^{name}\(\) got an unexpected keyword argument 'tol'"):
            ask(tol=0.1)
    with pytest.raises(
        TypeError, match=r"^radius\(\) got an unexpected keyword argument 'timeot'. Did you mean timeout\?"
    ):
        nn.radius(g, [1.0, 0.0], 0, high=1, timeot=1)
    with pytest.raises(TypeError, match=r"^radius\(\) got an unexpected keyword argument 'bounds'"):
        nn.radius(g, [1.0, 0.0], 0, high=1, bounds="ibp")
