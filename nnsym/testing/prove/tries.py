"""Numbers that deny a claim, looked for in several ways in turn, each with a limit in steps of Z3 that grows by rounds.

Which way is quick is not known beforehand: linear arithmetic may do, a part of the facts, or products multiplied out.
So each gets some steps, then several times as many, and so on. Steps are Z3's own count (its ``rlimit``) and not time,
so that a proof does not hang on what else the machine does; time only ends the whole. The facts that excluded a denial
are kept: on another path that has them too nothing is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, final

import z3

from nnsym.testing.prove.products import linearised
from nnsym.testing.prove.world import World

#: Steps of the first round, and how many times as many the next one has.
_FIRST, _MORE = 20_000, 5

#: Rounds end here, since Z3 counts in 32 bits; that many steps take days.
_MOST = 10**9

#: What Z3 gives as its reason where it was stopped, and did not give up by itself.
_STOPPED = "limit", "canceled", "timeout"


@final
@dataclass(frozen=True, eq=False)
class _Way:
    """Facts with which a denial is tried, and a solver for both.

    ``whole`` is true if any model denies the claim; ``share`` is its part of the steps, smaller where a step takes
    longer; ``rounds`` are how many it leaves out at first, because it takes long whatever the limit. ``instead`` are
    formulas that follow from the facts and the denial, where not these are asked.
    """

    facts: Callable[[], list[Any]]
    solver: Callable[[], Any]
    whole: bool = False
    share: float = 1.0
    rounds: int = 0
    instead: Callable[[], list[Any]] | None = None

    def ask(self, denial: Any, steps: int, seconds: float) -> tuple[Any, Any]:
        """Z3's answer, and its model or the facts that exclude one; the answer is None if steps or seconds ran out."""
        solver, facts = self.solver(), self.facts()
        solver.set("rlimit", int(self.share * steps))
        solver.set("timeout", max(1, int(1000 * seconds)))
        if self.solver is linear and self.instead is None:
            return _by_core(solver, facts, denial)
        solver.add(*(self.instead() if self.instead else [*facts, denial]))
        answer = solver.check()
        if answer == z3.unknown and any(some in solver.reason_unknown() for some in _STOPPED):
            return None, None
        return answer, solver.model() if answer == z3.sat else facts


def _by_core(solver: Any, facts: list[Any], denial: Any) -> tuple[Any, Any]:
    """The answer of linear arithmetic, and only those facts that it took: fewer facts hold on more paths."""
    marks = {f"fact {k}": fact for k, fact in enumerate(facts)}
    for mark, fact in marks.items():
        solver.assert_and_track(fact, mark)
    solver.add(denial)
    answer = solver.check()
    if answer != z3.unsat:
        return None if answer == z3.unknown else answer, None
    return answer, [marks[str(mark)] for mark in solver.unsat_core()]


def find_model(world: World, denial: Any, seconds: float) -> Any:
    """Numbers of a path that deny a claim; False if there are none, None if that is not known."""
    if world.excludes(denial):
        return False
    ends = time.process_time() + seconds
    ways, steps, turn = _ways(world, denial), _FIRST, 0
    while ways and steps < _MOST:
        for way in [w for w in ways if w.rounds <= turn]:
            left = ends - time.process_time()
            if left <= 0:
                return None
            answer, found = way.ask(denial, steps, left)
            if answer == z3.unsat:
                world.exclude(denial, found)
                return False
            if answer == z3.sat and way.whole:
                return found
            if answer is not None:  # it has no more to say, with more steps neither
                ways.remove(way)
        steps, turn = steps * _MORE, turn + 1
    return None


def _ways(world: World, denial: Any) -> list[_Way]:
    """From few facts to all: facts about other numbers than those of the claim may be all that makes it hard."""

    @cache
    def everything() -> list[Any]:
        return list(world.facts)

    @cache
    def near() -> list[Any]:
        return _about(world, world.unknowns(denial))

    @cache
    def origins() -> list[Any]:
        known = [fact for fact in world.facts if z3.is_eq(fact) and z3.is_real(fact.arg(0))]
        return _about(world, _ancestors(world, z3.And(denial, *known)))

    @cache
    def multiplied() -> list[Any]:
        return linearised([*world.facts, denial], world.margins)

    solver = z3.SimpleSolver if world.integers else _polynomials
    slips = bool(world.unit is not None and world.margins and not world.powers)  # of lines: many products
    early = {"rounds": 1, "share": 5.0} if slips else {"rounds": 2}
    multiplications = [_Way(everything, linear, instead=multiplied, **early)] if world.margins else []
    return [
        _Way(near, solver),
        _Way(everything, linear, share=0.1 if slips else 0.3),
        _Way(origins, solver, share=2.5 if slips else 1.0),
        *multiplications,
        *([] if slips else [_Way(everything, linear, rounds=1)]),
        _Way(everything, solver, whole=True, share=0.5, rounds=1),
        _Way(everything, z3.SimpleSolver, whole=True, share=0.2, rounds=1),
        _Way(origins, z3.SimpleSolver, share=0.2, rounds=1),
        _Way(everything, z3.Solver, whole=True, share=0.2, rounds=2),
    ]


def _about(world: World, spoken: frozenset[int]) -> list[Any]:
    """The facts that speak of no other numbers."""
    return [fact for fact in world.facts if world.unknowns(fact) <= spoken]


def _ancestors(world: World, formula: Any) -> frozenset[int]:
    """The numbers that a formula speaks of, those that they were made of, and so on."""
    found, left = set[int](), set(world.unknowns(formula))
    while left:
        some = left.pop()
        found.add(some)
        for fact in world.made.get(some, ()):
            left |= world.unknowns(fact) - found
    return frozenset(found)


def _polynomials() -> Any:
    """Cylindrical algebraic decomposition, on real numbers; unlike Z3's portfolio it ends with its steps."""
    return z3.Tactic("qfnra-nlsat").solver()


def linear() -> Any:
    """Linear arithmetic alone, each product of unknowns an unknown of its own: a model of it shows nothing."""
    solver = z3.SimpleSolver()
    solver.set("arith.nl", False)
    return solver
