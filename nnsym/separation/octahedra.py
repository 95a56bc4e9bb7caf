"""Groups of pre-activations in an octahedron: ``P = { h in R^k : sum_i a_i h_i <= c_a, a in {-1, 0, 1}^k, a != 0 }``.

The bounds of single h are the neurons' own; those of sums and differences come from LPs over the layers before
(``lp``) or from linear bounds propagated back to the inputs (``crown``), both certified and rounded outward. Where no
sum is bounded tighter than its members together, P is a box for all that matters and no cut of the group exists.

:func:`vertices` finds points near all vertices of P cut by the planes ``h_i = 0``, with a bound of how near: a vertex
solves k of these equations, their coefficients are -1, 0 or 1, so the inverse is a matrix of small integers over a
small integer, and a float solution is off by a few roundings only (docs/rounding.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, product
from typing import Literal, final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.linear import Sparse, row_pointers
from nnsym.ir.node import affine
from nnsym.ir.outward import gamma, sum_up
from nnsym.ir.rows import Rows
from nnsym.separation.scene import OpenLayer, Scene

Provider = Literal["lp", "crown"]

#: A bound of a sum counts as tighter than its members' if it is by this part of them.
_TIGHTER = 1e-9


@cache
def signs(k: int) -> Array:
    """All ``a`` in ``{-1, 0, 1}^k`` but 0, shape ``(3^k - 1, k)``."""
    every = np.array(list(product((-1.0, 0.0, 1.0), repeat=k)))
    found: Array = every[(every != 0).any(axis=1)]
    found.setflags(write=False)
    return found


@final
@dataclass(frozen=True, eq=False)
class Octahedra:
    """``groups`` (g, k) numbers open hinges of a layer; ``c`` (g, 3^k - 1) goes with :func:`signs`."""

    groups: Array
    c: Array

    @property
    def k(self) -> int:
        return int(self.groups.shape[1])

    def take(self, some: Array) -> Octahedra:
        """The groups ``some``."""
        return Octahedra(self.groups[some], self.c[some])


def provider(text: str, *, where: str) -> Provider:
    """The source of octahedra that a text names."""
    match text:
        case "lp" | "crown":
            return text
    raise InputError(f"'{text}' is no source of octahedra", where=where, remedy="Write lp or crown")


def octahedra(scene: Scene, layer: OpenLayer, groups: Array, provider: Provider) -> Octahedra:
    """The octahedra of the groups, without those that are boxes for all that matters."""
    o, a = layer.hinges, signs(groups.shape[1])
    c = np.zeros((len(groups), len(a)))
    for i in range(groups.shape[1]):  # what the single bounds give
        low, high = -o.l[groups[:, i]], o.u[groups[:, i]]
        ends = np.where(a[:, i] > 0, high[:, None], low[:, None])
        c = sum_up(c, np.where(a[:, i] != 0, ends, 0.0))
    alone = c.copy()
    several = np.flatnonzero((a != 0).sum(axis=1) > 1)
    columns = np.where(a[several] != 0, o.h[groups][:, None, :], -1)
    sides = np.broadcast_to(a[several], columns.shape)
    flat = columns.reshape(-1, groups.shape[1]), sides.reshape(-1, groups.shape[1])
    found = scene.forms(*flat) if provider == "lp" else _crown(scene, layer, *flat)
    c[:, several] = np.minimum(c[:, several], found.reshape(len(groups), -1))
    tighter = (c < alone - _TIGHTER * np.abs(alone).max(axis=1, keepdims=True, initial=1e-300)).any(axis=1)
    return Octahedra(groups, c).take(np.flatnonzero(tighter))


def _crown(scene: Scene, layer: OpenLayer, columns: Array, sides: Array) -> Array:
    """Upper bounds of forms by linear bounds of one more affine layer."""
    from nnsym.bounds.engine.backward.linear import crown  # heavy: torch

    pre = layer.node.parents[0]
    element = np.full(scene.program.n_columns + 1, -1)
    element[layer.hinges.h] = layer.hinges.index
    used = columns >= 0
    indptr = row_pointers(used.sum(axis=1))
    sums = affine(((Sparse(sides[used], element[columns[used]], indptr, pre.size), pre),))
    asked = replace(scene.query, rows=Rows.of(sums), labels=(), applications=())
    found = crown(asked, intermediate=scene.bounds).rows.upper
    return np.where(np.isfinite(found), found, np.inf)


@cache
def _systems(k: int) -> tuple[Array, Array, Array]:
    """``(members, inverse, planes)``: all sets of k independent planes of an octahedron and of the coordinates.

    ``members`` (s, k) numbers rows of ``planes``; ``inverse`` (s, k, k) is exact up to its division.
    """
    planes = np.concatenate((signs(k), np.eye(k)))
    members = np.array(list(combinations(range(len(planes)), k)))
    matrices = planes[members]
    determinant = np.round(np.linalg.det(matrices))
    members, matrices, determinant = (v[determinant != 0] for v in (members, matrices, determinant))
    adjugate = np.round(np.linalg.inv(matrices) * determinant[:, None, None])
    return members, np.stack((adjugate, np.broadcast_to(determinant[:, None, None], adjugate.shape))), planes


def vertices(c: Array, k: int) -> tuple[Array, float]:
    """``(points, delta)``: every vertex of every orthant's part of P is within ``delta`` (each coordinate) of a point.

    ``c`` is one group's, k at most 3. There are points twice, and points barely outside P. Empty for an empty P.
    """
    members, (adjugate, determinant), planes = _systems(k)
    right = np.concatenate((c, np.zeros(k)))[members]
    points = (adjugate * right[:, None, :]).sum(axis=2) / determinant[:, :, 0]
    largest = float(np.abs(c).max(initial=0.0))
    delta = gamma(k + 1) * 2 * k * largest
    reach = 2 * k * delta + gamma(k) * k * 2 * k * largest
    inside = (points @ planes[: len(c)].T <= c + reach).all(axis=1)
    return points[inside], delta
