"""Smoothed classifiers whose truth is known, and the counts that the lecture's table rests on."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

import nnsym as nn
from nnsym.evidence.certificate import Second
from nnsym.evidence.evidence import Evidence
from nnsym.evidence.general_gaussian import GeneralGaussian
from nnsym.lang.algebra.smooth import SmoothedClassifier

COUNTS = Path(__file__).resolve().parents[1] / "docs" / "lecture" / "smoothing_counts.npz"

#: Elements, k and sigma of the general Gaussian noise of a row.
SETTINGS = {"mnist": (784, 380, 1.0), "cifar": (3072, 1530, 0.5)}


def half_space(distance: float = 1.0, size: int = 2) -> nn.Network:
    """Class 1 where the first element is less than ``distance``, else class 0: from 0 the boundary is so far."""
    weight = np.zeros((2, size))
    weight[0, 0] = 1.0
    return nn.sequential([(weight, np.array([0.0, distance]))], name="half")


def smoothed_half_space(sigma: float = 0.5, distance: float = 1.0, size: int = 2) -> SmoothedClassifier:
    """Its Gaussian smoothing: in l2 the radius at 0 is ``distance``, whatever sigma."""
    return nn.smooth(half_space(distance, size), nn.gaussian(sigma))


def robust_at_zero(g: SmoothedClassifier, radius: float, label: int = 1, p: float = 2) -> nn.Property:
    """The class of g is ``label`` in the ball round 0."""
    x = nn.Variable(g.size, name="x")
    return nn.forall(x, where=nn.ball(x, np.zeros(g.size), radius, p=p), then=nn.argmax(g(x)) == label)


@cache
def counts(name: str) -> np.ndarray:
    """One array of the shipped counts."""
    with np.load(COUNTS) as data:
        return data[name]


def row(name: str, n: int, second: float | None = None) -> list[Evidence]:
    """The evidence of a row's 1,000 images; class 0 is the right one."""
    size, k, sigma = SETTINGS[name.partition("_")[0]]
    noise = nn.general_gaussian(sigma, k)
    hits = counts(f"{name}|{sigma}|{n}")
    others = [None] * len(hits)
    if second is not None:
        other = GeneralGaussian(sigma=second, k=k)
        others = [Second(noise=other, hits=int(h), n=n) for h in counts(f"{name}|{second}|{n}")]
    pairs = zip(hits.tolist(), others, strict=True)
    return [Evidence(noise=noise, size=size, counts=(h, n - h), selected=(1, 0), second=other) for h, other in pairs]


def radii(name: str) -> list[float]:
    """Those of the lecture's table."""
    return [k * (0.4 if name.startswith("mnist") else 0.2) for k in range(1, 8)]
