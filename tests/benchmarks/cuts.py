"""What cuts close of the gap between the triangle and the exact margin, on mnist_fc 256x2 with eps 0.03.

For each image the hardest class: the other class with the least exact margin. Bounds are LP-tightened, octahedra are
from LPs. A gap counts as closed by ``(bound - triangle) / (exact - triangle)``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.bounds.layers import layers
from nnsym.encode.registry import find_encoding
from nnsym.encoding import Encoding, Rounds
from nnsym.ir.formula import Atoms
from nnsym.ir.query import Query
from nnsym.judge.programs.build import build
from nnsym.read.onnx import load
from nnsym.read.vnnlib.load import load_vnnlib
from nnsym.relaxation.sources import find_source
from nnsym.solvers.base import Goal, Limits
from nnsym.solvers.registry import find
from tests.benchmarks.measure import benchmark_folder, table

FAMILIES = ("tj", "krelu2", "krelu2+krelu3", "krelu2+krelu3+tj")
FOURS = ("krelu2+krelu3", "krelu4:crown", "krelu4", "krelu2+krelu3+krelu4")
MIXED = ("bigm", "bigm+anderson", "bigm+krelu2", "bigm+anderson+krelu2")
SOURCES = ("crown", "lp", "lp:triangle+krelu2")
_GOAL = Goal(decide=False)


class Bound(NamedTuple):
    """A certified bound, the seconds of making the program, and of solving it."""

    value: float
    build: float
    solve: float


def folder() -> Path:
    """Where mnist_fc lies."""
    return benchmark_folder() / "mnist_fc"


def images(numbers: tuple[int, ...] = (0, 1, 2, 3, 4), eps: str = "0.03") -> Iterator[tuple[str, Query]]:
    """The properties of the images, each about all other classes."""
    network = load(folder() / "onnx" / "mnist-net_256x2.onnx.gz")
    for number in numbers:
        name = f"prop_{number}_{eps}"
        yield name, load_vnnlib(folder() / "vnnlib" / f"{name}.vnnlib.gz", network)


def one_class(query: Query, row: int) -> Query:
    """The property about one other class."""
    strict = query.strict
    atom = Atoms(np.zeros(1, int), strict=strict, soft=True)
    return replace(query, rows=query.rows.take(np.array([row])), formula=atom, labels=())


def bound(query: Query, bounds: Bounds, encoding: Encoding, seconds: float = 300.0) -> Bound:
    """The least margin under an encoding, certified (a MILP: the solver's own bound)."""
    start = time.perf_counter()
    program = build(query, bounds, encoding, limits=Limits(seconds=seconds), goal=_GOAL)
    ready = time.perf_counter()
    answer = find("highs").solve(program, Limits(seconds=seconds), _GOAL)
    value = answer.bound if program.n_binary else answer.certified
    return Bound(value, ready - start, time.perf_counter() - ready)


def hardest(query: Query, bounds: Bounds) -> tuple[int, float]:
    """The row with the least exact margin, and that margin."""
    triangle, bigm = find_encoding("triangle"), find_encoding("bigm")
    outer = [bound(one_class(query, row), _of_row(bounds, row), triangle).value for row in range(len(query.rows))]
    best, least = 0, np.inf
    for row in np.argsort(outer):
        if outer[row] >= least:
            break
        exact = bound(one_class(query, int(row)), _of_row(bounds, int(row)), bigm).value
        if exact < least:
            best, least = int(row), exact
    return best, least


def report(rounds: int = 1) -> str:
    """The tables of this file; ``rounds`` is not used, bounds do not vary."""
    del rounds
    found = [(name, *_ready(query)) for name, query in images()]
    gaps = table(
        "what cuts close of the gap",
        ("property", "open", "triangle", *FAMILIES, "exact"),
        (_gaps(one, FAMILIES) for one in found),
    )
    fours = table(
        "groups of four, on images with a negative margin",
        ("property", "open", "triangle", *FOURS, "exact"),
        (_gaps(one, FOURS) for one in found if one[3] < 0),
    )
    nodes = table("big-M with cuts: nodes, seconds", ("property", "binaries", *MIXED), map(_nodes, found))
    feeds = table("the triangle on other bounds", ("property", *SOURCES), map(_feeds, found))
    return "\n".join((gaps, fours, nodes, feeds))


Found = tuple[str, Query, Bounds, float]


def _ready(query: Query) -> tuple[Query, Bounds, float]:
    """The property about the hardest class, LP bounds, and the exact margin."""
    bounds = find_source("lp").compute(query)
    row, exact = hardest(query, bounds)
    return one_class(query, row), _of_row(bounds, row), exact


def _gaps(found: Found, families: tuple[str, ...]) -> tuple[str, ...]:
    name, query, bounds, exact = found
    base = bound(query, bounds, find_encoding("triangle")).value
    cells = [f"{base:.3f}"]
    for family in families:
        this = bound(query, bounds, find_encoding(f"triangle+{family}"))
        share = (this.value - base) / (exact - base)
        cells.append(f"{this.value:.3f} {share:.1%} {this.build:.1f} s")
    unstable = "+".join(str(layer.unstable) for layer in layers(query, bounds))
    return (name, unstable, *cells, f"{exact:.3f}")


def _nodes(found: Found) -> tuple[str, ...]:
    name, query, bounds, _ = found
    cells = []
    for mixed in MIXED:
        encoding = replace(find_encoding(mixed), rounds=Rounds(least_binaries=0))
        program = build(query, bounds, encoding, limits=Limits(seconds=300), goal=_GOAL)
        start = time.perf_counter()
        answer = find("highs").solve(program, Limits(seconds=120), _GOAL)
        cells.append(f"{answer.nodes} nodes {time.perf_counter() - start:.1f} s")
    return (name, str(sum(layer.unstable for layer in layers(query, bounds))), *cells)


def _feeds(found: Found) -> tuple[str, ...]:
    name, query, _, _ = found
    cells = []
    for text in SOURCES:
        start = time.perf_counter()
        bounds = find_source(text).compute(query)
        spent = time.perf_counter() - start
        unstable = "+".join(str(layer.unstable) for layer in layers(query, bounds))
        cells.append(f"{bound(query, bounds, find_encoding('triangle')).value:.3f} {unstable} open, {spent:.1f} s")
    return (name, *cells)


def _of_row(bounds: Bounds, row: int) -> Bounds:
    rows = bounds.rows
    return replace(bounds, rows=replace(rows, lower=rows.lower[[row]], upper=rows.upper[[row]]))
