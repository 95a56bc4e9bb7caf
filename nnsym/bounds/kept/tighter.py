"""An engine with cuts for the rows that it leaves open on the whole domain (:mod:`nnsym.bounds.kept.cuts`)."""

from __future__ import annotations

import numpy as np

from nnsym.bounds.kept.cuts import Cuts, separated
from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.passes.relaxations import is_relu
from nnsym.ir.node import Affine, Node
from nnsym.results.clock import NEVER, Deadline

_STEPS = 20  # of ascent before points are cut off


def tighter(engine: Engine, *, rows: int = 16, goal: float = 0.0, deadline: Deadline = NEVER) -> Engine:
    """The engine with more cuts: through the minimisers of ``rows`` rows at most, the lowest that do not exceed the
    ``goal``.

    The engine itself where none is violated. Raises OutOfTime where there is no engine by the ``deadline``.
    """
    lower, points = engine.minimisers(_STEPS, goal=goal, deadline=deadline)
    lowest = np.argsort(lower, kind="stable")[:rows]
    lowest = lowest[lower[lowest] <= goal]
    if not len(lowest):
        return engine
    there = {node: values[lowest] for node, values in points.items()}
    found: dict[Node, Cuts] = {}
    for node in points:
        if is_relu(node) and isinstance(node.parents[0], Affine) and node.parents[0].maps:
            deadline.check()
            cuts = separated(node, engine.ranges, there)
            if cuts is not None:
                found[node] = engine.cuts[node].with_more(cuts) if node in engine.cuts else cuts
    return engine.with_cuts({**engine.cuts, **found}, deadline) if found else engine
