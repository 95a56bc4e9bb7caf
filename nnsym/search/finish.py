"""What no split ends goes to another method: parts with nothing left to split, and margins of 0 up to rounding."""

from __future__ import annotations

from typing import final

import numpy as np

from nnsym.results.clock import Deadline
from nnsym.search.leaf import Leaf, restricted
from nnsym.search.ledger import Ledger
from nnsym.search.nodes import Nodes
from nnsym.search.scene import Scene

#: So many parts are given up; more say that the margin is 0 along a face, which splitting does not end.
GIVEN_UP = 64


@final
class Finisher:
    """Asks the leaves' method, if there is one."""

    def __init__(self, scene: Scene, leaf: Leaf | None) -> None:
        self.scene, self.leaf = scene, leaf

    def finish(self, nodes: Nodes, ledger: Ledger, deadline: Deadline) -> None:
        """Subproblems one by one; those that nothing decides are given up."""
        goal = self.scene.goal
        for k in range(len(nodes)):
            one, told = nodes.take(np.array([k])), None
            if self.leaf is not None and not deadline.passed:
                told = self.leaf(restricted(self.scene.query, one, self.scene.worth, goal.threshold), deadline)
            if told is not None and told.point is not None:
                goal.replay(told.point, deadline)
            if told is None or not told.excluded:
                ledger.give_up(one)
            else:
                ledger.rule_out(one, np.maximum(one.least, goal.threshold))

    def settle(self, ledger: Ledger, deadline: Deadline) -> None:
        """No bound in floats gets above what a point has: the whole query is one leaf, and nothing is split any more.

        Where that decides nothing, so many parts count as given up that the search ends.
        """
        told = None if self.leaf is None else self.leaf(self.scene.query, deadline)
        ledger.given_up = GIVEN_UP + 1
        if told is not None and told.point is not None:
            self.scene.goal.replay(told.point, deadline)
        elif told is not None and told.excluded:
            ledger.given_up = 0
            if len(ledger.frontier):
                nodes = ledger.frontier.take(len(ledger.frontier))
                ledger.rule_out(nodes, np.zeros(len(nodes)))
            ledger.closed = min(ledger.closed, 0.0)
