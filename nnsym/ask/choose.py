"""Which method to ask, and why: a look at the question by cheap bounds, and an ordered table of rules.

What a rule rests on was measured on this product and stands in docs/choosing.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.bounds.domains import domain_margin
from nnsym.bounds.layers import open_elements
from nnsym.bounds.methods import find_source
from nnsym.ir.functions.smoothed import smoothed_nodes
from nnsym.ir.node import Affine, Input, Pointwise, Product
from nnsym.ir.query import Query, Reading
from nnsym.ir.univariate import Hinge, Piecewise
from nnsym.lang.question import HasQuery, query_of
from nnsym.results.ranges import seconds

#: Open neurons up to which a MILP of one binary each is the shorter way.
FEW = 60
#: Open neurons beyond which nothing exact is to be hoped for in a minute.
MANY = 4000
_SHARE = 0.3  # of the time that the look may take


@final
@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a question is like: sizes, kinds of nodes, and the margins that intervals and lines certify.

    ``open`` counts the neurons that linear bounds leave open; ``width`` is the mean width of the inputs' box.
    """

    inputs: int
    width: float
    neurons: int
    open: int
    norms: tuple[str, ...]
    smooth: bool
    products: bool
    integers: bool
    jumps: bool
    smoothed: bool
    witness: bool
    intervals: float
    lines: float

    @property
    def exact(self) -> bool:
        """True if every node has cases that a MILP can enumerate."""
        return not (self.smooth or self.products)


@final
@dataclass(frozen=True)
class Rule:
    """A method, what it is chosen for, and when; the first rule that holds is taken."""

    method: str
    because: str
    holds: Callable[[Facts], bool] = field(repr=False)


RULES = (
    Rule("sampling", "it is about a smoothed classifier, which only sampling speaks of", lambda q: q.smoothed),
    Rule("portfolio", "it asks for a point: attack first, then exactly", lambda q: q.witness),
    Rule(
        "ibp-merged",
        "intervals decide it, as they do for networks that were trained by them",
        lambda q: q.intervals > 0,
    ),
    Rule("crown", "linear bounds decide it", lambda q: q.lines > 0),
    Rule("bigm", "jumps and whole numbers have an exact MILP", lambda q: (q.jumps or q.integers) and q.exact),
    Rule(
        "bigm",
        f"at most {FEW} neurons are open: a MILP of as many binaries decides",
        lambda q: q.exact and q.open <= FEW,
    ),
    Rule("bab", "smooth functions and products have no cases: a search splits them", lambda q: not q.exact),
    Rule("bab", f"more than {FEW} neurons are open: a search that bounds many parts at once", lambda q: q.open <= MANY),
    Rule("alpha", f"more than {MANY} neurons are open: optimised bounds are what is left", lambda q: True),
)


@final
@dataclass(frozen=True, repr=False)
class Choice:
    """A method with the reason for it, and what it was chosen from; ``method`` is what :func:`nnsym.verify` takes."""

    method: str
    because: str
    facts: Facts

    def to_dict(self) -> dict[str, Any]:
        """One JSON object: no infinite numbers."""
        numbers = {
            name: None if isinstance(v, float) and not np.isfinite(v) else v for name, v in vars(self.facts).items()
        }
        return {"method": self.method, "because": self.because, "facts": numbers}

    def __repr__(self) -> str:
        """``<choice: bigm, because at most 60 neurons are open: ...>``."""
        return f"<choice: {self.method}, because {self.because}>"

    def __str__(self) -> str:
        q = self.facts
        kinds = [word for word, said in (("smooth", q.smooth), ("products", q.products), ("jumps", q.jumps)) if said]
        rows = (
            ("method", self.method),
            ("because", self.because),
            ("inputs", f"{q.inputs}, mean width {q.width:.4g}" + ("".join(f", ball of the {n}" for n in q.norms))),
            ("neurons", f"{q.neurons}, {q.open} open" + (f" ({', '.join(kinds)})" if kinds else "")),
            ("margin", f"at least {q.intervals:.4g} by intervals, {q.lines:.4g} by lines"),
        )
        return "\n".join(f"{name:8} {text}" for name, text in rows)


def choose(prop: HasQuery | Query, *, timeout: float = 60.0) -> Choice:
    """The method to ask a property of, from its norm, radius, size, functions and how tight cheap bounds are.

    ``timeout`` is the time that the question itself will have; the look takes a part of it at most. Where a cheap bound
    decides already, that bound is the choice.
    """
    facts = look(query_of(prop), seconds(timeout) * _SHARE)
    found = next(rule for rule in RULES if rule.holds(facts))
    return Choice(found.method, found.because, facts)


def look(query: Query, budget: float) -> Facts:
    """The facts, by intervals and linear bounds held to a budget of seconds."""
    pointwise = [node for node in query.nodes if isinstance(node, Pointwise)]
    smoothed, witness = bool(smoothed_nodes(query)), query.reading is Reading.EXISTS
    intervals = lines = -np.inf
    bounds: Bounds | None = None
    if not smoothed:
        import nnsym.bounds.engine.backward.linear  # noqa: F401  # heavy: torch, loaded before the clock runs

        intervals, bounds = domain_margin(query, find_source("ibp-merged").within(0.2 * budget))
        lines, bounds = domain_margin(query, find_source("crown").within(0.8 * budget))
    widths = [np.subtract(*box.outer[::-1]) for box in query.boxes.values()]
    kinds = [node.fn for node in pointwise]
    norms = sorted({f"{ball.p}-norm" for balls in query.balls.values() for ball in balls})
    return Facts(
        inputs=sum(x.size for x in query.inputs),
        width=float(np.mean(np.concatenate(widths))),
        neurons=sum(node.size for node in query.nodes if not isinstance(node, (Affine, Input))),
        open=0 if bounds is None else sum(int(open_elements(bounds, node).sum()) for node in query.nodes),
        norms=tuple(norms),
        smooth=any(not isinstance(fn, (Hinge, Piecewise)) for fn in kinds),
        products=any(isinstance(node, Product) for node in query.nodes),
        integers=any(bool(x.integer.any()) for x in query.inputs),
        jumps=any(fn.jumps for fn in kinds),
        smoothed=smoothed,
        witness=witness,
        intervals=float(intervals),
        lines=float(lines),
    )
