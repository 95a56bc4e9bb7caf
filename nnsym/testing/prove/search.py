"""The search for numbers that deny a claim, path by path, and the answer that comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, final

import z3

from nnsym.encoding import Encoding
from nnsym.ir.univariate import Univariate
from nnsym.report.draw import draw
from nnsym.testing.prove.number import Number, term
from nnsym.testing.prove.products import linearised
from nnsym.testing.prove.world import World, paths

Made = TypeVar("Made")

_ORDERS = 6

#: What would be wrong, as a formula, and what a model of it shows.
Denial = tuple[Any, Callable[[Any], "Counterexample"]]


class Answer(Enum):
    """What came of a theorem."""

    PROVED = "proved"
    REFUTED = "refuted"
    UNKNOWN = "unknown"


@final
@dataclass(frozen=True, eq=False)
class Counterexample:
    """Numbers for which a rule is wrong, and what is wrong there. ``fn`` is the neuron's function, if it is one."""

    numbers: dict[str, Fraction]
    says: str
    fn: Univariate | None = None

    def __str__(self) -> str:
        return f"{', '.join(f'{name} = {_shown(v)}' for name, v in self.numbers.items())}: {self.says}"

    def draw(self, encoding: Encoding, path: str | Path | None = None) -> Any:
        """What the encoding makes of the neuron, beside the triangle (:func:`nnsym.draw`)."""
        lower, upper = (float(self.numbers[f"{side}(h)"]) for side in "lu")
        return draw([encoding, "triangle"], op=self.fn or "relu", l=lower, u=upper, path=path)


def _shown(value: Fraction) -> str:
    try:
        return f"{float(value):.6g}"
    except OverflowError:
        return "a number beyond all floats"


@final
@dataclass(frozen=True, eq=False)
class Proof:
    """The answer about one rule of ``of`` on one subject; ``seconds`` are of the processor."""

    of: str
    subject: str
    claim: str
    answer: Answer
    paths: int
    seconds: float
    reason: str = ""
    counterexample: Counterexample | None = None

    def __str__(self) -> str:
        why = self.reason or (str(self.counterexample) if self.counterexample else "")
        head = f"{self.of:15} {self.subject:24} {self.claim:22} {self.answer.value:8}"
        return f"{head} {self.paths:5} paths {self.seconds:6.2f} s{f'  {why}' if why else ''}"


def prove(
    claim: tuple[str, str, str],
    run: Callable[[World], Made],
    denials: Callable[[Made], Iterable[Denial]],
    *,
    seconds: float,
    unit: Any = None,
) -> Proof:
    """Prove that no denial holds of anything that ``run`` makes on any path; ``claim`` is what of what is claimed."""
    started, counts = time.process_time(), {"paths": 0, "denials": 0}

    def answer(found: Answer, reason: str = "", shown: Counterexample | None = None) -> Proof:
        return Proof(*claim, found, counts["paths"], time.process_time() - started, reason, shown)

    try:
        for world, made in paths(run, unit=unit):
            counts["paths"] += 1
            for denial, shows in denials(made):
                counts["denials"] += 1
                left = seconds - (time.process_time() - started)
                if left <= 0:
                    return answer(Answer.UNKNOWN, f"{seconds:g} s did not suffice for all paths")
                found = find_model(world, denial, left)
                if found is None:
                    return answer(Answer.UNKNOWN, f"Z3 has no answer within {left:.3g} s, the terms are nonlinear")
                if found is not False:
                    return answer(Answer.REFUTED, "", shows(found))
    except Exception as error:  # whatever the code does with numbers that are none: nothing is proved
        return answer(Answer.UNKNOWN, f"{type(error).__name__}: {error}")
    if not counts["denials"]:
        return answer(Answer.UNKNOWN, "no rows came out, so there was nothing to prove")
    return answer(Answer.PROVED)


def find_model(world: World, denial: Any, seconds: float) -> Any:
    """Numbers of a path that deny a claim; False if there are none, None if that is not known.

    Facts about other numbers than the claim speaks of, or than those were made of, are left out at first: without them
    there may be none already.
    """
    near = about(world, unknowns(denial))
    known = [fact for fact in world.facts if z3.is_eq(fact) and z3.is_real(fact.arg(0))]
    origins = about(world, ancestors(world, z3.And(denial, *known)))
    said = [*world.facts, denial]
    multiplied = partial(linearised, said, world.margins) if world.unit is not None and world.margins else None
    if _excluded(lambda: said, 0.02 * seconds) or _excluded(multiplied, 0.01 * seconds):
        return False
    for facts, make, share in (
        (near, z3.Solver, 0.02),
        (origins, z3.Solver, 0.1),
        (origins, _nonlinear, 0.1),
        (world.facts, z3.Solver, 0.4),
        (world.facts, _nonlinear, 1.0),
    ):
        if make is _nonlinear and facts is origins and _impossible([denial, *facts], 0.05 * seconds):
            return False
        if make is z3.Solver and facts is world.facts and _excluded(multiplied, 0.1 * seconds):
            return False
        solver = make()
        solver.set("timeout", max(1, int(1000 * share * seconds)))
        solver.add(*facts, denial)
        answer = solver.check()
        if answer == z3.unsat:
            return False
        if answer == z3.sat and facts is world.facts:
            return solver.model()
    return None


def _excluded(formulas: Callable[[], list[Any]] | None, seconds: float) -> bool:
    """Whether linear arithmetic alone excludes formulas, each product of unknowns an unknown of its own."""
    if formulas is None:
        return False
    solver = z3.SimpleSolver()
    solver.set("arith.nl", False)
    solver.set("timeout", max(1, int(1000 * seconds)))
    solver.add(*formulas())
    return bool(solver.check() == z3.unsat)


def _impossible(formulas: list[Any], seconds: float) -> bool:
    """Whether Z3 knows that formulas exclude each other, asked anew in several orders.

    Among many products the order of terms decides whether it gives up at once.
    """
    for start in range(0, len(formulas), max(1, len(formulas) // _ORDERS)):
        solver = z3.Solver(ctx=z3.Context())
        solver.set("timeout", max(1, int(1000 * seconds)))
        for formula in (formulas[start:] + formulas[:start])[::-1]:
            solver.add(formula.translate(solver.ctx))
        if solver.check() == z3.unsat:
            return True
    return False


def _nonlinear() -> Any:
    return z3.SolverFor("QF_NRA")


def about(world: World, spoken: frozenset[int]) -> list[Any]:
    """The facts that speak of no other numbers."""
    return [fact for fact in world.facts if world.term(unknowns, fact) <= spoken]


def ancestors(world: World, formula: Any) -> frozenset[int]:
    """The numbers that a formula speaks of, those that they were made of, and so on."""
    found, left = set[int](), set(unknowns(formula))
    while left:
        some = left.pop()
        found.add(some)
        for fact in world.made.get(some, ()):
            left |= world.term(unknowns, fact) - found
    return frozenset(found)


def unknowns(formula: Any) -> frozenset[int]:
    """The numbers that a formula speaks of."""
    found, stack, seen = set(), [formula], set()
    while stack:
        some = stack.pop()
        key = some.get_id()
        if key not in seen:
            seen.add(key)
            children = some.children()
            stack += children
            if not children and z3.is_const(some) and some.decl().kind() == z3.Z3_OP_UNINTERPRETED:
                found.add(key)
    return frozenset(found)


def number_in(model: Any, value: Any) -> Fraction:
    """The value of a number or term in a model; of an irrational one a rational near it."""
    found = model.eval(term(value) if isinstance(value, Number) else value, model_completion=True)
    if z3.is_algebraic_value(found):
        found = found.approx(20)
    return Fraction(found.as_fraction())
