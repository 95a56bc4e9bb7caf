"""``assume``: bounds of hidden neurons on the user's word, for what no method of ours can prove."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np

from nnsym.ir.domain import Box
from nnsym.ir.names import node_names
from nnsym.ir.node import Node
from nnsym.ir.query import Query
from nnsym.lang.guard import bad_input, exact
from nnsym.lang.property import Property
from nnsym.lang.question import query_of

Assumptions = Mapping[str | Node, tuple[object, object]]


P = TypeVar("P", Property, Query)


def assume(prop: P, intervals: Assumptions) -> P:
    """The property under the assumption that nodes lie in the given intervals.

    Every method then uses the intervals, met with what it computes itself. A ``verified`` has the trust ``assumed``,
    whatever else it rests on, because nothing checks the assumption; counterexamples are replayed as ever.

    Args:
        prop: a property or a query.
        intervals: ``{name: (lower, upper)}``, numbers or arrays; names as ``nn.bounds(prop)`` prints them
            (``affine_1``, ``relu_2``). Infinite numbers leave a side open.

    Raises:
        InputError: an unknown name, a wrong shape, or a lower limit above an upper one.
    """
    query = query_of(prop)
    names = {name: node for node, name in node_names(query.nodes).items()}
    assumed = dict(query.assumed)
    for given, (low, high) in intervals.items():
        node = names.get(given) if isinstance(given, str) else given
        if node is None or node not in names.values():
            raise bad_input(f"the property has no node '{given}'", f"Its nodes: {', '.join(names)}")
        name = next(n for n, known in names.items() if known is node)
        sides = []
        for side in (low, high):
            numbers = exact(side, f"the assumed bounds of {name}", infinite=True).ravel()
            if numbers.size not in (1, node.size):
                raise bad_input(
                    f"{numbers.size} assumed bounds for the {node.size} elements of {name}", "Give one, or one for each"
                )
            sides.append(np.broadcast_to(numbers, (node.size,)))
        box = Box(sides[0], sides[1])
        if box.empty:
            raise bad_input(f"an assumed lower bound of {name} is above the upper one", "Exchange them")
        assumed[node] = box.intersect(assumed[node]) if node in assumed else box
    return replace(prop, assumed=assumed)
