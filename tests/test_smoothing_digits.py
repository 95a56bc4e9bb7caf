"""Digits from end to end: trained under noise, smoothed, sampled, certified; and what a standard network loses."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

import nnsym as nn
from nnsym.report.smoothing import CertifiedAccuracy

SIGMA, RADII = 0.25, [0.0, 0.25, 0.5, 0.75]


def trained(sigma: float) -> nn.Network:
    """64-32-10 with ReLU; noise of ``sigma`` is new in every epoch."""
    import torch

    torch.manual_seed(0)
    data = load_digits()
    x, y = torch.tensor(data.data[:1400] / 16, dtype=torch.float32), torch.tensor(data.target[:1400])
    module = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(12):
        for part in torch.randperm(len(x)).split(100):
            noisy = x[part] + sigma * torch.randn(len(part), 64)
            loss = torch.nn.functional.cross_entropy(module(noisy), y[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    layers = [(m.weight.detach().double().numpy(), m.bias.detach().double().numpy()) for m in (module[0], module[2])]
    return nn.sequential(layers, name="digits")


def table(f: nn.Network, **options: object) -> CertifiedAccuracy:
    data = load_digits()
    points, labels = data.data[1400:1440] / 16, data.target[1400:1440]
    g = nn.smooth(f, nn.gaussian(SIGMA))
    evidence = [nn.evidence(g, x, n=1_000, n0=50) for x in points]
    return nn.certified_accuracy(evidence, labels, RADII, **options)


@pytest.fixture(scope="module")
def noisy() -> nn.Network:
    return trained(SIGMA)


def test_training_under_noise_is_what_makes_it_certifiable(noisy: nn.Network) -> None:
    augmented, standard = table(noisy), table(trained(0.0))
    assert augmented.shares[0] >= 0.9
    assert augmented.shares[1] >= 0.7
    assert augmented.shares[2] >= 0.25
    assert list(augmented.shares) == sorted(augmented.shares, reverse=True)
    assert augmented.shares[2] > standard.shares[2] + 0.1
    assert augmented.shares[3] == 0  # 1,000 samples that agree certify 0.25 * 2.46


def test_attacks_of_the_smoothed_classifier_stay_outside(noisy: nn.Network) -> None:
    """Move a digit towards another class by its certified radius: g still takes its class half of the time there."""
    data = load_digits()
    g = nn.smooth(noisy, nn.gaussian(SIGMA))
    asked = 0
    for x, label in zip(data.data[1400:1406] / 16, data.target[1400:1406], strict=True):
        found = nn.evidence(g, x, n=2_000)
        radius = found.radius(p=2)
        if found.top != label or radius == 0:
            continue
        asked += 1
        towards = data.data[:1400][data.target[:1400] != label] / 16 - x
        nearest = towards[np.linalg.norm(towards, axis=1).argmin()]
        there = nn.evidence(g, x + 0.99 * radius * nearest / np.linalg.norm(nearest), n=2_000, seed=1)
        assert there.counts[label] > 0.45 * there.n
        assert nn.verify(nn.props.robust(g, x, int(label), 0.9 * radius, p=2), nn.sampling(n=2_000)).verified
    assert asked >= 4
