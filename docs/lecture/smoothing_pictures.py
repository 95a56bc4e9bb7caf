"""The pictures of the page on smoothing: python docs/lecture/smoothing_pictures.py"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm

import nnsym as nn
from nnsym.evidence.dsrs import best_dual
from nnsym.evidence.dual import Dual, Interval, Two
from nnsym.evidence.evidence import Evidence, Second
from nnsym.evidence.general_gaussian import GeneralGaussian
from nnsym.evidence.order1 import slab
from nnsym.report.pictures.style import BLUE, GREY, ORANGE, RED, finished, picture, plain_axes
from nnsym.report.smoothing import plot_certified

HERE = Path(__file__).parent
P, SHIFT = 0.85, 0.8


def line(axes: Any, ends: tuple[float, float], title: str) -> None:
    """The noise along the shift, before and after it, over the worst set between the ends."""
    x = np.linspace(-3.5, 4.5, 161)
    inside = (x >= ends[0]) & (x <= ends[1])
    for centre, colour, name in ((0.0, BLUE, "at the point"), (SHIFT, RED, "moved by r")):
        mass = norm.cdf(ends[1] - centre) - norm.cdf(ends[0] - centre)
        axes.plot(x, norm.pdf(x - centre), color=colour, linewidth=1.6, label=f"{name}: {mass:.3f}")
        axes.fill_between(x, norm.pdf(x - centre), where=inside, color=colour, alpha=0.18, linewidth=0)
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("noise along the shift, in sigma", fontsize=8)
    axes.set_yticks([])
    axes.legend(frameon=False, fontsize=7.5, loc="upper right")
    plain_axes(axes, grid="x")


def plane(axes: Any, dual: Dual, title: str) -> None:
    """The worst set by the element along the shift and the length, with where most of the noise lies."""
    along, length = np.meshgrid(np.linspace(-4, 5, 91), np.linspace(12, 42, 91))
    scale = 2 * dual.two.noise.scale(dual.two.size) ** 2
    t = length**2 / scale
    moved = (length**2 - 2 * along * dual.away + dual.away**2) / scale
    factor = dual.factor(t)
    ratio = dual.pair.height(t) - dual.pair.height(moved)
    depth = np.where(factor > 0, np.log(np.where(factor > 0, factor, 1.0)) - ratio, -5.0)  # positive in the set
    axes.contourf(along, length, depth, levels=[0.0, np.inf], colors=[BLUE], alpha=0.25)
    axes.contour(along, length, depth, levels=[0.0], colors=[BLUE], linewidths=1.2)
    source = np.random.default_rng(0)
    for centre, colour in ((0.0, GREY), (dual.away, ORANGE)):
        x = dual.two.noise.draw(source, 200, dual.two.size)
        x[:, 0] += centre
        axes.scatter(x[:, 0], np.linalg.norm(x, axis=1), s=2.5, color=colour, linewidths=0)
    axes.set_xlim(-4, 5)
    axes.set_ylim(12, 42)
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("element along the shift", fontsize=8)
    plain_axes(axes)


def slabs() -> None:
    figure = picture(8.4, 2.7)
    left, right = figure.subplots(1, 2, sharey=True)
    top = float(norm.ppf(P))
    line(left, (-np.inf, top), "Neyman and Pearson: a half-space")
    line(right, slab(P, 0.3 * norm.pdf(top)), "gradient at most 0.3 of that: a slab")
    finished(figure, HERE / "smoothing-slabs.svg")


def double() -> None:
    noise = GeneralGaussian(sigma=1.0, k=380)
    two = Two(noise, 0.8, 784)
    figure = picture(8.4, 3.3)
    panels = figure.subplots(1, 3, sharey=True)
    plain = best_dual(two, 2.0, Interval((0.98, 0.98), (0.0, 1.0)))
    plane(panels[0], Dual(two, 2.0, plain.l1, 0.0), "p = 0.98, one noise")
    plane(panels[1], best_dual(two, 2.0, Interval((0.98, 0.98), (0.995, 0.995))), "and q = 0.995: l1, l2 > 0")
    plane(panels[2], best_dual(two, 2.0, Interval((0.98, 0.98), (0.97, 0.97))), "and q = 0.97: l2 < 0 < l1")
    panels[0].set_ylabel("length of the noise", fontsize=8)
    finished(figure, HERE / "smoothing-double.svg")


def accuracy() -> None:
    """Certified accuracy from the shipped counts."""
    data = np.load(HERE / "smoothing_counts.npz")
    radii = [0.2 * k for k in range(19)]
    tables = {}
    for name, n in (("np", 100_000), ("dsrs:0.8", 50_000)):
        hits, second = data[f"mnist_consistency|1.0|{n}"], data["mnist_consistency|0.8|50000"]
        noise, other = nn.general_gaussian(1.0, 380), nn.general_gaussian(0.8, 380)
        evidence = [
            Evidence(
                noise=noise,
                size=784,
                counts=(int(h), n - int(h)),
                selected=(1, 0),
                second=Second(noise=other, hits=int(q), n=50_000),
            )
            for h, q in zip(hits, second, strict=True)
        ]
        tables[name] = nn.certified_accuracy(evidence, [0] * len(evidence), radii, certificate=name)
    plot_certified(tables, HERE / "smoothing-accuracy.svg")


if __name__ == "__main__":
    slabs()
    double()
    accuracy()
