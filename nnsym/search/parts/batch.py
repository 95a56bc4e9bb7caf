"""Open parts of the domain as arrays, and how one becomes two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from nnsym.bounds.kept.types import Domains, Limit
from nnsym.ir.array import Array
from nnsym.ir.node import Input, Node


@final
@dataclass(frozen=True, eq=False)
class Parts:
    """A batch of parts: what each assumes, and what is known of it.

    ``lower`` ``(batch, targets)`` are certified lower bounds of the targets, ``opened`` which of them are left,
    ``depth`` and ``number`` the place in the tree.
    """

    domains: Domains
    lower: Array
    opened: Array
    depth: Array
    number: Array

    def __len__(self) -> int:
        return len(self.number)

    def take(self, index: Array) -> Parts:
        """The parts ``index``."""
        return Parts(
            self.domains.take(index), self.lower[index], self.opened[index], self.depth[index], self.number[index]
        )

    @staticmethod
    def concatenate(batches: Sequence[Parts]) -> Parts:
        """All of them, in order."""
        if len(batches) == 1:
            return batches[0]
        return Parts(
            Domains.concatenate([b.domains for b in batches]),
            *(np.concatenate([getattr(b, name) for b in batches]) for name in ("lower", "opened", "depth", "number")),
        )

    def opening(self, opened: Array, kept: Array) -> Parts:
        """The parts ``kept`` with the targets ``opened`` left."""
        parts = replace(self, opened=opened)
        return parts if len(kept) == len(parts) else parts.take(kept)

    @property
    def least(self) -> Array:
        """The least bound ``(batch,)`` of what is left of each; +inf where nothing is."""
        return np.asarray(np.where(self.opened, self.lower, np.inf).min(1, initial=np.inf))

    def bare(self) -> Parts:
        """Without what only saves work: inherited ranges and multipliers."""
        return replace(self, domains=replace(self.domains, ranges=None, dual=None))

    @property
    def nbytes(self) -> int:
        """Bytes that it keeps."""
        limits = [*self.domains.limits.values(), *(self.domains.ranges or {}).values()]
        total = sum(limit.lower.nbytes + limit.upper.nbytes for limit in limits)
        dual = self.domains.dual
        if dual is not None:
            total += sum(a.nbytes for a in (*dual.slopes.values(), *dual.multipliers.values(), *dual.cuts.values()))
        return total + self.lower.nbytes + self.opened.nbytes


@final
@dataclass(frozen=True, eq=False)
class Branches:
    """One branching for each of a batch: element ``element`` of ``places[place]`` at ``point``.

    The first child has ``v <= point``, the second ``v >= point``, both with the point itself; of an integer element the
    first stops at the whole number below, and the second begins at the next.
    """

    places: Sequence[Node]
    place: Array
    element: Array
    point: Array

    def __len__(self) -> int:
        return len(self.point)

    def take(self, index: Array) -> Branches:
        """Those of the parts ``index``."""
        return Branches(self.places, self.place[index], self.element[index], self.point[index])


def split(parts: Parts, branches: Branches, first: int) -> Parts:
    """The children, two after two, numbered from ``first``."""
    count = len(parts)
    twice = parts.take(np.repeat(np.arange(count), 2))
    limits = dict(twice.domains.limits)
    for k, node in enumerate(branches.places):
        chosen = np.flatnonzero(branches.place == k)
        if not len(chosen):
            continue
        limits[node] = _cut(limits.get(node), node, 2 * count, chosen, branches)
    domains = replace(twice.domains, limits=limits)
    return Parts(domains, twice.lower, twice.opened, twice.depth + 1, first + np.arange(2 * count))


def _cut(limit: Limit | None, node: Node, count: int, chosen: Array, branches: Branches) -> Limit:
    """The limits of one node with the branchings of the parents ``chosen``."""
    none = np.full((count, node.size), np.inf)
    lower, upper = (-none, none) if limit is None else (limit.lower.copy(), limit.upper.copy())
    element, low = branches.element[chosen], branches.point[chosen]
    high = low
    if isinstance(node, Input):
        whole = node.integer[element]
        low, high = np.where(whole, np.floor(low), low), np.where(whole, np.floor(low) + 1, low)
    left, right = 2 * chosen, 2 * chosen + 1
    upper[left, element] = np.minimum(upper[left, element], low)
    lower[right, element] = np.maximum(lower[right, element], high)
    return Limit(lower, upper)
