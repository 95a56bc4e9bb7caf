"""``evidence``: what a smoothed classifier does at a point, counted once and asked as often as one likes."""

from __future__ import annotations

from typing import Any

from nnsym.errors import InputError
from nnsym.evidence.certificate import Certificate
from nnsym.evidence.certificates import find_certificate
from nnsym.evidence.draw import Sampler
from nnsym.evidence.evidence import Evidence
from nnsym.ir.exact import nearest
from nnsym.lang.algebra.smooth import SmoothedClassifier
from nnsym.lang.guard import exact, fractions
from nnsym.results import ranges as options


def evidence(
    g: SmoothedClassifier,
    x: Any,
    *,
    n: int = 100_000,
    n0: int = 100,
    seed: int = 0,
    certificate: str | Certificate = "np",
    batch: int = 0,
) -> Evidence:
    """Count the classes of ``n`` samples of ``g`` at ``x``, after ``n0`` others have selected the class to judge.

    Args:
        g: a smoothed classifier (:func:`nnsym.smooth`).
        x: the point, of the network's input shape or as many elements; as float64.
        n: samples that judge; a certificate with a second noise shares them between both.
        n0: samples that select.
        seed: of the samples; with the point and the number of samples it determines them.
        certificate: what is to be sampled for: ``np`` needs nothing else, ``dsrs`` a second noise, ``order1`` an
            estimate of the gradient.
        batch: samples that are run at a time; the counts do not depend on it.

    Returns:
        :class:`nnsym.evidence.evidence.Evidence`, whose ``radius`` answers every confidence and norm.
    """
    if not isinstance(g, SmoothedClassifier):
        raise InputError(f"{type(g).__name__} is no smoothed classifier", remedy="Write nn.smooth(f, nn.gaussian(0.5))")
    point = nearest(fractions(exact(x, "the point"))).ravel()
    if point.size != g.size:
        raise InputError(f"the point has {point.size} elements, {g.name} takes {g.size}")
    sampler = Sampler.of(g.network, g.noise, g.classes, _batch(batch))
    return sampler.evidence(point, n=n, n0=n0, seed=options.seed(seed), certificate=find_certificate(certificate))


def _batch(batch: int) -> int:
    if not isinstance(batch, int) or batch < 0:
        raise InputError(f"batch is {batch!r}", remedy="Give a number of samples, or 0 for one that fits")
    return batch
