"""A tree of cases while it grows, and its tokens in the order of a certificate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

Token = list[Any]


@final
@dataclass(eq=False)
class TreePlace:
    """A place in the tree: what is written there, and the places that its last token leads to.

    An open place has no tokens; a closed one ends in a leaf, or in a whole small tree of disjuncts.
    """

    tokens: list[Token] = field(default_factory=list)
    children: list[TreePlace] = field(default_factory=list)

    def split(self, *tokens: Token, count: int = 2) -> list[TreePlace]:
        """Write tokens of which the last leads to ``count`` new places; returns these."""
        self.tokens = list(tokens)
        self.children = [TreePlace() for _ in range(count)]
        return self.children


def flat(root: TreePlace) -> tuple[list[Token], list[TreePlace]]:
    """All tokens, a parent's before its children's, and the place that each was written at."""
    tokens: list[Token] = []
    owners: list[TreePlace] = []
    stack: list[TreePlace] = [root]
    while stack:
        place = stack.pop()
        tokens += place.tokens
        owners += [place] * len(place.tokens)
        stack += reversed(place.children)
    return tokens, owners


def leaves(tokens: Sequence[Token]) -> int:
    """How many leaves there are."""
    return sum(token[0] == "l" for token in tokens)
