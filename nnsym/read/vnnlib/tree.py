"""What a VNN-LIB file says: linear comparisons of variables, joined by *and* and *or*."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias, TypeVar, final

from nnsym.ir.text import linear_text
from nnsym.ir.walk import postorder

T = TypeVar("T")


@final
@dataclass(frozen=True, eq=False)
class Term:
    """``sum_v coefficient_v v + constant``; variable ``X_i`` is the key ``i``, ``Y_j`` the key ``~j``."""

    coefficients: dict[int, Fraction]
    constant: Fraction

    def plus(self, other: Term, factor: int = 1) -> Term:
        return self.sum([other], factor)

    def sum(self, others: Sequence[Term], factor: int = 1) -> Term:
        """``self + factor * (the others, added up)``, for a factor of 1 or -1."""
        total, constant = dict(self.coefficients), self.constant
        for other in others:
            constant = constant + factor * other.constant if other.constant else constant
            for variable, value in other.coefficients.items():
                total[variable] = total[variable] + factor * value if variable in total else factor * value
        return Term({v: c for v, c in total.items() if c}, constant)

    def times(self, factor: Fraction) -> Term:
        return Term({v: factor * c for v, c in self.coefficients.items() if factor}, factor * self.constant)


@final
@dataclass(frozen=True, eq=False)
class Inequality:
    """``term <= 0``, or ``term < 0`` if ``strict``."""

    term: Term
    strict: bool


@final
@dataclass(frozen=True, eq=False)
class Junction:
    """All parts (``every``) or some part."""

    every: bool
    parts: tuple[Condition, ...]


Condition: TypeAlias = "Inequality | Junction"


@final
@dataclass(frozen=True, eq=False)
class VnnSpec:
    """A parsed file: ``condition`` over ``inputs`` variables X and ``outputs`` variables Y, and bounds beside it.

    ``lower`` and ``upper`` hold the bounds of single inputs that stand alone at the top level, exact, by
    index; strict ones are in ``condition`` too.
    """

    name: str
    inputs: int
    outputs: int
    lower: dict[int, Fraction]
    upper: dict[int, Fraction]
    condition: Condition


def junction(every: bool, parts: list[Condition]) -> Condition:
    """A flat conjunction or disjunction; one part stands for itself, constants are folded."""
    flat: list[Condition] = []
    for part in parts:
        if isinstance(part, Inequality) and not part.term.coefficients:
            constant = part.term.constant
            part = Junction(constant < 0 if part.strict else constant <= 0, ())
        if isinstance(part, Junction) and not part.parts and part.every != every:
            return part  # false in a conjunction, true in a disjunction
        flat.extend(part.parts if isinstance(part, Junction) and part.every == every else (part,))
    return flat[0] if len(flat) == 1 else Junction(every, tuple(flat))


def negation(condition: Condition) -> Condition:
    """The negation, pushed down to the comparisons."""

    def flipped(part: Inequality) -> Condition:
        return Inequality(part.term.times(Fraction(-1)), not part.strict)

    return fold(condition, flipped, lambda every, parts: junction(not every, parts))


def fold(condition: Condition, leaf: Callable[[Inequality], T], join: Callable[[bool, list[T]], T]) -> T:
    """Bottom-up, left to right, without recursion (conditions may nest deeply)."""
    done: dict[int, T] = {}
    for part in postorder([condition], lambda one: one.parts if isinstance(one, Junction) else ()):
        if isinstance(part, Junction):
            done[id(part)] = join(part.every, [done[id(p)] for p in part.parts])
        else:
            done[id(part)] = leaf(part)
    return done[id(condition)]


def flat_name(variable: int) -> str:
    """``X_3`` or ``Y_0``: the names of VNN-LIB 1.0."""
    return f"X_{variable}" if variable >= 0 else f"Y_{~variable}"


def condition_text(condition: Condition, name: Callable[[int], str] = flat_name) -> str:
    """``Y_0 <= Y_1 and (Y_2 > 3 or X_0 <= 0.5)``."""

    def leaf(comparison: Inequality) -> str:
        return comparison_text(comparison, name)

    def join(every: bool, parts: list[str]) -> str:
        return f"({(' and ' if every else ' or ').join(parts)})" if parts else str(every).lower()

    text = fold(condition, leaf, join)
    return text[1:-1] if text.startswith("(") else text


def comparison_text(comparison: Inequality, name: Callable[[int], str] = flat_name) -> str:
    """``Y_0 <= Y_1 + 0.5``: positive terms on the left, or on the right if there is nothing else."""
    term, equal = comparison.term, "" if comparison.strict else "="
    named = [(name(v), c) for v, c in term.coefficients.items()]
    plus = [(text, c) for text, c in named if c > 0]
    minus = [(text, -c) for text, c in named if c < 0]
    zero = Fraction(0)
    if not plus:
        return f"{linear_text(minus, zero)} >{equal} {linear_text([], term.constant)}"
    return f"{linear_text(plus, zero)} <{equal} {linear_text(minus, -term.constant)}"
