"""One batch is split: scores of the rule, the elements that are open, and children as many as fill the next batch."""

from __future__ import annotations

import numpy as np

from nnsym.ir.array import Array
from nnsym.search.branching import Branching, Seen
from nnsym.search.parts.batch import Parts
from nnsym.search.problem import Bounded, SearchProblem
from nnsym.search.record.ledger import Ledger
from nnsym.search.steps.choose import choose

#: From this depth on nothing is split: a part of 2^-90 of the domain that is still open lies at a margin of 0.
DEEPEST = 90

_LEVELS = 3  # at most so many splits of a part at once


def branched(batch: Bounded, rule: Branching, problem: SearchProblem, ledger: Ledger) -> Parts:
    """Push the children of a batch; the parts that have nothing left to split."""
    parts = batch.parts
    ranges = parts.domains.ranges or {}
    room = problem.strategy.batch // max(2 * (len(parts) + len(ledger.frontier)), 1)
    levels = min(_LEVELS, max(room, 1).bit_length()) if problem.strategy.flat else 1
    chosen, able = choose(problem.places, ranges, rule.score(_seen(batch, problem)), levels)
    able &= parts.depth < DEEPEST
    stuck, owner = parts.take(np.flatnonzero(~able)), np.flatnonzero(able)
    parts = parts if able.all() else parts.take(owner)
    for branches in chosen:
        here, none = branches.take(owner), np.isnan(branches.point[owner])
        if none.any():
            real = np.flatnonzero(~none)
            ledger.frontier.push(parts.take(np.flatnonzero(none)))
            parts, here, owner = parts.take(real), here.take(real), owner[real]
        parts, owner = ledger.split(parts, here), np.repeat(owner, 2)
    ledger.frontier.push(parts)
    return stuck


def _seen(batch: Bounded, problem: SearchProblem) -> Seen:
    """What a rule sees of a batch."""
    found, parts, every = batch.found, batch.parts, np.arange(len(batch))
    ranges = parts.domains.ranges or {}
    picks = np.maximum(batch.picks, 0)
    return Seen(
        inputs={x: ranges[x] for x in problem.query.inputs},
        counts=problem.counts,
        forms={x: C[every, batch.row] for x, C in found.forms.items()},
        gaps={n: _summed(g, parts.opened, picks) for n, g in found.gaps.items() if n in problem.height},
        height=problem.height,
        number=parts.number,
    )


def _summed(gap: Array, opened: Array, picks: Array) -> Array:
    """Gaps ``(batch, rows, size)`` of the rows that the open targets rest on, added up."""
    total = np.zeros((len(gap), gap.shape[-1]), dtype=gap.dtype)
    every = np.arange(len(gap))
    for k in range(opened.shape[1]):
        total += gap[every, picks[:, k]] * opened[:, [k]]
    return total
