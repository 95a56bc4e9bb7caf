"""What is said of the stored dtype, against runs of the stored models in ONNX Runtime.

A property that is said to hold of every float run has to hold of these, one order of summation each. The property's own
terms, and networks from arrays, are evaluated in rationals on what the models gave.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from nnsym.results.result import Deployed, Result, Semantics, Verdict
from tests.fuzz.cells import Cell, Point, Values
from tests.fuzz.draws import Draw
from tests.fuzz.graphs import session
from tests.fuzz.meaning import Scope, truth
from tests.fuzz.nets import Net
from tests.fuzz.oracle import Case, Truth, sampled, scope
from tests.fuzz.terms import Applied, Var, applied_of, nets_of


@dataclass(frozen=True, eq=False)
class Runs(Scope):
    """A scope whose stored networks are run."""

    def outputs(self, of: Applied) -> list[Values]:
        found = self.known.get(of)
        if isinstance(found, list) or not of.net.stored:
            return super().outputs(of)
        assert isinstance(of.argument, Var)
        ran = executed(of.net, self.at[of.argument])
        self.known[of] = ran
        return ran


def executed(net: Net, values: list[Values]) -> list[Values]:
    """The outputs of a stored network at a point of its dtype; raises ``OverflowError`` or ``ValueError`` beyond it."""
    given = np.array([[float(v[0]) for v in values]], dtype=net.stored)
    (found,) = session(net.model()).run(None, {"x": given})
    return [(Fraction(float(v)),) for v in found.ravel()]


def can_run(case: Case) -> bool:
    """Whether some network is stored, and each stored one reads a whole variable."""
    of = applied_of(case.then, *case.where)
    stored = [a for a in of if a.net.stored]
    return bool(stored) and all(isinstance(a.argument, Var) for a in stored)


def decisive_runs(case: Case, truth_: Truth, draw: Draw) -> list[Point]:
    """Points of the models' dtype at which a run violates the property (of ``exists``: satisfies it)."""
    kind = "float32" if any(n.stored == "float32" for n in nets_of(case.then, *case.where)) else "float64"
    near = [point for point, _ in truth_.points] + [c.middle for c in sampled(case.variables, draw, 30)]
    found = []
    for point in dict.fromkeys(_cast(p, kind) for p in near):
        try:
            if _hit(case, point):
                found.append(point)
        except (OverflowError, ValueError):  # the run left the numbers
            continue
    return found


def _cast(point: Point, kind: str) -> Point:
    return tuple(Fraction(float(np.dtype(kind).type(float(v)))) for v in point)


def _hit(case: Case, point: Point) -> bool:
    plain = scope(case.variables, Cell((point,)))
    here = Runs(plain.at, 1)
    return truth(case.premise, here) and truth(case.then, here) == (case.reading == "exists")


def deployed_faults(case: Case, runs: list[Point], result: Result) -> list[str]:
    """What is wrong with what a result says of float runs, given points at which runs decide the other way."""
    excluded = Deployed.HOLDS if case.reading == "forall" else Deployed.VIOLATED
    verdict = Verdict.VERIFIED if case.reading == "forall" else Verdict.FALSIFIED
    spoken = result.semantics is Semantics.DEPLOYED and result.status is verdict
    if runs and (spoken or result.deployed is excluded):
        at = ", ".join(repr(float(v)) for v in runs[0])
        return [f"every float run is said to be {excluded.value}, but ONNX Runtime at ({at}) shows otherwise"]
    return []
