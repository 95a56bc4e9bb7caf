"""Sources of bounds: frozen values that can be computed, named on a command line and written into a record.

A source's text is its name, with its parameters after colons where it has any (``alpha:20``); the text determines the
value. :data:`nnsym.bounds.methods.SOURCES` lists them all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, final

from nnsym.bounds.base import Bounds
from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.node import Input
from nnsym.ir.query import Query
from nnsym.results.clock import NEVER, Deadline

FloatBoxes = Mapping[Input, tuple[Array, Array]]
Dtype = Literal["float64", "float32"]
LowerSlope = Literal["zero", "parallel", "adaptive", "interval"]


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """One way to bound every node and row of a query.

    ``summary`` and ``paper`` are what ``nnsym methods`` prints. ``deadline`` and ``memory`` (bytes of what is kept) are
    set by :meth:`within`; they are no part of what the source is.
    """

    name: str
    summary: str
    paper: str
    deadline: Deadline = field(default=NEVER, compare=False, repr=False)
    memory: int = field(default=8 * 2**30, compare=False, repr=False)

    @property
    def text(self) -> str:
        """What names it on a command line; :func:`nnsym.bounds.methods.find_source` is the inverse."""
        return self.name

    def parse(self, parameters: str) -> Source:
        """The source with parameters from text, the part after ``name:``."""
        raise InputError(f"bounds '{self.name}' take no parameter", where=parameters, remedy=f"Write '{self.name}'")

    def within(self, seconds: float, *, memory: int | None = None) -> Source:
        """The source held to a wall time, from now on, and to bytes of memory.

        Once the time is over, :meth:`compute` returns the best sound bounds found so far (``Bounds.ended``).
        """
        return self.until(Deadline.after(seconds), memory=memory)

    def until(self, deadline: Deadline, *, memory: int | None = None) -> Source:
        """The source held to a deadline, if it has no earlier one."""
        end = min(self.deadline, deadline, key=lambda d: d.end)
        return replace(self, deadline=end, memory=self.memory if memory is None else memory)

    @abstractmethod
    def compute(
        self, query: Query, boxes: FloatBoxes | None = None, *, device: str = "cpu", dtype: Dtype = "float64"
    ) -> Bounds:
        """The bounds; ``boxes`` as in :func:`nnsym.bounds.engine.forward.interval.ibp`."""


@final
class Told(str):
    """The text of a source, which brings the source: one that was handed over as an object needs no name to be found.

    It is compared, printed and written as the text that it is; :func:`nnsym.bounds.methods.find_source` gives the
    source back.
    """

    source: Source

    @staticmethod
    def of(source: Source) -> Told:
        told = Told(source.text)
        told.source = source
        return told


@final
@dataclass(frozen=True, kw_only=True)
class Met(Source):
    """Several sources, their intervals met; each may take an equal part of the time that is left."""

    members: tuple[Source, ...]

    @staticmethod
    def of(members: tuple[Source, ...]) -> Met:
        text = "+".join(m.text for m in members)
        return Met(name=text, summary="all of these, met", paper="", members=members)

    def compute(
        self, query: Query, boxes: FloatBoxes | None = None, *, device: str = "cpu", dtype: Dtype = "float64"
    ) -> Bounds:
        found: Bounds | None = None
        for k, member in enumerate(self.members):
            end = self.deadline.share(1 / (len(self.members) - k))
            one = member.until(end, memory=self.memory).compute(query, boxes, device=device, dtype=dtype)
            found = one if found is None else found.meet(one)
        assert found is not None  # no sum of sources is empty
        return replace(found, method=self.name)
