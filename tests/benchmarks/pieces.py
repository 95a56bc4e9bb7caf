"""A clip as one function beside the chain of two hinges that says the same, and beside other encodings of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import final

import numpy as np

from nnsym.bounds.methods import compute, margin
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.ir.domain import Box
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense
from nnsym.ir.node import Node, affine, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import Piecewise, Univariate, hard_tanh
from nnsym.solvers.base import Goal, Limits
from nnsym.solvers.registry import find
from tests.benchmarks.measure import table
from tests.pieces import two_hinges

SEEDS = range(8)
#: Exact encodings that differ in how they state a function of several lines.
STATED = ("bigm", "partition2", "balas", "log", "sos2")
#: Nine lines, up and down.
NINE = Piecewise(
    np.arange(-4.0, 4.0) / 2,
    [0.0, 1.0, -1.0, 2.0, -1.0, 0.5, -2.0, 1.0, 0.0],
    [0.0, 2.0, -1.0, 2.0, 0.5, 0.5, 1.75, -1.25, 0.25],
    [0.0, 0.5, 0.0, 1.0, 0.5, 0.75, -0.25, 0.25],
    "nine lines",
)


def net(seed: int, *, chain: bool = False, fn: Univariate | None = None) -> Query:
    """The least output of a random network 6-20-20-1 of hard tanhs, or of ``fn``, over a box of radius 0.3."""
    rng = np.random.default_rng(seed)
    x: Node = new_input("x", 6)
    h = x
    for n in (20, 20):
        h = affine(((Dense(rng.normal(size=(n, h.size)) / np.sqrt(h.size) * 1.5), h),), rng.normal(size=n) / 4)
        h = two_hinges(h, -1.0, 1.0) if chain else pointwise(fn or hard_tanh(), h)
    rows = Rows.of(affine(((Dense(rng.normal(size=(1, 20))), h),)))
    return Query("net", {x: Box(np.full(6, -0.3), np.full(6, 0.3))}, rows, Atoms(np.arange(1), False, True))


@final
@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of one network in one form: margins by CROWN, by the LP, exactly; size; seconds of the MILP."""

    crown: float
    triangle: float
    exact: float
    columns: int
    binaries: int
    rows: int
    seconds: float


def figures(query: Query, rounds: int) -> Figures:
    """On CROWN's bounds, HiGHS with one thread; seconds are the median of ``rounds`` runs."""
    bounds = compute(query, "crown")
    program = encode(query, bounds, find_encoding("bigm"))
    lp = find("highs").solve(encode(query, bounds, find_encoding("triangle")), Limits(seconds=60), Goal(decide=False))
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        found = find("highs").solve(program, Limits(seconds=120), Goal(decide=False))
        seconds.append(time.perf_counter() - start)
    return Figures(
        crown=margin(query, bounds),
        triangle=lp.objective,
        exact=found.objective,
        columns=program.n_columns,
        binaries=program.n_binary,
        rows=program.n_rows,
        seconds=median(seconds),
    )


def stated(name: str, query: Query) -> list[str]:
    """Columns, binaries, rows and nonzeros of one encoding on CROWN's bounds, and the optimum of its relaxation."""
    bounds, encoding = compute(query, "crown"), find_encoding(name)
    program = encode(query, bounds, encoding)
    lp = find("highs").solve(encode(query, bounds, encoding.relax()), Limits(seconds=60), Goal(decide=False))
    sizes = (program.n_columns, program.n_binary, program.n_rows, program.nnz)
    return [name, *map(str, sizes), f"{lp.objective:.4f}"]


def report(rounds: int) -> str:
    """One row a network: both forms side by side, one after the other."""
    rows = []
    for seed in SEEDS:
        one, two = (figures(net(seed, chain=chain), rounds) for chain in (False, True))
        rows.append(
            [
                str(seed),
                f"{one.exact:.3f}",
                *(f"{getattr(one, k):.3f} / {getattr(two, k):.3f}" for k in ("triangle", "crown")),
                *(f"{getattr(one, k)} / {getattr(two, k)}" for k in ("binaries", "columns", "rows")),
                f"{one.seconds / two.seconds:.2f}",
            ]
        )
    head = ("net", "exact", "triangle", "crown", "binaries", "columns", "rows", "seconds, ratio")
    first = table("6-20-20-1, hard tanh: one function / two hinges", head, rows)
    head = ("encoding", "columns", "binaries", "rows", "nonzeros", "root bound")
    others = [
        table(f"6-20-20-1, {fn.name}, net 0", head, [stated(name, net(0, fn=fn)) for name in STATED])
        for fn in (hard_tanh(), NINE)
    ]
    return "\n\n".join((first, *others))
