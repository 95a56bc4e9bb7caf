"""CPU of one step of training: the engine's interval loss beside the same loss written by hand.

python -m tests.benchmarks training
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import Linear, Module, ReLU, Sequential, functional

import nnsym as nn


def by_hand(module: Sequential, low: Tensor, high: Tensor, label: Tensor) -> Tensor:
    """Intervals forward, the last layer merged into the margins, cross-entropy of the worst scores."""
    linear = [layer for layer in module if isinstance(layer, Linear)]
    for layer in linear[:-1]:
        centre, radius = (low + high) / 2 @ layer.weight.T + layer.bias, (high - low) / 2 @ layer.weight.abs().T
        low, high = (centre - radius).relu(), (centre + radius).relu()
    weight, bias = linear[-1].weight, linear[-1].bias
    apart = weight[label][:, None] - weight[None]
    centre, radius = (low + high)[..., None] / 2, (high - low)[..., None] / 2
    worst = (apart @ centre - apart.abs() @ radius)[..., 0] + bias[label][:, None] - bias[None]
    return functional.cross_entropy(-worst, label)


def step(module: Module, loss: Callable[[], Tensor], repeat: int = 60) -> float:
    """Milliseconds of CPU of a loss and its gradient."""
    for k in range(repeat + 5):
        if k == 5:
            begin = time.process_time()
        module.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
    return 1000 * (time.process_time() - begin) / repeat


def measure(widths: Sequence[int], batch: int) -> str:
    """One row."""
    torch.manual_seed(0)
    layers = [layer for a, b in pairwise(widths) for layer in (Linear(a, b), ReLU())]
    module = Sequential(*layers[:-1])
    x, label = torch.rand(batch, widths[0]), torch.randint(0, widths[-1], (batch,))
    low, high = (x - 0.1).clamp(0, 1), (x + 0.1).clamp(0, 1)
    found = [f"{step(module, lambda: by_hand(module, low, high, label)):7.2f}"]
    for bounds in ("ibp", "crown-ibp", "fastlin-ibp"):
        loss = nn.train.Loss(nn.train.labels_win(widths[-1]), module, (1, widths[0]), bounds=bounds, smooth=True)
        found.append(f"{step(module, lambda: loss((low, high), case=label)):7.2f}")  # noqa: B023 - called at once
    return f"{'-'.join(map(str, widths)):18} {batch:5} {' '.join(found)}"


def report(rounds: int) -> str:
    """The table; ``rounds`` has no say, a step is repeated often enough."""
    sizes = (((784, 100, 100, 10), 128), ((784, 256, 256, 256, 10), 128), ((64, 64, 32, 10), 64))
    head = f"{'network':18} {'batch':>5} {'by hand':>7} {'ibp':>7} {'crown-ibp':>9} {'fastlin-ibp':>11}   CPU ms a step"
    return "\n".join([head, *(measure(widths, batch) for widths, batch in sizes)])
