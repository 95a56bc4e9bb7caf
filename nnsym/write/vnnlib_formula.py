"""Conditions of a VNN-LIB file: comparisons of polynomials with zero, their conjunctions and disjunctions.

For ``c > 0`` the comparison ``c max(p, q) + r <= 0`` is ``c p + r <= 0 and c q + r <= 0``, for ``c < 0`` it has *or*;
so maxima, minima and absolute values of a property leave no trace. Everything grows with the number of combinations,
which is announced where it is too large.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias, final

from nnsym.errors import UnsupportedError
from nnsym.write.vnnlib_terms import Key, Polynomial, plus, scaled

#: Comparisons that one row of a property may become.
LIMIT = 4096


@final
@dataclass(frozen=True, eq=False)
class Atom:
    """``polynomial (relation) 0`` with one of ``<= < == !=``."""

    polynomial: Polynomial
    relation: str


@final
@dataclass(frozen=True, eq=False)
class Joined:
    """All parts (``every``) or some part."""

    every: bool
    parts: tuple[Condition, ...]


Condition: TypeAlias = "Atom | Joined"
Kinks: TypeAlias = Mapping[Key, tuple[bool, list[Polynomial]]]


def group(every: bool, parts: Iterable[Condition]) -> Condition:
    """A flat group; opposite inequalities become ``==`` and ``!=``, comparisons of numbers are decided."""
    flat: list[Condition] = []
    for part in parts:
        if isinstance(part, Atom) and not any(part.polynomial):
            value = part.polynomial.get((), Fraction(0))
            holds = {"<=": value <= 0, "<": value < 0, "==": value == 0, "!=": value != 0}[part.relation]
            part = Joined(holds, ())
        if isinstance(part, Joined) and not part.parts and part.every != every:
            return part
        flat.extend(part.parts if isinstance(part, Joined) and part.every == every else (part,))
    flat = _paired(flat, *(("<=", "==") if every else ("<", "!=")))
    return flat[0] if len(flat) == 1 else Joined(every, tuple(flat))


def _paired(parts: list[Condition], one: str, both: str) -> list[Condition]:
    """The parts with each pair ``p <= 0, -p <= 0`` of a conjunction (``<`` of a disjunction) as one comparison."""
    waiting: dict[frozenset[tuple[tuple[Key, ...], Fraction]], int] = {}
    found: list[Condition | None] = []
    for part in parts:
        if isinstance(part, Atom) and part.relation == one:
            opposite = frozenset((m, -c) for m, c in part.polynomial.items())
            if opposite in waiting:
                place = waiting.pop(opposite)
                first = found[place]
                assert isinstance(first, Atom)
                found[place] = Atom(first.polynomial, both)
                continue
            waiting.setdefault(frozenset(part.polynomial.items()), len(found))
        found.append(part)
    return [part for part in found if part is not None]


def compare(polynomial: Polynomial, relation: str, kinks: Kinks) -> tuple[Condition, bool]:
    """``polynomial (relation) 0`` for ``<=`` or ``<`` without kinks, and whether that is exact.

    Where a sum of convex kinks has too many combinations, each of them is bounded with the others replaced by the mean
    of their pieces: weaker, so that no violation is lost. Raises :class:`UnsupportedError` where that is no way out.
    """
    open_ = _kinks(polynomial, kinks)
    count = _cases(polynomial, kinks)
    if count > LIMIT and all(kinks[k][0] == (polynomial[(k,)] > 0) for k in open_):
        weaker = []
        for key in open_:
            rest = polynomial
            for other in open_:
                if other != key:
                    rest = _replaced(rest, other, _mean(kinks[other][1]))
            weaker.append(compare(rest, relation, kinks)[0])
        return group(True, weaker), False
    if count > LIMIT:
        raise UnsupportedError(
            f"a comparison takes {count} cases, and VNN-LIB has no maximum, minimum or absolute value",
            remedy="Export to .smt2, which has",
        )
    if not open_:
        return Atom(polynomial, relation), True
    key = min(open_)  # the last one made: no other reads it
    largest, pieces = kinks[key]
    parts = [compare(_replaced(polynomial, key, piece), relation, kinks) for piece in pieces]
    return group(largest == (polynomial[(key,)] > 0), (c for c, _ in parts)), all(exact for _, exact in parts)


def _kinks(polynomial: Polynomial, kinks: Kinks) -> list[Key]:
    """The kinks in a polynomial; raises where one is multiplied by a variable."""
    found = []
    for monomial in polynomial:
        some = [k for k in monomial if k in kinks]
        if some and len(monomial) > 1:
            raise UnsupportedError(
                "a maximum, minimum or absolute value stands in a product, which VNN-LIB cannot say",
                remedy="Export to .smt2",
            )
        found += some
    return found


def _cases(polynomial: Polynomial, kinks: Kinks) -> int:
    """The number of comparisons that splitting ends in."""
    count = 1
    for key in _kinks(polynomial, kinks):
        count *= sum(_cases(piece, kinks) for piece in kinks[key][1])
    return count


def _replaced(polynomial: Polynomial, key: Key, piece: Polynomial) -> Polynomial:
    rest = {m: c for m, c in polynomial.items() if m != (key,)}
    return plus(rest, piece, polynomial[(key,)])


def _mean(pieces: list[Polynomial]) -> Polynomial:
    total: Polynomial = {}
    for piece in pieces:
        total = plus(total, piece)
    return scaled(total, Fraction(1, len(pieces)))
