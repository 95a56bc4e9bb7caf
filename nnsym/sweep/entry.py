"""One answer of a table: an item, a radius, a method, and what it said; a line of the record."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, final

import numpy as np

from nnsym.ir.query import Reading
from nnsym.results.fields import count, finite, flag, named, optional, real, text
from nnsym.results.plain import witness_json
from nnsym.results.result import Result, Trust, Verdict


class Way(StrEnum):
    """The four ways an item may go; every one goes exactly one of them."""

    WRONG = "wrong"  # the property fails at the item itself
    VERIFIED = "verified"
    FALSIFIED = "falsified"
    UNKNOWN = "unknown"


#: The stage that looks at the items themselves, before any method.
CLEAN = "clean"

_WAYS = {verdict: Way(verdict.value) for verdict in Verdict}


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Entry:
    """What ``method`` said of an item of a family at a radius, ``eps`` None where the family has none.

    An item that is wrong has one entry for all radii, by ``clean``. ``implied`` is the radius of the entry that this
    one follows from: a smaller domain of a property that was verified, a larger one of one that was falsified.
    ``point`` is the replayed counterexample, or witness, as plain data. ``details`` are numbers of the run: sizes,
    relaxation, seconds of its parts.
    """

    family: str
    index: int
    eps: float | None
    method: str
    way: Way
    reason: str = ""
    trust: str | None = None
    lower: float = -math.inf
    upper: float = math.inf
    seconds: float = 0.0
    implied: float | None = None
    vacuous: bool = False
    point: Mapping[str, Any] | None = None
    details: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        """``<robust, item 3 at eps 0.02 by crown: verified>``."""
        at = "" if self.eps is None else f" at eps {self.eps:g}"
        return f"<{self.family}, item {self.index}{at} by {self.method}: {self.way.value}>"

    @property
    def key(self) -> tuple[str, int, float | None, str]:
        """What was asked."""
        return self.family, self.index, self.eps, self.method

    @property
    def decided(self) -> bool:
        return self.way is not Way.UNKNOWN

    def line(self) -> str:
        """The entry as a line of the record; what says nothing is left out."""
        kept = {
            "family": self.family,
            "index": self.index,
            "eps": self.eps,
            "method": self.method,
            "way": self.way.value,
            "reason": self.reason,
            "trust": self.trust,
            "lower": _side(self.lower, -math.inf),
            "upper": _side(self.upper, math.inf),
            "seconds": round(self.seconds, 6),
            "implied": self.implied,
            "vacuous": self.vacuous or None,
            "point": self.point,
            "details": dict(self.details) or None,
        }
        return json.dumps({k: v for k, v in kept.items() if v is not None}, separators=(",", ":"), allow_nan=False)

    @staticmethod
    def of(found: Mapping[str, Any]) -> Entry:
        """The entry of a line; raises KeyError, TypeError or ValueError for a line that is none."""
        way, trust = Way(found["way"]), optional(Trust, found.get("trust"))
        if (trust is None) != (way is Way.UNKNOWN) or (way is Way.WRONG) > (found["method"] == CLEAN):
            raise ValueError(f"{way.value} by {found['method']!r:.60}, trust {trust}")
        return Entry(
            family=text(found["family"]),
            index=count(found["index"]),
            eps=optional(finite, found.get("eps")),
            method=text(found["method"]),
            way=way,
            reason=text(found.get("reason", "")),
            trust=None if trust is None else trust.value,
            lower=_end(found.get("lower"), -math.inf),
            upper=_end(found.get("upper"), math.inf),
            seconds=finite(found["seconds"]),
            implied=optional(finite, found.get("implied")),
            vacuous=flag(found.get("vacuous", False)),
            point=optional(_object, found.get("point")),
            details=named(finite, found.get("details", {})),
        )


def _side(value: float, unknown: float) -> float | str | None:
    """A side of a margin for JSON: None where nothing is known, a text for the other infinity."""
    return None if value == unknown else value if math.isfinite(value) else str(value)


def _end(value: Any, unknown: float) -> float:
    """A side of a margin as :func:`_side` writes it."""
    return unknown if value is None else math.inf if value == "inf" else -math.inf if value == "-inf" else real(value)


def _object(value: Any) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise TypeError(f"{value!r:.60} is no object")
    return value


def judged(result: Result, *, family: str, index: int, eps: float | None, method: str, seconds: float) -> Entry:
    """The entry of a result."""
    exists = result.reading is Reading.EXISTS
    return Entry(
        family=family,
        index=index,
        eps=eps,
        method=method,
        way=_WAYS[result.status],
        reason=result.reason,
        trust=None if result.trust is None else result.trust.value,
        lower=result.lower,
        upper=result.upper,
        seconds=seconds,
        vacuous=result.vacuous,
        point=witness_json(result.witness if exists else result.counterexample),
        details=_details(result),
    )


def _details(result: Result) -> dict[str, float]:
    """The numbers of a run that are there."""
    sizes = result.sizes
    found: dict[str, float] = {
        "columns": sizes.columns,
        "binary": sizes.binary,
        "rows": sizes.rows,
        "nonzeros": sizes.nonzeros,
        "unstable": sizes.unstable,
        "nodes": sizes.nodes,
    }
    found = {name: value for name, value in found.items() if value}
    if result.relaxation is not None and np.isfinite(result.relaxation):
        found["relaxation"] = result.relaxation
    parts = ("bounds", "encode", "solve", "hand-over")
    found |= {f"seconds {part}": round(result.seconds[part], 6) for part in parts if part in result.seconds}
    return found
