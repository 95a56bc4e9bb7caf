"""Balls of the domain, the same for every encoding: rows over the offset ``u = (x - c) / r``.

    x - r u = c        p = 1:  t >= u,  t >= -u,  sum t <= 1        p = 2:  sum u^2 <= 1

So a ball of n elements takes O(n) rows and no binaries, its numbers stand in the n equations only, and the quadratic
row is a unit ball: a solver's absolute tolerance means the same for every radius. Where float64 cannot hold c or r, the
equation is the interval ``c -+ |r - fl(r)|``, rounded outward (``|u| <= 1``), and exact solvers read exact numbers.

In margin form a quadratic row comes with a polyhedron around it, for lanes that take linear rows only: squares s and

    sum s <= 1        s >= 2 a u - a^2        at a = -+1/sqrt(n), -+1

each of which holds for every float a, since ``s = u^2 >= 2 a u - a^2``; the right-hand side is rounded down. Those at
1/sqrt(n) add up to ``sum |u| <= sqrt(n)``.

Source: a separate square for each element is the extended formulation of Vielma, Dunning, Huchette, Lubin, Extended
formulations in mixed integer conic quadratic programming, Mathematical Programming Computation 9 (2017), section 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nnsym.builder import ProgramBuilder, row_block
from nnsym.encoding import Context, Form
from nnsym.ir.array import Array
from nnsym.ir.domain import Ball
from nnsym.ir.exact import nearest, round_down, round_up, to_fractions
from nnsym.ir.node import Input, Node
from nnsym.ir.outward import product_down
from nnsym.ir.query import Query
from nnsym.program import QuadraticBlock, Role, RowBlock, Tag


def named_balls(query: Query, names: Mapping[Node, str]) -> Iterator[tuple[str, Input, Ball]]:
    """``(x.ball_1, x, its first ball)`` and so on; a ball of radius 0 is its box and has no rows."""
    for x, balls in query.balls.items():
        for k, ball in enumerate(balls, start=1):
            if ball.radius:
                yield f"{names[x]}.ball_{k}", x, ball


def encode_balls(ctx: Context, query: Query, form: Form, ids: Mapping[Node, Array]) -> None:
    """Columns and rows of every ball of the domain."""
    for name, x, ball in named_balls(query, ctx.names):
        every = np.arange(x.size)
        u = ctx.builder.columns(name, Role.OFFSET, every, -1.0 + 0 * every, 1.0 + 0 * every)
        ctx.builder.rows(_offsets(name, ball, ids[x], u))
        if ball.p == 1:
            _absolute(ctx.builder, name, u)
        else:
            squares = _squares(ctx.builder, name, u) if form is Form.MARGIN else None
            ctx.builder.quadratics(QuadraticBlock(u, squares, Tag.DOMAIN, f"{name}: sum u^2 <= 1"))


def offsets(ball: Ball, x: Array) -> Array:
    """``(x - c) / r`` in the arithmetic of x."""
    if x.dtype == object:
        return np.asarray((x - to_fractions(ball.centre)) / ball.radius)
    return np.asarray((x - nearest(ball.centre)) / float(ball.radius))


def tangents(u: Array, squares: Array, at: Array, name: str) -> RowBlock:
    """``s - 2 a u >= -a^2``, one row for every pair of columns; exact but for the right-hand side, rounded down."""
    terms: list[tuple[Array | float, Array]] = [(1.0, squares), (-2.0 * at, u)]
    return row_block(terms, lower=product_down(-at, at), tag=Tag.DOMAIN, origin=f"{name}: tangent s >= 2 a u - a^2")


def _offsets(name: str, ball: Ball, x: Array, u: Array) -> RowBlock:
    radius, centre, says = float(ball.radius), ball.centre, f"{name}: x - r u = c"
    miss = abs(ball.radius - to_fractions(radius))
    if not miss and centre.dtype != object:
        return row_block([(1.0, x), (-radius, u)], lower=centre, upper=centre, tag=Tag.DOMAIN, origin=says)
    exact = to_fractions(centre)
    low, high = round_down(exact - miss), round_up(exact + miss)
    block = row_block([(1.0, x), (-radius, u)], lower=low, upper=high, tag=Tag.DOMAIN, origin=says)
    data = np.tile(np.array([to_fractions(1.0), -ball.radius], dtype=object), len(u))
    return RowBlock(block.data, block.indices, block.indptr, low, high, Tag.DOMAIN, says, (data, exact, exact))


def _absolute(builder: ProgramBuilder, name: str, u: Array) -> None:
    every = np.arange(len(u))
    t = builder.columns(name, Role.SIZE, every, 0.0 * every, 1.0 + 0 * every)
    for sign in (-1.0, 1.0):
        origin = f"{name}: t >= {'u' if sign < 0 else '-u'}"
        builder.rows(row_block([(1.0, t), (sign, u)], lower=0.0, tag=Tag.DOMAIN, origin=origin))
    builder.rows(_total(t, f"{name}: sum t <= 1"))


def _squares(builder: ProgramBuilder, name: str, u: Array) -> Array:
    every = np.arange(len(u))
    s = builder.columns(name, Role.SQUARE, every, 0.0 * every, 1.0 + 0 * every)
    builder.rows(_total(s, f"{name}: sum s <= 1"))
    for a in dict.fromkeys((1.0, float(1.0 / np.sqrt(len(u))))):
        for at in (-a, a):
            builder.rows(tangents(u, s, np.full(len(u), at), name))
    return s


def _total(columns: Array, origin: str) -> RowBlock:
    pointers, low, high = np.array([0, len(columns)]), np.array([-np.inf]), np.array([1.0])
    return RowBlock(np.ones(len(columns)), columns, pointers, low, high, Tag.DOMAIN, origin)
