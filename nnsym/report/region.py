"""Planar regions by their support function: what a method says of two numbers at once.

For directions ``d_k`` round the circle a method bounds ``d_k . (u, v)`` from below by ``b_k``; the region is
``{p : d_k . p >= b_k for all k}``. Of an exact method it is the convex hull of what is reached, up to the number of
directions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnsym.bounds.methods import compute
from nnsym.encoding import Form
from nnsym.errors import UnsupportedError
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense
from nnsym.ir.node import Node, affine
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.judge.build import build
from nnsym.judge.methods import BoundMethod, ProgramMethod
from nnsym.program import Feature
from nnsym.relaxation.sources import find_source
from nnsym.solvers.base import Goal, Limits, Status
from nnsym.solvers.outer import taking
from nnsym.solvers.registry import find

Array = NDArray[Any]


def directions(count: int) -> Array:
    """``count`` unit vectors, evenly spread, ``(count, 2)``; the axes are among them if 4 divides it."""
    angle = 2 * np.pi * np.arange(count) / count
    return np.stack((np.cos(angle), np.sin(angle)), axis=1).round(15)


def support(query: Query, plane: tuple[Node, Node], method: BoundMethod | ProgramMethod, d: Array) -> Array:
    """``b_k <= d_k . (u, v)`` for the two single elements of ``plane`` over the domain of the query, ``(k,)``.

    All directions are one specification for bounds, and one program each for an encoding. +inf where the program has
    no solution at all, which no right encoding of a domain that is not empty has; -inf where the solver gave up.
    """
    u, v = plane
    maps = ((Dense(d[:, :1]), u), (Dense(d[:, 1:]), v)) if u is not v else ((Dense(d.sum(1, keepdims=True)), u),)
    every = Rows.of(affine(maps))
    asked = replace(query, rows=every, formula=Atoms(np.arange(len(d)), strict=False, soft=True))
    bounds = compute(asked, find_source(method.bounds))
    if isinstance(method, BoundMethod):
        return bounds.rows.lower
    if method.encoding.form is not Form.MARGIN:
        raise UnsupportedError(
            "has no objective, so it has no region to draw",
            where=f"encoding '{method.encoding.name}'",
            remedy="Draw a linear encoding, such as triangle or bigm",
        )
    lane, least = taking(find(method.solver), frozenset({Feature.QUADRATIC})), np.full(len(d), -np.inf)
    for k in range(len(d)):
        one = replace(asked, rows=every.take(np.array([k])), formula=Atoms(np.arange(1), strict=False, soft=True))
        row = replace(bounds.rows, lower=bounds.rows.lower[[k]], upper=bounds.rows.upper[[k]])
        program = build(one, replace(bounds, rows=row), method.encoding)
        answer = lane.solve(program, Limits(seconds=60), Goal(decide=False))
        if answer.status is Status.INFEASIBLE:
            return np.full(len(d), np.inf)
        least[k] = max(answer.certified, answer.bound)
    return least


def polygon(d: Array, b: Array, window: tuple[float, float, float, float]) -> Array:
    """The corners of ``{p : d_k . p >= b_k}`` within ``window = (left, right, bottom, top)``, in order, ``(n, 2)``."""
    left, right, bottom, top = window
    corners = np.array([(left, bottom), (right, bottom), (right, top), (left, top)], dtype=np.float64)
    for normal, limit in zip(d, b, strict=True):
        corners = _clip(corners, normal, limit)
    return corners


def _clip(corners: Array, normal: Array, limit: float) -> Array:
    """One cut of a convex polygon (Sutherland and Hodgman 1974)."""
    if not len(corners) or limit == np.inf:
        return corners[:0]
    over = corners @ normal - limit
    kept: list[Array] = []
    for p, q, a, c in zip(corners, np.roll(corners, -1, 0), over, np.roll(over, -1), strict=True):
        if a >= 0:
            kept.append(p)
        if (a > 0) != (c > 0) and a != c and np.isfinite(limit):
            kept.append(p + (q - p) * (a / (a - c)))
    return np.array(kept).reshape(-1, 2)


def area(corners: Array) -> float:
    """The area of a polygon (the shoelace formula)."""
    x, y = corners.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
