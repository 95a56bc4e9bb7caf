"""Trees of claims as a certificate writes them, with decimals that the checker has been asked of.

A search's tree bounds one row of a layer under phases of the layers below. Its leaves are written with slopes of two
digits each, and the checker's own engine says what they come to; where that costs a row a phase, or more than a little
of what it gained, the leaves that are not good enough are written with four.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from typing import Any, final

import numpy as np

from nnsym.bounds.kept.refine import Trees
from nnsym.bounds.kept.types import Limit
from nnsym.certify.choices import LEVELS, Choices, Digits, Path
from nnsym.certify.tree import Token
from nnsym.check.tree import Tree
from nnsym.ir.array import Array

#: What a claim leaves of its bound for decimals, as a share of the range that was known.
_ROOM = 2.0**-16

#: Where slopes of two digits lose such a share of what a row gained, leaves that are to blame are written with four.
_LOSS = 0.01


@final
@dataclass(frozen=True, eq=False)
class _Leaf:
    """What a leaf writes: multipliers of its path's facts, counted from the claim's, and slopes of curves."""

    multipliers: list[list[Any]]
    slopes: dict[Any, Digits]


@final
class Written:
    """The trees of some rows of a layer, with the ``bounds`` that the checker finds of these.

    ``known`` are the layer's ranges without them; the ``case`` is that in which they are claimed, of the checker's
    ``node``.
    """

    def __init__(self, trees: Trees, rows: Array, choices: Choices, case: Any, node: Any, known: Limit) -> None:
        self.trees, self.choices, self.case, self.node, self.known = trees, choices, case, node, known
        self.walk = Tree(choices.checker.problem, choices.checker.engine, [])
        self.opened, self.usual = choices.opened(case), choices.usual(case)
        self.charged = choices.charged(case)
        self.row = trees.row[: trees.count]
        self.place = {argument: c for c, argument in enumerate(choices.arguments)}
        self.tokens: dict[int, list[Token | _Leaf]] = {}
        self.values: dict[int, dict[int, float]] = {row: {} for row in rows.tolist()}  # of leaves, by their tokens
        self.bounds: dict[int, float] = {}
        for levels in LEVELS:
            self._write(rows, levels)
            rows = np.array([row for row in rows.tolist() if self.bounds[row] < self._enough(row)], dtype=np.int64)

    def claim(self, row: int) -> float:
        """What a row is claimed to be at least, in decimals; 0 where it is more than that."""
        bound = self.bounds[row] - self.charged
        return 0.0 if bound > 0 else float(f"{bound - _ROOM * (self._width(row) - bound):.6g}")

    def tree(self, row: int, fact: int) -> Iterator[Token]:
        """The tokens that close the case in which the claim of a row, the fact of that number, does not hold."""
        for token in self.tokens[row]:
            if not isinstance(token, _Leaf):
                yield token
                continue
            facts = [[fact, 1], *([fact + k, m] for k, m in token.multipliers)]
            yield ["l", facts, self.choices.named(token.slopes)] if token.slopes else ["l", facts]

    def _width(self, row: int) -> float:
        i = int(self.trees.index[row])
        return float(self.known.upper[0, i] - self.known.lower[0, i])

    def _enough(self, row: int) -> float:
        """What is enough of the bound that was found of a row: its phase, or all but a share of what it gained."""
        i, up, found = int(self.trees.index[row]), bool(self.trees.sign[row] > 0), float(self.trees.bounds()[row])
        gained = found - float(self.known.lower[0, i] if up else -self.known.upper[0, i])
        return min(found, 2 * self.charged) if found > self.charged else found - max(_LOSS * gained, self.charged)

    def _write(self, rows: Array, levels: int) -> None:
        """Write rows with slopes of so many steps where they are not good enough, and have these leaves bounded."""
        engine = self.choices.checker.engine
        jobs = (job for row in rows.tolist() for job in self._jobs(row, levels))
        while batch := list(islice(jobs, engine.batch)):
            for (row, place, made, _), value in zip(batch, engine.values([job for *_, job in batch]), strict=True):
                if place not in self.values[row] or value > self.values[row][place]:
                    self.tokens[row][place], self.values[row][place] = made, float(value)
        self.bounds |= {row: min(self.values[row].values(), default=np.inf) for row in rows.tolist()}

    def _jobs(self, row: int, levels: int) -> Iterator[tuple[int, int, _Leaf, Any]]:
        """The leaves of a row, their places, and how the checker bounds them where the claim is 0 at least."""
        before, tokens, values = self.tokens.get(row, []), list[Token | _Leaf](), self.values[row]
        enough, self.tokens[row] = self._enough(row), tokens
        up, fact = bool(self.trees.sign[row] > 0), len(self.case.facts)
        sides = self.walk.halves([(self.node, int(self.trees.index[row]), Fraction(1))], Fraction(0), self.case)
        claimed = replace(self.case, facts=sides[not up].facts)
        for leaf, path, case in self._leaves(row, np.flatnonzero(self.row == row), (), claimed):
            if case.empty:
                tokens.append(_Leaf([], {}))
                continue
            place = len(tokens)
            if before and values[place] >= enough:
                tokens.append(before[place])
                continue
            own = [{n: v[leaf] for n, v in part.items()} for part in (self.trees.slopes, self.trees.multipliers)]
            slopes = self.choices.slopes(own[0], self.opened, self.usual, path, levels)
            made = _Leaf(self.choices.multipliers(own[1], path, 1), slopes)
            facts = [(fact, Fraction(1)), *((fact + k, Fraction(str(m))) for k, m in made.multipliers)]
            tokens.append(before[place] if before else made)
            yield row, place, made, (case, facts, {curve: (data, None) for curve, data in slopes.items()})

    def _leaves(self, row: int, leaves: Array, path: Path, case: Any) -> Iterator[tuple[int, Path, Any]]:
        """Leaves in prefix order, with their paths and cases; the splits above each are written before it."""
        if len(leaves) == 1:
            yield int(leaves[0]), path, case
            return
        c, i, sides = self._split(leaves)
        node = self.choices.curves[c].parents[0]
        self.tokens[row].append(["r", self.choices.names.number(node), i])
        halves = self.walk.halves([(node, i, Fraction(1))], Fraction(0), case)
        for side, (part, half) in enumerate(zip(sides, halves, strict=True)):
            yield from self._leaves(row, part, (*path, (c, i, side)), half)

    def _split(self, leaves: Array) -> tuple[int, int, tuple[Array, Array]]:
        """A curve and an element that all leaves have a phase of, not the same one; the leaves on both sides.

        Splitting on it keeps every leaf.
        """
        for node, phases in self.trees.phases.items():
            own = phases[leaves]
            found = np.flatnonzero((own != 0).all(axis=0) & (own > 0).any(axis=0) & (own < 0).any(axis=0))
            if len(found):
                i = int(found[0])
                return self.place[node], i, (leaves[own[:, i] < 0], leaves[own[:, i] > 0])
        raise AssertionError("leaves that no split made")
