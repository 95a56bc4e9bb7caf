"""What a certificate's tree begins with: the disjunctions whose operands have boxes of their own, expanded.

A *ground* is a case at which only disjunctions of plain facts are left. Those are expanded at the leaves, where every
operand needs one fact that is positive on the box.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, final

import numpy as np

from nnsym.certify.tree import Token, TreePlace
from nnsym.check.graph import Input
from nnsym.check.problem import Case, Fact, Problem
from nnsym.check.vnnlib import Junction
from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array

#: So many grounds at most; so many combinations of operands at most.
MOST, COMBINED = 20_000, 4096


@final
@dataclass(frozen=True, eq=False)
class Operand:
    """What one operand of a disjunction adds to a case."""

    facts: tuple[Fact, ...]
    disjunctions: tuple[Junction, ...]


@final
@dataclass(frozen=True, eq=False)
class Ground:
    """A case, its place in the tree, and the numbers of the disjunctions that are left."""

    case: Case
    place: TreePlace
    pending: tuple[int, ...]


@final
class Grounds:
    """The grounds of a problem, in the order of the tree below ``root``."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.root = problem, TreePlace()
        self._operands: dict[int, tuple[Operand, ...]] = {}
        self.all = list(self._expand(problem.root, self.root, frozenset()))

    def _expand(self, case: Case, place: TreePlace, done: frozenset[int]) -> Iterator[Ground]:
        stack, count = [(case, place, done)], 0
        while stack:
            case, place, done = stack.pop()
            boxed = [d for d, j in enumerate(case.disjunctions) if d not in done and self._boxed(j)]
            if not boxed or case.empty:
                count += 1
                if count > MOST:
                    raise UnsupportedError(f"more than {MOST} boxes in the disjunctions", where="certificate")
                left = (d for d in range(len(case.disjunctions)) if d not in done)
                yield Ground(case, place, () if case.empty else tuple(left))  # what is empty needs nothing more
                continue
            parts = case.disjunctions[boxed[0]].parts
            children = place.split(["o", boxed[0]], count=len(parts))
            cases = [self.problem.assume(case, part) for part in parts]
            stack += [(c, p, done | {boxed[0]}) for c, p in zip(cases[::-1], children[::-1], strict=True)]

    def _boxed(self, part: Any) -> bool:
        """True if some comparison in it is about one element of an input alone."""
        parts = [part]
        while parts:
            part = parts.pop()
            if isinstance(part, Junction):
                parts += part.parts
            elif len(part.left) - (() in part.left) == 1:
                ((variable, *more),) = [m for m in part.left if m]
                if not more and isinstance(self.problem.element(variable)[0], Input):
                    return True
        return False

    def operands(self, disjunction: Junction) -> tuple[Operand, ...]:
        """What each operand adds; the facts are the same objects at every call."""
        if id(disjunction) not in self._operands:
            root = self.problem.root
            blank = Case((None,) * len(root.lower), (None,) * len(root.upper))
            cases = [self.problem.assume(blank, part) for part in disjunction.parts]
            self._operands[id(disjunction)] = tuple(Operand(c.facts, c.disjunctions) for c in cases)
        return self._operands[id(disjunction)]

    def facts(self) -> list[Fact]:
        """Every fact that a leaf may speak of, each once."""
        found: dict[int, Fact] = {}
        for ground in self.all:
            found.update((id(f), f) for f in ground.case.facts)
            junctions = [ground.case.disjunctions[d] for d in ground.pending]
            while junctions:
                for operand in self.operands(junctions.pop()):
                    found.update((id(f), f) for f in operand.facts)
                    junctions += operand.disjunctions
        return list(found.values())

    def targets(self, ground: Ground, row: Callable[[Fact], int]) -> list[Array]:
        """For every combination of operands the rows of which one must be positive."""
        own = [row(f) for f in ground.case.facts]
        sets = [self._alternatives(ground.case.disjunctions[d], row) for d in ground.pending]
        if prod(map(len, sets)) > COMBINED:
            raise UnsupportedError(f"more than {COMBINED} combinations of disjuncts", where="certificate")
        found = [np.array(sum(chosen, start=own), dtype=np.int64) for chosen in product(*sets)]
        if not all(len(rows) for rows in found):  # a case of x < 0 is one of x <= 0, and has no fact to exclude it by
            raise UnsupportedError("strict limits of inputs, which a case keeps as closed ones", where="certificate")
        return found

    def _alternatives(self, disjunction: Junction, row: Callable[[Fact], int]) -> list[list[int]]:
        found = []
        for operand in self.operands(disjunction):
            inner = [self._alternatives(j, row) for j in operand.disjunctions]
            own = [row(f) for f in operand.facts]
            found += [sum(chosen, start=own) for chosen in product(*inner)]
        return found

    def closed(self, ground: Ground, leaf: Callable[[Sequence[Fact]], Token | None]) -> list[Token] | None:
        """The tokens that close a case of the ground: leaves, below the disjunctions that are needed for them.

        ``leaf`` makes the leaf of a case with some facts, or nothing where no fact closes it.
        """
        left = [(d, ground.case.disjunctions[d]) for d in ground.pending]
        return self._closed(list(ground.case.facts), left, len(ground.case.disjunctions), leaf)

    def _closed(
        self,
        facts: list[Fact],
        left: list[tuple[int, Junction]],
        count: int,
        leaf: Callable[[Sequence[Fact]], Token | None],
    ) -> list[Token] | None:
        own = leaf(facts)
        if own is not None:
            return [own]
        for k, (d, disjunction) in enumerate(left):
            rest, tokens = left[:k] + left[k + 1 :], [["o", d]]
            for operand in self.operands(disjunction):
                more = [(count + n, j) for n, j in enumerate(operand.disjunctions)]
                inner = self._closed([*facts, *operand.facts], [*rest, *more], count + len(more), leaf)
                if inner is None:
                    break
                tokens += inner
            else:
                return tokens
        return None
