"""Ranges of hidden neurons on the whole domain are searched for while that pays: they hold on every part of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnsym.bounds.kept.types import Domains, Limit
from nnsym.ir.node import Node
from nnsym.results.clock import Deadline, OutOfTime
from nnsym.search.bounding import Better, Bounding, Engines
from nnsym.search.ledger import Ledger
from nnsym.search.scene import Scene

Array = NDArray[Any]

#: The share of the time for this; what is left of the gap, as a share of what was, where more rounds pay.
_SHARE, _PAYS = 0.25, 0.8


def refine(scene: Scene, engines: Engines, ledger: Ledger, better: Better, deadline: Deadline) -> None:
    """Better engines in turn, each with four times the rounds of the one before, while they close some of the gap.

    Open subproblems get the better bound of the whole.
    """
    end, rounds = deadline.share(_SHARE), scene.strategy.refine or 0
    gap, lower = _gap(scene, engines.engine, deadline)
    while gap > 0 and not end.passed:
        try:
            engines.become(better(engines.engine.ranges, rounds, end))
        except OutOfTime:
            break
        before = gap
        gap, found = _gap(scene, engines.engine, deadline)
        lower, rounds = np.maximum(lower, found), 4 * rounds
        if gap > _PAYS * before:
            break
    nodes = ledger.frontier.take(len(ledger.frontier))
    nodes = replace(nodes, lower=np.maximum(nodes.lower, lower))
    ledger.frontier.push(ledger.close(nodes, nodes.opened & ~scene.goal.closes(nodes.lower))[0])


def _gap(scene: Scene, engine: Bounding, deadline: Deadline) -> tuple[float, Array]:
    """How far the whole domain is from being closed, and the targets' lower bounds on it."""
    boxes = {x: box.outer for x, box in scene.query.boxes.items()}
    limits: dict[Node, Limit] = {x: Limit(lower[None], upper[None]) for x, (lower, upper) in boxes.items()}
    domains = Domains(limits, np.ones((1, len(scene.query.rows)), dtype=bool))
    found = engine.bound(domains, steps=scene.strategy.root, goal=scene.threshold, gaps=False, deadline=deadline)
    lower, _ = scene.worth.lower(found.lower, limits)
    lower = np.where(found.empty[:, None], np.inf, lower)
    opened = lower[~scene.goal.closes(lower)]
    return float(np.max(scene.threshold - opened, initial=0.0)), lower
