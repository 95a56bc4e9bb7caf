"""Paths of a computation on symbolic numbers: every comparison is answered both ways, one run of the code for each.

A :class:`World` holds what is known on one path (facts, Z3 formulas over reals) and answers comparisons: as its script
says, then as the facts imply, else with yes, and the run that says no is left for later. :func:`paths` runs code until
none is left. So code runs unmodified, with ordinary Booleans, and all its runs together cover all numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import z3

Result = TypeVar("Result")

#: Z3 gets this many milliseconds to see that a comparison has one answer only; it is run both ways if it does not.
_DECIDE = 200


class NotModelledError(Exception):
    """The code does something with a symbolic number that the model of floats does not know."""


class ImpossibleError(Exception):
    """No numbers lead to this path."""


class World:
    """One path: its facts, and the answers that led here."""

    def __init__(self, script: tuple[bool, ...] = ()) -> None:
        self.facts: list[Any] = []
        self.others: list[tuple[bool, ...]] = []
        self._script, self._answers = script, list[bool]()
        self._known: dict[int, tuple[Any, bool]] = {}
        self._names = 0
        self._solver = z3.Solver()
        self._solver.set("timeout", _DECIDE)
        self._model: Any = None  # of all facts, where one is known

    def fresh(self, name: str) -> Any:
        """A new real."""
        self._names += 1
        return z3.Real(f"{name}!{self._names}")

    def assume(self, *facts: Any) -> None:
        """Facts that hold from here on."""
        self._model = None
        self.facts += facts
        self._solver.add(*facts)

    def decide(self, condition: Any) -> bool:
        """Whether a condition holds on this path."""
        condition = z3.simplify(condition)
        if z3.is_true(condition) or z3.is_false(condition):
            return bool(z3.is_true(condition))
        if condition.get_id() not in self._known:
            answer = self._answer(condition)
            self._answers.append(answer)
            model = self._model
            self.assume(condition if answer else z3.Not(condition))
            self._model = model
            self._known[condition.get_id()] = condition, answer  # the condition too: ids of the dead are used again
        return self._known[condition.get_id()][1]

    def _answer(self, condition: Any) -> bool:
        place = len(self._answers)
        if place < len(self._script):
            return self._script[place]
        if self._model is None:
            self._model = self._found()
        known = self._model and self._model.eval(condition, model_completion=True)
        if not known or not (z3.is_true(known) or z3.is_false(known)):
            return self._ask(condition)
        other = z3.Not(condition) if z3.is_true(known) else condition
        if self._solver.check(other) == z3.unsat:
            return bool(z3.is_true(known))
        self.others.append((*self._answers, not z3.is_true(known)))
        return bool(z3.is_true(known))

    def _ask(self, condition: Any) -> bool:
        yes, no = (self._solver.check(side) != z3.unsat for side in (condition, z3.Not(condition)))
        if not yes and not no:
            raise ImpossibleError
        if yes and no:
            self.others.append((*self._answers, False))
        return yes

    def _found(self) -> Any:
        """Numbers for all facts, None if Z3 finds none in time."""
        answer = self._solver.check()
        if answer == z3.unsat:
            raise ImpossibleError
        return self._solver.model() if answer == z3.sat else None


def paths(run: Callable[[World], Result]) -> Iterator[tuple[World, Result]]:
    """What ``run`` makes on every path."""
    scripts: list[tuple[bool, ...]] = [()]
    while scripts:
        world = World(scripts.pop())
        try:
            result = run(world)
        except ImpossibleError:
            continue
        finally:
            scripts += world.others
        yield world, result
