"""What a comparison consists of: a row for each method, on one property or on several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.ir.query import Reading
from nnsym.results.result import NoTruthValue, Result, Verdict


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class ComparisonRow(NoTruthValue):
    """One method on the property. ``error`` says why there is no result; ``seconds`` are medians over repeats."""

    spoken = ("a row of a comparison", "Ask for row.result.status")

    method: str
    solver: str
    bounds: str
    goal: str
    exact: bool
    result: Result | None = None
    error: str = ""
    seconds: Mapping[str, float] | None = None
    repeats: int = 0

    def __repr__(self) -> str:
        """``<row bigm+highs on crown: verified>``."""
        fed = f" on {self.bounds}" if self.bounds and self.bounds != self.method else ""
        said = self.error if self.result is None else self.result.status.value
        return f"<row {self.method}{f'+{self.solver}' if self.solver else ''}{fed}: {said}>"

    @property
    def margin(self) -> float | None:
        """The proved bound of the margin, the lower one (of ``exists`` the upper one); None where there is none."""
        if self.result is None:
            return None
        bound = self.result.upper if self.result.reading is Reading.EXISTS else self.result.lower
        return None if np.isinf(bound) else bound


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Compared(NoTruthValue):
    """The rows, and what they are of. Where several properties were compared ``parts`` are their comparisons."""

    spoken = (
        "a comparison",
        "Ask a row: table.rows[0].result.status, or table.disagreement is not None",
    )

    name: str
    text: str
    rows: tuple[ComparisonRow, ...]
    network_hashes: tuple[str, ...]
    property_hash: str
    seed: int
    timeout: float
    reading: Reading = Reading.FORALL
    parts: Sequence[Compared] = ()

    @property
    def best(self) -> float | None:
        """The strongest proved bound of the table, whatever it rests on; None of several properties."""
        if self.parts:
            return None
        pick = min if self.reading is Reading.EXISTS else max
        return pick((row.margin for row in self.rows if row.margin is not None), default=None)

    @property
    def disagreement(self) -> tuple[ComparisonRow, ComparisonRow] | None:
        """A row that verified and a row that falsified one property, if there are both; a bug in one of them."""
        if self.parts:
            return next((part.disagreement for part in self.parts if part.disagreement is not None), None)
        verified = [r for r in self.rows if r.result is not None and r.result.status is Verdict.VERIFIED]
        falsified = [r for r in self.rows if r.result is not None and r.result.status is Verdict.FALSIFIED]
        return (verified[0], falsified[0]) if verified and falsified else None
