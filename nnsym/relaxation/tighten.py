"""LP-tightened bounds: for each layer in order, two LPs per open neuron over the relaxation of the layers before.

Linear bounds come first; a layer that they leave open is bounded by minimising and maximising each open
pre-activation over the triangle program of what comes before it, on the bounds found so far, with the cuts of the
encoding where it has any. The next layers' linear bounds start from the result. The rows of the property are the last
layer. Every bound is certified from duals and rounded outward, so a solver's tolerance never makes a neuron stable;
what there was no time for keeps its linear bound.

Source: Salman et al., A Convex Relaxation Barrier, NeurIPS 2019, section 3 (LP-ALL); Tjeng, Xiao, Tedrake, ICLR 2019,
section 4.1.1 (only what is still open is bounded anew).
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from nnsym.bounds.base import TIMEOUT, Bounds, Interval
from nnsym.bounds.layers import open_elements
from nnsym.bounds.sources import Dtype
from nnsym.encode.walk import Encoded, encode_columns
from nnsym.encoding import Cut, Encoding
from nnsym.ir.array import Array
from nnsym.ir.formula import Atoms
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import Hinge, Piecewise
from nnsym.relaxation.forms import Forms
from nnsym.results.clock import NEVER, Deadline, OutOfTime
from nnsym.separation.scene import Scene
from nnsym.solvers.base import Limits
from nnsym.solvers.lane import submit
from nnsym.solvers.workers.runner import End
from nnsym.solvers.workers.worker import Report

_HIDDEN = 0.8  # the part of the time after the linear bounds that hidden layers may take
_LEAST = 0.1  # seconds without which no LP is begun


def tighten(
    query: Query, encoding: Encoding, *, deadline: Deadline = NEVER, device: str = "cpu", dtype: Dtype = "float64"
) -> Bounds:
    """Bounds of every node and row by LPs over ``encoding`` (an outer one), intersected with linear bounds.

    The linear bounds may take the first half of the time, the layers most of the rest. ``ended`` where a layer or the
    rows were not reached.
    """
    from nnsym.bounds.engine.backward.linear import crown  # heavy: torch
    from nnsym.bounds.engine.maps.maps import Maps  # heavy: torch

    start, maps = time.monotonic(), Maps(device, dtype)
    found: dict[Node, Interval] = {}
    bounds = crown(query, name="lp", maps=maps, deadline=deadline.share(0.5))
    hidden, late = deadline.share(_HIDDEN), bool(bounds.ended)
    for node in query.nodes:
        index = _open(query, node, bounds)
        if not len(index):
            continue
        layer = _alone(query, node)
        try:
            met = _solved(layer, replace(bounds, rows=bounds[node]), encoding, node, index, hidden)
        except OutOfTime:
            late = True
            continue
        found[node] = met
        better = crown(query, intermediate=replace(bounds, nodes=found), name="lp", maps=maps, deadline=hidden)
        bounds = _both(better, bounds)
    with suppress(OutOfTime):
        rows = _solved(query, bounds, encoding, None, np.arange(len(query.rows)), deadline)
        return replace(bounds, rows=rows, seconds=time.monotonic() - start, ended=TIMEOUT if late else "")
    return replace(bounds, seconds=time.monotonic() - start, ended=TIMEOUT)


def _solved(
    query: Query, bounds: Bounds, encoding: Encoding, node: Node | None, index: Array, deadline: Deadline
) -> Interval:
    """The elements of a node bounded by LPs over a query's program; those of its rows where no node is named.

    Raises OutOfTime where there is no time to begin with.
    """
    _begin(deadline)
    encoded = encode_columns(query, bounds, encoding, deadline=deadline)
    columns = encoded.rows if node is None else encoded.ids[node]
    _begin(deadline)
    return _bounded(query, encoded, encoding, columns, index, bounds.rows, deadline.left)


def _begin(deadline: Deadline) -> None:
    if deadline.left < _LEAST:
        raise OutOfTime


def _both(a: Bounds, b: Bounds) -> Bounds:
    """Two bounds at once: tighter layers do not make every linear bound behind them tighter."""
    nodes = {node: interval.intersect(b[node]) for node, interval in a.nodes.items()}
    return replace(a, nodes=nodes, rows=a.rows.intersect(b.rows))


def _open(query: Query, node: Node, bounds: Bounds) -> Array:
    """Elements of a node whose bounds shape what a nonlinear node is replaced by; none where intervals are exact."""
    straight = isinstance(node, Affine) and all(isinstance(p, Input) for p in node.parents)
    wanted = np.zeros(node.size, dtype=bool)
    for consumer in () if straight or isinstance(node, Input) else query.nodes:
        if node not in consumer.parents or isinstance(consumer, Affine):
            continue
        match consumer:
            case Pointwise(fn=Hinge() | Piecewise()):
                wanted |= open_elements(bounds, consumer)
            case Max():
                members = consumer.groups[open_elements(bounds, consumer)]
                wanted[members[members >= 0]] = True
            case _:
                wanted |= bounds[node].lower < bounds[node].upper
    return np.flatnonzero(wanted)


def _alone(query: Query, node: Node) -> Query:
    """The query that speaks of one node only, on the same domain."""
    every = Atoms(np.arange(node.size), strict=False, soft=True, every=True)
    return replace(query, rows=Rows.of(node), formula=every, labels=(), applications=())


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class FormsJob:
    """The payload: upper bounds of forms over an encoded query, with cuts in between."""

    query: Query
    encoded: Encoded
    cuts: tuple[Cut, ...]
    columns: Array
    signs: Array


def run(job: FormsJob, report: Report) -> Array:
    """In the worker: all forms of a layer over one LP that stays warm."""
    program = job.encoded.program.relax()
    plain = Forms(program, report.remaining)
    scene = Scene(
        query=job.query,
        bounds=job.encoded.bounds,
        program=program,
        ids=job.encoded.ids,
        forms=plain,
        remaining=lambda: 0.5 * report.remaining(),
    )
    separators = [cut.separator(scene) for cut in job.cuts]
    return Forms(program, report.remaining, separators)(job.columns, job.signs)


def _bounded(
    query: Query, encoded: Encoded, encoding: Encoding, columns: Array, index: Array, old: Interval, seconds: float
) -> Interval:
    """``old`` with the elements ``index`` (of the program's ``columns``) bounded by LPs."""
    index = index[columns[index] >= 0]
    forms = np.repeat(columns[index], 2)[:, None]
    signs = np.tile([1.0, -1.0], len(index))[:, None]
    job = FormsJob(query=query, encoded=encoded, cuts=encoding.cuts, columns=forms, signs=signs)
    outcome = submit("tighten", __name__, job, Limits(seconds=min(seconds, 1e6)), None)
    if outcome.end is not End.DONE:
        return old
    lower, upper = old.lower.copy(), old.upper.copy()
    upper[index] = np.minimum(upper[index], outcome.value[0::2])
    lower[index] = np.maximum(lower[index], -outcome.value[1::2])
    return Interval(lower, upper, "lp")
