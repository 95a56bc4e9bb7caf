"""Whole powers of symbolic numbers, and what is known of them: each is monotone on either side of 0."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import z3

from nnsym.testing.prove.number import Number, near
from nnsym.testing.prove.world import NotModelledError

#: By how many units a power may be off: the ulps that :class:`nnsym.ir.functions.powers.Monomial` names are two each.
_UNITS = 9


def power(value: Any, exponent: Any) -> Any:
    """``value ^ exponent``: exact for a number of the theorem, else off by a few units."""
    if not isinstance(value, Number):
        return float(value) ** exponent
    n, world = int(exponent), value.world
    if n != exponent or n == 0 or (n < 0 and not value.exact):
        raise NotModelledError(f"the exponent {exponent}")
    if n < 0:
        return 1 / power(value, -exponent)
    exact = world.term(_PRODUCTS.setdefault(n, _Product(n)), value.term)
    known = world.powers.setdefault(n, [(z3.RealVal(0), z3.RealVal(0))])
    if not any(base.eq(value.term) for base, _ in known):
        world.assume(*(fact for base, other in known for fact in _ordered(n, value.term, exact, base, other)))
        known.append((value.term, exact))
    if value.exact:
        return Number(world, exact, exact=True)
    if world.unit is None:
        raise NotModelledError("a power in an unknown format")
    return Number(world, world.result(_near, exact, world.unit))


def _near(r: Any, exact: Any, unit: Any) -> tuple[Any, ...]:
    return near(r, exact, _UNITS * unit)


class _Product:
    """The product of a term with itself, ``n`` times."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __call__(self, term: Any) -> Any:
        return z3.Product([term] * self.n) if self.n > 1 else term


_PRODUCTS: dict[int, _Product] = {}


def _ordered(n: int, x: Any, x_n: Any, z: Any, z_n: Any) -> Iterator[Any]:
    """How powers of two numbers compare."""
    if n % 2:
        yield (x <= z) == (x_n <= z_n)
        yield (x >= z) == (x_n >= z_n)
        return
    for a, a_n, b, b_n in ((x, x_n, z, z_n), (z, z_n, x, x_n)):
        yield z3.Implies(z3.Or(z3.And(a >= 0, a <= b), z3.And(b <= a, a <= 0)), a_n <= b_n)
        yield z3.Implies(z3.Or(z3.And(a >= 0, a <= -b), z3.And(-b <= a, a <= 0)), a_n <= b_n)
