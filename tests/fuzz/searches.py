"""Searches of random networks beside the exact oracle and a MILP, and of networks with a hidden counterexample.

An answer is wrong where ``verified`` is said of a query with a violation, ``falsified`` of one without, or where the
interval of the margin does not hold the least one. Every seventh random margin lies within 2^-12 of zero, or is zero.
Every tenth case is a network of :mod:`nnsym.testing.hidden`, whose least margin is known; every twentieth is asked of
``bigm`` too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.query import Query
from nnsym.ir.rational.oracle import OracleAnswer, minimum_margin
from nnsym.judge.method import Settings
from nnsym.judge.registry import resolve
from nnsym.results.clock import Clock
from nnsym.results.result import Result, Verdict
from nnsym.testing.check_method import reached
from nnsym.testing.hidden import hidden
from nnsym.testing.random_nets import KINDS, PIECE_KINDS, random_network, random_query
from tests.fuzz.properties import trials
from tests.fuzz.report import Report, missed

LEAFY = ("bab:gap:leaf=lp:few=99", "bab:early:leaf=milp", "bab:mixed:leaf=smt", "bab:smear:leaf=lp+tj:few=9")

TEXTS = (
    "bab",
    "bab:smear",
    "bab:gap",
    "bab:mixed:clip",
    "bab:finish:float64:best",
    "bab:early:steps=4",
    "bab:longest:best",
    "bab:gap:clip:batch=4",
    "bab:random",
    "bab:gap:refine=2:batch=2:workers=2",
    "bab:longest:batch=4:workers=3",
    *LEAFY,
)

_SECONDS = 5.0


def case(seed: int) -> tuple[Query, OracleAnswer]:
    """The query of a seed and its least margin."""
    if seed % 10 == 9:
        sign = -1 if seed % 20 == 9 else 1
        found = hidden(seed, inputs=2 + seed % 3, width=(4, 8, 16)[seed % 3], least=sign * 2.0 ** -(2 + seed % 7))
        return found.query, OracleAnswer(found.least, None)
    kinds = (*KINDS, *PIECE_KINDS)
    query = random_query(random_network(kinds[seed % len(kinds)], seed), seed, tight=seed % 7 == 0)
    return query, minimum_margin(query)


def faults(result: Result, query: Query, truth: OracleAnswer) -> list[str]:
    """What is wrong with an answer about a query whose least margin is known."""
    least = truth.margin
    doubtful = least == 0 and not query.strict and not reached(query, truth)  # a limit at a jump is no violation
    violated = least < 0 or (least == 0 and not query.strict)
    wrong = []
    if result.status is Verdict.VERIFIED and violated and not doubtful:
        wrong.append(f"verified, but the least margin is {float(least):g}")
    if result.status is Verdict.FALSIFIED and not violated:
        wrong.append(f"falsified, but the least margin is {float(least):g}")
    if not result.lower - _room(result) <= least <= result.upper:
        wrong.append(f"margin in [{result.lower!r}, {result.upper!r}], but the least one is {float(least)!r}")
    return wrong


def _room(result: Result) -> float:
    """A solver's bound is off by its tolerances; any other is one."""
    return 1e-6 * max(1.0, abs(result.lower)) if "bigm" in result.method else 0.0


def fuzz(seed: int, seconds: float, *, cases: int | None = None, controls: bool = False) -> Report:
    """Judge searches from ``seed`` on for so many wall seconds."""
    start, count, wrong, crashes = time.monotonic(), 0, 0, 0
    said, lines = Counter[str](), list[str]()
    for number in trials(seed, seconds, cases):
        try:
            query, truth = case(number)
        except UnsupportedError:
            continue  # too many open neurons for the oracle
        count += 1
        for text in (TEXTS[number % len(TEXTS)], *(("bigm",) if number % 20 in (4, 9) else ())):
            try:
                result = resolve(text).judge(query, Clock(_SECONDS), Settings())
            except Exception as error:
                crashes += 1
                lines.append(f"seed {number}, {text}: {type(error).__name__}: {error}")
                continue
            said[f"{text.split(':')[0]} {result.status.value}"] += 1
            found = faults(result, query, truth)
            wrong += bool(found)
            lines += [f"seed {number}, {text}: {one}" for one in found]
    caught = planted() if controls else {}
    told = ", ".join(f"{n} {what}" for what, n in sorted(said.items()))
    return Report(
        name="searches",
        cases=count,
        seconds=time.monotonic() - start,
        wrong=wrong,
        tracebacks=crashes,
        controls=len(caught),
        caught=sum(caught.values()),
        lines=(told, *missed(caught), *lines),
    )


def planted() -> dict[str, bool]:
    """Searches with one fault each: whether some of the first cases show it."""
    return {name: _shown(plant) for name, plant in PLANTS.items()}


def _shown(plant: Any, cases: int = 120) -> bool:
    with plant():
        for number in range(cases):
            try:
                query, truth = case(number)
            except UnsupportedError:
                continue
            if faults(resolve(TEXTS[number % len(TEXTS)]).judge(query, Clock(_SECONDS), Settings()), query, truth):
                return True
    return False


@contextmanager
def _one_child() -> Iterator[None]:
    """The first child of a split comes twice, the second never."""
    from nnsym.search.record import ledger

    real = ledger.split

    def half(*given: Any) -> Any:
        nodes = real(*given)
        return replace(nodes.take(np.arange(len(nodes)) // 2 * 2), number=nodes.number)

    with mock.patch.object(ledger, "split", half):
        yield


@contextmanager
def _generous_bounds() -> Iterator[None]:
    """Every bound is 2^-8 too large."""
    from nnsym.bounds.kept.engine import Engine

    real = Engine.bound

    def more(self: Engine, *given: Any, **options: Any) -> Any:
        found = real(self, *given, **options)
        return replace(found, lower=found.lower + 2.0**-8)

    with mock.patch.object(Engine, "bound", more):
        yield


@contextmanager
def _eager_clips() -> Iterator[None]:
    """Boxes are cut at the wrong end."""
    from nnsym.search.steps import clipping

    def turned(self: Any, x: Any) -> Any:
        self.C[x] = -self.C[x]
        found = real(self, x)
        self.C[x] = -self.C[x]
        return found

    real = clipping._Lines.kept
    with mock.patch.object(clipping._Lines, "kept", turned):
        yield


@contextmanager
def _closes_too_early() -> Iterator[None]:
    """Parts are closed a little below 0."""
    from nnsym.search.goal import Decide

    with mock.patch.object(Decide, "closes", lambda self, lower: lower > -(2.0**-8)):
        yield


@contextmanager
def _credulous_leaves() -> Iterator[None]:
    """Whoever is asked about a part is taken to have proved it."""
    from nnsym.judge.programs.leaves import Leaves
    from nnsym.results.result import Trust
    from nnsym.search.steps.leaf import Told

    with mock.patch.object(Leaves, "_told", return_value=Told(excluded=Trust.CERTIFIED)):
        yield


PLANTS = {
    "a child is forgotten": _one_child,
    "bounds are too large": _generous_bounds,
    "boxes are cut at the wrong end": _eager_clips,
    "parts are closed below 0": _closes_too_early,
    "leaves are closed unproved": _credulous_leaves,
}
