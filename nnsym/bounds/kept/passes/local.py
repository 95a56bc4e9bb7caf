"""Rows of hidden elements, each in the cone of what it depends on, where cones are much smaller than the whole.

A cone is a plan (:mod:`nnsym.bounds.kept.plan.cones`), and passes over it need what a state has of its elements. All
that a cone leaves out has coefficients of 0, so the rows' bounds are those that the whole would give, and as sound: its
sums are shorter, and the charges are made for them anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.kept.passes.state import State
from nnsym.bounds.kept.plan.plan import Plan
from nnsym.ir.array import Array
from nnsym.ir.node import Node

_MANY = 2**24  # coefficients of all rows from which on cones are looked for


@final
@dataclass(frozen=True, eq=False)
class Local:
    """Some of the rows that are asked for: their numbers, and their subproblems and elements in the ``state``."""

    state: State
    rows: Array
    domain: Array
    index: Array


def local(state: State, node: Node, domain: Array, index: Array, *, alone: bool) -> Iterator[Local]:
    """Rows ``node[index]`` of subproblems ``domain``, cone by cone; in the whole where ``alone`` they must not be."""
    plan = state.plan
    below = sum(plan.size(n) for n in plan.order(node)[1:])
    cones = plan.cones(node) if alone and len(domain) * below >= _MANY else ()
    if not cones:
        yield Local(state, np.arange(len(domain)), domain, index)
    for cone in cones:
        elements = np.searchsorted(plan.keep[node], cone.keep[node])
        own = np.zeros(plan.size(node), dtype=bool)
        own[elements] = True
        rows = np.flatnonzero(own[index])
        if len(rows):
            asked, there = np.unique(domain[rows], return_inverse=True)
            yield Local(within(state, cone, asked), rows, there, np.searchsorted(elements, index[rows]))


def within(state: State, plan: Plan, domain: Array) -> State:
    """What a state has of a part of its plan (:meth:`Plan.part`), for the subproblems ``domain``, in order.

    Limits stay behind: their ranges are met already, and multipliers of them belong to the whole.
    """
    found = State(plan)

    def cut(values: Array, index: Array | slice) -> Array:
        some = values[:, index]
        return some if len(domain) == len(values) or len(values) == 1 else some[domain]

    for node in plan.nodes:
        index = _run(np.searchsorted(state.plan.keep[node], plan.keep[node]))
        for own, other in zip(_arrays(found), _arrays(state), strict=True):
            if node in other:
                own[node] = cut(other[node], index)
        if node in state.amounts:
            found.amounts[node] = [cut(amount, index) for amount in state.amounts[node]]
    return found


def _arrays(state: State) -> tuple[dict[Node, Array], ...]:
    return state.lower, state.upper, state.centre, state.radius, state.image, state.drift


def _run(index: Array) -> Array | slice:
    """Numbers that follow each other as a slice, which copies nothing."""
    first, last = (index[0], index[-1]) if len(index) else (0, -1)
    return slice(first, last + 1) if last - first + 1 == len(index) else index
