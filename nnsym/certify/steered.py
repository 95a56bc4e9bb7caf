"""Sums of rows on boxes with slopes of their own: what a box needs where few neurons are open but default lines miss.

An ascent chooses the slopes of a sum's row, which is then bounded again by slopes as they are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import final

import numpy as np

from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.types import BatchBounds, Domains
from nnsym.certify.choices import LEVELS, Choices
from nnsym.ir.array import Array
from nnsym.results.clock import Deadline

#: Steps of ascent, and so many numbers of weights at most for a batch.
_STEPS, _MOST = 3, 1 << 22


@final
class Steered:
    """What was found of a batch: bounds ``(parts, targets)`` of sums, and the choices that they rest on."""

    def __init__(
        self, choices: Choices, engine: Engine, domains: Domains, weights: Array, asked: Array, deadline: Deadline
    ) -> None:
        """``weights`` of sums are ``(parts, targets, rows)``, those that are ``asked`` for are bounded."""
        self._choices, self.lower = choices, np.full(asked.shape, -np.inf)
        if weights.size > _MOST:
            return

        def sums(found: BatchBounds) -> tuple[Array, Array]:
            return weights, asked & ~found.empty[:, None]

        first = engine.bound(domains, steps=_STEPS, gaps=False, sums=sums, deadline=deadline)
        assert first.dual is not None
        self._dual, self._ranges = choices.rounded(first.dual, LEVELS[0]), first.ranges
        again = replace(domains, dual=self._dual)
        found = engine.bound(again, gaps=False, forms=False, sums=sums, deadline=deadline)
        self.lower = found.lower[:, weights.shape[2] :]

    def slopes(self, part: int, target: int) -> Mapping[str, Mapping[str, int]]:
        """The slopes of a sum as its leaf has them: of open elements, by their places."""
        own = {n: s[part, target] for n, s in self._dual.slopes.items()}
        return self._choices.listed(own, {n: r.take(np.array([part])) for n, r in self._ranges.items()})
