"""Paths of a computation on symbolic numbers: every comparison is answered both ways, one run of the code for each.

A :class:`World` holds what is known on one path (facts, Z3 formulas over reals) and answers comparisons: as its script
says, then as the facts imply, else with yes, and the run that says no is left for later. :func:`paths` runs code until
none is left. So code runs unmodified, with ordinary Booleans, and all its runs together cover all numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, final

import z3

Result = TypeVar("Result")
Script = tuple[tuple[bool, bool], ...]  # answers to comparisons, and whether each was free to be another

#: Z3 gets this many steps to see that a comparison has one answer only; it is run both ways if it does not.
_DECIDE = 4_000


class NotModelledError(Exception):
    """The code does something with a symbolic number that the model of floats does not know."""


class ImpossibleError(Exception):
    """No numbers lead to this path."""


@final
class Memory:
    """What all paths share: terms, since building them is what a path would spend most of its time on, and proofs."""

    def __init__(self) -> None:
        self._made: dict[tuple[Any, ...], tuple[Any, tuple[Any, ...]]] = {}
        self._unknowns: dict[int, tuple[frozenset[int], Any]] = {}
        self._excluded: dict[int, tuple[Any, list[dict[int, Any]]]] = {}

    def of(self, make: Callable[..., Any], *terms: Any) -> Any:
        """``make(*terms)``, once for the same terms, none of which dies while it is remembered."""
        key = (make, *(t.get_id() for t in terms))
        if key not in self._made:
            self._made[key] = make(*terms), terms
        return self._made[key][0]

    def unknowns(self, term: Any) -> frozenset[int]:
        """The numbers that a term speaks of."""
        key = term.get_id()
        if key not in self._unknowns:
            children = term.children()
            found = frozenset[int]().union(*map(self.unknowns, children))
            if not children and z3.is_const(term) and term.decl().kind() == z3.Z3_OP_UNINTERPRETED:
                found = frozenset((key,))
            self._unknowns[key] = found, term
        return self._unknowns[key][0]

    def exclude(self, denial: Any, facts: Iterable[Any]) -> None:
        """Remember that facts exclude a denial."""
        self._excluded.setdefault(denial.get_id(), (denial, []))[1].append({fact.get_id(): fact for fact in facts})

    def excludes(self, denial: Any, facts: set[int]) -> bool:
        """Whether it is known that facts, by their numbers, exclude a denial."""
        _, found = self._excluded.get(denial.get_id(), (denial, []))
        return any(facts.issuperset(some) for some in found)


class World:
    """One path: its facts, and the answers that led here. ``unit`` is what plain float operations may be off by."""

    def __init__(self, script: Script = (), memory: Memory | None = None, *, unit: Any = None) -> None:
        self.unit = unit
        self.sharp = False  # that sums with 0 and quotients of equal numbers are exact is among the facts
        self.facts: list[Any] = []
        self.made: dict[int, tuple[Any, ...]] = {}  # the facts that a new unknown came with
        self.integers: dict[int, Any] = {}
        self.others: list[Script] = []
        self.margins: list[Any] = []  # what is at least 0 and useful to multiply facts with
        self.powers: dict[int, list[tuple[Any, Any]]] = {}  # numbers and their powers, by the exponent
        self.dots: list[tuple[Any, ...]] = []  # the exact products of every dot product that was rounded up
        self.thresholds: list[Any] = []  # of maxima
        self._memory = memory or Memory()
        self._script, self._answers = script, list[tuple[bool, bool]]()
        self._known: dict[int, bool] = {}
        self._stated: set[int] = set()
        self._solver = z3.SimpleSolver()
        self._solver.set("arith.nl", False)
        self._solver.set("rlimit", _DECIDE)
        self._model: Any = None  # of all facts, where one is known
        self._lost = False  # none was found, so that none is looked for again

    def result(self, facts: Callable[..., tuple[Any, ...]], *terms: Any) -> Any:
        """A real of which ``facts(real, *terms)`` are known; the same one for the same terms, as floats are."""
        return self._new(_Fresh(z3.FreshReal, facts), *terms)

    def integer(self, facts: Callable[..., tuple[Any, ...]], *terms: Any) -> Any:
        """The same of an integer, as a real term."""
        new = self._new(_Fresh(z3.FreshInt, facts), *terms)
        if new.get_id() not in self.integers:
            self.assume(*self.apart(new))
            self.integers[new.get_id()] = new
        return new

    def apart(self, integer: Any) -> list[Any]:
        """That it is each integer of the world or differs by 1 or more: Z3 does not find where to look by itself."""
        return [z3.Or(integer <= other - 1, integer == other, integer >= other + 1) for other in self.integers.values()]

    def _new(self, fresh: _Fresh, *terms: Any) -> Any:
        unknown, new, said = self._memory.of(fresh, *terms)
        if unknown.get_id() not in self._stated:
            self._stated.add(unknown.get_id())
            self.made[unknown.get_id()] = said
            self.assume(*said)
        return new

    def term(self, make: Callable[..., Any], *terms: Any) -> Any:
        """``make(*terms)``."""
        return self._memory.of(make, *terms)

    def unknowns(self, term: Any) -> frozenset[int]:
        """The numbers that a term speaks of."""
        return self._memory.unknowns(term)

    def exclude(self, denial: Any, facts: Iterable[Any]) -> None:
        """Remember, on other paths too, that these facts exclude a denial."""
        self._memory.exclude(denial, facts)

    def excludes(self, denial: Any) -> bool:
        """Whether it is known that facts of this path exclude a denial."""
        return self._memory.excludes(denial, {fact.get_id() for fact in self.facts})

    def assume(self, *facts: Any) -> None:
        """Facts that hold from here on."""
        if facts:
            self._model = None
            self.facts += facts
            self._solver.add(*facts)

    def decide(self, test: Callable[..., Any], *terms: Any) -> bool:
        """Whether a condition ``test(*terms)`` holds on this path."""
        condition = self._memory.of(_Simple(test), *terms)
        if z3.is_true(condition) or z3.is_false(condition):
            return bool(z3.is_true(condition))
        key = condition.get_id()
        if key not in self._known:
            place = len(self._answers)
            answer, free = self._script[place] if place < len(self._script) else self._answer(condition)
            self._answers.append((answer, free))
            if free:
                model = self._model
                self.assume(condition if answer else z3.Not(condition))
                self._model = model  # is one of the side that was taken
            self._known[key] = answer
        return self._known[key]

    def _answer(self, condition: Any) -> tuple[bool, bool]:
        """The answer, and whether facts allow the other one too, which is then left for later."""
        if self._model is None and not self._lost:
            self._model = self._found()
            self._lost = self._model is None
        known = self._model and self._model.eval(condition, model_completion=True)
        if known is not None and (z3.is_true(known) or z3.is_false(known)):
            answer = bool(z3.is_true(known))
            free = self._possible(z3.Not(condition) if answer else condition)
        else:
            answer = self._possible(condition)
            free = answer and self._possible(z3.Not(condition))
        if free:
            self.others.append((*self._answers, (not answer, True)))
        return answer, free

    def _possible(self, condition: Any) -> bool:
        return bool(self._solver.check(condition) != z3.unsat)

    def _found(self) -> Any:
        """Numbers for all facts, None if Z3 finds none in time."""
        answer = self._solver.check()
        if answer == z3.unsat:
            raise ImpossibleError
        return self._solver.model() if answer == z3.sat else None


@dataclass(frozen=True)
class _Simple:
    """A condition, simplified."""

    test: Callable[..., Any]

    def __call__(self, *terms: Any) -> Any:
        return z3.simplify(self.test(*terms))


@dataclass(frozen=True)
class _Fresh:
    """A new unknown, the real term that it is, and the facts about it."""

    make: Callable[[], Any]
    facts: Callable[..., tuple[Any, ...]]

    def __call__(self, *terms: Any) -> tuple[Any, Any, tuple[Any, ...]]:
        unknown = self.make()
        new = z3.ToReal(unknown) if unknown.is_int() else unknown
        return unknown, new, self.facts(new, *terms)


def paths(run: Callable[[World], Result], *, unit: Any = None) -> Iterator[tuple[World, Result]]:
    """What ``run`` makes on every path."""
    scripts: list[Script] = [()]
    memory = Memory()
    while scripts:
        world = World(scripts.pop(), memory, unit=unit)
        try:
            result = run(world)
        except ImpossibleError:
            continue
        finally:
            scripts += world.others
        yield world, result
