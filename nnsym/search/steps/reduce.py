"""What makes parts smaller, or closes them, without a split: values that a strategy names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np

from nnsym.bounds.kept.types import Limit
from nnsym.ir.node import Node
from nnsym.search.problem import Bounded, SearchProblem
from nnsym.search.record.ledger import Ledger
from nnsym.search.steps.clipping import clipped


class Reducing(ABC):
    """A reduction. What it removes it books in the ledger, with a margin that is proved."""

    text: ClassVar[str]
    summary: ClassVar[str] = ""
    paper: ClassVar[str] = ""

    @abstractmethod
    def reduce(self, batch: Bounded, problem: SearchProblem, ledger: Ledger) -> Bounded:
        """What is left of a batch."""


@final
@dataclass(frozen=True)
class Clip(Reducing):
    """Boxes are cut down to where rows leave room for a violation; by rows of the conclusion too if ``soft``."""

    soft: bool = True
    text: ClassVar[str] = "clip"
    summary: ClassVar[str] = "boxes are cut down to where a row's line leaves room for a violation"
    paper: ClassVar[str] = "Clip-and-Verify 2025, relaxed clipping"

    def reduce(self, batch: Bounded, problem: SearchProblem, ledger: Ledger) -> Bounded:
        parts = batch.parts
        domains, margin, gone = clipped(
            problem.query, problem.worth, parts.domains, batch.found, parts.opened, soft=self.soft
        )
        ledger.cut(margin)
        lower = np.where(gone, np.maximum(parts.lower, margin[:, None]), parts.lower)
        smaller, kept = ledger.close(replace(parts, domains=domains, lower=lower), parts.opened & ~gone)
        cut: dict[Node, Limit] = {x: smaller.domains.limits[x] for x in problem.query.inputs}
        ranges = {**(smaller.domains.ranges or {}), **cut}
        return batch.left(replace(smaller, domains=replace(smaller.domains, ranges=ranges)), kept)


#: Reductions by name.
REDUCTIONS: Mapping[str, Reducing] = {reducing.text: reducing for reducing in (Clip(),)}
