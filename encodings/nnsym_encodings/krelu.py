"""k-ReLU: cuts over k neurons of one layer at once, from the hull of their joint graph over an octahedron.

For a group of open pre-activations ``h`` in R^k in ``P = { a h <= c_a, a in {-1, 0, 1}^k }``, the set

    K = conv { (h, f_1(h_1), ..., f_k(h_k)) : h in P }

is a polytope in R^2k, the hull of the lifted vertices of P's part in every orthant. Its facets that speak of two or
more neurons are the cuts. Over a box K is the product of triangles and there are none: all that is gained comes from
the c_a of sums and differences, so groups whose c_a are no tighter than single bounds are left out before anything
else.

Groups: all pairs for k = 2; for k = 3 a sparse cover, triples of which no two share a pair, inside blocks of ``block``
neurons sorted by the area of their triangle ``-l u``. A group is tried in that order until ``most`` of a layer are.

Numbers: facets of a float hull are directions only. For the stored coefficients p, q of a row ``p h + q y <= rhs`` the
largest value over K is at a lifted vertex, every vertex is within delta of a known point
(``nnsym.separation.octahedra``), and rhs is the largest value at those points plus what delta and the sums may move,
rounded up (docs/numerics.md).

Emits: sparse rows of up to 2 k terms over h and y, so they serve relaxations with and without binaries.

Source: Singh, Ganvir, Pueschel, Vechev, Beyond the Single Neuron Convex Barrier for Neural Network Certification,
NeurIPS 2019, section 3 (k-ReLU, octahedral groups); Mueller, Makarchuk, Singh, Pueschel, Vechev, PRIMA, POPL 2022
(groups that overlap little).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nnsym.encoding import Cut, Separator
from nnsym.errors import InputError
from nnsym.ir.outward import gamma
from nnsym.program import RowBlock, Tag
from nnsym.separation.hull import facets
from nnsym.separation.octahedra import Provider, octahedra, vertices
from nnsym.separation.scene import Layer, Scene

Array = NDArray[Any]

#: The part of the time left that finding rows may take.
_SHARE = 0.6


@final
@dataclass(frozen=True, kw_only=True)
class KRelu(Cut):
    """The family; see the module. ``octahedra`` says where the c_a come from."""

    k: int
    octahedra: Provider = "lp"
    most: int = 2000
    block: int = 20

    @property
    def text(self) -> str:
        return self.name if self.octahedra == "lp" else f"{self.name}:{self.octahedra}"

    def parse(self, parameters: str) -> KRelu:
        if parameters not in ("lp", "crown"):
            raise InputError(f"'{parameters}' is no source of octahedra", where=self.name, remedy="Write lp or crown")
        return replace(self, octahedra="crown" if parameters == "crown" else "lp")

    def separator(self, scene: Scene) -> Separator:
        pools = [pool for layer in scene.layers if len((pool := self._pool(scene, layer)).rhs)]

        def separate(point: Array) -> Iterator[RowBlock]:
            for pool in pools:
                block = pool.violated(point, scene.tolerance)
                if len(block):
                    yield block

        return separate

    def _pool(self, scene: Scene, layer: Layer) -> Pool:
        o = layer.hinges
        order = np.argsort(o.l * o.u, kind="stable")
        groups = _pairs(len(order), self.most) if self.k == 2 else _cover(len(order), self.k, self.block, self.most)
        pools = [Pool.empty(layer, self.k)]
        if len(groups):
            least = (1 - _SHARE) * scene.remaining()
            found = octahedra(scene, layer, np.sort(order[groups], axis=1), self.octahedra)
            for group, c in zip(found.groups, found.c, strict=True):
                if scene.remaining() < least:
                    break
                pools.append(group_rows(layer, group, c))
        return Pool.joined(pools)


def krelu(k: int, *, octahedra: Provider = "lp", most: int = 2000, block: int = 20) -> KRelu:
    """Cuts over groups of ``k`` neurons, 2 or 3; ``octahedra`` by ``"lp"`` (strong) or ``"crown"`` (cheap)."""
    if k not in (2, 3):
        raise InputError(f"groups of {k} neurons", where="krelu", remedy="Use 2 or 3")
    what = "all pairs" if k == 2 else f"groups of {k}"
    return KRelu(
        name=f"krelu{k}",
        summary=f"the hull of {what} of neurons over octahedra",
        source="Singh et al., NeurIPS 2019, section 3",
        k=k,
        octahedra=octahedra,
        most=most,
        block=block,
    )


def _pairs(count: int, most: int) -> Array:
    """Pairs of numbers below ``count``, those of small numbers first."""
    found = sorted(combinations(range(count), 2), key=lambda pair: (pair[0] + 1) * (pair[1] + 1))[:most]
    return np.array(found, dtype=int).reshape(-1, 2)


def _cover(count: int, k: int, block: int, most: int) -> Array:
    """Groups of k inside blocks, no two of which share a pair."""
    found: list[tuple[int, ...]] = []
    for start in range(0, count, block):
        used: set[tuple[int, int]] = set()
        for group in combinations(range(start, min(start + block, count)), k):
            pairs = set(combinations(group, 2))
            if not pairs & used:
                used |= pairs
                found.append(group)
    return np.array(found[:most], dtype=int).reshape(-1, k)


@final
@dataclass(frozen=True, eq=False)
class Pool:
    """Rows ``p h + q y <= rhs`` of many groups of a layer: columns and coefficients of shape ``(rows, 2 k)``."""

    layer: Layer
    columns: Array
    coefficients: Array
    rhs: Array

    @staticmethod
    def empty(layer: Layer, k: int) -> Pool:
        return Pool(layer, np.zeros((0, 2 * k), int), np.zeros((0, 2 * k)), np.zeros(0))

    @staticmethod
    def joined(pools: list[Pool]) -> Pool:
        """All rows in one pool."""
        parts = [np.concatenate([getattr(p, name) for p in pools]) for name in ("columns", "coefficients", "rhs")]
        return Pool(pools[0].layer, *parts)

    def violated(self, point: Array, tolerance: float) -> RowBlock:
        """The rows that a point violates."""
        norm = np.sqrt((self.coefficients**2).sum(axis=1))
        bad = (self.coefficients * point[self.columns]).sum(axis=1) - self.rhs > tolerance * norm
        data, columns = self.coefficients[bad], self.columns[bad]
        kept = data != 0
        pointers = np.concatenate(([0], np.cumsum(kept.sum(axis=1))))
        origin = f"{self.layer.name}: facet of {self.columns.shape[1] // 2} neurons over an octahedron"
        lower = np.full(int(bad.sum()), -np.inf)
        return RowBlock(data[kept], columns[kept], pointers, lower, self.rhs[bad], Tag.CUT, origin)


def group_rows(layer: Layer, group: Array, c: Array) -> Pool:
    """The facets of K that speak of several neurons, with right-hand sides that hold in exact arithmetic."""
    o, k = layer.hinges, len(group)
    left, right = (o.sign * o.a)[group], (o.sign * o.b)[group]
    h, delta = vertices(c, k)
    if not len(h):
        return Pool.empty(layer, k)
    y = np.where(h > 0, right, left) * h
    scale = np.maximum(-o.l, o.u)[group]
    steep = np.maximum(np.abs(left), np.abs(right))
    size = np.concatenate((scale, scale * steep))
    lifted = np.concatenate((h, y), axis=1)
    directions = facets(lifted / size)
    parts = directions[:, :k], directions[:, k:]
    several = ((parts[0] != 0) | (parts[1] != 0)).sum(axis=1) > 1
    rows = directions[several & (parts[1] != 0).any(axis=1)] / size
    value = rows @ lifted.T
    moved = delta * (np.abs(rows) @ np.concatenate((np.ones(k), steep)))
    rounding = gamma(4 * k) * (np.abs(rows) @ np.abs(lifted).max(axis=0))
    rhs = np.nextafter(value.max(axis=1, initial=-np.inf) + (moved + rounding) * (1 + 1e-9), np.inf)
    columns = np.broadcast_to(np.concatenate((o.h[group], o.y[group])), rows.shape)
    return Pool(layer, columns, rows, rhs)
