"""Tiny programs with known answers, for the kit of lanes: each shows one thing that a lane may get wrong.

The optima are those of :mod:`nnsym.testing.least` where they are not written out. Columns lie in all kinds of bounds,
and the objective is not always the last one. Those with other blocks than rows and clauses are in
:mod:`nnsym.testing.programs_of_blocks`.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from nnsym.builder import ProgramBuilder, row_block
from nnsym.program import ClauseBlock, Kind, Program, Tag
from nnsym.testing.problem import Problem, columns, row
from nnsym.testing.programs_of_blocks import block_problems

_INF = np.inf


def problems() -> list[Problem]:
    """The tiny programs of the kit."""
    return [*_plain(), *_discrete(), *block_problems()]


def _plain() -> list[Problem]:
    """Linear programs."""
    return [
        Problem.of("lp", _tent(Kind.REAL)),
        Problem.of("zero", _tent(Kind.REAL, lift=29 / 64)),
        Problem.of("bounds of columns", _boxes(1.0)),
        Problem.of("bounds of columns, turned", _boxes(-1.0)),
        Problem.of("two-sided rows", _ranges(1.0)),
        Problem.of("two-sided rows, turned", _ranges(-1.0)),
        *(Problem.of(f"fraction {n}/{d}", _fraction(n, d)) for n, d in ((1, 3), (2, 3), (-3, 7), (5, 7), (-1, 10))),
        Problem.of("decimals", _decimals()),
        Problem.of("empty", _empty(Kind.REAL)),
        Problem.of("feasible", _feasibility(1.0)),
        Problem.of("infeasible", _feasibility(3.0)),
        Problem.of("no rows", _bare(())),
        Problem.of("a row without columns", _bare((-0.5,))),
        Problem.of("a row without columns that fails", _bare((0.5,))),
        Problem.of("a small coefficient of reals", _small(Kind.REAL)),
        Problem.of("dependent rows", _dependent(2.0)),
        Problem.of("dependent rows that contradict", _dependent(2.5)),
        Problem(name="unbounded", program=_unbounded(Kind.REAL), optimum=-_INF, satisfiable=True),
    ]


def _discrete() -> list[Problem]:
    """Programs with integral columns, and with guards."""
    return [
        Problem.of("binaries", _tent(Kind.BINARY)),
        Problem.of("integers", _steps()),
        Problem.of("positive", _tent(Kind.BINARY, lift=1.0)),
        Problem.of("bounds of integers", _boxes(1.0, Kind.INTEGER)),
        Problem.of("bounds of integers, turned", _boxes(-1.0, Kind.INTEGER)),
        Problem(name="free integers", program=_free_integers(), optimum=Fraction(-13, 4), satisfiable=True),
        Problem.of("a small coefficient", _small(Kind.BINARY)),
        *(Problem.of(f"mixed {seed}", _mixed(seed)) for seed in range(3)),
        Problem.of("guards", _guards()),
        Problem.of("clauses", _clauses()),
        Problem.of("clauses of all signs", _more_clauses()),
        Problem.of("no integer point", _empty(Kind.BINARY)),
        Problem(name="unbounded integers", program=_unbounded(Kind.INTEGER), optimum=-_INF, satisfiable=True),
    ]


def _tent(kind: Kind, lift: float = 0.0) -> Program:
    """``t >= x0 + x1 - a + lift`` and ``t >= b - x0 - x1 + lift`` on the unit square; a, b dyadic."""
    b = ProgramBuilder()
    x, t = columns(b, "x", "value", 0, 1, 2, kind), columns(b, "spec", "margin", -8, 8, 1)
    shift = (-1.25, 0.1875) if kind == Kind.BINARY else (-77 / 64, 19 / 64)
    b.rows(row_block([(1.0, t), (-1.0, x[:1]), (-1.0, x[1:])], lower=shift[0] + lift, origin="up"))
    b.rows(row_block([(1.0, t), (1.0, x[:1]), (1.0, x[1:])], lower=shift[1] + lift, origin="down"))
    return b.build(objective=int(t[0]))


def _boxes(sign: float, kind: Kind = Kind.REAL) -> Program:
    """``t >= sign (a - b + c - d) + e``, everything at a bound: negative, fractional, one-sided, fixed, from a row."""
    b = ProgramBuilder()
    far = _INF if kind == Kind.REAL else 2.75
    half = columns(b, "a", "value", -3.5, -0.5, 1, kind)
    t = columns(b, "spec", "margin", -16, 16, 1)
    pair = columns(b, "b", "value", 0.25, 2.25, 1, kind)
    below = columns(b, "c", "value", -far if sign < 0 else -2.0, 0.625 if sign < 0 else far, 1, kind)
    above = columns(b, "d", "value", -0.875 if sign < 0 else -far, far if sign < 0 else 0.375, 1, kind)
    fixed, free = columns(b, "e", "value", -3, -3, 1, kind), columns(b, "f", "value", -_INF, _INF, 1)
    ids = np.concatenate([t, half, pair, below, above, fixed, free])
    row(b, ids, [1, -sign, sign, -sign, sign, -1, -0.5], low=0.0, origin="sum")
    row(b, free, [2.0], low=-1.25, origin="floor")
    return b.build(objective=int(t[0]))


def _ranges(sign: float) -> Program:
    """``1/4 <= x + y <= 3/4`` and ``x - y = 1/8``; ``t`` is pressed against one side or the other."""
    b = ProgramBuilder()
    t, x = columns(b, "spec", "margin", -8, 8, 1), columns(b, "x", "value", -4, 4, 2)
    row(b, x, [1, 1], low=0.25, high=0.75, origin="between")
    row(b, x, [1, -1], low=0.125, high=0.125, origin="equal")
    row(b, np.concatenate([t, x]), [1, -sign, -2 * sign], low=-0.5, origin="margin")
    return b.build(objective=int(t[0]))


def _fraction(over: int, under: int) -> Program:
    """The optimum ``over / under``, which no float64 is."""
    b = ProgramBuilder()
    x, t = columns(b, "x", "value", -4, 4, 1), columns(b, "spec", "margin", -8, 8, 1)
    row(b, x, [under], low=over, origin="multiple")
    row(b, np.concatenate([t, x]), [1, -1], low=0.0, origin="margin")
    return b.build(objective=int(t[0]))


def _decimals() -> Program:
    """Coefficients that are short as decimals and long as the rationals that they are."""
    b = ProgramBuilder()
    x, t = columns(b, "x", "value", -1.1, 0.7, 3), columns(b, "spec", "margin", -8, 8, 1)
    row(b, np.concatenate([t, x]), [1, 0.3, -0.7, 0.1], low=0.05, origin="margin")
    row(b, x, [0.1, 0.2, 0.9], low=-0.15, high=0.35, origin="plane")
    return b.build(objective=int(t[0]))


def _unbounded(kind: Kind) -> Program:
    """``t >= x`` for ``x <= 0``: nothing is least, and nothing is empty."""
    b = ProgramBuilder()
    x, t = columns(b, "x", "value", -_INF, 0.0, 1, kind), columns(b, "spec", "margin", -_INF, _INF, 1)
    row(b, np.concatenate([t, x]), [1, -1], low=0.0, origin="margin")
    return b.build(objective=int(t[0]))


def _bare(floors: tuple[float, ...]) -> Program:
    """``t`` between its bounds, and rows that have no columns and these lower sides."""
    b = ProgramBuilder()
    t = columns(b, "spec", "margin", -1.5, 8, 1)
    for floor in floors:
        row(b, t[:0], [], low=floor, origin="empty")
    return b.build(objective=int(t[0]))


def _dependent(side: float) -> Program:
    """``x + y = 1`` four times, each multiplied; one of the right-hand sides is ``side``."""
    b = ProgramBuilder()
    x, t = columns(b, "x", "value", -4, 4, 2), columns(b, "spec", "margin", -8, 8, 1)
    for by, right in ((1.0, 1.0), (1.0, 1.0), (2.0, side), (-0.5, -0.5)):
        row(b, x, [by, by], low=right, high=right, origin="plane")
    row(b, np.concatenate([t, x]), [1, -1, -2], low=0.25, origin="margin")
    return b.build(objective=int(t[0]))


def _free_integers() -> Program:
    """``t >= 2 x + y + 3/4`` for whole numbers without bounds, ``2 x >= -7`` and ``x + y >= -3/2``: -3 and 2."""
    b = ProgramBuilder()
    x, t = columns(b, "x", "value", -_INF, _INF, 2, Kind.INTEGER), columns(b, "spec", "margin", -64, 64, 1)
    row(b, x[:1], [2.0], low=-7.0, origin="floor")
    row(b, x, [1.0, 1.0], low=-1.5, origin="sum")
    row(b, np.concatenate([t, x]), [1, -2, -1], low=0.75, origin="margin")
    return b.build(objective=int(t[0]))


def _small(kind: Kind) -> Program:
    """``t >= 1 + 2^-11 - 2^-31 x - z``, least at x = 2^21: what is too small for a solver to keep is 2^-10 there.

    A lane may widen the row instead: ``t >= 1 - 2^-11 - x / 2^21`` says what x has to be.
    """
    b = ProgramBuilder()
    x, t = columns(b, "x", "value", 0, 2.0**21, 2), columns(b, "spec", "margin", -64, 64, 1)
    z = columns(b, "z", "phase", 0, 1, 2, kind)
    row(b, np.concatenate([t, x[:1], z[:1]]), [1, 2.0**-31, 1], low=1 + 2.0**-11, origin="margin")
    row(b, np.concatenate([x, z]), [2.0**-21, 2.0**-21, 0.5, 0.5], low=1.5, high=2.0, origin="between")
    row(b, np.concatenate([t, x[:1]]), [1, 2.0**-21], low=1 - 2.0**-11, origin="far end")
    return b.build(objective=int(t[0]))


def _empty(kind: Kind) -> Program:
    """``5/4 <= x0 + x1 <= 7/4`` on binaries; on reals also ``x0 + x1 <= 1``."""
    b = ProgramBuilder()
    x, t = columns(b, "x", "value", 0, 1, 2, kind), columns(b, "spec", "margin", -8, 8, 1)
    b.rows(row_block([(1.0, x[:1]), (1.0, x[1:])], lower=1.25, upper=1.75, tag=Tag.PRECONDITION, origin="between"))
    if kind == Kind.REAL:
        b.rows(row_block([(1.0, x[:1]), (1.0, x[1:])], upper=1.0, tag=Tag.PRECONDITION, origin="below"))
    b.rows(row_block([(1.0, t), (-1.0, x[:1])], lower=0.0, origin="margin"))
    return b.build(objective=int(t[0]))


def _feasibility(floor: float) -> Program:
    """``x0 + x1 >= floor`` on the unit square, without an objective."""
    b = ProgramBuilder()
    x = columns(b, "x", "value", 0, 1, 2)
    b.rows(row_block([(1.0, x[:1]), (1.0, x[1:])], lower=floor, origin="sum"))
    return b.build(objective=None)


def _steps() -> Program:
    """``t >= 1/4 - k/2`` with ``2 k <= 9``, k an integer of 0..9."""
    b = ProgramBuilder()
    k, t = columns(b, "k", "value", 0, 9, 1, Kind.INTEGER), columns(b, "spec", "margin", -8, 8, 1)
    b.rows(row_block([(1.0, t), (0.5, k)], lower=0.25, origin="steps"))
    b.rows(row_block([(2.0, k)], upper=9.0, origin="cap"))
    return b.build(objective=int(t[0]))


def _mixed(seed: int) -> Program:
    """Three binaries and two reals under random rows of quarters, the margin in their midst."""
    rng = np.random.default_rng([seed, 11])
    b = ProgramBuilder()
    z, t = columns(b, "z", "phase", 0, 1, 3, Kind.BINARY), columns(b, "spec", "margin", -64, 64, 1)
    x = columns(b, "x", "value", -2, 2, 2)
    ids = np.concatenate([z, x])
    for k in range(4):
        data = rng.integers(-12, 13, 5) / 4
        soft = np.append(ids, t), np.append(data, 1.0)
        members, numbers = soft if k < 2 else (ids, data)
        row(b, members, numbers, low=float(rng.integers(-6, 3)) / 4, origin=f"row {k}")
    return b.build(objective=int(t[0]))


def _guards() -> Program:
    """Either ``t >= x - 1/2`` on ``x >= 1/4`` or ``t >= -x`` on ``x <= 3/4``: one guard each, two disjuncts."""
    b = ProgramBuilder()
    x, g = columns(b, "x", "value", 0, 1, 1), columns(b, "query", "guard", 0, 1, 2, Kind.BINARY)
    t = columns(b, "query", "margin", -8, 8, 1)
    b.rows(row_block([(1.0, t), (-1.0, x), (-8.0, g[:1])], lower=-8.5, tag=Tag.CONCLUSION, origin="first"))
    b.rows(row_block([(1.0, x), (-0.25, g[:1])], lower=0.0, tag=Tag.PRECONDITION, origin="first"))
    b.rows(row_block([(1.0, t), (1.0, x), (-8.0, g[1:])], lower=-8.0, tag=Tag.CONCLUSION, origin="second"))
    b.rows(row_block([(1.0, x), (0.25, g[1:])], upper=1.0, tag=Tag.PRECONDITION, origin="second"))
    b.rows(row_block([(1.0, g[:1]), (1.0, g[1:])], lower=1.0, origin="either"))
    disjuncts = ((g, np.array([1.0, 0.0])), (g, np.array([0.0, 1.0])))
    return b.build(objective=int(t[0]), disjuncts=disjuncts)


def _clauses() -> Program:
    """``a or b``, ``not a or c``, ``t >= a + 2 b``: the least is a = c = 1."""
    b = ProgramBuilder()
    p, t = columns(b, "p", "value", 0, 1, 3, Kind.BINARY), columns(b, "spec", "margin", -8, 8, 1)
    b.rows(row_block([(1.0, t), (-1.0, p[:1]), (-2.0, p[1:2])], lower=0.0, origin="weights"))
    positive = np.array([True, True, False, True])
    b.clauses(ClauseBlock(p[[0, 1, 0, 2]], np.array([0, 2, 4]), Tag.NETWORK, "clauses", positive))
    return b.build(objective=int(t[0]))


def _more_clauses() -> Program:
    """``p0 or p1 or p2`` without signs, ``not p0 or not p2``, ``not p1``; ``t >= 1 - p0 - p1 - 2 p2``."""
    b = ProgramBuilder()
    t, p = columns(b, "spec", "margin", -8, 8, 1), columns(b, "p", "value", 0, 1, 3, Kind.BINARY)
    row(b, np.concatenate([t, p]), [1, 1, 1, 2], low=1.0, origin="weights")
    b.clauses(ClauseBlock(p, np.array([0, 3]), Tag.NETWORK, "some"))
    b.clauses(ClauseBlock(p[[0, 2, 1]], np.array([0, 2, 3]), Tag.NETWORK, "not both", np.zeros(3, dtype=bool)))
    return b.build(objective=int(t[0]))
