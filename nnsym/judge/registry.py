"""Methods by name: sources of bounds, the attack, encodings, and those of the entry points ``nnsym.methods``.

An entry point names a module with ``METHODS``, a tuple of :class:`nnsym.judge.method.Method`. A package that cannot be
used is left out, and said to be wherever a method is not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from nnsym.bounds.sources import Source, Told
from nnsym.encode.registry import (
    Provider,
    apart,
    collect,
    cuts,
    encoding_providers,
    encodings,
    find_cut,
    find_encoding,
    listed,
    providers,
)
from nnsym.encoding import Encoding
from nnsym.errors import InputError, did_you_mean
from nnsym.ir.words import kind_of
from nnsym.judge.bab import SearchMethod
from nnsym.judge.method import Method
from nnsym.judge.methods import AttackMethod, BoundMethod, BoundsChoice, check_bounds
from nnsym.judge.portfolio import Portfolio, Usual
from nnsym.relaxation.sources import source_providers, sources
from nnsym.search.strategy import Strategy
from nnsym.solvers.base import Solver

GROUP = "nnsym.methods"

MethodChoice = str | Method | Encoding | Source


@cache
def methods() -> Mapping[str, Method]:
    """The methods of other packages by name.

    Raises:
        InputError: a name is that of another method, encoding or source of bounds.
    """
    offered = {p.name: p.items["METHODS"] for p in method_providers()}
    found = collect(offered, what="method")
    if found:
        apart(found, {"an encoding": encodings(), "bounds": sources()}, what="method")
    return found


@cache
def method_providers() -> tuple[Provider, ...]:
    """Who offers methods; those that cannot be used have an ``error``."""
    return providers(GROUP, {"METHODS": Method})


def is_bounds(name: object) -> bool:
    """True for the text of a source of bounds, whether or not its parameters are well formed."""
    return isinstance(name, Told) or (isinstance(name, str) and re.split("[:+]", name)[0] in sources())


def judges_alone(name: object) -> bool:
    """True for the name of a method that pairs no encoding with a solver."""
    return (
        is_bounds(name)
        or is_search(name)
        or (isinstance(name, str) and (name in ("attack", "sampling") or name in methods()))
    )


def is_search(name: object) -> bool:
    """True for the text of a search, whether or not its parameters are well formed."""
    return isinstance(name, str) and name.partition(":")[0] == "bab"


def resolve(
    method: MethodChoice | None = None,
    *,
    encoding: str | Encoding | None = None,
    solver: str | Solver | None = None,
    bounds: BoundsChoice = "crown",
    optimise: bool = False,
) -> Method:
    """A method from names: a source of bounds or any encoding, as ``verify`` and the command line take them."""
    if isinstance(method, Method):
        return method
    if method is not None and encoding is not None:
        raise InputError("both a method and an encoding were given", remedy="Give one of them")
    chosen = method if method is not None else encoding
    if isinstance(chosen, (list, tuple)):
        remedy = "Ask them in turn, nn.portfolio([...]), or side by side, nn.compare(p, [...])"
        raise InputError(f"one method is asked at a time, not {kind_of(chosen)}", remedy=remedy)
    bounds = check_bounds(bounds)
    if isinstance(chosen, Source):
        chosen = check_bounds(chosen)
    if chosen is None or (isinstance(chosen, str) and chosen == "portfolio"):
        if solver is None:
            return Usual(bounds=bounds)
        chosen = _taken_by(solver)
    elif isinstance(chosen, str):
        if method is not None:
            check_method(chosen)
        if judges_alone(chosen):
            if solver is not None:
                raise InputError(f"'{chosen}' judges by itself and takes no solver", remedy="Drop the solver")
            return _alone(chosen)
    from nnsym.judge.programs.methods import program  # start: a verdict by search runs none

    return program(chosen, solver=solver, bounds=bounds, optimise=optimise)


def _taken_by(solver: str | Solver) -> str:
    """The encoding that a solver is asked with where none is named."""
    from nnsym.solvers.registry import find  # start: a verdict by search asks no solver

    return "smt" if find(solver).exact else "bigm"


def _alone(name: str) -> Method:
    """The method of a name that pairs no encoding with a solver."""
    if name == "attack":
        return AttackMethod()
    if name == "sampling":
        from nnsym.judge.sampling import sampling  # start: few ask about smoothed classifiers

        return sampling()
    if is_search(name):
        return SearchMethod(strategy=Strategy.of(name))
    return BoundMethod(source=check_bounds(name)) if is_bounds(name) else methods()[name]


def portfolio(members: Iterable[MethodChoice], *, bounds: BoundsChoice = "crown") -> Portfolio:
    """Methods in turn, as one: each is asked what those before it left open, the first that decides ends it.

    Args:
        members: methods, encodings or sources of bounds, by name or as objects, the quick ones first.
        bounds: what feeds those that are named and need bounds.

    Raises:
        InputError: no members, or a name that nobody has.
        UnsupportedError, SolverUnavailableError: an encoding that no solver at hand takes.
    """
    found = tuple(resolve(member, bounds=bounds) for member in members)
    if not found:
        raise InputError("a portfolio without members", remedy="Name some, such as attack, crown and bigm")
    return Portfolio(members=found)


def recorded(method: Method, log: Path, *, goes_on: bool) -> Method:
    """The method with its search recorded in ``log``; with ``goes_on`` the file has to be there already."""
    if not isinstance(method, (SearchMethod, Usual)):
        raise InputError("keeps no record of a search", where=f"method '{method.name}'", remedy="Name none, or bab")
    if goes_on and not log.is_file():
        raise InputError("no such file", where=str(log), remedy="Begin a record with --log")
    return replace(method, log=log)


def check_method(name: str) -> None:
    """Raise for a name that is neither a source of bounds, nor the attack, nor an installed encoding (with cuts)."""
    if judges_alone(name):
        return
    if name.partition("+")[0] not in encodings():
        if "," in name:
            raise InputError(f"'{name}' names several methods", remedy='Give one, or a list: ["crown", "bigm"]')
        parties = (*encoding_providers(), *source_providers(), *method_providers())
        names = (*sources(), "attack", "bab", "sampling", "portfolio", *methods(), *encodings())
        meant = _part(name) or did_you_mean(name.partition("+")[0].partition(":")[0], (*names, *cuts()))
        known = listed(("nnsym methods lists all",) if meant else names, parties)
        remedy = f"{meant}{known}" if meant else f"Known methods: {known}"
        raise InputError(f"unknown method '{name}'", remedy=remedy)
    find_encoding(name)


def _part(name: str) -> str:
    """How a name that is only part of a method is given: cuts of an encoding, the solver of a program."""
    from nnsym.solvers.registry import lanes  # start: a name that is known asks nothing

    if name in lanes():
        return f"It is a solver: ask {_taken_by(name)} with it as the solver. "
    try:
        find_cut(name.partition("+")[0])
    except InputError:
        return ""
    return f"It names cuts: add them to an encoding, as in triangle+{name}. "
