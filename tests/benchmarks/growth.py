"""How bounds grow: with the width and the depth of a network, and with the domains of a batch."""

from __future__ import annotations

from statistics import median

import numpy as np
import torch

from nnsym.bounds.engine.backward.linear import crown
from nnsym.bounds.engine.forward.interval import ibp
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.ir.domain import Box
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import relu
from tests.benchmarks.measure import cpu, ms, table

WIDTHS = (128, 256, 512, 1024, 2048)
DEPTHS = (2, 4, 8, 16)
BATCHES = (1, 16, 256, 4096)


def chain(width: int, depth: int) -> Query:
    """``width`` inputs, ``depth`` layers of as many ReLUs, 10 rows; the box is so wide that all neurons are open."""
    rng = np.random.default_rng(0)
    x = h = new_input("x", width)
    for _ in range(depth):
        h = pointwise(relu(), affine(((Dense(rng.normal(size=(width, width)) / np.sqrt(width)), h),)))
    y = affine(((Dense(rng.normal(size=(10, width))), h),))
    return Query("chain", {x: Box(-np.ones(width), np.ones(width))}, Rows.of(y), Atoms(np.arange(10), True, True))


def report(rounds: int = 9) -> str:
    """Tables of seconds and of slopes in the doubly logarithmic plane."""
    torch.set_num_threads(1)
    wide = [(w, *_both(chain(w, 2), rounds)) for w in WIDTHS]
    deep = [(d, *_both(chain(128, d), rounds)) for d in DEPTHS]
    batch = [(b, *_both(chain(32, 3), rounds, batch=b)) for b in BATCHES]
    parts = [("width, 2 layers", wide), ("depth, width 128", deep), ("batch, 3 layers of width 32", batch)]
    head = ("size", "ibp ms", "crown ms", "slope of ibp", "slope of crown")
    return "\n".join(table(title, head, _rows(found)) for title, found in parts)


def _rows(found: list[tuple[int, float, float]]) -> list[tuple[str, ...]]:
    def slope(k: int, side: int) -> str:
        if not k:
            return ""
        return f"{np.log(found[k][side] / found[k - 1][side]) / np.log(found[k][0] / found[k - 1][0]):.2f}"

    return [(str(n), ms(a), ms(b), slope(k, 1), slope(k, 2)) for k, (n, a, b) in enumerate(found)]


def _both(query: Query, rounds: int, batch: int = 1) -> tuple[float, float]:
    (x,) = query.inputs
    low, high = (np.tile(side, (batch, 1)) for side in query.boxes[x].outer)
    maps = Maps()
    spent: list[list[float]] = [[], []]
    for _ in range(rounds + 1):
        for seconds, run in zip(
            spent,
            (lambda: ibp(query, {x: (low, high)}, maps=maps), lambda: crown(query, {x: (low, high)}, maps=maps)),
            strict=True,
        ):
            start = cpu()
            run()
            seconds.append(cpu() - start)
    return median(spent[0][1:]), median(spent[1][1:])
