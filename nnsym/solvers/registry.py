"""The lanes by name, what each needs, and which encodings fit which.

Besides our own there are those of the entry points ``nnsym.solvers``, which name a module with ``SOLVERS``, a tuple of
:class:`nnsym.solvers.base.Solver`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, final

from nnsym.encode.needs import needs
from nnsym.encode.registry import Provider, collect, listed, providers
from nnsym.encoding import Encoding
from nnsym.errors import InputError, SolverUnavailableError, UnsupportedError, did_you_mean
from nnsym.ir.query import Query
from nnsym.ir.words import kind_of
from nnsym.program import Feature, Program
from nnsym.solvers.base import Answer, Availability, Solver, Status
from nnsym.solvers.command import PREFIX, Command
from nnsym.solvers.cvc5 import Cvc5
from nnsym.solvers.glpk import Glpk
from nnsym.solvers.gurobi import LICENCE, Gurobi
from nnsym.solvers.highs import REMEDY, SINCE, Highs
from nnsym.solvers.outer import taking
from nnsym.solvers.pyomo.lane import PyomoLane
from nnsym.solvers.pyomo.stock import Cbc, Scip
from nnsym.solvers.z3 import Z3


class Emitter(Protocol):
    """An encoding, as far as fitting it to a lane goes."""

    @property
    def name(self) -> str: ...

    @property
    def emits(self) -> frozenset[Feature]: ...


GROUP = "nnsym.solvers"


@functools.cache
def solver_providers() -> tuple[Provider, ...]:
    """Who offers further lanes; those that cannot be used have an ``error``."""
    return providers(GROUP, {"SOLVERS": Solver})


@functools.cache
def lanes() -> Mapping[str, Solver]:
    """All lanes by name, installed or not, our own first.

    Raises:
        InputError: two providers offer the same name.
    """
    return collect({"nnsym.solvers": _own()} | {p.name: p.items["SOLVERS"] for p in solver_providers()}, what="solver")


def _own() -> tuple[Solver, ...]:
    return (
        Highs(),
        Gurobi(),
        Z3(),
        Cvc5(),
        Glpk(),
        PyomoLane(solver="highs", distribution="highspy", extra=REMEDY, licence="MIT", since=SINCE),
        PyomoLane(solver="gurobi", distribution="gurobipy", extra="pip install 'nnsym[gurobi]'", licence=LICENCE),
        Cbc(),
        Scip(),
    )


@final
class Handed(str):
    """The name of a lane that was handed over as an object; :func:`find` gives that object back."""

    lane: Solver

    @staticmethod
    def of(solver: str | Solver) -> str:
        """The name that stands for a solver wherever one is told; a name is itself."""
        if isinstance(solver, str) or not isinstance(solver, Solver):
            return solver  # whatever else it is, ``find`` says so
        named = Handed(solver.name)
        named.lane = solver
        return named


def find(name: str | Solver) -> Solver:
    """The lane of a name, or of ``smtlib:COMMAND``, or the lane itself; InputError with the known ones otherwise."""
    if isinstance(name, Handed):
        return name.lane
    if not isinstance(name, str) and isinstance(name, Solver):
        return name
    if not isinstance(name, str):
        what = f"a solver is a name or an object with the parts of nnsym.solvers.base.Solver, not {kind_of(name)}"
        raise InputError(what, remedy=_known())
    lane = Command(command=name.removeprefix(PREFIX)) if name.startswith(PREFIX) else lanes().get(name)
    if lane is None:
        raise InputError(f"unknown solver '{name}'", remedy=f"{did_you_mean(name, lanes())}{_known()}")
    return lane


def _known() -> str:
    here = ", ".join(available()) or "none"
    return f"Known: {listed((*lanes(), 'smtlib:COMMAND'), solver_providers())}; installed here: {here}"


def available() -> list[str]:
    """Names of the lanes that can run here."""
    return [name for name, lane in lanes().items() if lane.availability().available]


@final
@dataclass(frozen=True, kw_only=True)
class SolverRow:
    """One line of ``nnsym solvers``."""

    name: str
    availability: Availability
    accepts: frozenset[Feature]
    exact: bool


def solver_table() -> list[SolverRow]:
    """What ``nnsym solvers`` shows, without importing any solver."""
    return [
        SolverRow(name=lane.name, availability=lane.availability(), accepts=lane.accepts, exact=lane.exact)
        for lane in lanes().values()
    ]


def fitting(features: frozenset[Feature]) -> list[str]:
    """Names of the lanes at hand that take these blocks; of all lanes where none is at hand."""
    known = [name for name, lane in lanes().items() if features <= taking(lane, features).accepts]
    return [name for name in known if lanes()[name].availability().available] or known


def naming_others(answer: Answer, program: Program) -> Answer:
    """A licence's refusal with the lanes named that take the program and are at hand; any other answer as it is."""
    if answer.status is not Status.LICENSE:
        return answer
    vendor = answer.solver.removeprefix("pyomo:")
    others = [name for name in fitting(program.features) if vendor not in name]
    return replace(answer, message=f"{answer.message}. Lanes that fit: {', '.join(others) or 'none'}")


def check_query(query: Query, encoding: Encoding, lane: str) -> None:
    """Find out before any work whether a lane takes what this query needs (:func:`nnsym.encode.needs.needs`).

    Raises:
        UnsupportedError: it does not; the message names the place and the lanes that fit.
    """
    needed, solver = needs(query, encoding), taking(find(lane), frozenset({Feature.QUADRATIC}))
    for feature, where in needed.items():
        if feature not in solver.accepts:
            fits = fitting(encoding.emits | needed.keys())
            raise UnsupportedError(
                f"solver '{lane}' does not take {feature.value}",
                where=where,
                remedy=f"Solvers that fit '{encoding.name}' here: {', '.join(fits) or 'none'}; "
                "the encoding 'triangle' and bounds (crown) relax products for every solver",
            )


def check_fits(encoding: Emitter, lane: str) -> None:
    """Find a mismatch before any work.

    Raises:
        UnsupportedError: the lane does not take what the encoding emits; the lanes that do are named.
        SolverUnavailableError: the lane is not installed, or too old; the message says how to get it.
    """
    solver = find(lane)
    missing = encoding.emits - solver.accepts
    if missing:
        what = ", ".join(sorted(feature.value for feature in missing))
        raise UnsupportedError(
            f"solver '{lane}' does not take {what}",
            where=f"encoding '{encoding.name}'",
            remedy=f"Solvers that fit '{encoding.name}': {', '.join(fitting(encoding.emits)) or 'none'}",
        )
    here = solver.availability()
    if not here.available:
        raise SolverUnavailableError(
            f"version {here.version} is too old" if here.version else "is not installed",
            where=f"solver '{lane}'",
            remedy=f"Get it: {here.remedy}. At hand: {', '.join(fitting(encoding.emits))}",
        )
