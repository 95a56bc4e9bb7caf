"""Small properties about stored models that float arithmetic gets wrong, kept as they were found.

Each came out ``falsified`` where the property's own terms, networks from arrays, or the whole model were computed in
floats. The real function of the stored constants satisfies all of them.
"""

from __future__ import annotations

from fractions import Fraction

from tests.fuzz.nets import Net
from tests.fuzz.oracle import Case
from tests.fuzz.terms import Applied, Compare, Fn, In, InBox, Joined, Out, Sum, Var


def _case(seed: int, var: Var, *parts: Compare, where: tuple[Compare, ...] = ()) -> Case:
    return Case(seed, "forall", (var,), (InBox(var, var.lower, var.upper), *where), Joined("and", parts))


def _twice(stored: str) -> Net:
    return Net("f", (((((1.0,),), (0.0,))), (((1.0,), (1.0,)), (0.0, 0.0))), "relu", stored)


def floats_only() -> tuple[Case, float]:
    """``relu(0.1 y0 + 0.2 y1) <= 0.1 + 0.2`` with ``y = (x, x)``; float64 rounds the sum up at the point returned."""
    x = Var("x", (0,), (1,), (False,))
    y = Applied(_twice("float32"), x)
    term = Fn("relu", (Sum(((0.1, Out(y, 0)), (0.2, Out(y, 1)))),))
    limit = Fraction(0.1) + Fraction(0.2)
    return _case(-1, x, Compare("<=", Sum(((1, term),)), Sum((), limit))), 1.0


def cancelling_terms() -> Case:
    """``max(2^60 y0 + y1 - 2^60 y2, 0) >= 1/2`` of a stored ``y = (x, x, x)``: exactly x, which is at least 1."""
    x = Var("x", (1,), (2,), (False,))
    net = Net("f", ((((1.0,),), (0.0,)), (((1.0,), (1.0,), (1.0,)), (0.0, 0.0, 0.0))), "relu", "float32")
    y = Applied(net, x)
    big = 2.0**60
    term = Fn("max", (Sum(((big, Out(y, 0)), (1.0, Out(y, 1)), (-big, Out(y, 2)))), Sum((), 0)))
    return _case(-2, x, Compare(">=", Sum(((1, term),)), Sum((), 0.5)))


def network_beside_model() -> Case:
    """``g = relu(2^60 x + 1 - 2^60 x) = 1`` from arrays beside a stored ``f(x) = x``."""
    x = Var("x", (1,), (2,), (False,))
    big = 2.0**60
    first = ((((1.0,), (0.0,), (1.0,))), (0.0, 1.0, 0.0))
    g = Net("g", (first, (((big, 1.0, -big),), (0.0,)), (((1.0,),), (0.0,))), "relu", "")
    f, y = Applied(_twice("float32"), x), Applied(g, x)
    return _case(
        -3,
        x,
        Compare(">=", Sum(((1, Out(y, 0)),)), Sum((), 0.5)),
        Compare(">=", Sum(((1, Out(f, 0)),)), Sum((), -1)),
    )


def condition_of_terms() -> Case:
    """A precondition ``relu(0.1 y0 + 0.2 y1) > 0.1 + 0.2`` that holds nowhere, and a conclusion that would fail."""
    x = Var("x", (0,), (1,), (False,))
    y = Applied(_twice("float64"), x)
    term = Fn("relu", (Sum(((0.1, Out(y, 0)), (0.2, Out(y, 1)))),))
    beyond = Compare(">", Sum(((1, term),)), Sum((), Fraction(0.1) + Fraction(0.2)))
    return _case(-4, x, Compare("<=", Sum(((1, In(x, 0)),)), Sum((), -5)), where=(beyond,))


def absorbed_by_float32() -> Case:
    """``relu(x + 2^25) - 2^25 >= 1/20`` of a float32 model: in reals it is x, at least 1/10; every run gives 0 or 4."""
    x = Var("x", (Fraction(1, 10),), (1,), (False,))
    big = 2.0**25
    f = Net("f", ((((1.0,),), (big,)), (((1.0,),), (-big,))), "relu", "float32")
    return _case(-5, x, Compare(">=", Sum(((1, Out(Applied(f, x), 0)),)), Sum((), Fraction(1, 20))))


def point_between_floats() -> Case:
    """An input fixed at 0.3, which no float32 is: a violation that no run of the model can show."""
    x = Var("x", ("0.3", 0), ("0.3", 1), (False, False))
    f = Net("f", ((((1.0, 1.0),), (0.0,)), (((1.0,),), (0.0,))), "relu", "float32")
    return _case(-6, x, Compare("<=", Sum(((1, Out(Applied(f, x), 0)),)), Sum((), 1)))


#: Every one of them.
KEPT = (
    floats_only()[0],
    cancelling_terms(),
    network_beside_model(),
    condition_of_terms(),
    absorbed_by_float32(),
    point_between_floats(),
)
