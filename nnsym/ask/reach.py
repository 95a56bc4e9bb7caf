"""``reach`` and ``margin_table``: a certified interval for every output, and for the margin to every class."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from nnsym.ask.extremes import maximize, minimize
from nnsym.ask.options import require_options
from nnsym.ir.array import Array
from nnsym.ir.network import Network
from nnsym.lang.algebra.ranking import wins
from nnsym.lang.props import variable_of
from nnsym.lang.statements.objective import elements
from nnsym.lang.statements.sets import ball
from nnsym.report.optima import Listed
from nnsym.results.clock import Clock
from nnsym.results.optimum import Optimum
from nnsym.results.ranges import seconds
from nnsym.results.result import NoTruthValue, Trust, weakest


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Reach(NoTruthValue, Listed):
    """The range of every term. ``lower`` and ``upper`` are proved: no value of the domain lies outside of them."""

    spoken = ("a table of ranges", "Ask for its lower and upper arrays")

    terms: tuple[str, ...]
    minima: tuple[Optimum, ...]
    maxima: tuple[Optimum, ...]

    @property
    def lower(self) -> Array:
        """Proved lower ends, one per term."""
        return np.array([o.lower for o in self.minima])

    @property
    def upper(self) -> Array:
        """Proved upper ends, one per term."""
        return np.array([o.upper for o in self.maxima])

    @property
    def slack(self) -> Array:
        """How much wider than the true range each interval may be: the gaps at both ends."""
        return np.array([low.gap + high.gap for low, high in zip(self.minima, self.maxima, strict=True)])

    def to_records(self) -> list[dict[str, Any]]:
        """One flat dictionary per term."""
        both = zip(self.terms, self.minima, self.maxima, strict=True)
        return [
            {
                "term": term,
                "minimum >=": low.lower,
                "minimum <=": low.upper,
                "maximum >=": high.lower,
                "maximum <=": high.upper,
                "trust": _weaker(low.lower_trust, high.upper_trust),
                "method": low.method,
            }
            for term, low, high in both
        ]

    @property
    def _title(self) -> str:
        empty = any(o.empty for o in (*self.minima, *self.maxima))
        return "reach" + (": no input satisfies the condition" if empty else "")


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class MarginTable(NoTruthValue, Listed):
    """The least margin ``f_label - f_j`` to every other class j: all positive, and no input changes the class."""

    spoken = ("a table of margins", "Ask for table.worst.lower > 0")

    label: int
    targets: tuple[int, ...]
    margins: tuple[Optimum, ...]

    @property
    def worst(self) -> Optimum:
        """The margin of the class that is nearest by its proved bound."""
        return min(self.margins, key=lambda o: o.lower)

    def to_records(self) -> list[dict[str, Any]]:
        """One flat dictionary per class, the nearest first."""
        rows = sorted(zip(self.targets, self.margins, strict=True), key=lambda row: row[1].lower)
        return [
            {
                "target": str(target),
                "margin >=": margin.lower,
                "margin <=": margin.upper,
                "trust": margin.lower_trust.value if margin.lower_trust else None,
                "method": margin.method,
                "seconds": margin.seconds["total"],
            }
            for target, margin in rows
        ]

    @property
    def _title(self) -> str:
        empty = any(o.empty for o in self.margins)
        return f"margins of class {self.label}" + (": no input satisfies the condition" if empty else "")


def reach(terms: object, method: Any = None, *, where: object = None, timeout: float = 60.0, **options: Any) -> Reach:
    """The least and the greatest value of every element of a term where ``where`` holds.

    The method and the options are those of :func:`nnsym.ask.extremes.minimize`; ``timeout`` is for all
    elements together.
    """
    require_options("reach", options, minimize)
    some = elements(terms)
    run = _budget(seconds(timeout), 2 * len(some))
    minima = tuple(run(minimize, term, method, where=where, **options) for term in some)
    maxima = tuple(run(maximize, term, method, where=where, **options) for term in some)
    return Reach(terms=tuple(str(t) for t in some), minima=minima, maxima=maxima)


def margin_table(
    f: Network,
    x0: object,
    label: int,
    eps: object,
    method: Any = None,
    *,
    p: object = np.inf,
    within: tuple[object, object] | None = None,
    timeout: float = 60.0,
    **options: Any,
) -> MarginTable:
    """``min f_label(x) - f_j(x)`` over the ball round ``x0``, for every class ``j != label``.

    The ball is that of :func:`nnsym.lang.props.robust`; the method and the options are those of
    :func:`nnsym.ask.extremes.minimize`; ``timeout`` is for all classes together.
    """
    require_options("margin_table", options, minimize)
    x = variable_of(f, "margin_table")
    y = f(x).ravel()
    wins(y, label)  # raises for a class that does not exist
    where = ball(x, x0, eps, p=p, within=within)
    targets = tuple(j for j in range(y.size) if j != label)
    run = _budget(seconds(timeout), len(targets))
    margins = tuple(run(minimize, y[label] - y[j], method, where=where, **options) for j in targets)
    return MarginTable(label=label, targets=targets, margins=margins)


def _budget(timeout: float, count: int) -> Callable[..., Optimum]:
    """Runs ``count`` optimisations under one deadline; what one leaves over, the later ones share."""
    deadline, left = time.monotonic() + timeout, count

    def run(optimise: Callable[..., Optimum], *arguments: Any, **options: Any) -> Optimum:
        nonlocal left
        remaining = deadline - time.monotonic()
        share = max(remaining, 1e-3) / left
        left -= 1
        if remaining <= 0:  # even a first look takes a while on a large network, and there may be many terms
            options = {**options, "clock": Clock(0.0)}
        return optimise(*arguments, timeout=share, **options)

    return run


def _weaker(*sides: Trust | None) -> str | None:
    known = [side for side in sides if side is not None]
    return weakest(*known).value if len(known) == len(sides) else None
