"""Clipping: parts of a box that hold no violation, by the line of a row, are cut off.

A point that meets a hard row has ``C x + c <= 0`` for the row's line. With the line's least value ``lb`` on the box,
coordinate j then lies within ``-lb / |C_j|`` of the end where ``C_j x_j`` is least (Clip-and-Verify, arXiv 2512.11087,
relaxed clipping). A row of the conclusion is cut at a margin of ``-SHARE lb`` instead of 0, so that what is cut off has
at least that margin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from nnsym.bounds.kept.types import BatchBounds, Domains, Limit
from nnsym.ir.array import Array
from nnsym.ir.node import Input
from nnsym.ir.query import Query
from nnsym.search.parts.targets import Worth

#: The margin, at least, of the parts that a row of the conclusion cuts off, as a share of how far it is below 0.
SHARE = 2.0**-6

_UNIT = 2.0**-52


def clipped(
    query: Query, worth: Worth, domains: Domains, found: BatchBounds, opened: Array, *, soft: bool
) -> tuple[Domains, Array, Array]:
    """The domains with their inputs' limits cut down, the least margin of what was cut off, and what became empty.

    Rows of the conclusion cut only if ``soft`` is true. The margins ``(batch,)`` are +inf where nothing was cut off but
    points that miss a hard row; the last is ``(batch, targets)``: targets that have no point left.
    """
    inputs = {x: _limits(query, domains, x, len(opened)) for x in query.inputs}
    hard = worth.hard.any(0) & ~worth.soft
    used = np.flatnonzero((hard | worth.soft if soft else hard) & domains.wanted.any(0))
    lines = _Forms(found, inputs, used, hard[used], domains.wanted[:, used])
    some = np.flatnonzero(opened.any(0))
    fit = [worth.targets[k].every for k in some]
    limits, gone, smaller = dict(domains.limits), np.zeros(opened.shape, dtype=bool), np.zeros(len(opened), dtype=bool)
    for x in query.inputs:
        low, high = lines.kept(x)
        own = [_met(inputs[x], low, high, worth.uses[k, used] & fits) for k, fits in zip(some, fit, strict=True)]
        gone[:, some] |= np.stack([(limit.lower > limit.upper).any(1) for limit in own], 1)
        limits[x] = _hull(own, (opened & ~gone)[:, some], inputs[x], x)
        smaller |= ((limits[x].lower > inputs[x].lower) | (limits[x].upper < inputs[x].upper)).any(1)
    margin = np.where(smaller | gone.any(1), lines.margin, np.inf)
    return replace(domains, limits=limits), margin, gone


def _limits(query: Query, domains: Domains, x: Input, count: int) -> Limit:
    low, high = query.boxes[x].outer
    box = Limit(np.broadcast_to(low, (count, x.size)), np.broadcast_to(high, (count, x.size)))
    return box if x not in domains.limits else box.meet(domains.limits[x])


class _Forms:
    """The lines of some rows on boxes: their least values, and what each leaves of an input."""

    def __init__(
        self, found: BatchBounds, inputs: Mapping[Input, Limit], used: Array, hard: Array, wanted: Array
    ) -> None:
        self.inputs, self.wanted = inputs, wanted
        self.C = {x: found.forms[x][:, used].astype(np.float64) for x in inputs}
        total = found.constant[:, used].astype(np.float64)
        size, terms = np.abs(total), 2
        for x, limit in inputs.items():
            low, high = (_product(self.C[x], side[:, None]) for side in (limit.lower, limit.upper))
            total, terms = total + np.minimum(low, high).sum(-1), terms + x.size
            size = size + np.maximum(np.abs(low), np.abs(high)).sum(-1)
        with np.errstate(invalid="ignore"):
            least = total - 2 * (terms + 2) * _UNIT * size  # rounded down
        self.usable = wanted & np.isfinite(least) & (least < 0)
        below = np.where(self.usable, -least, np.inf)
        self.room = np.where(hard, below, below * ((1 + SHARE) * (1 + 8 * _UNIT)))
        own = np.where(hard | ~self.usable, np.inf, SHARE * below)
        self.margin = np.asarray(own.min(1, initial=np.inf))

    def kept(self, x: Input) -> tuple[Array, Array]:
        """The limits ``(batch, rows, n)`` that each row leaves, rounded outward."""
        C, low, high = self.C[x], self.inputs[x].lower[:, None], self.inputs[x].upper[:, None]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            width = self.room[..., None] / np.abs(C) * (1 + 4 * _UNIT)
            ups, downs = np.nextafter(low + width, np.inf), np.nextafter(high - width, -np.inf)
        usable = self.usable[..., None] & np.isfinite(low) & np.isfinite(high) & np.isfinite(width)
        new_high = np.where(usable & (C > 0), np.minimum(high, ups), high)
        new_low = np.where(usable & (C < 0), np.maximum(low, downs), low)
        return new_low, new_high


def _product(C: Array, side: Array) -> Array:
    """Coefficients times limits; what does not count is 0, whatever the limit."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(C == 0, 0.0, C * side)


def _met(box: Limit, low: Array, high: Array, rows: Array) -> Limit:
    """What all rows of one target leave."""
    if not rows.any():
        return box
    return Limit(
        np.maximum(box.lower, low[:, rows].max(1)),
        np.minimum(box.upper, high[:, rows].min(1)),
    )


def _hull(own: list[Limit], opened: Array, box: Limit, x: Input) -> Limit:
    """The least limits that hold what every open target leaves; whole numbers where the elements are."""
    low = np.min([np.where(opened[:, [k]], limit.lower, np.inf) for k, limit in enumerate(own)], axis=0)
    high = np.max([np.where(opened[:, [k]], limit.upper, -np.inf) for k, limit in enumerate(own)], axis=0)
    none = ~opened.any(1, keepdims=True)
    low, high = np.where(none, box.lower, low), np.where(none, box.upper, high)
    low, high = np.where(x.integer, np.ceil(low), low), np.where(x.integer, np.floor(high), high)
    return Limit(low, high)
