"""A small transformer trained on handwritten digits: least margins beside auto_LiRPA's, both by CROWN.

Attention, LayerNorm and GELU are written out, because the peer reads neither torch's encoder layer nor its
``scaled_dot_product_attention``. The peer is no dependency: without it only our column is filled.
"""

from __future__ import annotations

import importlib
import time
import warnings
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch import nn as layers

import nnsym as nn
from nnsym.bounds.engine.backward.linear import crown
from tests.benchmarks.measure import table

RADII = (0.001, 0.003, 0.01)
IMAGES = 3


class Block(layers.Module):
    """Rows of 8 pixels as 8 tokens of 8, one block with a residual sum around each half, a linear end."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.leave = layers.Linear(8, 8), layers.Linear(64, 10)
        self.place = layers.Parameter(0.1 * torch.randn(8, 8))
        self.q, self.k, self.v, self.o = (layers.Linear(8, 8) for _ in range(4))
        self.wide, self.narrow = layers.Linear(8, 16), layers.Linear(16, 8)
        self.gelu: layers.Module = layers.GELU()
        self.scales = layers.ParameterList([torch.ones(8), torch.ones(8)])

    def forward(self, x: Tensor) -> Tensor:
        h = self.enter(x) + self.place
        scores = torch.matmul(self.q(h), self.k(h).transpose(1, 2)) / 8**0.5
        h = self._normal(h + self.o(torch.matmul(torch.softmax(scores, -1), self.v(h))), 0)
        h = self._normal(h + self.narrow(self.gelu(self.wide(h))), 1)
        return self.leave(h.flatten(1))

    def _normal(self, h: Tensor, which: int) -> Tensor:
        c = h - h.mean(-1, keepdim=True)
        return c / torch.sqrt((c * c).mean(-1, keepdim=True) + 1e-5) * self.scales[which]


def trained() -> tuple[Block, Tensor, Tensor]:
    """The network after 200 steps, and images that it has not seen, with labels."""
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    data = load_digits()
    images, labels = torch.tensor(data.images / 16.0, dtype=torch.float32), torch.tensor(data.target)
    net = Block()
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    for step in range(200):
        chosen = torch.arange(step * 128, step * 128 + 128) % 1500
        optimiser.zero_grad()
        layers.functional.cross_entropy(net(images[chosen]), labels[chosen]).backward()
        optimiser.step()
    return net.eval(), images[1500:], labels[1500:]


def report(rounds: int = 1) -> str:
    """The mean of the least margins over some images, and CPU seconds of one image."""
    del rounds
    torch.set_num_threads(1)
    net, images, labels = trained()
    with torch.no_grad():
        right = (net(images).argmax(1) == labels).nonzero().ravel()
    chosen = [(images[k : k + 1], int(labels[k])) for k in right[:IMAGES]]
    f = nn.from_torch(net, (1, 8, 8))
    try:
        warnings.simplefilter("ignore")
        peer = importlib.import_module("auto_LiRPA")
    except ImportError:
        peer = None
    rows = []
    for radius in RADII:
        start = time.process_time()
        own = [_ours(f, image, label, radius) for image, label in chosen]
        spent = time.process_time() - start
        other = [] if peer is None else [_theirs(peer, net, image, label, radius) for image, label in chosen]
        took = time.process_time() - start - spent
        mean = f"{np.mean(other):.4f} ({sum(v > 0 for v in other)})" if other else "-"
        ours = f"{np.mean(own):.4f} ({sum(v > 0 for v in own)})"
        rows.append((f"{radius}", ours, mean, f"{spent / IMAGES:.2f}", f"{took / IMAGES:.2f}" if other else "-"))
    head = ("eps", "ours (proved)", "theirs (proved)", "our s", "their s")
    return table(f"transformer, {len(right)} of {len(labels)} images right", head, rows)


def _others(label: int) -> np.ndarray:
    return np.eye(10)[label] - np.delete(np.eye(10), label, axis=0)


def _ours(f: Any, image: Tensor, label: int, radius: float) -> float:
    x, centre = nn.Variable((1, 8, 8), name="x"), image.numpy().astype(float)
    scores = f(x).reshape(-1)
    then = nn.all([scores[label] >= scores[k] for k in range(10) if k != label])
    return float(
        crown(nn.forall(x, where=nn.box(x, centre - radius, centre + radius), then=then).query).rows.lower.min()
    )


def _theirs(peer: Any, net: Block, image: Tensor, label: int, radius: float) -> float:
    other = deepcopy(net)
    other.gelu = importlib.import_module("auto_LiRPA.operators.gelu").GELU()  # an exported one is no operator of theirs
    bounded = peer.BoundedModule(other, image, verbose=False)
    ball = peer.PerturbationLpNorm(x_L=image - radius, x_U=image + radius)
    rows = torch.tensor(_others(label), dtype=torch.float32)[None]
    with torch.no_grad():
        low, _ = bounded.compute_bounds(x=(peer.BoundedTensor(image, ball),), C=rows, method="CROWN", bound_upper=False)
    return float(low.min())
