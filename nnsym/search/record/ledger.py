"""What a search has done and what is left: open parts, the least bound of all that was closed, counts, the record.

At every moment the least bound of what is open and of all that was closed is a lower bound of the margin on the whole
domain: children cover their parent, and take the larger of its bound and their own.
"""

from __future__ import annotations

from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.results.result import Trust, weakest
from nnsym.search.frontier import Frontier
from nnsym.search.parts.batch import Branches, Parts, split
from nnsym.search.record.census import Census, Depths, Splits
from nnsym.search.record.log import Log


@final
class Ledger:
    """Books what becomes of parts.

    ``closed`` is the least certified bound of all that is done, ``granted`` the least that solvers gave their word for,
    ``word`` the weakest trust in that. ``stuck`` is the least bound of parts for which nothing is left to do,
    ``given_up`` their number, ``lost`` those; ``next`` is the number of the next part. Other processes work on what is
    ``away``, which is as open as the frontier.
    """

    def __init__(self, frontier: Frontier, log: Log) -> None:
        self.frontier, self.log, self.census = frontier, log, Census()
        self.closed, self.stuck, self.next, self.given_up = np.inf, np.inf, 0, 0
        self.granted, self.word = np.inf, Trust.CERTIFIED
        self.lost: list[Parts] = []
        self.away: list[Parts] = []

    def start(self, parts: Parts, roots: int) -> None:
        """The first parts, of ``roots`` that there are."""
        self.frontier.push(parts)
        self.census.roots = max(roots, 1)
        self.next = max(self.next, roots)

    def become(self, other: Ledger) -> None:
        """All that another search did in place of what was done here; the record is still written where it was."""
        self.log.become(other.log)
        self.frontier, self.census, self.next = other.frontier, other.census, other.next
        self.closed, self.stuck, self.given_up, self.lost = other.closed, other.stuck, other.given_up, other.lost
        self.granted, self.word = other.granted, other.word

    @property
    def lower(self) -> float:
        """The certified lower bound of the margin."""
        return min(self.closed, self._left)

    @property
    def believed(self) -> float:
        """A lower bound of the margin that rests on ``word``."""
        return min(self.granted, self._left)

    @property
    def _left(self) -> float:
        """The least bound of all that is not closed."""
        return min(self.stuck, self.frontier.least(), *(float(parts.least.min()) for parts in self.away))

    @property
    def exhausted(self) -> bool:
        """True if every part was ruled out."""
        return not len(self.frontier) and not self.away and self.stuck == np.inf

    def close(self, parts: Parts, opened: Array) -> tuple[Parts, Array]:
        """Targets that are no longer ``opened`` are done; the parts with something left, and which they are."""
        done = parts.opened & ~opened
        least = np.where(done, parts.lower, np.inf).min(1, initial=np.inf)
        self._done(float(least.min(initial=np.inf)))
        over = ~opened.any(1)
        self.log.close(parts.number[over], least[over])
        self.census.close(parts.depth[over])
        self._note(float(least[~over].min(initial=np.inf)))
        return parts.opening(opened, kept := np.flatnonzero(~over)), kept

    def cut(self, margin: Array) -> None:
        """What was cut off parts without a split has at least these margins."""
        least = float(margin.min(initial=np.inf))
        self._done(least)
        self._note(least)

    def merge(self, least: float, seen: Depths, closed: Depths, splits: Splits) -> None:
        """What was done elsewhere by bounds alone: the least of them, and counts as :meth:`Census.merge` takes them."""
        self._done(least)
        self.census.merge(seen, closed, splits)

    def _done(self, least: float, granted: float | None = None) -> None:
        """Something is done whose margin is at least this, or on a solver's word at least ``granted``."""
        self.closed = min(self.closed, least)
        self.granted = min(self.granted, least if granted is None else granted)

    def _note(self, least: float) -> None:
        if least < np.inf:
            self.log.cut(least)

    def rule_out(self, parts: Parts, least: Array, trust: Trust = Trust.CERTIFIED) -> None:
        """Parts of which something else than their bounds said that their margins are at least these.

        Where that rests on less than certified bounds their own bounds are what is certified of them.
        """
        granted = float(least.min(initial=np.inf))
        if weakest(trust, Trust.CERTIFIED) is Trust.CERTIFIED:
            self._done(granted)
            self.log.close(parts.number, least)
        else:
            self._done(float(parts.least.min(initial=np.inf)), granted)
            self.word = weakest(self.word, trust)
            self.log.grant(parts.number, parts.least, granted, trust)
        self.census.close(parts.depth)

    def settle(self) -> None:
        """The whole query was decided: no point has a margin below 0."""
        self.stuck, self.given_up, opened, self.away = np.inf, 0, self.away, []
        if len(self.frontier):
            opened.append(self.frontier.take(len(self.frontier)))
        for parts in opened:
            self.rule_out(parts, np.zeros(len(parts)))

    def give_up(self, parts: Parts) -> None:
        """Parts for which nothing is left to do."""
        self.stuck, self.given_up = min(self.stuck, float(parts.least.min())), self.given_up + len(parts)
        self.lost.append(parts.bare())

    def split(self, parts: Parts, branches: Branches) -> Parts:
        """The children of parts."""
        self.log.split(parts, branches)
        self.census.split(branches)
        children = split(parts, branches, self.next)
        self.next += len(children)
        return children
