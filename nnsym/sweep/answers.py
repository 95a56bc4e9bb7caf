"""All answers about a data set, and what they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nnsym.errors import InputError
from nnsym.results.result import NoTruthValue
from nnsym.sweep.entry import CLEAN, Entry, Way
from nnsym.sweep.record import Header
from nnsym.sweep.tally import NOT_ASKED, Tally, final_entries, tallies


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Answers(NoTruthValue):
    """``header`` says what was asked, ``entries`` are all answers in the order in which they came."""

    header: Header
    entries: tuple[Entry, ...]

    @cached_property
    def tallies(self) -> tuple[Tally, ...]:
        """What the entries add up to, for each stage, family and radius."""
        return tuple(tallies(self.header, self.entries))

    @property
    def rows(self) -> tuple[Tally, ...]:
        """The tallies that the printed table shows: those of all methods together where they are staged."""
        last = self.header.methods[-1]
        return tuple(t for t in self.tallies if not self.header.staged or t.method == last)

    @property
    def complete(self) -> bool:
        """True if every question has its answer."""
        return not any(NOT_ASKED in tally.unknown for tally in self.tallies)

    @property
    def disagreements(self) -> tuple[tuple[Entry, Entry], ...]:
        """Pairs of entries of one question, one verified and one falsified: a bug in one of the methods."""
        held: dict[Any, Entry] = {}
        broken: dict[Any, Entry] = {}
        for entry in self.entries:
            if entry.method != CLEAN:
                place = (entry.family, entry.index, entry.eps)
                if entry.way is Way.VERIFIED:
                    held[place] = entry
                elif entry.way is Way.FALSIFIED:
                    broken[place] = entry
        return tuple((held[place], broken[place]) for place in held if place in broken)

    def finals(self, method: str | None = None) -> list[Entry]:
        """One entry for each family, radius and item; of one method alone, or of all."""
        methods = self.header.methods if method is None else (method,)
        if not set(methods) <= set(self.header.methods):
            raise InputError(f"no method '{method}'", remedy=f"The table has: {', '.join(self.header.methods)}")
        return list(final_entries(self.header, self.entries, methods))
