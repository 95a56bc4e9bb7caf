"""Products of inequalities: what linear arithmetic needs to be told of products of unknowns.

Of ``d >= 0`` and a number ``m`` it follows that ``d m`` has the sign of ``m``. Said of the comparisons that formulas
make and of the factors of their products, multiplied out, this lets a solver that takes each product for an unknown of
its own find proofs that multiply two inequalities (Sherali and Adams, SIAM Journal on Discrete Mathematics 3, 1990,
call it reformulation and linearisation). Only products of unknowns that formulas speak of already are of use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, final

import z3

#: How often products that share a summand with those in question are taken in as well.
_ROUNDS = 2

Monomial = tuple[int, ...]  # its unknowns, in order; () is 1
Polynomial = dict[Monomial, Fraction]


def linearised(formulas: Iterable[Any], multipliers: Iterable[Any] = ()) -> list[Any]:
    """Linear formulas that follow from others, with an unknown for each product, and signs of products of comparisons.

    Each compared difference is multiplied with each factor, and with ``multipliers``.
    """
    return _Products().linear(list(formulas), [*multipliers])


@final
class _Products:
    """Terms as polynomials in unknowns, which are all that is no sum or product of others."""

    def __init__(self) -> None:
        self._unknowns: dict[int, Any] = {}
        self._known: dict[int, tuple[Any, Polynomial]] = {}  # the term as well, so that it keeps its number

    def linear(self, formulas: list[Any], multipliers: list[Any]) -> list[Any]:
        known = [_chosen(formula) for formula in formulas]
        parts = list(_parts(known))
        differences = _distinct(self._of(part.arg(0) - part.arg(1)) for part in parts if _compares(part))
        factors = [self._of(m) for m in multipliers]
        spoken = {m for d in differences for m in d if len(m) > 1}
        factors += [{(k,): Fraction(1)} for k in sorted({k for m in spoken for k in m})]
        products = [(d, m, _times(d, m)) for d in differences for m in factors]
        near = spoken
        for _ in range(_ROUNDS):
            near = near.union(*(p for _, _, p in products if max(map(len, p)) == 2 and not near.isdisjoint(p)))
        found = [self._multiplied_out(formula) for formula in known]
        for d, m, product in products:
            if near.issuperset(k for k in product if len(k) > 1):  # others link nothing
                found += _signs(*map(self._term, (d, m, product)))
        return found

    def _multiplied_out(self, formula: Any) -> Any:
        """The formula with its comparisons as sums of products."""
        if _compares(formula):
            left = self._term(self._of(formula.arg(0) - formula.arg(1)))
            return formula.decl()(left, z3.RealVal(0))
        children = [self._multiplied_out(part) for part in formula.children()]
        return formula.decl()(*children) if children and z3.is_bool(formula) else formula

    def _of(self, term: Any) -> Polynomial:
        key = term.get_id()
        if key not in self._known:
            self._known[key] = term, self._polynomial(term)
        return self._known[key][1]

    def _polynomial(self, term: Any) -> Polynomial:
        if z3.is_rational_value(term):
            return {(): term.as_fraction()} if term.as_fraction() else {}
        if z3.is_add(term) or z3.is_sub(term):
            total: Polynomial = {}
            for k, part in enumerate(term.children()):
                total = _plus(total, self._of(part), -1 if k and z3.is_sub(term) else 1)
            return total
        if term.decl().kind() == z3.Z3_OP_UMINUS:
            return _plus({}, self._of(term.arg(0)), -1)
        if z3.is_mul(term):
            product: Polynomial = {(): Fraction(1)}
            for part in term.children():
                product = _times(product, self._of(part))
            return product
        self._unknowns[term.get_id()] = term
        return {(term.get_id(),): Fraction(1)}

    def _term(self, polynomial: Polynomial) -> Any:
        summands = [
            z3.Q(c.numerator, c.denominator) * self._unknown(m) if m else z3.Q(c.numerator, c.denominator)
            for m, c in sorted(polynomial.items())
        ]
        return z3.Sum(summands) if summands else z3.RealVal(0)

    def _unknown(self, m: Monomial) -> Any:
        """What stands for a product of unknowns."""
        return self._unknowns[m[0]] if len(m) == 1 else z3.Real(f"product {m}")


def _signs(d: Any, m: Any, product: Any) -> Iterator[Any]:
    yield z3.Or(d < 0, m < 0, product >= 0)
    yield z3.Or(d > 0, m > 0, product >= 0)
    yield z3.Or(d < 0, m > 0, product <= 0)
    yield z3.Or(d > 0, m < 0, product <= 0)


def _chosen(formula: Any) -> Any:
    """The formula without real terms ``if c then a else b``: what compares with one is said for each case."""
    if not _compares(formula):
        children = [_chosen(part) for part in formula.children()]
        return formula.decl()(*children) if children and z3.is_bool(formula) else formula
    choice = next((p for p in _parts([formula]) if z3.is_app_of(p, z3.Z3_OP_ITE) and z3.is_real(p)), None)
    if choice is None:
        return formula
    c, one, other = choice.children()
    cases = [_chosen(z3.substitute(formula, (choice, some))) for some in (one, other)]
    return z3.And(z3.Or(z3.Not(c), cases[0]), z3.Or(c, cases[1]))


def _parts(formulas: Iterable[Any]) -> Iterator[Any]:
    """All terms within formulas, each once."""
    stack, seen = list(formulas), set[int]()
    while stack:
        some = stack.pop()
        if some.get_id() not in seen:
            seen.add(some.get_id())
            stack += some.children()
            yield some


def _compares(part: Any) -> bool:
    return any(test(part) for test in (z3.is_le, z3.is_ge, z3.is_lt, z3.is_gt, z3.is_eq)) and z3.is_real(part.arg(0))


def _distinct(polynomials: Iterable[Polynomial]) -> list[Polynomial]:
    """Each once, whatever its scale; no constants."""
    found: dict[Any, Polynomial] = {}
    for some in polynomials:
        if any(some):
            lead = some[max(some)]
            found.setdefault(frozenset((m, c / lead) for m, c in some.items()), some)
    return list(found.values())


def _plus(a: Polynomial, b: Polynomial, scale: int) -> Polynomial:
    found = dict(a)
    for m, c in b.items():
        found[m] = found.get(m, Fraction(0)) + scale * c
    return {m: c for m, c in found.items() if c}


def _times(a: Polynomial, b: Polynomial) -> Polynomial:
    found: Polynomial = {}
    for m, c in a.items():
        for n, e in b.items():
            key = tuple(sorted((*m, *n)))
            found[key] = found.get(key, Fraction(0)) + c * e
    return {m: c for m, c in found.items() if c}
