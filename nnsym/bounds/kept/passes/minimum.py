"""The network's relaxation at the point where a row of it is least: values of all nodes, and where they are not real.

A pass picks one line for every element: its bound is the value of the row where every nonlinear node is replaced by
that line, at the input that minimises the form. Going forward with these lines gives every node's value there. It is
also the gradient of the bound (:mod:`nnsym.bounds.kept.passes.ascent`). Nothing here is charged, and nothing is
claimed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnsym.bounds.kept.passes.descent import Choice, Descent, Seed
from nnsym.bounds.kept.passes.inputs import minimiser
from nnsym.bounds.kept.passes.state import State, Steered
from nnsym.ir.array import Array
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.univariate import Hinge


def values(state: State, seed: Seed, done: Descent, choice: Choice) -> dict[Node, Array]:
    """Values ``(sets, rows, n)``, in the format of rows, of the nodes that a seed depends on, at each row's minimiser.

    ``done`` has to have kept the coefficients of nonlinear nodes.
    """
    found: dict[Node, Array] = {}
    by, plan = state.plan.by, state.plan
    for node in reversed(plan.order(seed.start, *choice.multipliers)):
        if isinstance(node, Input):
            found[node] = _point(state, seed, node, done.forms.get(node))
        elif isinstance(node, Affine):
            total = by.near(plan.bias(node))
            for matrix, parent in zip(plan.matrices[node], node.parents, strict=True):
                total = total + matrix.forward(found[parent])
            found[node] = np.broadcast_to(total, (*seed.index.shape, plan.size(node)))
        elif node in done.kept:
            found[node] = _line(state, seed, node, done, choice, found)
    return found


def _point(state: State, seed: Seed, node: Input, c: Array | None) -> Array:
    """An input at each row's minimiser."""
    by = state.plan.by
    if c is None or node in state.plan.balls:
        c = np.zeros((*seed.index.shape, state.plan.size(node)), dtype=by.dtype) if c is None else c
        return by.near(minimiser(state, seed, node, c))
    point = np.sign(c)
    point *= seed.gather(state.near(state.radius, node))
    return np.subtract(seed.gather(state.near(state.centre, node)), point, out=point)


def _line(state: State, seed: Seed, node: Node, done: Descent, choice: Choice, at: Mapping[Node, Array]) -> Array:
    """The chosen lines of a nonlinear node: the lower one where its coefficient is positive, else the upper one."""
    slopes, c, table = choice.slopes.get(node), done.kept[node], done.tables[node]
    steered = None if slopes is None else state.steered(node)
    if slopes is not None and steered is not None:
        return _steered(state, seed, node, steered, c, table, slopes, at)
    step = state.step(node)
    up: Array = (c > 0).astype(c.dtype)
    total = seed.gather(state.near(state.centre, node)) + _mix(up, table[:, 0], table[:, 1])
    for k, (parent, index) in enumerate(step.taps):
        fused = isinstance(parent, Affine) and parent in state.plan.fused
        away = at[parent] - seed.gather(state.near(state.image if fused else state.centre, parent))
        away = away if index is None else away[..., index]
        total = total + _mix(up, table[:, 2 + 2 * k], table[:, 3 + 2 * k]) * away
    return total


def _steered(
    state: State,
    seed: Seed,
    node: Node,
    steered: Steered,
    c: Array,
    table: Array,
    slopes: Array,
    at: Mapping[Node, Array],
) -> Array:
    """A line through the origin on the free side, and the stored one on the other."""
    z = at[node.parents[0]]
    place = state.plan.place(node, node.parents[0])
    z = z if place is None else z[..., place]
    fixed, offset = table[:, 2 if steered.turned else 3], seed.gather(steered.other)
    total = slopes - fixed
    total *= z
    total -= offset
    total *= (c < 0) if steered.turned else (c > 0)
    total += fixed * z
    total += offset
    return total


def _mix(up: Array, low: Array, high: Array) -> Array:
    return np.asarray(high + up * (low - high))


def gaps(state: State, seed: Seed, done: Descent, choice: Choice) -> tuple[dict[Input, Array], dict[Node, Array]]:
    """The minimisers, and for every argument what its elements add to the distance of bound and network there.

    That is ``|C_y| |f(z) - y|`` for ``y = f(z)`` that a line puts at y; the factors of a product both get it, of the
    members of a maximum the largest one there and those that the lower line takes. Where a line of a hinge misses its
    kink by d, ``|C_y| d`` counts as much: a bound that many points attain is raised by no gap at one of them.
    """
    found = values(state, seed, done, choice)
    apart: dict[Node, Array] = {}
    for node, c in done.kept.items():
        real = _real(state, node, found)
        gap = np.abs(c) * np.abs(real - found[node])
        if isinstance(node, Pointwise) and isinstance(node.fn, Hinge):
            gap += _missed(state, seed, node, c)
        for parent in dict.fromkeys(node.parents):
            if isinstance(node, Max):
                share = _members(state, seed, node, found[parent], gap)
            else:
                share = np.zeros((*gap.shape[:-1], state.plan.size(parent)), dtype=gap.dtype)
                place = state.plan.place(node, parent)
                share[..., slice(None) if place is None else place] = gap
            apart[parent] = share if parent not in apart else apart[parent] + share
    points = {n: v for n, v in found.items() if isinstance(n, Input)}
    return points, apart


def _missed(state: State, seed: Seed, node: Node, c: Array) -> Array:
    """What the lines of a hinge that do not go through its kink may cost a row, at most."""
    lines = state.lines(node)
    above, below = (seed.gather(side.astype(c.dtype)) for side in (lines.high, -lines.low))
    cost: Array = np.maximum(c, 0) * below - np.minimum(c, 0) * above
    return np.where(np.isfinite(cost), cost, 0)


def _members(state: State, seed: Seed, node: Max, at: Array, gap: Array) -> Array:
    """The gaps of maxima, for the member that is largest at a point and for the one that is the lower line."""
    groups, taps = state.plan.groups(node), state.lines(node).taps
    low = np.stack([seed.gather(t.low) for t in taps], axis=-1).argmax(axis=-1)
    share = np.zeros((*seed.index.shape, state.plan.size(node.parents[0])), dtype=gap.dtype)
    for member in (at[..., groups].argmax(axis=-1), np.broadcast_to(low, gap.shape)):
        for k in range(groups.shape[1]):
            np.add.at(np.moveaxis(share, -1, 0), groups[:, k], np.moveaxis(gap * (member == k), -1, 0))
    return share


def _real(state: State, node: Node, at: Mapping[Node, Array]) -> Array:
    """The values of a nonlinear node at given arguments."""
    places = [state.plan.place(node, p) for p in node.parents]
    seen = [at[p] if place is None else at[p][..., place] for p, place in zip(node.parents, places, strict=True)]
    match node:
        case Pointwise():
            return node.fn.take(state.plan.keep[node]).value(seen[0])
        case Max():
            return np.asarray(seen[0][..., state.plan.groups(node)].max(axis=-1))
        case Product():
            return np.asarray(seen[0] * seen[1])
    raise AssertionError(node)
