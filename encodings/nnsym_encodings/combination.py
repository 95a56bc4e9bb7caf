"""Points of a graph and their weights, which the encodings by convex combination share.

A continuous function with kinks ``t_1 < ... < t_m`` inside [l, u] is linear between neighbours of the points

    p_0 = t_1 - D    p_k = t_k    p_m+1 = t_m + E        D >= t_1 - l,    E >= u - t_m    rounded up

so ``(h, y) = sum_k w_k (p_k, f(p_k))`` with weights ``w_k >= 0`` of sum 1 of which at most two neighbours are not 0.
The ends are stated by ``d = D w_0`` and ``e = E w_m+1``, with the slopes a and b of the outer lines:

    h = sum_k t_k w_k + t_1 w_0 + t_m w_m+1 - d + e      y = sum_k f(t_k) w_k + f(t_1) w_0 + f(t_m) w_m+1 - a d + b e

Every coefficient but D and E is copied, and D and E may be larger: what bounds h is its column. An encoding adds how
two neighbours are chosen. A hinge has one kink, in 0. Where the function jumps, cells have copies of h as in ``balas``.

Source: Dantzig, On the significance of solving linear programming problems with some integer variables, Econometrica
28, 1960 (convex combination).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np

from nnsym.encode.common import COMMON_ROWS
from nnsym.encode.pieces import OpenPieces, open_pieces
from nnsym.encode.rules import open_hinges, require_finite
from nnsym.encoding import Context, Exactness, NodeRule
from nnsym.ir.array import Array
from nnsym.ir.exact import to_fractions
from nnsym.ir.node import Max, Node, Pointwise
from nnsym.ir.outward import sum_up
from nnsym.ir.univariate import Hinge, Piecewise
from nnsym.program import Role
from nnsym_encodings.balas import cells
from nnsym_encodings.bigm import maximum


@final
@dataclass(frozen=True, eq=False)
class Chain:
    """Open elements with equally many kinks: their columns, kinks ``t`` and values ``f`` there, both ``(m, n)``.

    ``below`` and ``above`` are the slopes of the outer lines, ``first`` and ``last`` their lengths D and E.
    """

    index: Array
    h: Array
    y: Array
    t: Array
    f: Array
    below: Array
    above: Array
    first: Array
    last: Array

    def shares(self, h: Array) -> Array:
        """How much of each of the m + 1 lines lies left of h: 1, then a number between on its own line, then 0."""
        t, first, last = self.t, self.first, self.last
        if h.dtype == object:
            t, first, last = map(to_fractions, (t, first, last))
        inner = [(h - low) / (high - low) for low, high in pairwise(t)]
        return np.stack([np.clip(s, 0, 1) for s in ((h - t[0]) / first + 1, *inner, (h - t[-1]) / last)])

    def line(self, h: Array) -> Array:
        """The number of the line that h is on, of the left one at a kink."""
        t = to_fractions(self.t) if h.dtype == object else self.t
        return np.asarray(sum(np.asarray(h > kink, dtype=int) for kink in t))


#: Adds that at most two neighbours of the weights ``(m + 2, n)`` of some elements are not 0.
Choice = Callable[[Context, Node, Chain, Array], None]


def combine(ctx: Context, node: Pointwise, chain: Chain) -> Array:
    """The weights ``(m + 2, n)`` and the rows above."""
    parent, name, points = node.parents[0], ctx.names[node], len(chain.t) + 2
    zero, one = np.zeros(len(chain.index)), np.ones(len(chain.index))

    def weight(k: int) -> Callable[[Mapping[Node, Array]], Array]:
        def value(values: Mapping[Node, Array]) -> Array:
            share = chain.shares(values[parent][chain.index])
            right = share[k] if k < points - 1 else 0
            return np.asanyarray((share[k - 1] if k else 1) - right)

        return value

    made = [
        ctx.builder.columns(f"{name}.w{k}", Role.WEIGHT, chain.index, zero, one, value=weight(k)) for k in range(points)
    ]
    w = np.stack(made)
    ends = []
    for letter, k, length in (("d", 0, chain.first), ("e", points - 1, chain.last)):
        end = ctx.builder.columns(f"{name}.{letter}", Role.PART, chain.index, zero, length)
        ctx.rows(node, [(length, w[k]), (-1.0, end)], lower=0.0, upper=0.0, says=f"{letter} = {letter.upper()} w_{k}")
        ends.append(end)
    outer = [0, *range(len(chain.t)), len(chain.t) - 1]
    at = [(1.0, chain.h), (1.0, ends[0]), (-1.0, ends[1]), *zip(-chain.t[outer], w, strict=True)]
    value = [(1.0, chain.y), (chain.below, ends[0]), (-chain.above, ends[1]), *zip(-chain.f[outer], w, strict=True)]
    ctx.rows(node, [(1.0, column) for column in w], lower=1.0, upper=1.0, says="sum w = 1")
    ctx.rows(node, at, lower=0.0, upper=0.0, says="h = sum t w - d + e")
    ctx.rows(node, value, lower=0.0, upper=0.0, says="y = sum f(t) w - a d + b e")
    return w


def hinge(choice: Choice) -> Callable[[Context, Pointwise, tuple[Array, ...]], Array]:
    """The rule for ReLU and its relatives."""

    def rule(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
        ids, o = open_hinges(ctx, node, args[0])
        require_finite(ctx, node.parents[0], o.l, o.u, o.index)
        kink = np.zeros((1, len(o.index)))
        chain = Chain(o.index, o.h, o.y, kink, kink, o.sign * o.a, o.sign * o.b, -o.l, o.u)
        choice(ctx, node, chain, combine(ctx, node, chain))
        return ids

    return rule


def pieces(choice: Choice) -> Callable[[Context, Pointwise, tuple[Array, ...]], Array]:
    """The rule for clip and its relatives; for sign the cells of ``balas``."""

    def rule(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
        ids, open_ = open_pieces(ctx, node, args[0])
        for o in open_:
            require_finite(ctx, node.parents[0], o.l, o.u, o.index)
            if o.continuous:
                chain = chain_of(o)
                choice(ctx, node, chain, combine(ctx, node, chain))
            else:
                cells(ctx, node, o)
        return ids

    return rule


def chain_of(o: OpenPieces) -> Chain:
    """Lines that meet, by the points where they do."""
    t, breaks = o.low[1:], o.fn.breaks.shape[1]
    kink = o.place[1:] % (2 * breaks + 1) // 2 - 1  # line c begins at breakpoint c - 1
    f = np.take_along_axis(np.broadcast_to(o.fn.at, (len(o.index), breaks)), kink.T, axis=1).T
    return Chain(o.index, o.h, o.y, t, f, o.slope[0], o.slope[-1], sum_up(t[0], -o.l), sum_up(o.u, -t[-1]))


def rules(choice: Choice) -> tuple[NodeRule, ...]:
    """The rules of an encoding that chooses two neighbours so."""
    return (
        NodeRule(Pointwise, Exactness.EXACT, hinge(choice), Hinge),
        NodeRule(Pointwise, Exactness.EXACT, pieces(choice), Piecewise),
        NodeRule(Max, Exactness.EXACT, maximum),
        *COMMON_ROWS,
    )
