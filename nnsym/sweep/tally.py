"""What the entries of a table add up to: four ways, accuracies, and what they say of the population.

``wrong + verified + falsified + unknown`` is always the number of items. Of ``n`` items that were drawn independently,
``k`` of them verified and ``u`` of them unknown, the share of the population with the property lies with confidence
``1 - a`` between the bounds of Clopper and Pearson (The use of confidence or fiducial limits, 1934)

    B(a/2; k, n - k + 1)     and     B(1 - a/2; k + u + 1, n - k - u),

where ``B(q; ., .)`` is the quantile of the beta distribution: exact, for every ``n`` and ``k``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import final

from nnsym.sweep.entry import CLEAN, Entry, Way
from nnsym.sweep.record import Header

NOT_ASKED = "not asked"

#: The confidence of intervals where no other is asked for.
LEVEL = 0.95


def interval(least: int, most: int, count: int, *, level: float = LEVEL) -> tuple[float, float]:
    """Bounds of a population's share, of ``count`` independent draws of which ``least`` to ``most`` have it.

    Rounded outward by what the quantile's own error may be.
    """
    from scipy.special import betaincinv

    tail, slip = (1.0 - level) / 2.0, 1e-12
    low = 0.0 if least == 0 else float(betaincinv(least, count - least + 1, tail)) * (1.0 - slip)
    high = 1.0 if most == count else float(betaincinv(most + 1, count - most, 1.0 - tail)) * (1.0 + slip)
    return max(0.0, low), min(1.0, high)


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Tally:
    """The four ways of all items of a family at a radius, by the methods up to and with ``method``.

    ``verified`` counts by trust, ``unknown`` by reason, ``by`` what each method decided, ``seconds`` is what all
    entries took together.
    """

    family: str
    eps: float | None
    method: str
    total: int
    wrong: int
    verified: Mapping[str, int]
    falsified: int
    unknown: Mapping[str, int]
    by: Mapping[str, int]
    seconds: float

    def __repr__(self) -> str:
        """``<robust at eps 0.02 by crown: 7 of 8 verified, 1 unknown>``."""
        ways = (("wrong", self.wrong), ("falsified", self.falsified), ("unknown", self.open))
        others = "".join(f", {count} {way}" for way, count in ways if count)
        at = "" if self.eps is None else f" at eps {self.eps:g}"
        return f"<{self.family}{at} by {self.method}: {self.held} of {self.total} verified{others}>"

    @property
    def held(self) -> int:
        """How many were verified."""
        return sum(self.verified.values())

    @property
    def open(self) -> int:
        """How many are unknown."""
        return sum(self.unknown.values())

    @property
    def certified(self) -> float:
        """Certified accuracy: the share that was verified."""
        return self.held / self.total

    @property
    def empirical(self) -> float:
        """Empirical accuracy: the share of which nothing speaks against the property."""
        return (self.held + self.open) / self.total

    def population(self, level: float = LEVEL) -> tuple[float, float]:
        """Bounds of the share of the population that has the property, with this confidence."""
        return interval(self.held, self.held + self.open, self.total, level=level)


def final_entries(header: Header, entries: Iterable[Entry], methods: Iterable[str]) -> Iterator[Entry]:
    """One entry for each family, radius and item: what decided it, else the last that left it open.

    Of one that the last method was not asked it says so. The order is that of families, radii and items.
    """
    order = {CLEAN: -1, **{label: k for k, label in enumerate(methods)}}
    wrong: dict[tuple[str, int], Entry] = {}
    last: dict[tuple[str, int, float | None], Entry] = {}
    for entry in sorted((e for e in entries if e.method in order), key=lambda e: order[e.method]):
        if entry.method == CLEAN:
            if entry.way is Way.WRONG:
                wrong[entry.family, entry.index] = entry
            continue
        place = (entry.family, entry.index, entry.eps)
        if place not in last or not last[place].decided:
            last[place] = entry
    for family in header.families:
        for eps in header.eps or (None,):
            for index in range(header.count):
                found = wrong.get((family, index)) or last.get((family, index, eps))
                if found is None or not (found.decided or order[found.method] == len(order) - 2):
                    blank = Entry(family=family, index=index, eps=eps, method="", way=Way.UNKNOWN)
                    found = replace(found or blank, reason=NOT_ASKED)
                yield found


def tallies(header: Header, entries: Iterable[Entry]) -> list[Tally]:
    """A tally for each family, radius and stage: with ``staged`` of the methods so far, else of each by itself."""
    known, found = list(entries), list[Tally]()
    for place, label in enumerate(header.methods):
        together = header.methods[: place + 1] if header.staged else (label,)
        some = [e for e in known if e.method in together or e.method == CLEAN]
        seconds: defaultdict[tuple[str, float | None], float] = defaultdict(float)
        for entry in some:
            seconds[entry.family, entry.eps] += entry.seconds
        finals = list(final_entries(header, some, together))
        for start in range(0, len(finals), header.count):
            part = finals[start : start + header.count]
            eps = (header.eps or (None,))[(start // header.count) % max(1, len(header.eps))]
            found.append(_tally(part, eps, label, seconds[part[0].family, eps]))
    return found


def _tally(part: list[Entry], eps: float | None, method: str, seconds: float) -> Tally:
    ways = Counter(entry.way for entry in part)
    return Tally(
        family=part[0].family,
        eps=eps,
        method=method,
        total=len(part),
        wrong=ways[Way.WRONG],
        verified=dict(Counter(str(e.trust) for e in part if e.way is Way.VERIFIED).most_common()),
        falsified=ways[Way.FALSIFIED],
        unknown=dict(Counter(e.reason for e in part if e.way is Way.UNKNOWN).most_common()),
        by=dict(Counter(e.method for e in part if e.decided and e.way is not Way.WRONG)),
        seconds=seconds,
    )
