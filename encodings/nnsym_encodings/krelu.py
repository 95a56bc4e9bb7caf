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
rounded up (docs/rounding.md).

Emits: sparse rows of up to 2 k terms over h and y, so they serve relaxations with and without binaries.

Source: Singh, Ganvir, Pueschel, Vechev, Beyond the Single Neuron Convex Barrier for Neural Network Certification,
NeurIPS 2019, section 3 (k-ReLU, octahedral groups); Mueller, Makarchuk, Singh, Pueschel, Vechev, PRIMA, POPL 2022
(groups that overlap little).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import final

import numpy as np

from nnsym.encoding import Cut, Separator
from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.outward import gamma
from nnsym.program import RowBlock
from nnsym.separation.groups import Group, GroupRows
from nnsym.separation.hull import facets
from nnsym.separation.octahedra import Provider, octahedra, provider, vertices
from nnsym.separation.scene import OpenLayer, Scene
from nnsym_encodings.krelu_separated import SeparatedKRelu

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
        return replace(self, octahedra=provider(parameters, where=self.name))

    def separator(self, scene: Scene) -> Separator:
        pools = [pool for layer in scene.layers if len((pool := self._pool(scene, layer)).rhs)]

        def separate(point: Array) -> Iterator[RowBlock]:
            for pool in pools:
                block = pool.violated(point, scene.tolerance)
                if len(block):
                    yield block

        return separate

    def _pool(self, scene: Scene, layer: OpenLayer) -> GroupRows:
        o = layer.hinges
        order = np.argsort(o.l * o.u, kind="stable")
        groups = _pairs(len(order), self.most) if self.k == 2 else _cover(len(order), self.k, self.block, self.most)
        pools = [GroupRows.empty(layer, self.k)]
        if len(groups):
            least = (1 - _SHARE) * scene.remaining()
            found = octahedra(scene, layer, np.sort(order[groups], axis=1), self.octahedra)
            for group, c in zip(found.groups, found.c, strict=True):
                if scene.remaining() < least:
                    break
                pools.append(group_rows(layer, group, c))
        return GroupRows.joined(pools)


def krelu(k: int, *, octahedra: Provider = "lp", most: int = 2000, block: int = 20) -> KRelu | SeparatedKRelu:
    """Cuts over groups of ``k`` neurons, 2, 3 or 4; ``octahedra`` by ``"lp"`` (strong) or ``"crown"`` (cheap).

    At most ``most`` groups of a layer are tried; triples lie in blocks of ``block`` neurons. Groups of 4 have no hulls:
    their cuts are separated one by one (:mod:`nnsym_encodings.krelu_separated`).
    """
    if k not in (2, 3, 4):
        raise InputError(f"groups of {k} neurons", where="krelu", remedy="Use 2, 3 or 4")
    if k == 4:
        return SeparatedKRelu(octahedra=octahedra, most=most)
    what = "all pairs of neurons" if k == 2 else f"groups of {k} neurons"
    return KRelu(
        name=f"krelu{k}",
        summary=f"the hull of {what} over octahedra",
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


def group_rows(layer: OpenLayer, members: Array, c: Array) -> GroupRows:
    """The facets of K that speak of several neurons, with right-hand sides that hold in exact arithmetic."""
    group, k = Group(layer, members), len(members)
    h, delta = vertices(c, k)
    if not len(h):
        return GroupRows.empty(layer, k)
    lifted, size = group.lift(h), group.size
    directions = facets(lifted / size)
    parts = directions[:, :k], directions[:, k:]
    several = ((parts[0] != 0) | (parts[1] != 0)).sum(axis=1) > 1
    rows = directions[several & (parts[1] != 0).any(axis=1)] / size
    value = rows @ lifted.T
    moved = delta * (np.abs(rows) @ np.concatenate((np.ones(k), group.steep)))
    rounding = gamma(4 * k) * (np.abs(rows) @ np.abs(lifted).max(axis=0))
    rhs = np.nextafter(value.max(axis=1, initial=-np.inf) + (moved + rounding) * (1 + 1e-9), np.inf)
    return GroupRows(layer, np.broadcast_to(group.columns, rows.shape), rows, rhs)
