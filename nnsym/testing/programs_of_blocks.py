"""Tiny programs with every kind of block beyond rows and clauses, and those that only rational arithmetic can tell.

Each answer changes when a block is dropped, turned or read by halves.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from nnsym.builder import ProgramBuilder, row_block
from nnsym.program import (
    CaseBlock,
    CaseForm,
    ClauseBlock,
    ImplicationBlock,
    Kind,
    ProductBlock,
    Program,
    QuadraticBlock,
    RowBlock,
    SosBlock,
    Tag,
)
from nnsym.testing.problem import Problem, columns, row

_INF = np.inf


def block_problems() -> list[Problem]:
    """One kind of block each, then the exact ones."""
    return [
        Problem.of("implications", _implications(0.5)),
        Problem.of("refuted implications", _implications(2.5)),
        *(Problem.of(f"guarded rows {seed}", _guarded(seed)) for seed in range(2)),
        Problem.of("special ordered sets", _sets(0.0)),
        Problem.of("special ordered sets, lifted", _sets(3.0)),
        *(Problem.of(f"cases as {form.name}", _cases(form, 0.0)) for form in CaseForm),
        *(Problem.of(f"cases as {form.name}, lifted", _cases(form, 0.75)) for form in CaseForm),
        Problem(name="products", program=_products(0.0), optimum=Fraction(-3), satisfiable=True),
        Problem(name="products, lifted", program=_products(3.25), optimum=Fraction(1, 4), satisfiable=False),
        Problem(name="ball", program=_ball(0.0), optimum=Fraction(-1), satisfiable=True),
        Problem(name="ball, lifted", program=_ball(17 / 16), optimum=Fraction(1, 16), satisfiable=False),
        *_exact(),
    ]


def _exact() -> list[Problem]:
    """What only rational arithmetic can tell."""
    tail = Fraction(0.1) + Fraction(0.2) - Fraction(0.3)
    return [
        Problem.of("decimals as rationals", _sum_of_decimals(Fraction(0)), exact_only=True),
        Problem.of("decimals as rationals, met", _sum_of_decimals(tail), exact_only=True),
        Problem.of("numbers of a hundred digits", _thirds(Fraction(1, 10**30)), exact_only=True),
        Problem.of("numbers of a hundred digits, met", _thirds(Fraction(0)), exact_only=True),
        Problem.of("open interval", _open(1.0), exact_only=True),
        Problem.of("open and empty", _open(0.0), exact_only=True),
        Problem.of("open guarded row", _open_guarded(), exact_only=True),
    ]


def _implications(floor: float) -> Program:
    """``p => x >= 1``, ``not p => x <= 2``, ``not p => x >= floor``, and ``not p``."""
    b = ProgramBuilder()
    p, x = columns(b, "p", "phase", 0, 1, 1, Kind.BINARY), columns(b, "x", "value", 0, 4, 1)
    for value, low, high in ((1, 1.0, _INF), (0, -_INF, 2.0), (0, floor, _INF)):
        rows = row_block([(1.0, x)], lower=low, upper=high, origin="guarded")
        b.implications(ImplicationBlock(p, np.array([value]), rows))
    b.clauses(ClauseBlock(p, np.array([0, 1]), Tag.NETWORK, "off", np.array([False])))
    return b.build(objective=None)


def _guarded(seed: int) -> Program:
    """A ReLU and a V by guarded rows, of either value, with two rows to a guard; t is pressed against both branches."""
    b = ProgramBuilder()
    z = columns(b, "z", "phase", 0, 1, 2, Kind.BINARY)
    x, y = columns(b, "x", "value", -1, 1.5, 2), columns(b, "y", "post", -4, 4, 2)
    t = columns(b, "spec", "margin", -16, 16, 1)
    on = row_block([(1.0, y), (-1.0, x)], lower=0.0, upper=0.0, origin="on: y = x")
    off = row_block([(1.0, y), (np.array([0.0, 1.0]), x)], lower=0.0, upper=0.0, origin="off: y = 0, y = -x")
    right = row_block([(1.0, x)], lower=0.0, origin="on: x >= 0")
    left = row_block([(1.0, x)], upper=0.0, origin="off: x <= 0")
    for value, rows in ((1, on), (0, off), (1, right), (0, left)):
        b.implications(ImplicationBlock(z, np.full(2, value, dtype=np.int8), rows))
    sign = 1.0 if seed == 0 else -1.0
    ids = np.concatenate([t, y, x])
    row(b, ids, [1, -sign, -sign, sign * 0.75, -0.25], low=0.125, origin="margin")
    return b.build(objective=int(t[0]))


def _sets(lift: float) -> Program:
    """``t >= lift - a - 2 b - 3 c`` where of ``a, b`` one is 0, and of ``b, c`` one."""
    b = ProgramBuilder()
    x, t = columns(b, "x", "value", 0, [1.0, 2.5, 0.5], 3), columns(b, "spec", "margin", -32, 32, 1)
    row(b, np.concatenate([t, x]), [1, 1, 2, 3], low=lift + 2.25, origin="margin")
    b.sets(SosBlock(x[[0, 1, 1, 2]], np.array([0, 2, 4]), "one of two"))
    return b.build(objective=int(t[0]))


def _cases(form: CaseForm, lift: float) -> Program:
    """``t >= y - h / 2 + lift`` where y is ``-h`` left of 0 and ``2 h`` right of it, on ``-1 <= h <= 1``."""
    b = ProgramBuilder()
    h, y = columns(b, "h", "pre", -1, 1, 1), columns(b, "y", "post", -4, 4, 1)
    t = columns(b, "spec", "margin", -8, 8, 1)
    slopes, zero = np.array([[-1.0], [2.0]]), np.zeros((2, 1))
    b.functions(CaseBlock(y, h, slopes, zero, np.zeros((1, 1)), np.ones((1, 1), dtype=bool), form, "V"))
    row(b, np.concatenate([t, y, h]), [1, -1, 0.5], low=lift - 0.25, origin="margin")
    return b.build(objective=int(t[0]))


def _products(lift: float) -> Program:
    """``t >= x y + lift`` on ``[-1, 2] x [-1, 3]``: -3 in one corner, and a second, worse minimum of -2 in another."""
    b = ProgramBuilder()
    x, y = columns(b, "x", "value", -1, 2, 1), columns(b, "y", "value", -1, 3, 1)
    z, t = columns(b, "z", "value", -8, 8, 1), columns(b, "spec", "margin", -8, 8, 1)
    b.products(ProductBlock(z, x, y, "z = x y"))
    row(b, np.concatenate([t, z]), [1, -1], low=lift, origin="margin")
    return b.build(objective=int(t[0]))


def _ball(lift: float) -> Program:
    """``t >= -(3 u + 4 v) / 5 + lift`` on the unit disc."""
    b = ProgramBuilder()
    u, t = columns(b, "x", "offset", -1, 1, 2), columns(b, "spec", "margin", -8, 8, 1)
    b.quadratics(QuadraticBlock(u, None, Tag.DOMAIN, "ball"))
    row(b, np.concatenate([t, u]), [5, 3, 4], low=5 * lift, origin="margin")
    return b.build(objective=int(t[0]))


def _sum_of_decimals(excess: Fraction) -> Program:
    """``0.1 + 0.2 - 0.3 = excess``, in the rationals that these float64 numbers are."""
    b = ProgramBuilder()
    x = columns(b, "x", "value", 1, 1, 3)
    row(b, x, [0.1, 0.2, -0.3], low=float(excess), high=float(excess), origin="sum")
    return b.build(objective=None)


def _thirds(excess: Fraction) -> Program:
    """``x / 3 >= 1 / 3 + excess`` for ``x <= 1``; float64 reads both sides with room to spare."""
    b = ProgramBuilder()
    x = columns(b, "x", "value", 0, 1, 1)
    exact = np.array([Fraction(1, 3)]), np.array([Fraction(1, 3) + excess]), np.array([_INF], dtype=object)
    low, ends = np.array([1 / 3 - 2.0**-50]), np.array([0, 1])
    b.rows(RowBlock(np.array([1 / 3]), x, ends, low, np.array([_INF]), Tag.NETWORK, "third", exact))
    return b.build(objective=None)


def _open(width: float) -> Program:
    """``0 < x < width`` for ``0 <= x <= 1``."""
    b = ProgramBuilder()
    x = columns(b, "x", "value", 0, 1, 1)
    ends = np.array([0, 1])
    b.rows(RowBlock(np.ones(1), x, ends, np.zeros(1), np.array([width]), Tag.NETWORK, "open", strict=True))
    return b.build(objective=None)


def _open_guarded() -> Program:
    """``p => x > 1``, ``not p => x < 0`` for ``0 <= x <= 1``: closed both could be met."""
    b = ProgramBuilder()
    p, x = columns(b, "p", "phase", 0, 1, 1, Kind.BINARY), columns(b, "x", "value", 0, 1, 1)
    ends = np.array([0, 1])
    for value, low, high in ((1, 1.0, _INF), (0, -_INF, 0.0)):
        rows = RowBlock(np.ones(1), x, ends, np.array([low]), np.array([high]), Tag.NETWORK, "open", strict=True)
        b.implications(ImplicationBlock(p, np.array([value]), rows))
    return b.build(objective=None)
