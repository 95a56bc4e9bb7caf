"""Facts about a maximum's upper line that are proved by themselves: Z3 does not find them all at once.

Of one member, ``max(x - th, 0) <= w x + m``, with what the code says that ``w x`` misses, whatever the weight: this is
proved once, of any numbers. And the offset is at least ``th + sum_k m_k``, whatever these are, so that it pays for how
their sum was rounded: this is proved on each path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import z3

from nnsym.bounds.formats import DOUBLE
from nnsym.bounds.maximum_lines import missed
from nnsym.testing.prove.arrays import symbolic
from nnsym.testing.prove.number import Number, term
from nnsym.testing.prove.search import Answer, Counterexample, Denial, Proof, number_in, prove
from nnsym.testing.prove.subjects import UNIT, Setup, bounded
from nnsym.testing.prove.tries import find_model, linear
from nnsym.testing.prove.world import World

#: Processor seconds for what is said of a member elsewhere than in the theorem about one.
_LEMMA = 5.0

#: Steps of Z3 for one fact on a path.
_STEPS = 5_000_000


def prove_member(*, missed: Callable[..., Any] = missed, seconds: float = 120.0) -> Proof:
    """Prove or refute what the lines say of one member ``l <= x <= u`` with ``l <= th < u``, for any weight ``w >= 0``.

    ``missed`` is a function in place of that of :mod:`nnsym.bounds.maximum_lines`.
    """

    def run(world: World) -> tuple[dict[str, Any], Any, list[Any]]:
        shown: dict[str, Any] = {}
        (low, high), (x,) = bounded(world, "x", 1, shown)
        world.margins.clear()
        w, th = (Number(world, z3.Real(name)) for name in ("w", "th"))
        world.assume(w.term >= 0, term(low[0]) <= th.term, th.term < term(high[0]))
        return shown | {"w": w, "th": th}, x, _claims(w, th, low[0], high[0], x, missed)[1]

    def denials(made: tuple[dict[str, Any], Any, list[Any]]) -> Iterator[Denial]:
        shown, _, claims = made

        def counterexample(model: Any) -> Counterexample:
            return Counterexample({name: number_in(model, v) for name, v in shown.items()}, "its line cuts it off")

        for claim in claims:
            yield z3.Not(claim), counterexample

    return prove(("maximum", "a member", "its own line"), run, denials, seconds=seconds, unit=UNIT)


def _claims(w: Any, th: Any, low: Any, high: Any, x: Any, missed: Callable[..., Any]) -> tuple[Any, list[Any]]:
    """What the code says that ``w x`` misses, and that the line with it lies above ``max(x - th, 0)``."""
    weight, over, *ends = (symbolic(np.array([v], dtype=object)) for v in (w, high - th, low, high))
    (rest,) = missed(np, weight, over, (ends[0], ends[1]), DOUBLE)
    line = term(w) * x + term(rest)
    return term(rest), [x - term(th) <= line, z3.RealVal(0) <= line]


@cache
def _proved() -> bool:
    return prove_member().answer is Answer.PROVED


def steps(world: World, setup: Setup, lines: Any) -> Iterator[Any]:
    """What is known of a maximum's upper line on a path; one fact may rest on those before, once they are assumed."""
    (x,) = setup.node.parents
    (offset,) = np.ravel(lines.high)
    for th in world.thresholds if _proved() else ():
        rests, every = [], True
        for tap, low, high, value in zip(lines.taps, *setup.bounds[x], setup.values[x], strict=True):
            w = np.ravel(tap.high)[0]
            if isinstance(w, Number):
                rest, claims = _claims(w, th, low, high, value, missed)
                rests.append(rest)
                if _follows(world, world.facts, z3.And(w.term >= 0, term(low) <= th.term, th.term < term(high))):
                    yield from claims
                else:
                    every = False
                    yield from (claim for claim in claims if find_model(world, z3.Not(claim), _LEMMA) is False)
        paid = term(offset) >= z3.Sum([th.term, *rests])
        if every and isinstance(offset, Number) and _follows(world, _made(world, offset.term, paid.arg(1)), paid):
            yield paid


def _made(world: World, made: Any, of: Any) -> list[Any]:
    """The facts that say how a number was made of others, and nothing of these."""
    found, left, seen = list[Any](), set(world.unknowns(made)), set(world.unknowns(of))
    while left - seen:
        some = (left - seen).pop()
        seen.add(some)
        facts = world.made.get(some, ())
        found += facts
        left = left.union(*map(world.unknowns, facts))
    return found


def _follows(world: World, facts: list[Any], claim: Any) -> bool:
    """Whether linear arithmetic finds that a claim follows, here or on a path before."""
    denial, solver = z3.Not(claim), linear()
    if world.excludes(denial):
        return True
    solver.set("rlimit", _STEPS)
    solver.add(*facts, denial)
    if solver.check() != z3.unsat:
        return False
    world.exclude(denial, facts)
    return True
