"""Planar regions by their support function: what a method says of two numbers at once.

For directions ``d_k`` round the circle a method bounds ``d_k . (u, v)`` from below by ``b_k``; the region is
``{p : d_k . p >= b_k for all k}``. Of an exact method it is the convex hull of what is reached, up to the number of
directions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.formula import Atoms, conjunction
from nnsym.ir.linear import Dense
from nnsym.ir.node import Node, affine
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows, stack
from nnsym.judge.method import Method
from nnsym.results.clock import Deadline


def directions(count: int) -> Array:
    """``count`` unit vectors, evenly spread, ``(count, 2)``; the axes are among them if 4 divides it."""
    angle = 2 * np.pi * np.arange(count) / count
    return np.stack((np.cos(angle), np.sin(angle)), axis=1).round(15)


def support(query: Query, plane: tuple[Node, Node], method: Method, d: Array, seconds: float) -> tuple[Array, bool]:
    """``b_k <= d_k . (u, v)`` for two single elements over the domain of the query, ``(k,)``, and whether all was done.

    The query has hard atoms only; all directions are further rows of it. +inf where a program has no solution at all.
    """
    u, v = plane
    maps = ((Dense(d[:, :1]), u), (Dense(d[:, 1:]), v)) if u is not v else ((Dense(d.sum(1, keepdims=True)), u),)
    rows = stack([query.rows, Rows.of(affine(maps))])
    asked_rows = Atoms(np.arange(len(query.rows), len(rows)), strict=False, soft=True)
    asked = replace(query, rows=rows, labels=(), formula=conjunction(query.formula, asked_rows))
    return method.support(asked, Deadline.after(seconds))


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
