"""A tolerance solver's answer within rounding is asked once more, in rational arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nnsym.encode.registry import find_encoding
from nnsym.encoding import Form
from nnsym.ir.query import Query
from nnsym.judge.method import Settings
from nnsym.judge.programs.encoded import EncodedMethod
from nnsym.judge.programs.solving import judge_program
from nnsym.results.clock import Clock
from nnsym.results.result import Deployed, Result, Trust, Verdict
from nnsym.solvers.registry import find

#: A program with at most this many binaries is worth an exact re-check by SMT when its bound is within rounding.
_RECHECK_BINARIES = 40

#: Reasons for which it is asked again.
_RECHECKED = (
    "within_rounding",
    "reals_only",
    "floats_only",
    "spurious",
    "jump",
    "infeasible_unconfirmed",
    "solver_refuted",
    "beyond_float",
    "solver_error",
)


def settled(query: Query, result: Result, method: EncodedMethod, clock: Clock, settings: Settings) -> Result:
    """Ask the exact SMT encoding where a tolerance solver's answer lies within rounding, or was refuted."""
    if (
        result.reason not in _RECHECKED
        or method.encoding.form is Form.BOOLEAN
        or result.sizes.binary > _RECHECK_BINARIES
    ):
        return result
    if method.encoding.relaxed or not find("z3").availability().available:
        return result
    if not method.exact:
        return result
    if clock.left < 0.5:
        return _late(result)
    clock.note("exact check", f"{result.reason}: the SMT encoding decides in rational arithmetic")
    rational = replace(method, encoding=find_encoding("smt"), solver="z3", optimise=False)
    exact = judge_program(query, rational, clock, replace(settings, relaxation=False))
    if exact.status is Verdict.UNKNOWN:
        told = _late(result) if exact.reason == "timeout" else result
        return replace(told, trail=tuple(clock.trail))
    return replace(
        result,
        status=exact.status,
        reason=exact.reason + " (exact re-check)",
        trust=exact.trust,
        vacuous=exact.vacuous,
        deployed=result.deployed if exact.deployed is Deployed.OPEN else exact.deployed,
        float_error=exact.float_error,
        counterexample=exact.counterexample,
        witness=exact.witness,
        seconds=exact.seconds,
        trail=tuple(clock.trail),
        **_met(result, exact),
    )


def _late(result: Result) -> Result:
    """No time to ask again: a solver's tolerance may be all that a point which replay does not confirm rests on."""
    return replace(result, reason="timeout") if result.reason == "spurious" else result


def _met(solved: Result, exact: Result) -> dict[str, Any]:
    """The narrower interval, on evidence that :func:`nnsym.judge.verdict.beside` would take beside the verdict."""
    shown = exact.counterexample is not None or exact.witness is not None
    taken = [Trust.EXACT, Trust.CERTIFIED]
    if exact.trust is Trust.ASSUMED:
        taken.append(Trust.ASSUMED)
    if solved.goal == "optimise" and shown:
        taken.append(Trust.SOLVER)
    low, high = (exact.lower, exact.lower_trust), (exact.upper, exact.upper_trust)
    if solved.lower_trust in taken and low[0] < solved.lower <= high[0]:
        low = solved.lower, solved.lower_trust
    if solved.upper_trust in taken and low[0] <= solved.upper < high[0]:
        high = solved.upper, solved.upper_trust
    return {"lower": low[0], "lower_trust": low[1], "upper": high[0], "upper_trust": high[1]}
