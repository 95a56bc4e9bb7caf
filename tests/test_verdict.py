"""The verdict is a pure function: every rule and every refusal, line by line."""

import inspect
import re
from fractions import Fraction
from pathlib import Path

import pytest

from nnsym.encoding import Exactness
from nnsym.judge import verdict as rules
from nnsym.judge.verdict import Facts, rule, tight
from nnsym.replay import Outcome
from nnsym.results.result import Trust, Verdict
from nnsym.solvers.base import Status

INF = float("inf")


@pytest.mark.parametrize(
    ("facts", "verdict", "trust"),
    [
        (Facts(strict=False, replay=Outcome.CONFIRMED), Verdict.FALSIFIED, Trust.EXACT),
        (Facts(strict=False, status=Status.UNSAT, exact_solver=True), Verdict.VERIFIED, Trust.EXACT),
        (Facts(strict=False, certified=1e-9), Verdict.VERIFIED, Trust.CERTIFIED),
        (Facts(strict=True, certified=0.0), Verdict.VERIFIED, Trust.CERTIFIED),
        (Facts(strict=True, exact_bound=Fraction(0)), Verdict.VERIFIED, Trust.EXACT),
        (Facts(strict=False, exact_bound=Fraction(1, 10**40)), Verdict.VERIFIED, Trust.EXACT),
        (Facts(strict=False, status=Status.OPTIMAL, bound=0.1, tau=1e-6), Verdict.VERIFIED, Trust.SOLVER),
        (Facts(strict=False, status=Status.TIME_LIMIT, bound=0.1, tau=1e-6), Verdict.VERIFIED, Trust.SOLVER),
        (Facts(strict=False, status=Status.OPTIMAL, bound=0.1, assumed=True), Verdict.VERIFIED, Trust.ASSUMED),
        (
            Facts(strict=False, status=Status.OPTIMAL, bound=2e-6, attained=1.5e-6, tau=1e-6),
            Verdict.VERIFIED,
            Trust.SOLVER,
        ),
    ],
)
def test_supported(facts: Facts, verdict: Verdict, trust: Trust) -> None:
    ruling = rule(facts)
    assert (ruling.verdict, ruling.trust) == (verdict, trust)
    assert not ruling.vacuous


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        # A margin of exactly 0 does not refute a violation s <= 0.
        (Facts(strict=False, certified=0.0), "within_rounding"),
        (Facts(strict=False, exact_bound=Fraction(0)), "solver_unknown"),
        # A solver's bound inside its tolerance proves nothing, whatever its status.
        (Facts(strict=True, status=Status.OPTIMAL, bound=1e-7, tau=1e-6), "within_rounding"),
        (
            Facts(strict=True, status=Status.OPTIMAL, bound=-1e-9, tau=1e-6, exactness=Exactness.EXACT),
            "within_rounding",
        ),
        # Unsat from a tolerance solver is not a proof; neither is an infeasible that the nominal run contradicts.
        (Facts(strict=True, status=Status.UNSAT), "inconclusive"),
        (Facts(strict=True, status=Status.INFEASIBLE), "infeasible_unconfirmed"),
        # A bound is only believed together with a status that says what it bounds.
        (Facts(strict=True, status=Status.UNKNOWN, bound=5.0), "solver_unknown"),
        (Facts(strict=True, status=Status.ERROR, bound=5.0), "solver_error"),
        (Facts(strict=True, status=Status.LICENSE, bound=5.0), "licence"),
        # Where float64 cannot resolve the rows, nothing that a float solver says counts.
        (Facts(strict=True, status=Status.OPTIMAL, bound=5.0, resolved=False), "beyond_float"),
        (Facts(strict=True, status=Status.INFEASIBLE, nominal=True, resolved=False), "infeasible_unconfirmed"),
        # An infinite solver bound is no bound.
        (Facts(strict=True, status=Status.OPTIMAL, bound=INF), "inconclusive"),
        (Facts(strict=True, status=Status.OPTIMAL, bound=INF, attained=1.0), "inconclusive"),
        # A bound above a margin that was evaluated is refuted, even where that margin is positive.
        (Facts(strict=True, status=Status.OPTIMAL, bound=1.5e-6, attained=0.9e-6, tau=1e-6), "within_rounding"),
        (Facts(strict=True, status=Status.OPTIMAL, bound=2e-6, attained=1e-9, tau=1e-6), "solver_refuted"),
        # Exactly the tolerance is inside of it.
        (Facts(strict=True, status=Status.OPTIMAL, bound=1e-6, tau=1e-6), "within_rounding"),
        (Facts(strict=True, status=Status.OPTIMAL, bound=-1e-6, tau=1e-6), "within_rounding"),
        (Facts(strict=True, status=Status.OPTIMAL, bound=1.0, attained=0.5, tau=1e-6), "solver_refuted"),
        (Facts(strict=True, status=Status.SAT, exact_solver=True, replay=Outcome.BOUNDARY), "floats_only"),
        (
            Facts(strict=True, status=Status.OPTIMAL, bound=-1.0, replay=Outcome.SPURIOUS, exactness=Exactness.EXACT),
            "spurious",
        ),
        (Facts(strict=True, status=Status.OPTIMAL, bound=-1.0, replay=Outcome.SPURIOUS), "inconclusive"),
        # An exact encoding of what encloses all float runs has points that are none.
        (
            Facts(strict=True, status=Status.SAT, replay=Outcome.SPURIOUS, exactness=Exactness.EXACT, deployed=True),
            "inconclusive",
        ),
        # What intervals cannot tell from a tie is nobody's fault, and hides no limit.
        (Facts(strict=True, status=Status.OPTIMAL, bound=-1.0, replay=Outcome.UNDECIDED), "within_rounding"),
        (Facts(strict=True, status=Status.TIME_LIMIT, bound=-1.0, replay=Outcome.UNDECIDED), "timeout"),
        (Facts(strict=True, status=Status.TIME_LIMIT, bound=-1.0), "timeout"),
        (Facts(strict=True, status=Status.MEMORY_LIMIT), "memory"),
    ],
)
def test_unsupported_is_unknown(facts: Facts, reason: str) -> None:
    ruling = rule(facts)
    assert (ruling.verdict, ruling.reason, ruling.trust) == (Verdict.UNKNOWN, reason, None)


@pytest.mark.parametrize(
    "facts",
    [
        Facts(strict=False, empty=True),
        Facts(strict=False, certified=INF),
        Facts(strict=False, status=Status.INFEASIBLE, nominal=True),
        Facts(strict=False, status=Status.INFEASIBLE, conclusive_empty=True),
    ],
)
def test_empty_precondition_is_loud(facts: Facts) -> None:
    ruling = rule(facts)
    assert ruling.verdict is Verdict.VERIFIED
    assert ruling.vacuous


def test_what_is_within_the_tolerance_refutes_nothing() -> None:
    assert not Facts(strict=True, status=Status.OPTIMAL, bound=2.0, attained=1.5, tau=0.5).refuted
    assert Facts(strict=True, status=Status.OPTIMAL, bound=2.0, attained=1.25, tau=0.5).refuted
    assert not Facts(strict=True, status=Status.OPTIMAL, bound=2.0**20, attained=2.0**20 - 1).refuted  # 1e-6 of it
    assert not Facts(strict=True, status=Status.INFEASIBLE, bound=INF, attained=1.0).refuted


def test_tight_looks_only_at_believable_bounds() -> None:
    assert tight(Facts(strict=True, certified=-1e-12))
    assert tight(Facts(strict=True, certified=-1e-6))
    assert tight(Facts(strict=False, certified=1e-6))
    assert not tight(Facts(strict=True, certified=-1e-3))
    assert not tight(Facts(strict=True, certified=-1.0, status=Status.UNKNOWN, bound=0.0))
    assert tight(Facts(strict=True, certified=-1.0, status=Status.OPTIMAL, bound=0.0))


def test_every_reason_stands_on_the_page_that_lists_them() -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "numerics.md").read_text()
    reasons = {*rules._GAVE_UP.values(), *re.findall(r'"([a-z_]+)"', inspect.getsource(rules._why_not))}
    assert len(reasons) > 15
    assert not [reason for reason in sorted(reasons) if f"`unknown ({reason})`" not in page]
    assert not [trust for trust in Trust if f", `{trust.value}` |" not in page]
