"""What a search and the kept engine say to each other: arrays with one leading axis, one entry a subproblem.

A subproblem is the query with further *limits* on its nodes. One type serves every way to split: a smaller input box, a
phase of a hinge, a cell of a piecewise function, the half of a sigmoid's axis, a bound of an integer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.node import Input, Node


@final
@dataclass(frozen=True, eq=False)
class Limit:
    """``lower <= v <= upper`` for the elements of a node, float64 ``(batch, size)``; infinite where nothing is said."""

    lower: Array
    upper: Array

    def take(self, index: Array) -> Limit:
        """The subproblems ``index``."""
        return Limit(self.lower[index], self.upper[index])

    def meet(self, other: Limit) -> Limit:
        """Both at once."""
        return Limit(np.maximum(self.lower, other.lower), np.minimum(self.upper, other.upper))


@final
@dataclass(frozen=True, eq=False)
class Dual:
    """What a bound may choose, row by row: a start for the next ascent, and what a certificate is made of.

    ``slopes[node]`` are slopes of a hinge node, ``(batch, rows, size)``, used where the element is open.
    ``multipliers[node]`` are signed multipliers of the limits of a node, ``(batch, rows, size)``: positive of its lower
    limit, negative of its upper one. ``cuts[node]``, ``(batch, rows, cuts)``, are those of the engine's cuts, >= 0.
    Rows are those of the specification, or of the target that was bounded.
    """

    slopes: Mapping[Node, Array] = field(default_factory=dict)
    multipliers: Mapping[Node, Array] = field(default_factory=dict)
    cuts: Mapping[Node, Array] = field(default_factory=dict)

    def take(self, index: Array) -> Dual:
        """The subproblems ``index``."""
        return Dual(*(_take(part, index) for part in (self.slopes, self.multipliers, self.cuts)))

    @staticmethod
    def concatenate(parts: Sequence[Dual], sizes: Sequence[int]) -> Dual:
        """Those of so many subproblems each, in order; what some part does not have is 0, slopes are dropped."""
        slopes = [n for n in parts[0].slopes if all(n in part.slopes for part in parts)]
        return Dual(
            {n: np.concatenate([part.slopes[n] for part in parts]) for n in slopes},
            _padded([part.multipliers for part in parts], sizes),
            _padded([part.cuts for part in parts], sizes),
        )


@final
@dataclass(frozen=True, eq=False)
class Domains:
    """A batch of subproblems.

    ``limits`` are what each assumes, beside the query's own domain. ``ranges`` are sound bounds of nodes that it was
    given, those of the subproblem that it is a part of as :class:`BatchBounds` has them: they are met, and what a
    limit does not touch is not computed again. ``wanted`` marks the rows of the specification that are still asked
    for, ``(batch, rows)``; others have no bound. ``dual`` is what rows choose without an ascent, and where one starts.
    """

    limits: Mapping[Node, Limit]
    wanted: Array
    ranges: Mapping[Node, Limit] | None = None
    dual: Dual | None = None

    def __len__(self) -> int:
        return len(self.wanted)

    def take(self, index: Array) -> Domains:
        """The subproblems ``index`` (numbers, repeated ones too, or a mask)."""
        ranges = None if self.ranges is None else {n: r.take(index) for n, r in self.ranges.items()}
        dual = None if self.dual is None else self.dual.take(index)
        return Domains({n: s.take(index) for n, s in self.limits.items()}, self.wanted[index], ranges, dual)

    @staticmethod
    def concatenate(parts: Sequence[Domains]) -> Domains:
        """All subproblems, in order.

        A node that some parts have no limit for has none there; ranges and duals are kept where all parts have them.
        """
        if not parts:
            raise InputError("no domains to put side by side")
        sizes = [len(part) for part in parts]
        ranges = [part.ranges for part in parts]
        duals = [part.dual for part in parts]
        return Domains(
            _side_by_side([part.limits for part in parts], sizes),
            np.concatenate([part.wanted for part in parts]),
            None if any(r is None for r in ranges) else _side_by_side([r or {} for r in ranges], sizes),
            None if any(d is None for d in duals) else Dual.concatenate([d for d in duals if d is not None], sizes),
        )


@final
@dataclass(frozen=True, eq=False)
class BatchBounds:
    """What the engine found of a batch of subproblems; everything but ``point`` and ``gaps`` is sound.

    ``lower`` ``(batch, rows)`` are lower bounds of the rows on the subproblem (-inf where a row was not asked for).
    ``ranges`` bound the arguments of nonlinear nodes, and every node that has a limit. ``empty`` ``(batch,)`` is true
    where the subproblem is proved to hold no point. ``forms[x] = C``, ``(batch, rows, n)``, and ``constant`` say
    ``row >= sum_x C_x x + constant`` there. ``point[x]`` ``(batch, rows, n)`` minimises that form: a candidate.
    ``gaps[node]`` ``(batch, rows, size)`` >= 0 is what each element of ``node``, the argument of a nonlinear one, adds
    at the point to the distance between bound and network, and of a hinge what the row's line misses the kink by as
    well; zero everywhere means that the bound is attained.
    """

    lower: Array
    ranges: Mapping[Node, Limit]
    empty: Array
    forms: Mapping[Input, Array]
    constant: Array
    point: Mapping[Input, Array]
    gaps: Mapping[Node, Array]
    dual: Dual | None = None

    def __len__(self) -> int:
        return len(self.lower)

    def take(self, index: Array) -> BatchBounds:
        """The subproblems ``index``."""
        return BatchBounds(
            self.lower[index],
            {n: r.take(index) for n, r in self.ranges.items()},
            self.empty[index],
            _take(self.forms, index),
            self.constant[index],
            _take(self.point, index),
            _take(self.gaps, index),
            None if self.dual is None else self.dual.take(index),
        )

    def beside(self, other: BatchBounds) -> BatchBounds:
        """The rows of both, of the same subproblems with the same ranges; what may be chosen is the other's."""
        return BatchBounds(
            np.concatenate([self.lower, other.lower], axis=1),
            self.ranges,
            self.empty,
            _along(self.forms, other.forms),
            np.concatenate([self.constant, other.constant], axis=1),
            _along(self.point, other.point),
            _along(self.gaps, other.gaps),
            other.dual,
        )


#: Weights ``(batch, sums, rows) >= 0`` of sums of the specification's rows, and which of them are asked for, ``(batch,
#: sums)``: from what was found of the rows themselves.
Sums = Callable[[BatchBounds], tuple[Array, Array]]


def _along(some: Mapping[Any, Array], more: Mapping[Any, Array]) -> dict[Any, Array]:
    """Arrays of rows, followed by others; 0 where there are none."""
    found, parts = {}, (some, more)
    counts = [next((a.shape[1] for a in part.values()), 0) for part in parts]
    for n in dict.fromkeys((*some, *more)):
        like = some.get(n, more.get(n))
        assert like is not None
        both = [
            p.get(n, np.zeros((len(like), k, like.shape[2]), like.dtype)) for p, k in zip(parts, counts, strict=True)
        ]
        found[n] = np.concatenate(both, axis=1)
    return found


def _take(arrays: Mapping[Any, Array], index: Array) -> dict[Any, Array]:
    return {n: a[index] for n, a in arrays.items()}


def _side_by_side(parts: Sequence[Mapping[Node, Limit]], sizes: Sequence[int]) -> dict[Node, Limit]:
    """Limits of all parts; infinite where a part has none."""
    nodes = dict.fromkeys(n for part in parts for n in part)

    def sides(node: Node, side: Callable[[Limit], Array], nothing: float) -> Array:
        every = zip(parts, sizes, strict=True)
        return np.concatenate([side(p[node]) if node in p else np.full((n, node.size), nothing) for p, n in every])

    return {
        node: Limit(sides(node, lambda s: s.lower, -np.inf), sides(node, lambda s: s.upper, np.inf)) for node in nodes
    }


def _padded(parts: Sequence[Mapping[Node, Array]], sizes: Sequence[int]) -> dict[Node, Array]:
    """Arrays of all parts, 0 where a part has none."""
    found = {}
    for node in dict.fromkeys(n for part in parts for n in part):
        like = next(part[node] for part in parts if node in part)
        none = [np.zeros((k, *like.shape[1:]), dtype=like.dtype) for k in sizes]
        found[node] = np.concatenate([part.get(node, zero) for part, zero in zip(parts, none, strict=True)])
    return found
