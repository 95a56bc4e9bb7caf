"""Bounds that somebody asserted: met with what was computed, and named where they are tighter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnsym.bounds.base import Bounds, Interval
from nnsym.bounds.sources import FloatBoxes
from nnsym.errors import InputError
from nnsym.ir.names import node_names
from nnsym.ir.query import Query
from nnsym.results.clock import NEVER, Deadline

ASSUMED = "assumed"


def meet(
    query: Query,
    bounds: Bounds,
    boxes: FloatBoxes | None = None,
    *,
    device: str = "cpu",
    deadline: Deadline = NEVER,
) -> Bounds:
    """The bounds with the query's assumed intervals, and what follows from them.

    Later nodes are bounded anew by intervals, the rows backwards (:func:`nnsym.bounds.engine.backward.linear.crown`).

    Raises :class:`InputError` where an assumed interval and a computed one have no point in common: then no input
    satisfies the assumption.
    """
    from nnsym.bounds.engine.backward.linear import crown  # heavy: torch
    from nnsym.bounds.engine.maps.maps import Maps  # heavy: torch

    nodes = dict(bounds.nodes)
    for node, box in query.assumed.items():
        lower, upper = box.outer
        nodes[node] = bounds[node].intersect(Interval(lower, upper, ASSUMED))
        apart = nodes[node].lower > nodes[node].upper
        if boxes is None and apart.any():
            k = int(np.argmax(apart))
            raise InputError(
                f"element {k} is assumed in [{lower[k]:.6g}, {upper[k]:.6g}], but its bounds are "
                f"[{bounds[node].lower[k]:.6g}, {bounds[node].upper[k]:.6g}]",
                where=node_names(query.nodes)[node],
                remedy="No input satisfies the assumption; correct it, or leave it out",
            )
    met = replace(bounds, nodes=nodes)
    anew = crown(query, boxes, intermediate=met, maps=Maps(device), deadline=deadline)
    rows = bounds.rows.intersect(Interval(anew.rows.lower, anew.rows.upper, ASSUMED))
    met_nodes = {n: i.intersect(anew[n]) for n, i in nodes.items()}
    return replace(met, nodes=met_nodes, rows=rows, ended=bounds.ended or anew.ended)
