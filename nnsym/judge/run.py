"""What bounds and a counter-search establish about a query: run, replayed, settled where it is tight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.bounds.domains import domain_margin
from nnsym.bounds.layers import layers
from nnsym.bounds.methods import compute, margin
from nnsym.bounds.rational.exact import exact_margin
from nnsym.bounds.sources import FloatBoxes
from nnsym.ir.domain import require_limits
from nnsym.ir.exact import nearest_float
from nnsym.ir.names import node_names
from nnsym.ir.query import Query
from nnsym.judge.conclude import Established, error_beside
from nnsym.judge.least import Least
from nnsym.judge.method import Settings
from nnsym.judge.verdict import Facts, facts_about, floor, rule, tight
from nnsym.relaxation.sources import find_source
from nnsym.replay import Outcome, confirm
from nnsym.results.clock import Clock
from nnsym.results.result import Sizes

#: A solver's point with at most this objective is replayed and polished as a counterexample.
NEAR_ZERO = 1e-5

#: What replay made of a candidate, in words.
SAID = {
    Outcome.CONFIRMED: "confirmed",
    Outcome.BOUNDARY: "a point of the other function only: floats and reals differ by rounding",
    Outcome.UNDECIDED: "within rounding of the threshold: neither confirmed nor refuted",
    Outcome.SPURIOUS: "not confirmed",
}


def establish_bounds(query: Query, source: str, clock: Clock, settings: Settings) -> Established:
    """Bounds alone: they may rule the violation out."""
    bounds, lower = bound(query, source, clock, settings)
    if not bounds.ended:
        require_bounded(query, lower)
    facts = settle_tight(query, bounds, replace(facts_about(query), certified=lower), clock)
    return Established(
        facts=facts,
        bounds=source,
        sizes=sizes_of(query, bounds),
        ended=bounds.ended,
        error=error_beside(query, rule(facts), bounds, clock),
    )


def establish_bounds_each(
    query: Query, source: str, boxes: FloatBoxes, clock: Clock, settings: Settings
) -> list[Established]:
    """The same on each box of a batch, less what is looked at one by one: ties with the threshold, float errors."""
    with clock.step("bounds") as notes:
        within = find_source(source).until(clock.deadline(), memory=settings.memory)
        bounds = compute(query, within, boxes=boxes, device=settings.device)
        count = len(bounds.rows.lower)
        notes.append(f"{source} on {count} boxes")
    facts = facts_about(query)
    return [
        Established(facts=replace(facts, certified=margin(query, bounds.box(k))), bounds=source, ended=bounds.ended)
        for k in range(count)
    ]


#: So many of the best candidates of an attack are replayed.
_REPLAYED = 5


def establish_attack(
    query: Query, clock: Clock, settings: Settings, *, restarts: int, steps: int, seed: int, share: float = 1.0
) -> Established:
    """A counter-search: a candidate that replay confirms, else the least margin that was replayed.

    It takes no more than ``share`` of the time that is left.
    """
    from nnsym.bounds.points.attack import search  # heavy: torch

    seconds, device = share * clock.left, settings.device
    with clock.step("attack") as notes:
        found = search(query, restarts=restarts, steps=steps, seed=seed, seconds=seconds, device=device)
        least = f"{found.margin[0]:.6g}" if len(found) else "none"
        notes.append(f"{steps} steps from {len(found)} points: least margin {least}")
    with clock.step("replay") as notes:
        hopeful = [k for k in range(min(len(found), _REPLAYED)) if found.margin[k] < NEAR_ZERO or k == 0]
        points = (found[k] for k in hopeful if found.margin[k] < np.inf)
        replayed = confirm(query, points, deadline=clock.deadline())
        notes.append(f"{SAID[replayed.outcome]}, margin {replayed.margin:.6g}")
    late = not clock.left and replayed.outcome not in (Outcome.BOUNDARY, Outcome.UNDECIDED)
    facts = replace(facts_about(query), replay=replayed.outcome)
    return Established(facts=facts, replayed=replayed, ended="timeout" if late else "")


def require_bounded(query: Query, lower: float) -> None:
    """Bounds say nothing where the region is open: name the input instead of answering ``unknown``."""
    if lower > -np.inf:
        return
    for x, box in query.boxes.items():
        require_limits(box, x.name, " and the margin depends on it")


#: The part of the time left that bounds may take where a program is to be solved after them.
BOUNDS_SHARE = 0.5


def bound(query: Query, source: str, clock: Clock, settings: Settings, *, share: float = 1.0) -> tuple[Bounds, float]:
    """Bounds of every node on the domain's hull, and the margin's lower bound over its disjuncts.

    ``share`` is the part of the time left that they may take. What they found by then counts (``Bounds.ended``).
    """
    with clock.step("bounds") as notes:
        within = find_source(source).until(clock.deadline(share), memory=settings.memory)
        lower, bounds = domain_margin(query, within, device=settings.device)
        together = ", over differences" if bounds.differences else ""
        notes.append(f"{source}{together}: margin >= {lower:.6g}")
        if bounds.ended:
            notes.append(f"{bounds.ended} before all was bounded")
        if query.assumed:
            names = node_names(query.nodes)
            notes.append(f"ASSUMED, not proved: bounds of {', '.join(names[node] for node in query.assumed)}")
    return bounds, lower


def settle_tight(query: Query, bounds: Bounds, facts: Facts, clock: Clock) -> Facts:
    """Re-evaluate a bound within rounding of the threshold in exact rationals."""
    if facts.certified > 0 or not tight(facts):
        return facts
    with clock.step("exact check") as notes:
        exact = exact_margin(query, bounds, deadline=clock.deadline())
        why = "too large or not piecewise linear" if clock.left else "no time"
        notes.append(why if exact is None else f"margin >= {nearest_float(exact):.6g} exactly")
    if exact is None:
        return facts
    if isinstance(exact, float):  # an infinity: no soft atom is left
        return replace(facts, certified=max(facts.certified, exact))
    return replace(facts, exact_bound=exact)


def sizes_of(query: Query, bounds: Bounds) -> Sizes:
    """The neurons that bounds leave open."""
    return Sizes(unstable=sum(layer.unstable for layer in layers(query, bounds)))


def by_bounds(query: Query, source: str, clock: Clock, settings: Settings) -> Least:
    """The floor that bounds give."""
    _, lower = bound(query, source, clock, settings)
    require_bounded(query, lower)
    return Least(floor=floor(replace(facts_about(query), certified=lower)))
