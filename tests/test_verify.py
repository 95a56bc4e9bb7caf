"""``verify`` and ``compare`` through their public surface: the textbook, the portfolio, tight cases, disagreement."""

from __future__ import annotations

import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

import nnsym as nn
from nnsym.ask.compare import append_record
from nnsym.builder import ProgramBuilder
from nnsym.encode.registry import find_encoding
from nnsym.encoding import Encoding
from nnsym.errors import MissingBoundsError, UnsupportedError
from nnsym.judge.method import Settings
from nnsym.judge.programs.recheck import settled
from nnsym.program import RowBlock
from nnsym.results.clock import Clock
from nnsym.results.result import Deployed, Trust, Verdict
from tests.fuzz.judge import incoherent
from tests.models import model


def textbook(*, strict: bool) -> nn.Property:
    """x + y >= x - y on x in [1, 2], y in [0, 1]; the margin 2y is exactly 0 at y = 0."""
    v = nn.Variable(2, name="v")
    left, right = v[0] + v[1], v[0] - v[1]
    return nn.forall(v, where=nn.box(v, [1, 0], [2, 1]), then=left > right if strict else left >= right)


@pytest.mark.parametrize("method", ["crown", "triangle", "bigm", "smt"])
def test_margin_zero_is_verified(method: str) -> None:
    result = nn.verify(textbook(strict=False), method)
    assert result.status == "verified"
    assert result.trust is Trust.EXACT
    assert result.lower == 0.0


def test_intervals_do_not_see_the_correlation() -> None:
    result = nn.verify(textbook(strict=False), "ibp")
    assert (result.status, result.lower) == ("unknown", -1.0)


@pytest.mark.parametrize("method", ["bigm", "smt", "triangle", None])
def test_strict_version_is_falsified_at_zero(method: str | None) -> None:
    result = nn.verify(textbook(strict=True), method)
    assert result.status is Verdict.FALSIFIED
    assert result.counterexample is not None
    assert result.counterexample.inputs["v"][1] == 0
    assert result.counterexample.margin == 0


def zero(threshold: object) -> nn.Property:
    """relu(x) - relu(-x) - relu(x + 1) + 1 >= threshold on [-1, 1]: it is 0 everywhere, which no relaxation sees."""
    f = nn.sequential([([[1.0], [-1.0], [1.0]], [0.0, 0.0, 1.0]), ([[1.0, -1.0, -1.0]], [1.0])])
    x = nn.Variable(1, name="x")
    return nn.forall(x, where=nn.box(x, -1, 1), then=f(x)[0] >= threshold)


@pytest.mark.parametrize("solver", ["highs", "gurobi", "glpk", "pyomo:highs", "z3"])
def test_a_milp_margin_of_zero_is_settled_exactly(solver: str) -> None:
    """A tolerance solver cannot tell 0 from 1e-9; the exact re-check can."""
    result = nn.verify(zero(0), "bigm", solver=solver)
    assert result.status is Verdict.VERIFIED
    assert result.trust is Trust.EXACT
    tiny = Fraction(1, 10**12)
    assert nn.verify(zero(tiny), "bigm", solver=solver).status is Verdict.FALSIFIED
    assert nn.verify(zero(-tiny), "bigm", solver=solver).status is Verdict.VERIFIED


def test_an_exact_check_says_of_float_runs_what_it_decided() -> None:
    """2^54 x0 + x1 - 2^54 x2 at (1, 1, 1) in float64: 1 on reals, 0 in some orders of summation."""
    node = helper.make_node("MatMul", ["x", "W"], ["y"])
    weights = {"W": np.array([[2.0**54], [1.0], [-(2.0**54)]])}
    f = nn.load(model([node], {"x": (1, 3)}, constants=weights, elem=TensorProto.DOUBLE))
    x = nn.Variable((1, 3), name="x")
    p = nn.forall(x, where=nn.box(x, 1, 1), then=f(x)[0, 0] >= 0.75)
    for method in ("bigm", "smt", "balas"):
        result = nn.verify(p, method, semantics="deployed")
        assert (result.status, result.deployed) == (Verdict.FALSIFIED, Deployed.VIOLATED)
        assert incoherent(result) == []


def test_portfolio_stops_at_the_first_verdict() -> None:
    for threshold, status in ((1, Verdict.FALSIFIED), (-2, Verdict.VERIFIED), (-0.01, Verdict.VERIFIED)):
        result = nn.verify(zero(threshold))
        assert (result.status, result.method) == (status, "portfolio: bab")
    x = nn.Variable(1, name="x")
    unbounded = nn.verify(nn.forall(x, where=x[0] >= 0, then=nn.relu(x)[0] <= 1))  # a search would not end
    assert (unbounded.status, unbounded.method) == (Verdict.FALSIFIED, "portfolio: smt+z3")
    f = nn.zoo.random_mlp(1, widths=(2, 6, 2))
    y = nn.Variable(3, name="y")
    near = nn.box(y, [-1, -1, -0.01], [1, 1, 0.01])
    twice = nn.verify(nn.forall(y, where=near, then=f(y[:2])[0] - f(y[:2] + y[2])[0] <= 1))
    assert (twice.status, twice.method) == (Verdict.VERIFIED, "portfolio: crown")  # differences come first


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_smooth_networks_have_bounds_and_an_lp(activation: str) -> None:
    f = nn.sequential([([[1.0], [2.0]], [0.0, 0.5]), ([[1.0, -1.0]], [0.0])], activation=activation)
    x = nn.Variable(1, name="x")
    p = nn.forall(x, where=nn.box(x, -1, 1), then=f(x)[0] <= 1.5)
    assert nn.verify(p, "triangle").status is Verdict.VERIFIED
    assert nn.verify(p).status is Verdict.VERIFIED
    with pytest.raises(UnsupportedError, match=activation):
        nn.verify(p, "bigm", optimise=True)


def test_open_input_is_named() -> None:
    x = nn.Variable(2, name="speed")
    p = nn.forall(x, where=(x[0] >= 0) & (x[0] <= 1), then=x[0] + x[1] >= 0)
    for method in ("crown", "bigm"):
        with pytest.raises(MissingBoundsError, match=r"speed.*element 1"):
            nn.verify(p, method)
    assert nn.verify(p, "smt").status is Verdict.FALSIFIED


@pytest.mark.parametrize("method", ["bigm", "triangle", "smt", "crown"])
def test_empty_precondition_is_vacuous(method: str) -> None:
    """The box is not empty, but no point of it satisfies the linear precondition."""
    f = nn.sequential([([[1.0, 1.0], [1.0, -1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
    x = nn.Variable(2, name="x")
    p = nn.forall(x, where=nn.box(x, 0, 1) & (x[0] + x[1] >= 3), then=f(x)[0] >= 100)
    result = nn.verify(p, method)
    assert result.status is Verdict.VERIFIED
    if method != "smt":
        assert result.vacuous


@pytest.mark.parametrize("method", ["bigm", "smt"])
def test_timeout_holds_and_says_so(method: str) -> None:
    rng = np.random.default_rng(0)
    widths = [(40, 20), (40, 40), (1, 40)]
    f = nn.sequential([(rng.normal(size=shape), rng.normal(size=shape[0])) for shape in widths])
    x = nn.Variable(20, name="x")
    below = f.evaluate(rng.uniform(-1, 1, (5000, 20))).min() - 20
    p = nn.forall(x, where=nn.box(x, -1, 1), then=f(x)[0] >= below)
    begin = time.perf_counter()
    result = nn.verify(p, method, bounds="ibp", timeout=3)
    assert time.perf_counter() - begin < 3 + 2
    assert (result.status, result.reason) == (Verdict.UNKNOWN, "timeout")


def flipped(encoding: Encoding) -> Encoding:
    """The encoding with the sign of every relu row's right-hand side flipped: what a typo would do."""
    from nnsym.encoding import NodeRule

    def broken(rule: NodeRule) -> NodeRule:
        def run(ctx: object, node: object, ids: tuple[np.ndarray, ...]) -> np.ndarray:
            builder: ProgramBuilder = ctx.builder  # type: ignore[attr-defined]
            before = len(builder._rows)
            out = rule.rule(ctx, node, ids)  # type: ignore[arg-type]
            for k in range(before, len(builder._rows)):
                block: RowBlock = builder._rows[k]
                builder._rows[k] = replace(block, upper=-block.upper)
            return out

        return replace(rule, rule=run)

    return replace(encoding, name="flipped", rules=tuple(broken(r) for r in encoding.rules))


def test_disagreement_is_loud() -> None:
    """A wrong encoding next to a right one: the table says so and keeps the witness."""
    p = zero(0.5)
    table = nn.compare(p, ["bigm", flipped(find_encoding("bigm"))])
    wrong = table.rows[1].result
    assert table.rows[0].result is not None
    assert table.rows[0].result.status is Verdict.FALSIFIED
    if wrong is not None and wrong.status is Verdict.VERIFIED:
        assert table.disagreement is not None
        assert "DISAGREEMENT" in str(table)
    else:  # the nominal run contradicts "infeasible"
        assert wrong is None or wrong.status is not Verdict.VERIFIED


def test_disagreement_needs_a_verified_and_a_falsified_row() -> None:
    table = nn.compare(zero(0.5), ["bigm", "crown"])
    assert table.disagreement is None
    rows = (table.rows[0], replace(table.rows[1], result=nn.verify(zero(-2), "crown")))
    clash = replace(table, rows=rows)
    assert clash.disagreement == (rows[1], rows[0])
    assert "DISAGREEMENT" in str(clash)
    assert "DISAGREEMENT" in clash._repr_html_()


def test_compare_shows_the_same_everywhere(tmp_path: Path) -> None:
    table = nn.compare(zero(-0.25), ["ibp", "crown", "triangle", "bigm", "smt"], solvers=["highs", "z3"])
    text, html = str(table), table._repr_html_()
    for word in ("margin", "verified", "unsupported"):
        assert word in text
        assert word in html
    frame = table.to_frame()
    assert list(frame["method"]) == [row.method for row in table.rows]
    table.plot(tmp_path / "bars.svg")
    assert (tmp_path / "bars.svg").stat().st_size > 1000
    append_record(tmp_path / "runs.jsonl", table, table.rows[0])
    assert (tmp_path / "runs.jsonl").read_text().count("\n") == 1


def test_a_point_that_only_tolerances_allow_is_spurious_only_where_it_was_asked_again() -> None:
    """A solver's point that replay does not confirm, as a busy machine gave it (seed 950019): no time, and no fault."""
    x = nn.Variable(1)
    query = nn.forall(x, where=nn.box(x, 0, 1), then=nn.relu(x)[0] >= 0).query
    method, settings = nn.milp("bigm", solver="highs"), Settings()
    said = replace(method.judge(query, Clock(60.0), settings), status=Verdict.UNKNOWN, reason="spurious")
    assert settled(query, said, method, Clock(0.3), settings).reason == "timeout"
    assert settled(query, said, method, Clock(60.0), settings).status is Verdict.VERIFIED


def test_the_portfolio_asks_smt_where_bounds_are_missing() -> None:
    """A half-space, an alternative without bounds, and what nobody decides: never an input error."""
    x = nn.Variable(2)
    y = nn.zoo.random_mlp(2, widths=(2, 5, 2))(x)
    half = nn.verify(nn.forall(x, where=x[0] >= 1, then=nn.relu(x)[0] + nn.abs(x)[1] >= 1))
    assert (half.status, half.trust) == (Verdict.VERIFIED, Trust.EXACT)
    assert any("needs" in step.note or "bounds" in step.note for step in half.trail if step.name == "passed over")
    either = nn.forall(x, where=nn.box(x, -1, 0) | (x[0] - x[1] >= 7), then=y[0] >= y[1] - 1000)
    assert nn.verify(either).status is Verdict.FALSIFIED
    fails_far = nn.verify(nn.forall(x, where=x[0] <= 10**6, then=nn.relu(x)[0] <= 10**5))
    assert fails_far.status is Verdict.FALSIFIED
    smooth = nn.sequential([([[1.0, 2.0]], [0.0]), ([[1.0]], [0.0])], activation="sigmoid")
    nobody = nn.verify(nn.forall(x, then=smooth(x)[0] + x[0] - x[0] / 3 * 3 + x[1] >= x[1] - 1), timeout=20)
    assert nobody.status is not Verdict.FALSIFIED
    table = nn.compare(nn.forall(x, where=x[0] >= 1, then=nn.relu(x)[0] >= 1), ["bigm", "smt"])
    assert [row.result is None for row in table.rows] == [True, False]
