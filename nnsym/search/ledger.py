"""What a search has done and what is left: open parts, the least bound of all that was closed, counts, the record.

At every moment the least bound of what is open and of all that was closed is a lower bound of the margin on the whole
domain: children cover their parent, and take the larger of its bound and their own.
"""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nnsym.search.frontier import Frontier
from nnsym.search.log import Log
from nnsym.search.nodes import Branches, Nodes, split
from nnsym.search.tally import Tally

Array = NDArray[Any]


@final
class Ledger:
    """Books what becomes of subproblems.

    ``closed`` is the least bound of all that is done, ``stuck`` that of parts for which nothing is left to do, ``next``
    the number of the next part, ``given_up`` how many parts are stuck, ``lost`` those.
    """

    def __init__(self, frontier: Frontier, log: Log) -> None:
        self.frontier, self.log, self.tally = frontier, log, Tally()
        self.closed, self.stuck, self.next, self.given_up = np.inf, np.inf, 0, 0
        self.lost: list[Nodes] = []

    def start(self, nodes: Nodes, roots: int) -> None:
        """The first subproblems, of ``roots`` that there are."""
        self.frontier.push(nodes)
        self.tally.roots = max(roots, 1)
        self.next = max(self.next, roots)

    def become(self, other: Ledger) -> None:
        """All that another search did in place of what was done here; the record is still written where it was."""
        self.log.become(other.log)
        self.frontier, self.tally, self.next = other.frontier, other.tally, other.next
        self.closed, self.stuck, self.given_up, self.lost = other.closed, other.stuck, other.given_up, other.lost

    @property
    def lower(self) -> float:
        """The certified lower bound of the margin."""
        return min(self.closed, self.stuck, self.frontier.least())

    @property
    def exhausted(self) -> bool:
        """True if every part was ruled out."""
        return not len(self.frontier) and self.stuck == np.inf

    def close(self, nodes: Nodes, opened: Array) -> tuple[Nodes, Array]:
        """Targets that are no longer ``opened`` are done; the subproblems with something left, and which they are."""
        done = nodes.opened & ~opened
        least = np.where(done, nodes.lower, np.inf).min(1, initial=np.inf)
        self.closed = min(self.closed, float(least.min(initial=np.inf)))
        over = ~opened.any(1)
        self.log.close(nodes.number[over], least[over])
        self.tally.close(nodes.depth[over])
        self._note(float(least[~over].min(initial=np.inf)))
        return nodes.opening(opened, kept := np.flatnonzero(~over)), kept

    def cut(self, margin: Array) -> None:
        """What was cut off subproblems without a split has at least these margins."""
        least = float(margin.min(initial=np.inf))
        self.closed = min(self.closed, least)
        self._note(least)

    def _note(self, least: float) -> None:
        if least < np.inf:
            self.log.cut(least)

    def rule_out(self, nodes: Nodes, least: Array) -> None:
        """Subproblems of which something else than their bounds said that their margins are at least these."""
        self.closed = min(self.closed, float(least.min(initial=np.inf)))
        self.log.close(nodes.number, least)
        self.tally.close(nodes.depth)

    def give_up(self, nodes: Nodes) -> None:
        """Subproblems for which nothing is left to do."""
        self.stuck, self.given_up = min(self.stuck, float(nodes.least.min())), self.given_up + len(nodes)
        self.lost.append(nodes.bare())

    def split(self, nodes: Nodes, branches: Branches) -> Nodes:
        """The children of subproblems."""
        self.log.split(nodes, branches)
        self.tally.split(branches)
        children = split(nodes, branches, self.next)
        self.next += len(children)
        return children
