"""What an optimisation returns: an interval that holds the optimum, and what each side rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from nnsym.ir.digits import shown
from nnsym.ir.query import Query
from nnsym.ir.words import how_replayed
from nnsym.results.certificate import Certificate
from nnsym.results.html import optimum_html
from nnsym.results.result import NoTruthValue, Semantics, Sizes, Step, Trust, Witness


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Optimum(NoTruthValue):
    """``lower <= optimum <= upper`` of a term over its domain; ``goal`` is ``minimum`` or ``maximum``.

    One side is proved (``lower`` of a minimum), the other is the term's value at ``point``, where the network was run;
    ``lower_trust`` and ``upper_trust`` say what each rests on, None where a side is infinite because nothing is known.
    A side of trust ``solver`` is the solver's own bound, moved outward by its tolerance ``tau``; ``tau`` is 0 where no
    side rests on one. ``empty`` is true where no input satisfies the condition: then both sides are +inf (-inf for a
    maximum). ``query`` is what was searched: it can be exported. ``semantics`` is the function whose values are meant.
    A side of trust ``checked`` is what its certificate proves (of a maximum: of the negated term); ``uncertified`` says
    why a side has none where they were asked for.
    """

    spoken = ("the interval of an optimum", "Ask for its lower or upper, or compare them with a number")

    goal: str
    query: Query
    lower: float
    upper: float
    semantics: Semantics = Semantics.REAL
    lower_trust: Trust | None = None
    upper_trust: Trust | None = None
    tau: float = 0.0
    point: Witness | None = None
    lower_certificate: Certificate | None = None
    upper_certificate: Certificate | None = None
    uncertified: tuple[str, ...] = ()
    empty: bool = False
    method: str = ""
    encoding: str = ""
    solver: str = ""
    bounds: str = ""
    sizes: Sizes = field(default_factory=Sizes)
    seconds: Mapping[str, float] = field(default_factory=dict)
    trail: tuple[Step, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def gap(self) -> float:
        """``upper - lower``; 0 where both are the same infinity."""
        return 0.0 if self.lower == self.upper else self.upper - self.lower

    @property
    def rests_on(self) -> str:
        """In words, what each side rests on."""
        if self.empty:
            trust = self.lower_trust or self.upper_trust
            return f"no input satisfies the condition (trust {trust.value if trust else 'none'})"
        return ", ".join((self._side("lower", self.lower_trust), self._side("upper", self.upper_trust)))

    def _side(self, side: str, trust: Trust | None) -> str:
        if trust is None:
            return f"{side} unknown"
        if (side == "upper") is (self.goal == "minimum") and self.point is not None and trust is not Trust.CHECKED:
            return f"{side} {how_replayed(self.point.replayed_by)}"
        return f"{side} {trust.value}" + (f" (tolerance {self.tau:g} allowed for)" if self.tau else "")

    def __repr__(self) -> str:
        """One line: the interval, what each side rests on, the method."""
        if self.empty:
            return f"<{self.goal} of nothing: {self.rests_on}; {self.method}>"
        low, high = shown(self.lower), shown(self.upper)
        return f"<{self.goal} in [{low}, {high}]: {self.rests_on}; {self.method}>"

    def _repr_html_(self) -> str:
        return optimum_html(self)
