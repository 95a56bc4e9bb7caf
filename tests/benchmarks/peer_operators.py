"""Bounds beside auto_LiRPA on operators of several variables: mean widths over small boxes, its CROWN and ours.

The peer is no dependency: where ``auto_LiRPA`` cannot be imported, the report says so and ends. It computes in float32
without accounting for rounding. A width is the mean over the outputs, over ``SEEDS`` sets of random weights.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch import nn as layers

import nnsym as nn
from nnsym.bounds.engine.backward.linear import crown
from nnsym.bounds.engine.backward.slopes import Ascent
from tests.benchmarks.measure import table

SEEDS = range(5)
RADII = (0.01, 0.1, 0.3)


class Shares(layers.Module):
    """The softmax of a linear layer of 8."""

    shape = (1, 6)

    def __init__(self) -> None:
        super().__init__()
        self.scores = layers.Linear(6, 8)

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.scores(x), -1)


class Quotient(layers.Module):
    """``a(x) / (b(x)^2 + 1/2)``."""

    shape = (1, 6)

    def __init__(self) -> None:
        super().__init__()
        self.above, self.below = layers.Linear(6, 4), layers.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        b = self.below(x)
        return self.above(x) / (b * b + 0.5)


class Matrices(layers.Module):
    """``q(x) k(x)'`` of 3 tokens of 4."""

    shape = (1, 3, 4)

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k = layers.Linear(4, 4), layers.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.matmul(self.q(x), self.k(x).transpose(1, 2))


class Attention(layers.Module):
    """One head over 3 tokens of 4."""

    shape = (1, 3, 4)

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (layers.Linear(4, 4) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        scores = torch.matmul(self.q(x), self.k(x).transpose(1, 2)) / 2.0
        return torch.matmul(torch.softmax(scores, -1), self.v(x))


class Normal(layers.Module):
    """8 values less their mean, over their deviation."""

    shape = (1, 6)

    def __init__(self) -> None:
        super().__init__()
        self.values = layers.Linear(6, 8)

    def forward(self, x: Tensor) -> Tensor:
        y = self.values(x)
        c = y - y.mean(-1, keepdim=True)
        return c / torch.sqrt((c * c).mean(-1, keepdim=True) + 1e-5)


MODULES: dict[str, Any] = {
    "softmax": Shares,
    "quotient": Quotient,
    "product of matrices": Matrices,
    "attention": Attention,
    "normalisation": Normal,
}


def report(rounds: int = 1) -> str:
    """The mean widths of all modules and radii, ours before the peer's, without and with optimised slopes."""
    try:
        warnings.simplefilter("ignore")
        peer = importlib.import_module("auto_LiRPA")
    except ImportError as error:
        return f"### peer_operators\n\nauto_LiRPA cannot be imported ({error})\n"
    torch.set_num_threads(1)
    del rounds  # nothing is timed
    return "\n".join(
        table(
            title,
            ("module", *(f"eps {r}: ours, theirs" for r in RADII)),
            [_row(peer, n, method, ascent) for n in MODULES],
        )
        for title, method, ascent in (
            ("CROWN", "CROWN", None),
            ("20 steps on what is free", "CROWN-Optimized", Ascent(iterations=20)),
        )
    )


def _row(peer: Any, name: str, method: str, ascent: Ascent | None) -> tuple[str, ...]:
    found = []
    for radius in RADII:
        pairs = [_widths(peer, *example(MODULES[name], seed), radius, method, ascent) for seed in SEEDS]
        ours, theirs = np.mean(pairs, axis=0)
        found.append(f"{ours:.5f}, {theirs:.5f} ({ours / theirs:.3f})")
    return (name, *found)


def example(kind: Any, seed: int) -> tuple[layers.Module, Tensor]:
    """A module with random weights and the centre of its box."""
    torch.manual_seed(seed)
    return kind().eval(), torch.randn(kind.shape)


def _widths(
    peer: Any, module: layers.Module, centre: Tensor, radius: float, method: str, ascent: Ascent | None
) -> tuple[float, float]:
    return ours(module, centre, radius, ascent), _theirs(peer, module, centre, radius, method)


def ours(module: layers.Module, centre: Tensor, radius: float, ascent: Ascent | None = None) -> float:
    """The mean width of the outputs over ``centre +- radius``."""
    f, x = nn.from_torch(module, tuple(centre.shape)), nn.Variable(tuple(centre.shape), name="x")
    box = nn.box(x, centre.numpy().astype(float) - radius, centre.numpy().astype(float) + radius)
    rows = [sign * value for value in f(x).reshape(-1) for sign in (1.0, -1.0)]
    query = nn.forall(x, where=box, then=nn.all([row >= 0 for row in rows])).query
    lower = crown(query, ascent=ascent).rows.lower
    return -2.0 * float(lower.mean())


def _theirs(peer: Any, module: layers.Module, centre: Tensor, radius: float, method: str) -> float:
    options = {"optimize_bound_args": {"iteration": 20}}
    bounded = peer.BoundedModule(module, centre, bound_opts=options, verbose=False)
    ball = peer.PerturbationLpNorm(x_L=centre - radius, x_U=centre + radius)
    with torch.set_grad_enabled(method == "CROWN-Optimized"):
        try:
            low, high = bounded.compute_bounds(x=(peer.BoundedTensor(centre, ball),), method=method)
        except AssertionError:  # its optimised intermediate bounds leave the domain of a logarithm
            return float("nan")
    return float((high - low).mean())
