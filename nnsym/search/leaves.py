"""Who is asked about parts that have few open neurons left: an encoding of the part, and a solver, by name.

Bounds relax every open neuron by itself, so a part with a few dozen of them may take thousands of splits where one
linear program, or one with a binary for each, ends it. The part keeps the ranges that the search has of it: they are
what the encoding is fed with. A solver is not asked for a point but for a proof; its points are replayed like any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

from nnsym.encode.registry import find_encoding
from nnsym.errors import InputError
from nnsym.results.result import Trust


@final
@dataclass(frozen=True, kw_only=True)
class LeafSolver:
    """An ``encoding`` (with cuts: ``triangle+tj``) on a ``solver`` for parts with at most ``few`` open neurons.

    ``trust`` is the weakest that closes a part, ``seconds`` what one part may take.
    """

    text: str
    encoding: str
    solver: str
    few: int
    trust: Trust
    seconds: float = 10.0
    summary: str = ""
    paper: str = ""


#: Leaf solvers by name.
LEAVES: Mapping[str, LeafSolver] = {
    found.text: found
    for found in (
        LeafSolver(
            text="lp",
            encoding="triangle",
            solver="highs",
            few=60,
            trust=Trust.CERTIFIED,
            summary="a linear program closes parts with few open neurons, by its duals",
            paper="Ehlers 2017 (Planet), Bunel et al. 2018",
        ),
        LeafSolver(
            text="milp",
            encoding="bigm",
            solver="highs",
            few=30,
            trust=Trust.SOLVER,
            summary="a mixed-integer program on the part's ranges decides it, on the solver's word",
            paper="Tjeng et al. 2019",
        ),
        LeafSolver(
            text="smt",
            encoding="smt",
            solver="z3",
            few=8,
            trust=Trust.EXACT,
            seconds=20.0,
            summary="rational arithmetic decides parts with few open neurons",
            paper="Katz et al. 2017",
        ),
    )
}


def leaf_solver(text: str) -> LeafSolver:
    """The leaf solver of a name; ``lp+tj`` has cuts in its program.

    Raises:
        InputError: nobody has the name, or there are no such cuts.
        UnsupportedError: the encoding has nothing that could be cut.
    """
    name, plus, cuts = text.partition("+")
    if name not in LEAVES:
        raise InputError(f"no leaf '{name}'", remedy=f"Use one of: {', '.join(LEAVES)}")
    if not plus:
        return LEAVES[name]
    found = replace(LEAVES[name], text=text, encoding=f"{LEAVES[name].encoding}+{cuts}")
    find_encoding(found.encoding)
    return found
