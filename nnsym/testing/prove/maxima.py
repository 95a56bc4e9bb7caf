"""Facts about a maximum's lines that are proved one member at a time: Z3 does not find them in their sum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import z3

from nnsym.bounds.formats import DOUBLE
from nnsym.bounds.maximum_lines import missed
from nnsym.testing.prove.arrays import symbolic
from nnsym.testing.prove.number import Number, term
from nnsym.testing.prove.subjects import Setup
from nnsym.testing.prove.tries import find_model
from nnsym.testing.prove.world import World

#: Processor seconds for one fact about one member.
_LEMMA = 5.0


def by_member(world: World, setup: Setup, taps: Any) -> Iterator[Any]:
    """That ``max(x_k - th, 0) <= w_k x_k + m_k``, with what the code says that ``w_k x_k`` misses, where that is so."""
    (x,) = setup.node.parents
    for th in world.thresholds:
        for tap, low, high, value in zip(taps, *setup.bounds[x], setup.values[x], strict=True):
            w = np.ravel(tap.high)[0]
            if isinstance(w, Number):
                weight, over, *ends = (symbolic(np.array([v], dtype=object)) for v in (w, high - th, low, high))
                (rest,) = missed(np, weight, over, (ends[0], ends[1]), DOUBLE)
                line = w.term * value + term(rest)
                facts = (value - th.term <= line, z3.RealVal(0) <= line)
                yield from (fact for fact in facts if find_model(world, z3.Not(fact), _LEMMA) is False)
