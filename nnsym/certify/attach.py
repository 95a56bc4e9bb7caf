"""A result with its certificate, or with the reason why it has none."""

from __future__ import annotations

from dataclasses import replace

from nnsym.certify.emit import UncertifiedError, certified_sat, certified_unsat
from nnsym.ir.node import Affine, Input
from nnsym.ir.query import Query, Reading
from nnsym.ir.words import count_of
from nnsym.replay.engine import stored_nodes
from nnsym.replay.points import gaps_in
from nnsym.results.certificate import Certificate, Lack
from nnsym.results.clock import Clock
from nnsym.results.result import Result, Semantics, Trust, Verdict


def with_certificate(query: Query, result: Result, clock: Clock) -> Result:
    """The result of a query as it was asked, with a certificate of its verdict that the checker accepted.

    Its trust is then ``checked``. What is left of the clock is the time for it.
    """
    with clock.step("certificate") as notes:
        try:
            made = _certificate(query, result, clock)
            size = f"{count_of(made.leaves, 'leaf', 'leaves')}, {len(made.data)} bytes"
            notes.append(f"{made.claim}: {size}, accepted by {made.checked_by}")
            changed = {"certificate": made, "trust": Trust.CHECKED}
        except UncertifiedError as error:
            notes.append(f"none: {error}")
            changed = {"uncertified": str(error)}
    seconds = {**result.seconds, "certificate": clock.seconds.get("certificate", 0.0), "total": clock.elapsed}
    return replace(result, **changed, seconds=seconds, trail=tuple(clock.trail))  # type: ignore[arg-type]


def _certificate(query: Query, result: Result, clock: Clock) -> Certificate:
    if result.status is Verdict.UNKNOWN:
        raise UncertifiedError(Lack.NO_VERDICT, "the answer is unknown")
    found = result.counterexample if result.falsified else result.witness
    sought = result.verified if query.reading is Reading.EXISTS else result.falsified
    deployed = result.semantics is Semantics.DEPLOYED
    if sought:
        if deployed:
            raise UncertifiedError(Lack.NOT_COVERED, "a run of the stored model that violates: run it")
        assert found is not None
        return certified_sat(query, found.inputs, clock.deadline())
    return certified_unsat(query, clock.deadline(), semantics=_dtype(query) if deployed else "real")


def _dtype(query: Query) -> str:
    """The type of floats that all networks of a query compute in; runs read numbers of it, and round no others."""
    found = {a.network.dtype for a in query.applications if a.network.model is not None}
    if len(found) != 1 or not found <= {"float32", "float64"}:
        raise UncertifiedError(Lack.NOT_COVERED, f"runs in {', '.join(sorted(found)) or 'no type of floats'}")
    (dtype,) = found
    if any(gaps_in(box, dtype).any() for box in query.boxes.values()):
        raise UncertifiedError(Lack.NOT_COVERED, f"runs that round what they read: a box holds no {dtype}")
    known = stored_nodes(query)
    arguments = [node for a in query.applications if a.network.model is not None for node in a.arguments]
    if not all(isinstance(node, Input | Affine) or node in known for node in arguments):  # sums are charged
        raise UncertifiedError(Lack.NOT_COVERED, "runs that round what they read: values of the property's functions")
    return dtype
