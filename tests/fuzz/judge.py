"""Is an answer of nnsym's right? Against the exact truth, and against its own counterexample in rationals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from nnsym.errors import NnsymError
from nnsym.results.result import Deployed, Result, Semantics, Trust, Verdict
from tests.fuzz.cells import Point
from tests.fuzz.oracle import Case, Truth, holds_at

#: Reasons of ``unknown`` that docs/numerics.md asks to report, or that no well-formed question should end in.
ODD = ("spurious", "internal")

#: What rests on no solver's word.
_SURE = (Trust.EXACT, Trust.CERTIFIED)

#: What bounds on a solver's word may be off by, relative to the margin beyond 1.
_SOLVER = Fraction(2, 10**6)


@dataclass(frozen=True)
class Outcome:
    """What one run came to: a status or ``refused`` or ``crash``, and the faults that were seen."""

    status: str
    note: str = ""
    wrong: tuple[str, ...] = ()
    crash: str = ""
    odd: str = ""


def attempt(ask: Callable[[], Result], look: Callable[[Result], list[str]]) -> Outcome:
    """Run, and judge the answer; refusals are an answer, other exceptions are crashes."""
    try:
        result = ask()
    except NnsymError as error:
        asked = str(error) if "report" in str(error) or not error.remedy else ""
        return Outcome("refused", str(error), odd=asked)
    except Exception as error:
        return Outcome("crash", crash=f"{type(error).__name__}: {error}")
    odd = f"unknown ({result.reason})" if result.status is Verdict.UNKNOWN and result.reason in ODD else ""
    status = str(result.status.value)
    return Outcome(status, result.reason, (*look(result), *incoherent(result)), odd=odd)


def incoherent(result: Result) -> list[str]:
    """Where a result says two things of one function."""
    said = {Verdict.VERIFIED: Deployed.HOLDS, Verdict.FALSIFIED: Deployed.VIOLATED}.get(result.status)
    if result.semantics is not Semantics.DEPLOYED or said in (None, result.deployed):
        return []
    return [f"{result.status.value} of the deployed function, of which it says '{result.deployed.value}'"]


def faults(case: Case, truth: Truth, result: Result, *, proved: bool) -> list[str]:
    """What is wrong with a result; ``proved`` says that no float solver's own bound can be part of its interval."""
    found: list[str] = []
    holds = truth.holds(case.reading)
    said = result.status
    if said is not Verdict.UNKNOWN and holds is not None and holds != (said is Verdict.VERIFIED):
        at = "" if truth.decisive is None else f", by the exact point {shown(truth.decisive)}"
        found.append(f"{said.value} is wrong{at}")
    if result.vacuous and not truth.empty:
        found.append(
            f"vacuous, but {shown(truth.points[0][0])} satisfies the precondition" if truth.points else "vacuous"
        )
    witness = result.counterexample or result.witness
    if witness is not None:
        applies, concluded = holds_at(case, point_of(case, witness.inputs))
        if not applies or concluded != (case.reading == "exists"):
            part = "conclusion" if applies else "precondition"
            found.append(f"the point {shown(point_of(case, witness.inputs))} does not show it: see the {part}")
    found += _bounds(case, truth, result, proved=proved)
    return found


def _bounds(case: Case, truth: Truth, result: Result, *, proved: bool) -> list[str]:
    """``lower <= margin`` (of ``exists``: ``margin <= upper``) at every point of the precondition."""
    exists = case.reading == "exists"
    bound = result.upper if exists else result.lower
    if not truth.points or bound == (np.inf if exists else -np.inf):
        return []
    side = -1 if exists else 1
    point, least = min(truth.points, key=lambda pair: side * pair[1])
    least = side * least
    if bound in (np.inf, -np.inf):
        return [f"a margin of {bound} where {shown(point)} satisfies the precondition"]
    room = (
        Fraction(0)
        if proved or result.bound_trust in _SURE or least == float("inf")
        else _SOLVER * max(1, abs(Fraction(least)))
    )
    if side * Fraction(bound) > least + room:
        name = "upper" if exists else "lower"
        return [f"{name} = {bound!r}, but the margin is {float(side * least)!r} at {shown(point)}"]
    return []


def point_of(case: Case, inputs: Any) -> Point:
    """The coordinates of a witness, exactly."""
    return tuple(Fraction(v) for var in case.variables for v in np.asarray(inputs[var.name]).ravel().tolist())


def shown(point: Point) -> str:
    """A point, short where it is."""
    return "(" + ", ".join(str(v) if len(str(v)) < 24 else repr(float(v)) for v in point) + ")"
