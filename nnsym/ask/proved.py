"""Both sides of an optimum with certificates: a theorem below the bound, a point for the value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnsym.certify.emit import UncertifiedError, certified_sat, certified_unsat
from nnsym.ir.query import Query, Reading
from nnsym.lang.algebra.terms import as_term
from nnsym.lang.statements.objective import objective
from nnsym.results.certificate import Certificate, Lack
from nnsym.results.clock import Clock
from nnsym.results.optimum import Optimum
from nnsym.results.result import Semantics, Trust

#: How far below the bound a theorem is tried, as a share of it beyond 1: proofs are rounded too.
_ROOMS = 2.0**-20, 2.0**-13

#: How far above the value at the point: it is a float, the checker's is exact.
_ROUNDED = 2.0**-48


def with_certificates(found: Optimum, term: object, where: object, clock: Clock) -> Optimum:
    """A minimum whose sides are what accepted certificates prove, as far as there are any, in what is left of the time.

    ``lower`` is moved down to a number that no point of ``where`` has a value at or below; ``upper`` up to one that the
    value at the point does not exceed.
    """
    with clock.step("certificate") as notes:
        reasons = []
        for side in (_bound, _value):
            try:
                found = side(found, term, where, clock)
            except UncertifiedError as error:
                reasons.append(f"the {side.__name__[1:]}: {error}")
        sides = (found.lower_certificate, found.upper_certificate)
        notes.extend(f"{made.claim}: {len(made.data)} bytes, accepted by {made.checked_by}" for made in sides if made)
        notes.extend(f"none of {reason}" for reason in reasons)
    seconds = {**found.seconds, "certificate": clock.seconds.get("certificate", 0.0), "total": clock.elapsed}
    return replace(found, uncertified=tuple(reasons), seconds=seconds, trail=tuple(clock.trail))


def _reached(term: object, level: float, where: object) -> Query:
    """The search for a point of ``where`` at which the term is at most ``level``."""
    return replace(objective(as_term(term) - level, where), reading=Reading.FORALL)


def _bound(found: Optimum, term: object, where: object, clock: Clock) -> Optimum:
    if found.semantics is Semantics.DEPLOYED or not np.isfinite(found.lower):
        raise UncertifiedError(Lack.NOT_COVERED, "runs of the stored model, and infinite bounds")
    deadline = clock.deadline()
    made: Certificate | None = None
    reason = UncertifiedError(Lack.NOT_PROVED, "no bound was tried")
    for room in _ROOMS:
        level = float(np.nextafter(found.lower - room * max(1.0, abs(found.lower)), -np.inf))
        try:
            made = certified_unsat(_reached(term, level, where), deadline)
            return replace(found, lower=level, lower_trust=Trust.CHECKED, lower_certificate=made)
        except UncertifiedError as error:
            reason = error
    raise reason


def _value(found: Optimum, term: object, where: object, clock: Clock) -> Optimum:
    if found.semantics is Semantics.DEPLOYED or found.point is None or not np.isfinite(found.upper):
        raise UncertifiedError(Lack.NOT_AT_HAND, "a point of real arithmetic")
    level = float(np.nextafter(found.upper + _ROUNDED * max(1.0, abs(found.upper)), np.inf))
    made = certified_sat(_reached(term, level, where), found.point.inputs, clock.deadline())
    return replace(found, upper=level, upper_trust=Trust.CHECKED, upper_certificate=made)
