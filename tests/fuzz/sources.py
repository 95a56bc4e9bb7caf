"""Bounds of random queries by every source, held against exact runs: of nodes and rows, in two formats, in batches.

Even seeds are the properties of :mod:`tests.fuzz.generate` (several networks, balls, functions, numbers of any size),
at the points that the oracle knows; odd ones the deeper networks of :mod:`nnsym.testing.random_nets`, half of them
on a ball.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import numpy as np

from nnsym.bounds.lipschitz.distance import Distance
from nnsym.bounds.methods import compute
from nnsym.errors import NnsymError
from nnsym.ir.domain import Ball
from nnsym.ir.exact import to_fractions
from nnsym.ir.query import Query
from nnsym.relaxation.sources import SOURCES
from nnsym.results.clock import Deadline
from nnsym.testing.check_bounds import BoundsConformance, ConformanceError, check_runs, check_shape
from nnsym.testing.random_nets import KINDS, PIECE_KINDS, random_network, random_query
from tests.fuzz.controls import tightened_bounds
from tests.fuzz.draws import Draw
from tests.fuzz.properties import Trial, command, trials
from tests.fuzz.report import Report, Tally

#: By every seed one of the first and two of the others are asked, in turn.
_NEW = ("lipschitz", "lipschitz:sdp", "bcp", "crown+lipschitz:sdp", "lipschitz:outputs", "lipschitz:sdp:outputs")
_TEXTS = (*(s for s in SOURCES if s not in ("alpha", "search")), "alpha:3", "search:3", "crown+bcp")

#: Wall seconds of a source; what it did not get to then is wide, and no less judged.
_SECONDS = 5.0

_MOST = 60


@dataclass(eq=False)
class SourceTally(Tally):
    """Counts over all queries."""

    asked: Counter[str] = field(default_factory=Counter)


def fuzz(seed: int, seconds: float, *, cases: int | None = None, controls: bool = False) -> Report:
    """Judge bounds from ``seed`` on for so many wall seconds."""
    tally = SourceTally()
    for number in trials(seed, seconds, cases):
        tally.cases += 1
        for text in texts(number):
            judge(number, text, tally)
    caught = planted() if controls else {}
    told = ", ".join(f"{n} {text}" for text, n in sorted(tally.asked.items()))
    return tally.report("sources", caught, f"{tally.runs} runs inside of bounds by {told}")


def texts(seed: int) -> tuple[str, ...]:
    """The sources that a seed asks."""
    return _NEW[seed % len(_NEW)], *(_TEXTS[(2 * seed + k) % len(_TEXTS)] for k in range(2))


def judge(seed: int, text: str, tally: SourceTally) -> None:
    """One source on the query of a seed, in a format in turn; refusals are an answer."""
    where = f"seed {seed}, {text}"
    try:
        query, points = case(seed)
        tally.asked[text] += 1
        source = _within(text)
        bounds = compute(query, source, dtype="float32" if seed % 3 == 0 else "float64")
        check_shape(bounds, query, where)
        tally.runs += check_runs(bounds, query, points, where, BoundsConformance()).runs
    except ConformanceError as error:
        tally.wrong += 1
        tally.lines.append(f"{error}  [{command('sources', seed)}]")
    except NnsymError as error:
        tally.asked[f"refusals of {text}: {type(error).__name__}"] += 1
    except Exception as error:
        tally.crashes += 1
        tally.lines.append(f"{where}: {type(error).__name__}: {error}  [{command('sources', seed)}]")


def _within(text: str) -> Any:
    from nnsym.relaxation.sources import find_source

    return find_source(text).until(Deadline.after(_SECONDS))


def case(seed: int) -> tuple[Query, list[Mapping[Any, Any]]]:
    """A query, and points of its domain in rationals."""
    if seed % 2 == 0:
        trial = Trial.of(seed)
        query = trial.prop.query
        return query, [_given(trial, query, point) for point, _ in trial.truth.points]
    kinds = (*KINDS, *PIECE_KINDS)
    kind = kinds[seed // 2 % len(kinds)]
    query, draw = (
        random_query(random_network(kind, seed, inputs=2 + seed % 3, width=4 + seed % 5), seed),
        Draw.seeded(seed),
    )
    (x, box), *_ = query.boxes.items()
    points = [to_fractions(np.array([draw.between(*ends) for ends in _ends(box)], dtype=object)) for _ in range(24)]
    if draw.chance(0.5):
        middle = to_fractions(np.array([(low + high) / 2 for low, high in _ends(box)], dtype=object))
        radius = max(Fraction(1, 8), sum((high - low for low, high in _ends(box)), Fraction(0)) / 8)
        ball = Ball(middle, radius, draw.choice((1, 2)))
        query = replace(query, balls={x: (ball,)})
        points = [_pulled(point, ball) for point in points]
    return query, [{x: point} for point in points]


def _ends(box: Any) -> list[tuple[Fraction, Fraction]]:
    return [(Fraction(a), Fraction(b)) for a, b in zip(box.lower.tolist(), box.upper.tolist(), strict=True)]


def _pulled(point: Any, ball: Ball) -> Any:
    """The point, or one on the way to the centre that lies in the ball, close to its surface."""
    away = point - to_fractions(ball.centre)
    size = Fraction(float(np.abs(away).sum() if ball.p == 1 else np.sqrt(float((away * away).sum()))))
    share = min(Fraction(1), ball.radius / size * (1 - Fraction(1, 2**50))) if size else Fraction(1)
    return to_fractions(ball.centre) + share * away


def _given(trial: Trial, query: Query, point: Any) -> Mapping[Any, Any]:
    """The oracle's point by the query's inputs."""
    parts, start = {}, 0
    for var in trial.case.variables:
        parts[var.name] = to_fractions(np.array(point[start : start + var.size], dtype=object))
        start += var.size
    return {x: parts[x.name] for x in query.inputs}


def planted() -> dict[str, bool]:
    """Which planted faults are caught within a few seeds."""
    return {
        "bounds tightened by 1e-6": _caught("crown", tightened_bounds),
        "constants a hundredth too small": _caught("lipschitz", _short),
        "boxes and balls a hundredth too small": _caught("bcp", _short),
    }


def _caught(text: str, during: Callable[[], Any]) -> bool:
    for seed in range(_MOST):
        found, honest = SourceTally(), SourceTally()
        with during():
            judge(seed, text, found)
        if found.wrong:
            judge(seed, text, honest)
            if not honest.wrong:
                return True
    return False


@contextmanager
def _short() -> Iterator[None]:
    """Every distance of a node is a hundredth too small."""
    real = Distance.of

    def less(each: Any, *norms: float, **named: float) -> Distance:
        shrunk = {name: 0.99 * v for name, v in named.items()}
        return real(0.99 * each, *(0.99 * v for v in norms), **shrunk)

    with patch.object(Distance, "of", staticmethod(less)):
        yield
