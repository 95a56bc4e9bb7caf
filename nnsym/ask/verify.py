"""``verify``: one property, one verdict."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nnsym.bounds.methods import compute, find_source
from nnsym.deployed.enclose import enclose
from nnsym.deployed.statement import is_stored
from nnsym.encoding import Encoding
from nnsym.errors import InputError
from nnsym.ir.array import unmasked
from nnsym.ir.functions.smoothed import refuse_smoothed, smoothed_nodes
from nnsym.ir.order import before_softmax
from nnsym.ir.query import Query, Reading
from nnsym.judge.conclude import Established, conclude
from nnsym.judge.method import Method, Settings
from nnsym.judge.methods import FIRST, BoundsChoice
from nnsym.judge.premise import with_premise
from nnsym.judge.registry import MethodChoice, resolve
from nnsym.judge.run import BOUNDS_SHARE
from nnsym.judge.verdict import facts_about
from nnsym.lang.question import HasQuery, query_of
from nnsym.results import ranges as options
from nnsym.results.clock import Clock, OutOfTime
from nnsym.results.files import path_of
from nnsym.results.result import Result, Semantics, Verdict
from nnsym.results.saved import check_writable
from nnsym.search.record.progress import Snapshot
from nnsym.solvers.base import Progress, Solver

#: Verdicts at INFO, the steps of the trail at DEBUG (docs/reports.md, "Logs").
_LOG = logging.getLogger("nnsym")


def verify(
    prop: HasQuery | Query,
    method: MethodChoice | None = None,
    *,
    encoding: str | Encoding | None = None,
    solver: str | Solver | None = None,
    bounds: BoundsChoice = "crown",
    timeout: float = 60.0,
    memory: int = 8 * 2**30,
    optimise: bool = False,
    relaxation: bool = False,
    shortcut: bool = True,
    slack: object = 0,
    semantics: str | Semantics = Semantics.REAL,
    threads: int = 1,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
    watch: Callable[[Snapshot], None] | None = None,
    clock: Clock | None = None,
    certificate: bool | str | Path = False,
) -> Result:
    """Verify a property by one method, or by a short portfolio if none is named.

    Args:
        prop: a property (``nn.forall``, ``nn.exists``, ``nn.load_vnnlib``) or its query.
        method: bounds such as ``"crown"``, ``"attack"``, ``"bab"``, an encoding, or a value like ``nn.milp("bigm")``.
        encoding: the same, for an encoding.
        solver: a lane (``nnsym solvers`` lists them); each encoding has a default.
        bounds: what feeds the encoding, a name such as ``"crown"`` (``nnsym methods`` lists them) or a source.
        timeout: wall seconds for everything: bounds, encoding, solving, replay.
        memory: bytes the solver's process may use.
        optimise: ask for the margin itself instead of its sign.
        relaxation: also report the bound of the program without integrality.
        shortcut: stop before encoding where the bounds decide.
        slack: judge the property with every comparison of its conclusion relaxed by this; the result says so.
        semantics: ``real``: the verdict speaks of the real function of the stored constants; ``deployed``: of every run
            of a stored network in its own dtype, in any order of summation.
        threads: threads of the solver.
        seed: seed of sampling and of the solver.
        device: where bounds are computed.
        progress: called with (lower bound, best value) as a solver improves them.
        watch: called with where a search stands, after every batch.
        clock: a budget that has been running already (time spent on loading counts).
        certificate: also give a certificate of the verdict, in what is left of the time, and write it to the file that
            is named here; nothing is written that the checker (:mod:`nnsym.check`) has not accepted. A disk that is
            full by then loses no result: the log and the trail say so, ``Result.certificate.save`` writes it elsewhere.

    Returns:
        A :class:`nnsym.results.result.Result`; ``verified`` and ``falsified`` are never guesses (docs/numerics.md).

    Raises:
        InputError, UnsupportedError, SolverUnavailableError: before or instead of a verdict.
        MissingBoundsError: the method that was named needs bounds of an input; with none, SMT is asked.
    """
    query = _asked(prop, slack, certificate)
    running = clock if clock is not None else Clock(options.seconds(timeout))
    chosen = resolve(method, encoding=encoding, solver=solver, bounds=bounds, optimise=optimise)
    chosen.accept(query)
    settings = Settings(
        memory=memory,
        threads=threads,
        seed=seed,
        relaxation=relaxation,
        shortcut=shortcut,
        device=device,
        progress=progress,
        watch=watch,
    )
    result = _judged(query, chosen, semantics, running, settings)
    return result if certificate is False else _certified(query, result, running, certificate)


def _asked(prop: HasQuery | Query, slack: object, certificate: bool | str | Path) -> Query:
    """The query with its slack, once a verdict, and a certificate of it where one is wanted, can be given."""
    query = query_of(prop)
    if query.reading is Reading.MINIMUM:
        raise InputError(
            "a term to minimise is neither true nor false", where=query.name, remedy="Use nn.minimize, or state a bound"
        )
    if certificate is not False:
        refuse_smoothed(query, "certificate")
    if not isinstance(certificate, bool):  # what is no path is told before the work
        check_writable(path_of(certificate))
    return query.relaxed(slack) if unmasked(slack, "slack") else query


def _certified(query: Query, result: Result, running: Clock, certificate: bool | str | Path) -> Result:
    """The result with its certificate, which is written where a file was named; where that fails the result says so."""
    from nnsym.certify.attach import with_certificate  # start: few ask for certificates

    result = with_certificate(query, result, running)
    if result.certificate is not None and not isinstance(certificate, bool):
        try:
            result.certificate.save(certificate)
        except InputError as error:
            said = f"not written, result.certificate.save(path) writes it elsewhere: {error}"
            running.note("certificate", said)
            _LOG.warning("%s: its certificate was %s", query.name, said)
            return replace(result, trail=tuple(running.trail))
    return result


def _judged(query: Query, chosen: Method, semantics: str | Semantics, running: Clock, settings: Settings) -> Result:
    """The verdict of one method, said in the log."""
    result = _verdict(query, chosen, semantics, running, settings)
    _LOG.info("%s: %s by %s (%s)", query.name, result.status.value, result.method, result.reason)
    return result


def _verdict(query: Query, chosen: Method, semantics: str | Semantics, running: Clock, settings: Settings) -> Result:
    """The verdict of one method on the function that is meant."""
    if query.empty_box:
        return conclude(query, chosen, Established(facts=replace(facts_about(query), empty=True)), running)
    if query.settled:
        found = conclude(query, chosen, Established(facts=facts_about(query)), running)
        return with_premise(query, found, chosen, running, settings)
    if smoothed_nodes(query):
        return judged_by_samples(query, chosen, semantics, running, settings)
    query, trouble = as_meant(query, semantics, running, settings)
    if trouble:
        return unenclosed(query, chosen, trouble, running, settings)
    query = before_softmax(query)
    if query.stated is not None:
        running.note(
            "softmax", "its values are compared by its arguments, which are in the same order; margins are theirs"
        )
    return with_premise(query, chosen.judge(query, running, settings), chosen, running, settings)


def judged_by_samples(
    query: Query, method: Method, semantics: str | Semantics, clock: Clock, settings: Settings
) -> Result:
    """The verdict on a smoothed classifier of the real function, whose runs are counted."""
    if semantics != Semantics.REAL:
        refuse_smoothed(query, "semantics")
    return with_premise(query, method.judge(query, clock, settings), method, clock, settings)


def as_meant(query: Query, semantics: str | Semantics, clock: Clock, settings: Settings) -> tuple[Query, str]:
    """The query of the function that is meant, and why nothing encloses its float runs: ``overflow`` or ``timeout``.

    Raises :class:`InputError` for a word that names no semantics.
    """
    try:
        wanted = Semantics(semantics)
    except ValueError:
        known = ", ".join(s.value for s in Semantics)
        raise InputError(f"no semantics '{semantics}'", remedy=f"Use one of: {known}") from None
    if wanted is Semantics.REAL or not is_stored(query):
        return query, ""
    with clock.step("rounding errors") as notes:
        within = find_source("crown").until(clock.deadline(BOUNDS_SHARE), memory=settings.memory)
        try:
            bounds = compute(query, within, device=settings.device)
            enclosed = enclose(query, bounds, deadline=clock.deadline())
        except OutOfTime:
            notes.append("no time to bound them")
            return replace(query, runs=query), "timeout"
        if enclosed.overflow:
            notes.append(f"{enclosed.overflow} may leave the range of the stored numbers: nothing encloses its runs")
            return replace(query, runs=query), "overflow"
        largest = max((float(e.max()) for e in enclosed.errors.values()), default=0.0)
        notes.append(f"at most {largest:.3g} in a layer")
    return enclosed.query, ""


def unenclosed(query: Query, method: Method, trouble: str, clock: Clock, settings: Settings) -> Result:
    """Where nothing encloses the float runs no method proves anything of them; one may still violate the property."""
    found = FIRST.judge(query, clock, settings)
    reason = found.reason if found.status is not Verdict.UNKNOWN else trouble
    return replace(found, method=method.name, reason=reason, trail=tuple(clock.trail))
