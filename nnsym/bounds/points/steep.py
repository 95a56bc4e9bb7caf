"""Pairs of points between which a function is steep: candidates for a lower bound of its Lipschitz constant.

Points climb to where the norm of the Jacobian is large, by random moves that shrink: the Jacobian of a network of
pieces is constant on its regions, so that its norm has no gradient. The direction is found by the power method for
``|J|_{p -> q}`` (Boyd, The Power Method for l^p Norms, 1974). Float64 without any claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.lipschitz.norms import Norm, dual
from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.evaluate import evaluate
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.univariate import direction
from nnsym.ir.walk import topological
from nnsym.results.clock import NEVER, Deadline, latest

Inside = Callable[[Array], Array]

_POINTS, _ROUNDS, _KEPT, _POWER = 64, 24, 8, 12
_ENTRIES, _AT_ONCE = 2**24, 2**22  # numbers of the Jacobians of one round, and of those made at once
_REACHES = (1.0, 0.1, 1e-2, 1e-3, 1e-4, 1e-5)  # half distances of a pair, relative to the scale


@final
@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Where pairs are looked for: round ``centre``, ``spread`` the scale of every element.

    ``inside`` moves points ``(count, n)`` into the domain; ``far`` widens the search by powers of ten, both ways.
    """

    centre: Array
    spread: Array
    inside: Inside
    far: float = 0.0


def steep_pairs(
    root: Node, x: Input, place: Neighbourhood, *, p: Norm, q: Norm, seed: int = 0, deadline: Deadline = NEVER
) -> list[tuple[Array, Array]]:
    """Pairs of points of the domain, the steepest first as floats say: of what was found by the deadline."""
    search = _Search(root=root, x=x, place=place, p=p, q=q, deadline=deadline)
    best = latest(search.climb(np.random.default_rng(seed)))
    return [] if best is None else search.ordered(best)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class _Search:
    """A search for points where the map from ``x`` to ``root`` is steep, in the norms p and q."""

    root: Node
    x: Input
    place: Neighbourhood
    p: Norm
    q: Norm
    deadline: Deadline

    def climb(self, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
        """The best points and directions so far, the best first, after every part of a round."""
        inside, spread, n = self.place.inside, self.place.spread, self.x.size
        widest = self.root.size * max(node.size for node in topological((self.root,)))
        count = int(np.clip(_ENTRIES // widest, _KEPT, _POINTS))
        scale = 10.0 ** (self.place.far * rng.uniform(-1, 1, (count, 1)))
        fresh = inside(self.place.centre + scale * spread * rng.uniform(-1, 1, (count, n)))
        points, norms, ways = np.zeros((0, n)), np.zeros(0), np.zeros((0, n))
        for k in range(_ROUNDS + 1):
            for part in np.array_split(fresh, -(-len(fresh) * widest // _AT_ONCE)):
                found = self._steepness(part)
                points, norms, ways = (
                    np.concatenate(pair) for pair in ((points, part), (norms, found[0]), (ways, found[1]))
                )
                best = np.argsort(-norms)[:_KEPT]
                points, norms, ways = points[best], norms[best], ways[best]
                yield points, ways
            each = np.repeat(np.arange(len(points)), count // len(points))
            away = 0.5 * 0.75**k * (scale[each % len(scale)] * spread) * rng.standard_normal((len(each), n))
            fresh = inside(points[each] + away)

    def ordered(self, found: tuple[Array, Array]) -> list[tuple[Array, Array]]:
        """Pairs along the directions at several distances, moved into the domain, by their slope in floats."""
        place, slopes, pairs = self.place, list[Array](), list[tuple[Array, Array]]()
        scale = float(place.spread.max(initial=0.0))
        for point, way in zip(*found, strict=True):
            if pairs and self.deadline.passed:
                break
            ahead, behind = (place.inside(point + sign * scale * np.outer(_REACHES, way)) for sign in (1.0, -1.0))
            ends = np.concatenate((point[None], ahead, behind))
            values, few = evaluate((self.root,), {self.x: ends})[self.root], len(_REACHES)
            start, left, right = np.zeros(few, np.int64), np.arange(1, few + 1), np.arange(few + 1, 2 * few + 1)
            a, b = np.concatenate((left, left, start)), np.concatenate((right, start, right))
            rise, run = vector_norm(values[a] - values[b], self.q), vector_norm(ends[a] - ends[b], self.p)
            with np.errstate(divide="ignore", invalid="ignore"):
                slopes.append(np.nan_to_num((rise / run)[run > 0], nan=-np.inf))
            pairs += [(ends[i], ends[j]) for i, j in zip(a[run > 0], b[run > 0], strict=True)]
        return [pairs[k] for k in np.argsort(-np.concatenate(slopes))]

    def _steepness(self, points: Array) -> tuple[Array, Array]:
        """About ``|J|_{p -> q}`` at every point, and directions of p-norm 1 that attain it."""
        jacobian = jacobians(self.root, self.x, points, deadline=self.deadline)
        way = np.take_along_axis(jacobian, np.abs(jacobian).sum(axis=2).argmax(axis=1)[:, None, None], axis=1)[:, 0]
        way = _dual(way, self.p)
        for _ in range(_POWER):
            image = np.einsum("boi,bi->bo", jacobian, way)
            way = _dual(np.einsum("boi,bo->bi", jacobian, _dual(image, dual(self.q))), self.p)
        return vector_norm(np.einsum("boi,bi->bo", jacobian, way), self.q), way


def vector_norm(values: Array, q: Norm) -> Array:
    """The q-norm over the last axis."""
    return np.asarray(np.linalg.norm(values, ord=np.inf if q == "inf" else q, axis=-1))


def _dual(values: Array, p: Norm) -> Array:
    """The vector of p-norm 1 whose product with ``values`` is largest."""
    if p == 2:
        return np.asarray(values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-300))
    if p == "inf":
        return np.sign(values)
    top = np.abs(values).argmax(axis=-1)[..., None]
    return np.where(np.arange(values.shape[-1]) == top, np.sign(values), 0.0)


def jacobians(root: Node, x: Input, points: Array, *, deadline: Deadline = NEVER) -> Array:
    """``(count, outputs, inputs)``, by one pass back for all outputs; of a kink the slope left of it.

    Raises :class:`nnsym.results.clock.OutOfTime` where the deadline passes between two nodes.
    """
    deadline.check()
    nodes = topological((root,))
    values = evaluate(nodes, {x: points})
    unit = np.broadcast_to(np.eye(root.size), (len(points), root.size, root.size))
    arriving: dict[Node, Array] = {root: unit}
    for node in reversed(nodes):
        if node is x or node not in arriving:
            continue
        deadline.check()
        here = arriving.pop(node)
        for parent, part in _back(node, here, values):
            arriving[parent] = arriving[parent] + part if parent in arriving else part
    return arriving.get(x, np.zeros((len(points), root.size, x.size)))


def _back(node: Node, here: Array, values: dict[Node, Array]) -> list[tuple[Node, Array]]:
    match node:
        case Input():
            return []
        case Affine():
            return [(p, m.adjoint(here)) for m, p in zip(node.maps, node.parents, strict=True)]
        case Pointwise():
            return [(node.parents[0], here * direction(node.fn, values[node.parents[0]])[:, None])]
        case Max():
            argument = values[node.parents[0]]
            taken = np.where(node.groups >= 0, argument[:, node.groups], -np.inf).argmax(axis=2)
            winner = np.take_along_axis(
                np.broadcast_to(node.groups, (len(argument), *node.groups.shape)), taken[..., None], 2
            )
            out = np.zeros((len(argument), here.shape[1], argument.shape[1]))
            for k in range(here.shape[1]):
                np.add.at(out[:, k], (np.arange(len(argument))[:, None], winner[..., 0]), here[:, k])
            return [(node.parents[0], out)]
        case Product():
            left, right = node.parents
            return [(left, here * values[right][:, None]), (right, here * values[left][:, None])]
    raise UnsupportedError(f"no slopes of {node!r}")
