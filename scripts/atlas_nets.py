"""Train the networks of the atlas of encodings: ``python scripts/atlas_nets.py``; they ship in docs/encodings/atlas.

Needs the extra ``dev``. Digits of scikit-learn, averaged to 4x4 pixels in [0, 1]; one seed, one thread. Architectures
are dense, convolutional, residual, with max-pooling and with clips, widths 8 to 64, depths 2 to 6; each is trained
normally, two of them also on signed-gradient steps and on interval bounds. ``questions.npz`` holds two test images for
each network with three radii: most of them true and far from the threshold, true and near it, false and near it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import nnsym

OUT = Path(__file__).resolve().parent.parent / "docs" / "encodings" / "atlas"
EPOCHS, BATCH, RATE, EPS = 40, 100, 4e-3, 0.08
IMAGES, LEAST = 2, 8 / 256  # images of a network, and how far they are from another class at least
LOOSE, TIGHT, BEYOND = 0.5, 0.85, 1.1  # shares of the radius at which a counterexample was found


class Residual(nn.Module):
    """``x + B relu(A x)``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


def dense(width: int, depth: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """``depth`` hidden layers."""
    layers: list[nn.Module] = [nn.Flatten()]
    for k in range(depth):
        layers += [nn.Linear(width if k else 16, width), activation()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def conv(channels: int) -> nn.Sequential:
    """Two convolutions."""
    first = [nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 2, stride=2), nn.ReLU()]
    return nn.Sequential(*first, nn.Flatten(), nn.Linear(4 * channels, 10))


def pooled(channels: int) -> nn.Sequential:
    """A convolution and max-pooling."""
    first = [nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*first, nn.Linear(4 * channels, 16), nn.ReLU(), nn.Linear(16, 10))


def residual(width: int, blocks: int) -> nn.Sequential:
    """Blocks with a path around each."""
    middle = [layer for _ in range(blocks) for layer in (Residual(width), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), nn.Linear(16, width), nn.ReLU(), *middle, nn.Linear(width, 10))


class Clip(nn.Hardtanh):
    """``min(max(x, 0), 1)``."""

    def __init__(self) -> None:
        super().__init__(0.0, 1.0)


def architectures() -> dict[str, tuple[Any, str]]:
    """Modules and how each is trained, by name."""
    return {
        "dense-8x2": (lambda: dense(8, 2), "plain"),
        "dense-16x2": (lambda: dense(16, 2), "plain"),
        "dense-32x2": (lambda: dense(32, 2), "plain"),
        "dense-64x2": (lambda: dense(64, 2), "plain"),
        "dense-16x4": (lambda: dense(16, 4), "plain"),
        "dense-8x6": (lambda: dense(8, 6), "plain"),
        "dense-32x2-adversarial": (lambda: dense(32, 2), "adversarial"),
        "dense-32x2-ibp": (lambda: dense(32, 2), "ibp"),
        "conv-4": (lambda: conv(4), "plain"),
        "conv-4-ibp": (lambda: conv(4), "ibp"),
        "residual-12x2": (lambda: residual(12, 2), "plain"),
        "maxpool-4": (lambda: pooled(4), "plain"),
        "clip-16x2": (lambda: dense(16, 2, Clip), "plain"),
        "clip-16x2-adversarial": (lambda: dense(16, 2, Clip), "adversarial"),
    }


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training and test images ``(n, 1, 4, 4)``, and their labels."""
    found = load_digits()
    images = found.images.reshape(-1, 4, 2, 4, 2).mean((2, 4)) / 16
    x, y = torch.tensor(images, dtype=torch.float32)[:, None], torch.tensor(found.target)
    return x[:1300], y[:1300], x[1300:], y[1300:]


def interval(module: nn.Module, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Interval bounds of a module's outputs (Gowal et al. 2018), differentiable."""
    if isinstance(module, nn.Sequential):
        for layer in module:
            low, high = interval(layer, low, high)
        return low, high
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        centre, radius = module((low + high) / 2), (high - low) / 2
        if isinstance(module, nn.Linear):
            spread = nn.functional.linear(radius, module.weight.abs())
        else:
            spread = nn.functional.conv2d(radius, module.weight.abs(), None, module.stride, module.padding)
        return centre - spread, centre + spread
    return module(low), module(high)  # monotone


def moved(net: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int = 5) -> Tensor:
    """Points of the box that signed-gradient steps find (Madry et al. 2018)."""
    point = (x + eps * (2 * torch.rand_like(x) - 1)).clamp(0, 1)
    for _ in range(steps):
        point.requires_grad_(True)
        (slope,) = torch.autograd.grad(nn.functional.cross_entropy(net(point), y), point)
        point = torch.minimum(torch.maximum(point.detach() + eps / 2 * slope.sign(), x - eps), x + eps).clamp(0, 1)
    return point.detach()


def train(net: nn.Sequential, how: str, x: Tensor, y: Tensor) -> None:
    """Adam on the cross entropy of the images, of moved ones, or of the worst case that intervals leave."""
    optimiser = torch.optim.Adam(net.parameters(), RATE)
    for epoch in range(EPOCHS):
        eps = EPS * min(1.0, epoch / (EPOCHS / 2))
        for pick in torch.randperm(len(x)).split(BATCH):
            images, labels = x[pick], y[pick]
            loss = nn.functional.cross_entropy(net(images), labels)
            if how == "adversarial":
                loss = nn.functional.cross_entropy(net(moved(net, images, labels, EPS)), labels)
            if how == "ibp":
                low, high = interval(net, (images - eps).clamp(0, 1), (images + eps).clamp(0, 1))
                own = nn.functional.one_hot(labels, 10).bool()
                loss = loss / 2 + nn.functional.cross_entropy(torch.where(own, low, high), labels) / 2
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def radius(net: nn.Module, image: Tensor, label: Tensor) -> float:
    """The least radius, in steps of 1/256, at which a counterexample is found."""
    many, labels = image.expand(64, 1, 4, 4), label.expand(64)
    for step in range(1, 128):
        if (net(moved(net, many, labels, step / 256, steps=12)).argmax(1) != label).any():
            break
    return step / 256


def main() -> int:
    """Train, write the networks and the questions."""
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    x, y, test, labels = digits()
    rows: list[tuple[str, Any, int, float, str]] = []
    for seed, (name, (make, how)) in enumerate(architectures().items()):
        torch.manual_seed(seed)
        net = make()
        for layer in net.modules():
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
        train(net, how, x, y)
        right = (net(test).argmax(1) == labels).nonzero().ravel()
        print(f"{name}: {len(right) / len(test):.1%} right", flush=True)
        found = nnsym.from_torch(net.eval(), (1, 1, 4, 4))
        (OUT / f"{name}.onnx").write_bytes(bytes(found.model))
        rows += list(questions(net, name, test[right], labels[right]))
    columns = ("net", "image", "label", "eps", "kind")
    np.savez_compressed(OUT / "questions.npz", **{c: np.array([row[k] for row in rows]) for k, c in enumerate(columns)})
    return 0


def questions(net: nn.Module, name: str, images: Tensor, labels: Tensor) -> Iterator[tuple[str, Any, int, float, str]]:
    """Three radii for each of the first images, from the middle on, that are not too near another class."""
    asked = 0
    for image, label in zip(images[len(images) // 2 :], labels[len(images) // 2 :], strict=True):
        least = radius(net, image, label)
        if least >= LEAST:
            for share, kind in ((LOOSE, "loose"), (TIGHT, "tight"), (BEYOND, "false")):
                yield name, image.numpy(), int(label), round(256 * share * least) / 256, kind
            asked += 1
        if asked == IMAGES:
            return


if __name__ == "__main__":
    sys.exit(main())
