"""Bounds whose hidden layers were searched, row by row (:mod:`nnsym.bounds.kept.refine`), as a source."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np

from nnsym.bounds.base import TIMEOUT, Bounds, Interval
from nnsym.bounds.batch import alone, stacked
from nnsym.bounds.builtin import Linear
from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.refine import refined
from nnsym.bounds.kept.tighter import tighter
from nnsym.bounds.kept.types import Domains
from nnsym.bounds.sources import Dtype, FloatBoxes, Source
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.node import Node
from nnsym.ir.query import Query
from nnsym.results.clock import OutOfTime
from nnsym.results.ranges import whole_number

_STEPS = 20  # of ascent for the rows of the query


@final
@dataclass(frozen=True)
class Search(Source):
    """``crown``, and hidden layers by trees of ``rounds`` splits for every open row. Text: ``search``, ``search:10``,
    ``search:10:cuts`` where the rows of the query that stay below 0 are to have cuts (:mod:`nnsym.bounds.kept.cuts`).

    It runs on the processor, whatever the device of the rest. Two runs that are compared have ``crown`` alone.
    """

    rounds: int = 40
    cuts: bool = False
    name: str = field(default="search", kw_only=True)
    summary: str = field(default="a tree of splits for every open neuron, by optimised linear bounds", kw_only=True)
    paper: str = field(default="Wang et al. 2021, on hidden rows", kw_only=True)

    @property
    def text(self) -> str:
        return self.name if self == Search() else f"{self.name}:{self.rounds}{':cuts' if self.cuts else ''}"

    def parse(self, parameters: str) -> Search:
        number, _, more = parameters.partition(":")
        rounds = whole_number(number)
        if rounds is None or more not in ("", "cuts"):
            raise InputError(
                f"'{parameters}' is no number of rounds",
                where=f"bounds '{self.name}'",
                remedy="Write search:10, or search:10:cuts",
            )
        return replace(self, rounds=rounds, cuts=bool(more))

    def compute(
        self, query: Query, boxes: FloatBoxes | None = None, *, device: str = "cpu", dtype: Dtype = "float64"
    ) -> Bounds:
        start = time.perf_counter()
        crown = Linear(name="crown", summary="", paper="").until(self.deadline.share(0.5))
        known = crown.compute(query, boxes, device=device, dtype=dtype)
        if boxes is None:
            found = self._searched(query, known, dtype)
        else:
            every = list(alone(query, boxes))
            found = stacked([self._part(one, known.box(k), len(every) - k, dtype) for k, one in enumerate(every)])
        return replace(found, method=self.name, seconds=time.perf_counter() - start)

    def _part(self, query: Query, known: Bounds, left: int, dtype: Dtype) -> Bounds:
        """One of the boxes that are ``left``, in its share of the time."""
        return replace(self, deadline=self.deadline.share(1 / left))._searched(query, known, dtype)

    def _searched(self, query: Query, known: Bounds, dtype: Dtype) -> Bounds:
        """The bounds of one domain, met with what is known of it."""
        try:
            engine = refined(query, dtype=dtype, rounds=self.rounds, deadline=self.deadline)
        except UnsupportedError:
            return known
        except OutOfTime:
            return replace(known, ended=TIMEOUT)
        if self.cuts:
            with suppress(OutOfTime):
                engine = tighter(engine, deadline=self.deadline)
        ranges: Mapping[Node, Interval] = {
            n: Interval(engine.ranges[n].lower[0], engine.ranges[n].upper[0], self.name) for n in known.nodes
        }
        nodes = {n: known[n].intersect(ranges[n]) for n in known.nodes}
        ended = known.ended or (TIMEOUT if self.deadline.passed else "")
        return replace(known, nodes=nodes, rows=known.rows.intersect(self._rows(engine)), ended=ended)

    def _rows(self, engine: Engine) -> Interval:
        """Both sides of the rows, optimised."""
        count = len(engine.query.rows)
        domains = Domains({}, np.ones((1, count), dtype=bool))
        sides = []
        for sign in (1.0, -1.0):
            target = engine.rows(engine.query.spec[0], np.arange(count)[None], np.full((1, count), sign))
            found = engine.bound(
                domains, target=target, steps=_STEPS, goal=np.inf, gaps=False, deadline=self.deadline.grace
            )
            sides.append(sign * found.lower[0])
        return Interval(sides[0], sides[1], self.name)
