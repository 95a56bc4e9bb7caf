"""What a search asks of the engine that bounds its subproblems, and how a better one comes in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from nnsym.bounds.kept.types import Domains, Found, Limit
from nnsym.ir.node import Node
from nnsym.results.clock import Deadline


class Bounding(Protocol):
    """What bounds subproblems: :class:`nnsym.bounds.kept.engine.Engine`. ``ranges`` hold on the whole domain."""

    @property
    def ranges(self) -> Mapping[Node, Limit]: ...

    def bound(
        self,
        domains: Domains,
        *,
        steps: int = 0,
        goal: float = 0.0,
        gaps: bool = True,
        deadline: Deadline = ...,
    ) -> Found: ...


#: An engine in double precision that begins with the ranges that are known.
Fine = Callable[[Mapping[Node, Limit]], Bounding]

#: An engine whose ranges were searched for, from those that are known, by so many rounds and up to a deadline.
Better = Callable[[Mapping[Node, Limit], int, Deadline], Bounding]
