"""Sums of rows on boxes with slopes of their own: what a box needs where few neurons are open but default lines miss.

An ascent chooses the slopes of a sum's row, which is then bounded again by slopes as they are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import final

import numpy as np

from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.types import BatchBounds, Domains, Dual
from nnsym.certify.choices import LEVELS, Choices
from nnsym.ir.array import Array
from nnsym.results.clock import Deadline

#: Steps of ascent, and so many numbers of weights at most for a batch.
_STEPS, _MOST = 3, 1 << 22

#: Slopes that say less than such a share of what another says of the sum are left to their defaults, where that does.
_LITTLE = (0.2, 0.5)


@final
class Steered:
    """What was found of a batch: which of the sums close their parts, and the choices that this rests on."""

    def __init__(
        self, choices: Choices, engine: Engine, domains: Domains, weights: Array, asked: Array, room: Array,
        deadline: Deadline,
    ) -> None:  # fmt: skip
        """``weights`` of sums are ``(parts, targets, rows)``, those that are ``asked`` for are bounded.

        They close their parts where they exceed the ``room`` of their rows.
        """
        self._choices, self.closed = choices, np.zeros_like(asked)
        if weights.size > _MOST:
            return

        def bounded(domains: Domains, steps: int) -> BatchBounds:
            return engine.bound(
                domains, steps=steps, goal=np.inf, refresh=steps > 0, gaps=False, forms=False, deadline=deadline,
                sums=lambda found: (weights, asked & ~found.empty[:, None]),
            )  # fmt: skip

        def closed(dual: Dual) -> Array:
            found = bounded(replace(domains, ranges=self._ranges, dual=dual), 0)
            return asked & (found.lower[:, weights.shape[2] :] > weights @ room)

        # Without a goal: slopes that reach it exactly would miss it once they are written.
        first = bounded(domains, _STEPS)
        assert first.dual is not None
        self._ranges, dual = first.ranges, choices.rounded(first.dual, LEVELS[0])
        self.closed = closed(dual)
        self._slopes = dual.slopes
        for share in _LITTLE:
            fewer = choices.fewer(dual, self._ranges, share)
            enough = closed(fewer)[..., None]
            self._slopes = {n: np.where(enough, fewer.slopes[n], s) for n, s in self._slopes.items()}

    def slopes(self, part: int, target: int) -> Mapping[str, Mapping[str, int]]:
        """The slopes of a sum as its leaf has them: of open elements, by their places."""
        own = {n: s[part, target] for n, s in self._slopes.items()}
        return self._choices.listed(own, {n: r.take(np.array([part])) for n, r in self._ranges.items()})
