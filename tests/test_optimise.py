"""minimize, maximize, reach and margin_table against the exact oracle; what each side of an interval rests on."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnsym as nn
from nnsym.errors import InputError, LanguageError, MissingBoundsError
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.judge.verdict import Facts, floor
from nnsym.lang.statements.objective import objective
from nnsym.results.optimum import Optimum
from nnsym.results.result import Trust
from nnsym.solvers.base import Status

METHODS = (None, "ibp", "crown", "triangle", "bigm", "smt")


def holds(optimum: Optimum, least: Fraction | float, method: str | None) -> None:
    """The interval contains the exact minimum, its point attains the upper side, exact methods leave no gap."""
    assert optimum.lower <= least <= optimum.upper, (method, optimum, float(least))
    if least == np.inf:
        return
    assert optimum.point is not None
    values = {x: optimum.point.inputs[x.name].ravel() for x in optimum.query.inputs}
    assert optimum.query.margin(optimum.query.values(values, exact=True), up=True) == optimum.upper
    if method in (None, "bigm", "smt"):
        assert optimum.gap <= 2e-6 * max(1.0, abs(optimum.upper))
        assert not optimum.empty


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**16), data=st.data())
def test_every_interval_holds_the_exact_minimum(seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    f = nn.zoo.random_mlp(seed, widths=(2, 4, 3))
    x = nn.Variable(2)
    y = f(x)
    term = [y[0] - nn.max(y[1:]), rng.integers(-3, 4, 3) @ y + x[0] / 3, nn.norm(y, 1)][seed % 3]
    where = [nn.box(x, -1, 1)]
    if seed % 2:
        where.append(rng.integers(-2, 3, 2) @ x <= Fraction(1, 3))
    method = data.draw(st.sampled_from(METHODS))
    optimum = nn.minimize(term, method, where=where)
    holds(optimum, minimum_margin(optimum.query, max_unstable=20).margin, method)


def test_an_optimum_on_a_plane_that_floats_miss_is_attained() -> None:
    """The minimum lies on ``2 x0 + x1 <= 1/3``; the solver's point is beyond it by its tolerance."""
    x = nn.Variable(2)
    where = nn.box(x, -1, 1) & (2 * x[0] + x[1] <= Fraction(1, 3))
    found = nn.maximize(nn.relu(x[0]) + x[1] / 3 + x[0], "bigm", where=where)
    exact = -minimum_margin(found.query).margin
    assert found.lower <= exact <= found.upper
    assert found.gap <= 3e-6


def test_a_maximum_is_the_mirrored_minimum() -> None:
    x = nn.Variable(2)
    f = nn.zoo.random_mlp(3, widths=(2, 8, 8, 3))
    where = nn.box(x, 0, 1)
    least = nn.minimize(-f(x)[1], "triangle", where=where)
    most = nn.maximize(f(x)[1], "triangle", where=where)
    assert (most.lower, most.upper) == (-least.upper, -least.lower)
    assert (most.lower_trust, most.upper_trust) == (Trust.EXACT, Trust.CERTIFIED)
    assert most.point is not None
    assert most.point.margin == most.lower == f.evaluate(np.array(most.point.inputs["x"], dtype=float))[1]
    assert "lower replayed in exact rationals, upper certified" in repr(most)


def test_a_side_that_rests_on_a_solver_allows_for_its_tolerance() -> None:
    x = nn.Variable(2)
    y = nn.zoo.random_mlp(3, widths=(2, 8, 8, 3))(x)
    term, where = y[0] - nn.max(y[1:]), nn.box(x, 0, 1)
    solved, exact = nn.minimize(term, "bigm", where=where), nn.minimize(term, "smt", where=where)
    least = minimum_margin(solved.query, max_unstable=20).margin
    assert (solved.lower_trust, exact.lower_trust) == (Trust.SOLVER, Trust.EXACT)
    assert solved.tau > 0
    assert exact.tau == 0
    assert solved.lower <= least - solved.tau / 2
    assert "tolerance 1e-06 allowed for" in repr(solved)


def test_an_empty_domain_has_no_optimum() -> None:
    x = nn.Variable(2)
    where = nn.box(x, 0, 1) & (x[0] + x[1] >= 3)
    for method in METHODS:
        most = nn.maximize(nn.relu(x)[0], method, where=where)
        assert most.empty
        assert most.lower == most.upper == -np.inf
        assert most.point is None
        assert "maximum of nothing" in repr(most)
    assert nn.minimize(x[0], where=(x[0] >= 1) & (x[0] <= 0)).empty


def test_open_inputs_need_a_method_that_needs_no_bounds() -> None:
    x = nn.Variable(2)
    where = (x[0] >= 1) & (x[1] >= x[0])
    for method in ("crown", "bigm"):
        with pytest.raises(MissingBoundsError, match="input 'x'"):
            nn.minimize(x[0] - x[1], method, where=where)
    bounded = nn.minimize(x[0] + x[1], "crown", where=where)  # the rows bound x[1] from below
    assert 2 - 1e-9 <= bounded.lower <= 2
    for chosen in ("smt", None):  # the default passes over what needs bounds
        found = nn.minimize(nn.abs(x)[1] - x[0], chosen, where=where)
        assert found.lower_trust is Trust.EXACT
        assert found.lower <= 0 <= found.upper <= 1e-6
    down = nn.minimize(x[0] - x[1], "smt", where=where, timeout=20)
    assert down.lower == -np.inf
    assert down.upper < -1e6
    assert "lower unknown" in repr(down)


def test_the_default_goes_on_where_the_search_found_no_point() -> None:
    """A mixture: no sample satisfies the equation, and an infinite gap is not a narrow one."""
    f = nn.zoo.random_mlp(4, widths=(3, 6, 2))
    x = nn.Variable(3)
    where = nn.box(x, 0, 1) & (x[0] + x[1] + x[2] == 1)
    for run in (nn.minimize, nn.maximize):
        found = run(f(x)[0], where=where)
        assert found.gap <= 2e-6 * max(1.0, abs(found.upper)), found
        holds_at = found.query.values({v: found.point.inputs["x"].ravel() for v in found.query.inputs}, exact=True)
        assert found.query.inside(holds_at)
    table = nn.reach(f(x), where=where)
    assert np.isfinite(table.slack).all()
    assert "portfolio: bigm+highs" in {record["method"] for record in table.to_records()}


def test_ranges_are_called_as_elements_are_written() -> None:
    x = nn.Variable((1, 2), name="x")
    assert nn.reach(2 * x, "ibp", where=nn.box(x, 0, 1)).terms == ("(2 * x)[0, 0]", "(2 * x)[0, 1]")
    assert nn.reach([x[0, 0], x[0]], "ibp", where=nn.box(x, 0, 1)).terms == ("x[0, 0]", "x[0][0]", "x[0][1]")


@pytest.mark.parametrize("infinite", ["floor", "point", "both"])
def test_an_infinite_side_is_never_a_closed_interval(infinite: str) -> None:
    from nnsym.judge.least import Least
    from nnsym.judge.verdict import Floor
    from nnsym.results.result import Witness

    point = Witness(inputs={}, outputs={}, margin=1.0, replayed_by="exact")
    found = Least(
        floor=Floor() if infinite in ("floor", "both") else Floor(bound=1.0),
        point=None if infinite in ("point", "both") else point,
    )
    assert not found.closed(1e-3)
    assert Least(floor=Floor(bound=1.0), point=point).closed(1e-3)
    assert Least(floor=Floor(bound=np.inf, empty=True)).closed(1e-3)
    for precision in (float("inf"), float("nan"), 0.0):
        with pytest.raises(InputError, match="precision"):
            nn.minimize(nn.Variable(1)[0], precision=precision)


def test_a_vertex_of_three_rows_is_not_lost() -> None:
    """The optimum of a linear program by vertices in fractions; solvers miss it by rounding."""
    x = nn.Variable(3)
    where = nn.box(x, [-5, -5, -4], [5, 5, 4])
    for a, b, c, limit in ((80, 41, 28, -74), (-1, -39, 64, -10), (81, -51, -46, -97)):
        where = where & (a * x[0] + b * x[1] + c * x[2] <= limit)
    for method in ("bigm", None):
        found = nn.minimize(-4 * x[0] + 20 * x[1] - 5 * x[2], method, where=where)
        assert found.lower <= minimum_margin(found.query).margin <= found.upper
        assert found.gap <= 1e-4


def test_what_cannot_be_minimised_is_refused_at_the_line() -> None:
    x, other = nn.Variable(2), nn.Variable(2)
    with pytest.raises(LanguageError, match=r"has 2 elements, and one number is minimised.*nn\.reach"):
        nn.minimize(x, where=nn.box(x, 0, 1))
    with pytest.raises(LanguageError, match="two variables are called 'x'"):
        nn.minimize(x[0] + other[0], where=nn.box(x, 0, 1))
    with pytest.raises(InputError, match=r"neither true nor false.*nn\.minimize"):
        nn.verify(objective(x[0], nn.box(x, 0, 1)))


def test_the_program_of_a_minimum_is_exported_with_its_meaning(tmp_path: Path) -> None:
    x = nn.Variable(2)
    found = nn.minimize(nn.zoo.lecture()(x)[0], "bigm", where=nn.box(x, 0, 1))
    text = nn.export(found, tmp_path / "m.lp", encoding="bigm").read_text()
    assert "minimise lecture(x)[0]" in text
    assert "the minimum of t is the minimum of the term" in text
    assert "at most 0" in nn.export(found, tmp_path / "m.smt2", encoding="smt").read_text()


def test_shifting_the_conclusion_leaves_a_shared_precondition_alone() -> None:
    x = nn.Variable(2)
    p = nn.forall(x, where=[nn.box(x, 0, 1), x[0] <= x[1]], then=x[0] > x[1])
    assert len(p.query.rows) == 1  # the negated conclusion is the premise's row
    shifted = p.query.shifted(Fraction(1, 3))
    assert shifted.margin(shifted.values({x.input: np.array([0.5, 0.5])})) == pytest.approx(1 / 3)
    assert shifted.margin(shifted.values({x.input: np.array([0.6, 0.5])})) == np.inf
    assert p.query.precondition().violated(p.query.values({x.input: np.array([0.5, 0.5])}))


def test_the_strongest_floor_is_what_the_facts_support() -> None:
    known = Facts(strict=False, certified=0.25, status=Status.OPTIMAL, bound=1.0, tau=0.5)
    assert floor(known).bound == pytest.approx(0.5)
    assert (floor(known).trust, floor(known).tau) == (Trust.SOLVER, 0.5)
    refuted = Facts(strict=False, certified=0.25, status=Status.OPTIMAL, bound=1.0, attained=0.4, tau=0.5)
    assert (floor(refuted).bound, floor(refuted).trust) == (0.25, Trust.CERTIFIED)
    unlisted = Facts(strict=False, status=Status.UNKNOWN, bound=1.0)
    assert floor(unlisted).trust is None
    third = floor(Facts(strict=False, certified=0.25, exact_bound=Fraction(1, 3)))
    assert (third.trust, Fraction(third.bound) <= Fraction(1, 3)) == (Trust.EXACT, True)
    unconfirmed = Facts(strict=False, status=Status.INFEASIBLE)
    assert not floor(unconfirmed).empty
    assert floor(Facts(strict=False, status=Status.INFEASIBLE, nominal=True)).empty


def test_reach_encloses_and_touches_the_range() -> None:
    f = nn.zoo.random_mlp(5, widths=(2, 6, 3))
    x = nn.Variable(2)
    found = nn.reach(f(x), where=nn.box(x, -1, 1))
    runs = f.evaluate(np.random.default_rng(0).uniform(-1, 1, (500, 2)))
    assert (found.lower <= runs.min(axis=0)).all()
    assert (runs.max(axis=0) <= found.upper).all()
    assert (found.slack < 1e-5).all()
    assert found.terms == ("random_mlp_5(x)[0]", "random_mlp_5(x)[1]", "random_mlp_5(x)[2]")
    assert "maximum <=" in str(found)
    assert "random_mlp_5(x)[2]" in found._repr_html_()


def test_the_margin_table_has_every_other_class_nearest_first() -> None:
    f = nn.zoo.random_mlp(2, widths=(3, 6, 4))
    centre = np.array([0.25, -0.5, 0.125])
    label = int(f.evaluate(centre).argmax())
    table = nn.margin_table(f, centre, label, 0.125, "bigm")
    assert table.targets == tuple(j for j in range(4) if j != label)
    for target, margin in zip(table.targets, table.margins, strict=True):
        x = nn.Variable(3)
        y = f(x)
        exact = objective(y[label] - y[target], nn.ball(x, centre, 0.125))
        holds(margin, minimum_margin(exact).margin, "bigm")
    records = table.to_records()
    assert [r["margin >="] for r in records] == sorted(r["margin >="] for r in records)
    assert records[0]["margin >="] == table.worst.lower
    with pytest.raises(InputError, match="class 9 does not exist"):
        nn.margin_table(f, centre, 9, 0.125)
