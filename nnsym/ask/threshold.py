"""``radius``, ``largest`` and ``smallest``: where along a family of properties the verdict changes.

A family gives one property for every number. ``largest`` is for families that get harder as the number grows (a ball of
radius eps), ``smallest`` for those that get easier (a Lipschitz bound L). :mod:`nnsym.ask.bracket` is the search.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from nnsym.ask.bracket import Family, search
from nnsym.ask.options import require_options
from nnsym.ask.sampled_radius import sampled_radius
from nnsym.ask.verify import verify
from nnsym.errors import InputError
from nnsym.ir.network import Network
from nnsym.ir.node import Max, Pointwise
from nnsym.ir.words import how_replayed
from nnsym.lang.algebra.smooth import SmoothedClassifier
from nnsym.lang.property import Property
from nnsym.lang.props import robust
from nnsym.report.optima import records_html
from nnsym.results.result import NoTruthValue, Result, Verdict, Witness

#: What feeds a method, and is asked before it, where a radius is in the norm 2: neither of the two is always better.
EUCLIDEAN = "crown+lipschitz:sdp"

#: Neurons up to which multipliers are worth their time there.
_NEURONS = 600


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Threshold(NoTruthValue):
    """Where the family changes: the largest (``goal``) or smallest number with a property that holds.

    ``certified`` is the hardest number at which it was verified, ``falsified`` the easiest one at which ``witness`` is
    a replayed counterexample; infinite where there is none. The threshold lies between them if the family is monotone.
    ``results`` lists what was asked, in order.
    """

    spoken = ("the bracket of a threshold", "Ask for its certified or falsified end, or compare them with a number")

    goal: str
    certified: float
    falsified: float
    witness: Witness | None
    results: tuple[tuple[float, Result], ...]
    precision: float

    @property
    def lower(self) -> float:
        """The lower end of the bracket."""
        return min(self.certified, self.falsified)

    @property
    def upper(self) -> float:
        """The upper end of the bracket."""
        return max(self.certified, self.falsified)

    @property
    def certificate(self) -> Result | None:
        """The result that verified at ``certified``."""
        return next((r for at, r in self.results if at == self.certified and r.status is Verdict.VERIFIED), None)

    @property
    def complete(self) -> bool:
        """True if the bracket is as narrow as was asked; else some question stayed open or time ran out."""
        return self.upper - self.lower <= self.precision

    def to_records(self) -> list[dict[str, Any]]:
        """One flat dictionary per property that was asked."""
        return [
            {
                "at": at,
                "verdict": result.status.value,
                "trust": result.trust.value if result.trust else None,
                "reason": result.reason,
                "method": result.method,
                "seconds": result.seconds["total"],
            }
            for at, result in self.results
        ]

    def __repr__(self) -> str:
        open_ = "" if self.complete else "; not closed to the precision"
        return f"<{self._head}: {self._held}; {self._failed}{open_}>"

    @property
    def _head(self) -> str:
        """Where the threshold lies, in words where an end is not known."""
        known, fails = np.isfinite(self.certified), np.isfinite(self.falsified)
        if known and fails:
            return f"{self.goal} in [{self.lower:.9g}, {self.upper:.9g}]"
        up = self.goal == "largest"
        if known:
            return f"{self.goal} at {'least' if up else 'most'} {self.certified:.9g}"
        return f"{self.goal} {'below' if up else 'above'} {self.falsified:.9g}" if fails else f"{self.goal} not known"

    @property
    def _held(self) -> str:
        if not np.isfinite(self.certified):
            return "not verified at any number that was asked"
        found = self.certificate
        trust = f", trust {found.trust.value}" if found is not None and found.trust else ""
        return f"holds at {self.certified:.9g}{trust}"

    @property
    def _failed(self) -> str:
        if np.isfinite(self.falsified):
            at = f", {how_replayed(self.witness.replayed_by)}" if self.witness is not None else ""
            return f"fails at {self.falsified:.9g}{at}"
        asked = [at for at, _ in self.results]
        if not asked:
            return "nothing was asked in time"
        words = f"up to {max(asked):.9g}" if self.goal == "largest" else f"down to {min(asked):.9g}"
        return f"no counterexample known {words}"

    def _repr_html_(self) -> str:
        return records_html(repr(self)[1:-1], self.to_records())


def largest(
    family: Family, method: Any = None, *, low: float = 0.0, high: float, precision: float = 1e-3, **options: Any
) -> Threshold:
    """The largest number in ``[low, high]`` whose property holds, for a family that gets harder as the number grows.

    Args:
        family: a property for every number.
        method: as for :func:`nnsym.ask.verify.verify`; ``timeout`` is for the whole search.
        low: where the property is expected to hold.
        high: where it is expected to fail.
        precision: the width of the bracket at which the search ends.
        options: those of ``verify``.
    """
    require_options("largest", options, verify)
    good, bad = _end(low), _end(high)
    return _search("largest", family, good=good, bad=bad, method=method, precision=precision, options=options)


def smallest(
    family: Family, method: Any = None, *, low: float = 0.0, high: float, precision: float = 1e-3, **options: Any
) -> Threshold:
    """The smallest number in ``[low, high]`` whose property holds, where it gets easier; see :func:`largest`."""
    require_options("smallest", options, verify)
    good, bad = _end(high), _end(low)
    return _search("smallest", family, good=good, bad=bad, method=method, precision=precision, options=options)


def radius(
    f: Network | SmoothedClassifier | Family,
    x0: object = None,
    label: object = None,
    method: Any = None,
    *,
    high: float | None = None,
    low: float = 0.0,
    precision: float = 1e-3,
    p: object = np.inf,
    within: tuple[object, object] | None = None,
    **options: Any,
) -> Threshold:
    """``sup {eps: argmax f(x) == label for all x with norm(x - x0, p) <= eps}``, or that of any family of properties.

    ``f`` is a network with a point and its label, or a callable that gives a property for every eps. The options are
    those of :func:`largest`; ``within`` cuts the balls to valid inputs. In the norm 2, bounds are met with what
    Lipschitz constants say (:data:`EUCLIDEAN`), unless some are named.
    Of a smoothed classifier (:func:`nnsym.smooth`) one draw of samples tells the radius, with the confidence of its
    ``nn.sampling`` method.
    """
    require_options("radius", options, verify)
    if high is None:
        raise InputError("'high' is missing, the radius that the search ends at", remedy="Give one, such as high=1")
    if isinstance(f, SmoothedClassifier):
        high, precision = _end(high), _end(precision)
        result = sampled_radius(f, x0, label, method, high=high, p=p, options=options)
        return _of_samples(*result, precision)
    if not isinstance(f, Network):
        if x0 is not None or label is not None:
            raise InputError("a family of properties takes no point and no label", remedy="Put them into the family")
        return largest(f, method, low=low, high=high, precision=precision, **options)
    if x0 is None or label is None:
        raise InputError(
            "the radius of a network needs a point and its label", remedy="nn.radius(f, x0, label, high=1)"
        )
    net = f
    if isinstance(p, (int, float)) and p == 2:
        neurons = sum(n.size for n in net.nodes if isinstance(n, (Pointwise, Max)))
        options.setdefault("bounds", EUCLIDEAN if neurons <= _NEURONS else "crown+lipschitz")

    def ball_of(eps: float) -> Property:
        return robust(net, x0, label, eps, p=p, within=within)

    return largest(ball_of, method, low=low, high=high, precision=precision, **options)


def _of_samples(at: float, result: Result, precision: float) -> Threshold:
    """What was certified, and nothing of where it ends."""
    certified = at if result.verified else -np.inf
    asked = ((at, result),)
    return Threshold(
        goal="largest", certified=certified, falsified=np.inf, witness=None, results=asked, precision=precision
    )


def _end(value: Any) -> float:
    """A number of the search; what is no float is NaN, which is refused like an infinite end."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _search(
    goal: str,
    family: Family,
    *,
    good: float,
    bad: float,
    method: Any,
    precision: float,
    options: Mapping[str, Any],
) -> Threshold:
    """The bracket between the end where the property is hoped to hold and the one where it is hoped to fail."""
    if not callable(family):
        raise InputError(f"{type(family).__name__} is no family", remedy="Pass a function from a number to a property")
    ordered = np.isfinite([good, bad]).all() and good != bad and (good < bad) is (goal == "largest")
    precision = _end(precision)
    if not (ordered and 0 < precision < np.inf):
        raise InputError("the search needs finite numbers low < high, and a positive precision")
    found, results = search(family, good, bad, method=method, precision=precision, options=options)
    beyond = np.inf if goal == "largest" else -np.inf
    return Threshold(
        goal=goal,
        certified=found.good if found.held else -beyond,
        falsified=found.bad if found.witness is not None else beyond,
        witness=found.witness,
        results=tuple(results),
        precision=precision,
    )
