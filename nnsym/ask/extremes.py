"""``minimize`` and ``maximize``: a certified interval round the optimum of a term.

A term is a query whose soft row is that term, so everything that judges properties bounds it: bounds and LPs by duals,
MILPs by the solver's dual bound, SMT by bisection, each step of which is decided in rationals. The other side is
always the term's value at a point where the network was run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from nnsym.ask.options import require_options
from nnsym.ask.proved import with_certificates
from nnsym.ask.verify import as_meant
from nnsym.encoding import Encoding
from nnsym.ir.functions.smoothed import refuse_smoothed
from nnsym.ir.query import Query
from nnsym.judge.least import Least
from nnsym.judge.method import Method, Settings
from nnsym.judge.methods import FIRST, BoundsChoice
from nnsym.judge.registry import MethodChoice, resolve
from nnsym.judge.verdict import facts_about, floor
from nnsym.lang.algebra.terms import as_term
from nnsym.lang.statements.objective import objective
from nnsym.results import ranges as options
from nnsym.results.clock import Clock
from nnsym.results.optimum import Optimum
from nnsym.results.result import Semantics, Trust
from nnsym.results.versions import versions
from nnsym.solvers.base import Progress, Solver


def minimize(
    term: object,
    method: MethodChoice | None = None,
    *,
    where: object = None,
    encoding: str | Encoding | None = None,
    solver: str | Solver | None = None,
    bounds: BoundsChoice = "crown",
    precision: float = 1e-6,
    timeout: float = 60.0,
    memory: int = 8 * 2**30,
    semantics: str | Semantics = Semantics.REAL,
    threads: int = 1,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
    clock: Clock | None = None,
    certificate: bool = False,
) -> Optimum:
    """The least value of a term where ``where`` holds, as an interval: ``lower <= min term <= upper``.

    Args:
        term: one number of the language, over any variables; all of them range over ``where``.
        method: as for :func:`nnsym.ask.verify.verify`. With none, sampling and bounds; if they leave a gap a MILP; SMT
            where an input has no bounds or a solver's point was lost.
        where: a formula, or an iterable of formulas that all hold. Strict inequalities are closed for ``lower``.
        encoding: the same, for an encoding.
        solver: a lane; each encoding has a default.
        bounds: what feeds the encoding.
        precision: stop once ``upper - lower`` is at most this, times ``|upper|`` beyond 1.
        timeout: wall seconds for everything.
        memory: bytes the solver's process may use.
        semantics: the function whose values are meant, ``real`` or ``deployed`` (:func:`nnsym.ask.verify.verify`).
        threads: threads of the solver.
        seed: seed of sampling and of the solver.
        device: where bounds are computed.
        progress: called with (lower bound, best value) as a solver improves them.
        clock: a budget that has been running already.
        certificate: also give a certificate of each side, in what is left of the time; the sides are then what these
            prove, a little further out (:attr:`Optimum.lower_certificate`, :attr:`Optimum.uncertified`).

    Raises:
        MissingBoundsError: the method that was named needs bounds of an input that ``where`` leaves open.
        InputError, UnsupportedError, SolverUnavailableError: as for ``verify``.
    """
    timeout, precision = options.seconds(timeout), options.precision(precision)
    chosen = resolve(method, encoding=encoding, solver=solver, bounds=bounds, optimise=True)
    settings = Settings(memory=memory, threads=threads, seed=seed, device=device, progress=progress)
    running = clock if clock is not None else Clock(timeout)
    asked = objective(term, where)
    refuse_smoothed(asked, "minimize")
    query, trouble = as_meant(asked, semantics, running, settings)
    found = _optimum(query, FIRST if trouble else chosen, running, settings, precision)
    return with_certificates(found, term, where, running) if certificate else found


def maximize(term: object, method: MethodChoice | None = None, **options: Any) -> Optimum:
    """The greatest value of a term, ``lower <= max term <= upper``: :func:`minimize` of its negative.

    ``upper`` is the proved side, ``lower`` the value at :attr:`Optimum.point`. The options are those of ``minimize``.
    """
    require_options("maximize", options, minimize)
    least = minimize(-as_term(term), method, **options)
    point = least.point and replace(least.point, margin=0.0 - least.point.margin)  # never -0.0
    return replace(
        least,
        goal="maximum",
        lower=0.0 - least.upper,
        upper=0.0 - least.lower,
        lower_trust=least.upper_trust,
        upper_trust=least.lower_trust,
        lower_certificate=least.upper_certificate,
        upper_certificate=least.lower_certificate,
        point=point,
    )


def _optimum(query: Query, method: Method, clock: Clock, settings: Settings, precision: float) -> Optimum:
    if query.empty_box:
        found = Least(floor=floor(replace(facts_about(query), empty=True)))
    elif not clock.left:
        found = Least()
    else:
        found = method.optimum(query, clock, settings, precision)
    proved, empty = found.floor, found.floor.empty
    value = np.inf if empty else found.value
    return Optimum(
        goal="minimum",
        query=query.runs or query,
        semantics=Semantics.REAL if query.runs is None else Semantics.DEPLOYED,
        lower=min(proved.bound, value),  # a solver's own bound may be off by its tolerance
        upper=value,
        lower_trust=proved.trust,
        upper_trust=proved.trust if empty else None if found.point is None else Trust.EXACT,
        tau=proved.tau,
        point=None if empty else found.point,
        empty=empty,
        method=found.by or method.name,
        encoding=method.encoded,
        solver=method.lane,
        bounds=method.bounds,
        sizes=found.sizes,
        seconds={**clock.seconds, "total": clock.elapsed},
        trail=tuple(clock.trail),
        versions=versions(method.lane or None),
    )
