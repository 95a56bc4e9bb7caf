"""A method of somebody else's, and wrong twins of it: what docs/extending.md shows, with one fault each."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nnsym.bounds.methods import compute, find_source, margin
from nnsym.ir.domain import Box
from nnsym.ir.query import Query
from nnsym.judge.conclude import Established
from nnsym.judge.method import Establisher, Settings, established
from nnsym.replay import Outcome
from nnsym.results.clock import Clock


@dataclass(frozen=True, kw_only=True)
class Halves(Establisher):
    """Halve the box with the worst bound along its widest side, again and again; try the middle of each."""

    name: str = "halves"
    summary: str = "input bisection, boxes bounded by ibp"
    paper: str = "Moore 1966"
    bounds: str = "ibp"
    boxes: int = 200

    def establish(self, query: Query, clock: Clock, settings: Settings) -> Established:
        source = find_source(self.bounds).until(clock.deadline(), memory=settings.memory)
        x, points = query.inputs[0], []

        def bounded(box: Box) -> tuple[float, Box]:
            part = replace(query, boxes={**query.boxes, x: box})
            return margin(part, compute(part, source, device=settings.device)), box

        leaves = [bounded(query.boxes[x])]
        while len(leaves) < self.boxes and clock.left > 0:
            leaves.sort(key=lambda leaf: leaf[0])
            lower, box = leaves[0]
            if lower > 0 or not np.isfinite(np.concatenate(box.outer).astype(float)).all():
                break
            low, high = box.outer
            k, middle = int(np.argmax(high - low)), (low + high) / 2
            points.append({y: middle if y is x else np.add(*query.boxes[y].outer) / 2 for y in query.inputs})
            at = np.arange(x.size) == k
            leaves[:1] = [bounded(Box(low, np.where(at, middle, high))), bounded(Box(np.where(at, middle, low), high))]
        least = min(lower for lower, _ in leaves)
        hopeful = sorted(points, key=lambda point: query.margin(query.values(point)))
        return established(query, clock, lower=least, points=hopeful[:3], bounds=self.bounds)


METHODS = (Halves(),)


class Wrong(Halves):
    """One fault each."""

    def establish(self, query: Query, clock: Clock, settings: Settings) -> Established:
        match self.name:
            case "optimist":  # the middle of the bounds instead of the lower one
                told = super().establish(query, clock, settings)
                return replace(told, facts=replace(told.facts, certified=told.facts.certified + 0.25))
            case "hopeful":  # a little more than was proved, and less than bounds are loose on boxes that are not small
                told = super().establish(query, clock, settings)
                return replace(told, facts=replace(told.facts, certified=told.facts.certified + 2.0**-10))
            case "nearest":  # what points say is taken for what holds everywhere
                told = super().establish(query, clock, settings)
                least = np.inf if told.replayed is None else told.replayed.margin
                return replace(told, facts=replace(told.facts, certified=max(told.facts.certified, least)))
            case "inner":  # bounds of a box that is a little smaller
                x = query.inputs[0]
                low, high = query.boxes[x].outer
                inner = Box(low + (high - low) / 8, high - (high - low) / 8)
                return super().establish(replace(query, boxes={**query.boxes, x: inner}), clock, settings)
            case "boaster":  # a counterexample that nobody saw
                told = super().establish(query, clock, settings)
                return replace(told, facts=replace(told.facts, replay=Outcome.CONFIRMED), replayed=None)
            case "endless":  # a clock of its own
                return replace(self, name="right", boxes=10**6).establish(query, Clock(1e6), settings)
        return super().establish(query, clock, settings)


WRONG = ("optimist", "hopeful", "nearest", "inner", "boaster", "endless")
