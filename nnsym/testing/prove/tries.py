"""Numbers that deny a claim, looked for in several ways in turn, each with a limit in steps of Z3 that grows by rounds.

Which way is quick is not known beforehand: a part of the facts may do, products may have to be multiplied out, or
must not be. So each gets a few steps, then each five times as many, and so on. A proof costs at most a constant factor
more than by the way that is best for it, whatever it is about. Steps are Z3's own count (its ``rlimit``) and not time,
so that a proof does not hang on what else the machine does; time only ends the whole.
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
_FIRST, _MORE = 50_000, 5

#: Rounds end here, since Z3 counts in 32 bits; that many steps take days.
_MOST = 10**9

#: What Z3 gives as its reason where it was stopped, and did not give up by itself.
_STOPPED = "limit", "canceled", "timeout"


@final
@dataclass(frozen=True, eq=False)
class _Way:
    """Formulas of which the denial's numbers are a model, and a solver for them.

    ``whole`` is true if any model denies the claim; ``share`` is its part of the steps, smaller where a step takes
    longer; ``dear`` ones are left out of the first round, since they take longer than it whatever the limit.
    """

    formulas: Callable[[], list[Any]]
    solver: Callable[[], Any]
    whole: bool = False
    share: float = 1.0
    dear: bool = False

    def ask(self, steps: int, seconds: float) -> tuple[Any, Any]:
        """Z3's answer and its model; the answer is None if steps or seconds ran out."""
        solver = self.solver()
        solver.set("rlimit", int(self.share * steps))
        solver.set("timeout", max(1, int(1000 * seconds)))
        solver.add(*self.formulas())
        answer = solver.check()
        if answer == z3.unknown and any(some in solver.reason_unknown() for some in _STOPPED):
            return None, None
        return answer, solver.model() if answer == z3.sat else None


def find_model(world: World, denial: Any, seconds: float) -> Any:
    """Numbers of a path that deny a claim; False if there are none, None if that is not known."""
    ends = time.process_time() + seconds
    ways, steps = _ways(world, denial), _FIRST
    while ways and steps < _MOST:
        for way in [w for w in ways if steps > _FIRST or not w.dear]:
            left = ends - time.process_time()
            if left <= 0:
                return None
            answer, model = way.ask(steps, left)
            if answer == z3.unsat:
                return False
            if answer == z3.sat and way.whole:
                return model
            if answer is not None:  # it has no more to say, with more steps neither
                ways.remove(way)
        steps *= _MORE
    return None


def _ways(world: World, denial: Any) -> list[_Way]:
    """From few facts to all: facts about other numbers than those of the claim may be all that makes it hard."""

    @cache
    def near() -> list[Any]:
        return [*_about(world, world.unknowns(denial)), denial]

    @cache
    def origins() -> list[Any]:
        known = [fact for fact in world.facts if z3.is_eq(fact) and z3.is_real(fact.arg(0))]
        return [*_about(world, _ancestors(world, z3.And(denial, *known))), denial]

    @cache
    def everything() -> list[Any]:
        return [*world.facts, denial]

    @cache
    def multiplied() -> list[Any]:
        return linearised(everything(), world.margins)

    solver = z3.SimpleSolver if world.integers else _polynomials
    return [
        _Way(everything, z3.Solver, whole=True, dear=True),
        _Way(near, solver),
        _Way(origins, solver),
        *([_Way(multiplied, _linear, dear=True)] if world.margins else []),
        _Way(everything, solver, whole=True),
        _Way(everything, z3.SimpleSolver, whole=True, share=0.1),
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


def _linear() -> Any:
    """Linear arithmetic alone, each product of unknowns an unknown of its own: a model of it shows nothing."""
    solver = z3.SimpleSolver()
    solver.set("arith.nl", False)
    return solver
