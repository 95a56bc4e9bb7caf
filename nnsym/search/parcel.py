"""Parts as they travel between processes: arrays, with the number of a node in place of the node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.kept.types import Domains, Dual, Limit
from nnsym.ir.array import Array
from nnsym.ir.node import Node
from nnsym.ir.query import Query
from nnsym.search.parts.batch import Parts

_Sides = dict[int, tuple[Array, Array]]

_RICH = 2.0**-4  # of a process's memory, up to which they take along what only saves work: ranges and multipliers


@final
@dataclass(frozen=True, eq=False)
class Parcel:
    """Parts of one query."""

    limits: _Sides
    wanted: Array
    ranges: _Sides | None
    dual: tuple[dict[int, Array], ...] | None
    rest: tuple[Array, Array, Array, Array]

    @staticmethod
    def of(parts: Parts, known: Sequence[Node], memory: float) -> Parcel:
        """Parts whose limits are on ``known`` nodes; of what only saves work others are left out."""
        number = {node: k for k, node in enumerate(known)}
        domains = parts.domains if parts.nbytes <= _RICH * memory else parts.bare().domains
        ranges, dual = domains.ranges, domains.dual
        some = None if ranges is None else {number[n]: (r.lower, r.upper) for n, r in ranges.items() if n in number}
        saved = () if dual is None else (dual.slopes, dual.multipliers, dual.cuts)
        arrays = tuple({number[n]: a for n, a in each.items() if n in number} for each in saved)
        return Parcel(
            {number[n]: (s.lower, s.upper) for n, s in domains.limits.items()},
            domains.wanted,
            some,
            arrays or None,
            (parts.lower, parts.opened, parts.depth, parts.number),
        )

    def unpack(self, known: Sequence[Node]) -> Parts:
        """The parts, of the same nodes."""

        def limits(sides: Mapping[int, tuple[Array, Array]]) -> dict[Node, Limit]:
            return {known[k]: Limit(*pair) for k, pair in sides.items()}

        dual = None if self.dual is None else Dual(*({known[k]: a for k, a in p.items()} for p in self.dual))
        ranges = None if self.ranges is None else limits(self.ranges)
        return Parts(Domains(limits(self.limits), self.wanted, ranges, dual), *self.rest)


def known_nodes(query: Query) -> tuple[Node, ...]:
    """The nodes of a query in the order that a parcel numbers them."""
    return tuple(dict.fromkeys((*query.inputs, *query.nodes)))


def renumbered(number: Array, names: Mapping[int, int]) -> Array:
    """Numbers of parts under their names elsewhere."""
    return np.array([names.get(k, k) for k in number.tolist()], dtype=np.int64)
