"""k-ReLU without hulls: cuts over k neurons of one layer, each found by one LP over the lifted vertices of its group.

The set is that of ``krelu2`` and ``krelu3``,

    K = conv { (h, f_1(h_1), ..., f_k(h_k)) : h in P },   P = { a h <= c_a, a in {-1, 0, 1}^k },

but for k = 4 it has some 600 vertices in eight dimensions and more facets than anyone lists. A point needs one of
them: with the lifted vertices v_t and their mean g, ``max a (p - g)`` subject to ``a (v_t - g) <= 1`` exceeds 1 where
p is outside K, and its best a is a facet (``nnsym.separation.gauge``).

Adaptive: every round looks at the ``neurons`` of a layer with the largest gap ``y - f(h)`` at the point, and takes
``groups`` groups of k of them, no two of which share a pair, those with the largest sum of gaps first. A group without
a gap has nothing to cut. Octahedra and vertices of a group are kept for later rounds.

Numbers: the LP decides a direction only. For the stored coefficients p, q of a row ``p h + q y <= rhs`` the right-hand
side is the largest of weak dual bounds over the parts of P in all orthants, rounded up (``nnsym.separation.orthants``,
docs/rounding.md), so vertices that were missed cost strength and nothing else.

Emits: sparse rows of up to 2 k terms over h and y, at most one a group and round; they serve relaxations with and
without binaries.

Source: Singh, Ganvir, Pueschel, Vechev, Beyond the Single Neuron Convex Barrier for Neural Network Certification,
NeurIPS 2019, section 3 (k-ReLU, octahedral groups); separation over vertices is the classical cut-generating LP of
disjunctive programming (Balas, Ceria, Cornuejols, Math. Program. 58, 1993) in terms of points.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import final

import numpy as np

from nnsym.encoding import Cut, Separator
from nnsym.ir.array import Array
from nnsym.ir.outward import gamma
from nnsym.program import RowBlock
from nnsym.separation.gauge import separate
from nnsym.separation.groups import Group, GroupRows
from nnsym.separation.octahedra import Provider, octahedra, provider
from nnsym.separation.orthants import Parts, orthants
from nnsym.separation.scene import OpenLayer, Scene

#: The part of the time left that new groups may take.
_SHARE = 0.6

#: Octahedra are asked for this many groups at a time, so that the clock is looked at in between.
_BATCH = 10


@final
@dataclass(frozen=True, kw_only=True)
class SeparatedKRelu(Cut):
    """The family; see the module. ``octahedra`` says where the c_a come from; ``most`` groups of a layer are tried."""

    name: str = "krelu4"
    summary: str = "groups of 4 neurons over octahedra, each facet by an LP over vertices, largest gaps first"
    source: str = "Singh et al., NeurIPS 2019, section 3"
    k: int = 4
    octahedra: Provider = "lp"
    neurons: int = 30
    groups: int = 30
    most: int = 2000

    @property
    def text(self) -> str:
        return self.name if self.octahedra == "lp" else f"{self.name}:{self.octahedra}"

    def parse(self, parameters: str) -> SeparatedKRelu:
        return replace(self, octahedra=provider(parameters, where=self.name))

    def separator(self, scene: Scene) -> Separator:
        least = (1 - _SHARE) * scene.remaining()
        known = [LayerGroups(self, scene, layer, least) for layer in scene.layers]

        def separate(point: Array) -> Iterator[RowBlock]:
            for groups in known:
                block = groups.rows(point).violated(point, scene.tolerance)
                if len(block):
                    yield block

        return separate


@final
class LayerGroups:
    """The groups of a layer that were looked at so far, with the parts of their octahedra.

    None where there is nothing to cut, ever: a box, or an octahedron that no vertices were found of.
    """

    def __init__(self, family: SeparatedKRelu, scene: Scene, layer: OpenLayer, least: float) -> None:
        self._family, self._scene, self._layer, self._least = family, scene, layer, least
        self._parts: dict[tuple[int, ...], Parts | None] = {}

    def rows(self, point: Array) -> GroupRows:
        """A row of every group that is worth looking at and that the point is outside of."""
        useful = (group for group in self._by_gap(point) if self._parts.get(group, True) is not None)
        chosen = apart(useful, self._family.groups)
        self._meet([group for group in chosen if group not in self._parts])
        pools = [GroupRows.empty(self._layer, self._family.k)]
        for members in chosen:
            parts = self._parts.get(members)
            if parts is not None and self._scene.remaining() > 0.1:
                pools.append(group_row(Group(self._layer, np.array(members)), parts, point, self._scene.tolerance))
        return GroupRows.joined(pools)

    def _by_gap(self, point: Array) -> Iterator[tuple[int, ...]]:
        """Groups of neurons of different h with a gap among them, the largest sum of gaps first."""
        o, family = self._layer.hinges, self._family
        h, y = point[o.h], point[o.y]
        gap = np.maximum(o.sign * y - np.maximum(o.a * h, o.b * h), 0.0)
        largest = np.argsort(-gap, kind="stable")
        _, first = np.unique(o.h[largest], return_index=True)
        members = np.sort(largest[np.sort(first)[: family.neurons]])
        some = np.array(list(combinations(members.tolist(), family.k)), dtype=int).reshape(-1, family.k)
        total = gap[some].sum(axis=1)
        order = np.argsort(-total, kind="stable")
        yield from map(tuple, some[order[total[order] > self._scene.tolerance]].tolist())

    def _meet(self, groups: list[tuple[int, ...]]) -> None:
        """Make the parts of new groups, as many as there is time for."""
        groups = groups[: max(0, self._family.most - len(self._parts))]
        for start in range(0, len(groups), _BATCH):
            if self._scene.remaining() < self._least:
                break
            some = groups[start : start + _BATCH]
            self._parts |= dict.fromkeys(some)
            found = octahedra(self._scene, self._layer, np.array(some), self._family.octahedra)
            for group, c in zip(found.groups.tolist(), found.c, strict=True):
                parts = Parts.of(c, self._family.k)
                self._parts[tuple(group)] = parts if len(parts.points) else None


def apart(groups: Iterable[tuple[int, ...]], most: int) -> list[tuple[int, ...]]:
    """The first ``most`` of the groups, in order, that share no pair with one before."""
    found: list[tuple[int, ...]] = []
    used: set[tuple[int, int]] = set()
    for group in groups:
        pairs = set(combinations(group, 2))
        if not pairs & used:
            used |= pairs
            found.append(group)
            if len(found) == most:
                break
    return found


def group_row(group: Group, parts: Parts, point: Array, tolerance: float) -> GroupRows:
    """The facet of K that a point of the program is beyond, if it is; the right-hand side holds in exact arithmetic."""
    k = len(group.members)
    size, columns = group.size, group.columns
    direction, gauge = separate(group.lift(parts.points) / size, point[columns] / size)
    if gauge <= 1 + tolerance or not direction[k:].any():
        return GroupRows.empty(group.layer, k)
    row = direction / size
    row /= np.abs(row).max()
    return GroupRows(group.layer, columns[None], row[None], np.array([right_hand_side(group, parts, row)]))


def right_hand_side(group: Group, parts: Parts, row: Array) -> float:
    """A float64 not below ``row (h, y)`` at any h of P, for the row as stored."""
    k = len(group.members)
    p, q = row[:k], row[k:]
    slope = np.where(orthants(k) > 0, group.right, group.left)
    return parts.most(p + q * slope, gamma(2) * (np.abs(p) + np.abs(q * slope)))
