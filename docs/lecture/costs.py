"""CPU milliseconds of intervals and of linear bounds against the width of a network (docs/lecture/linear.md)."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np

import nnsym as nn
from nnsym.bounds.base import Bounds
from nnsym.bounds.engine.backward.linear import crown
from nnsym.bounds.engine.forward.interval import ibp
from nnsym.bounds.engine.maps.maps import Maps


def cost(width: int, bound: Callable[..., Bounds], repeat: int = 3) -> float:
    """The least of several runs, milliseconds; weights are converted once, before."""
    rng = np.random.default_rng(0)
    sizes = (width, width, width, width, 10)
    layers = [(rng.normal(0, a**-0.5, (b, a)), np.zeros(b)) for a, b in pairwise(sizes)]
    f = nn.sequential(layers, activation="relu")
    x = nn.Variable(width)
    query = nn.forall(x, where=nn.box(x, -1, 1), then=nn.wins(f(x), 0)).query
    maps, found = Maps(), []
    for _ in range(repeat + 1):
        begin = time.process_time()
        bound(query, maps=maps)
        found.append(time.process_time() - begin)
    return 1000 * min(found[1:])


if __name__ == "__main__":
    for width in (128, 256, 512, 1024, 2048):
        plain, linear = cost(width, ibp), cost(width, crown)
        print(f"| {width} | {plain:.1f} ms | {linear:.1f} ms | {linear / plain:.0f} |", flush=True)
