"""The table of tensors that a certificate's tokens speak of."""

from __future__ import annotations

from typing import Any, final

from nnsym.check.problem import Problem
from nnsym.errors import UnsupportedError


@final
class Names:
    """Numbers for the nodes of a problem, in the order in which they are asked for."""

    def __init__(self, problem: Problem) -> None:
        self.table: list[list[Any]] = []
        self._called: dict[Any, tuple[int, str]] = {}
        for key, value in problem.graph.tensors.items():
            self._called.setdefault(value.node, key)
        self._numbers: dict[Any, int] = {}

    def number(self, node: Any) -> int:
        """The number of a node of the checker's graph."""
        if node not in self._numbers:
            if node not in self._called:
                raise UnsupportedError("a node of the checker's graph has no name", where="certificate")
            self._numbers[node] = len(self.table)
            self.table.append(list(self._called[node]))
        return self._numbers[node]
