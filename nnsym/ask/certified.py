"""``certified_accuracy``: how many points of a data set a smoothed classifier keeps right, for each radius."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from nnsym.errors import InputError
from nnsym.evidence.certificate import Certificate
from nnsym.evidence.certificates import find_certificate
from nnsym.evidence.evidence import Evidence
from nnsym.ir.array import unmasked
from nnsym.report.smoothing import CertifiedAccuracy


def certified_accuracy(
    evidence: Sequence[Evidence],
    labels: Sequence[int],
    radii: Sequence[float],
    *,
    alpha: float = 1e-3,
    p: float = 2,
    certificate: str | Certificate = "np",
    classes: str = "top",
    joint: bool = False,
) -> CertifiedAccuracy:
    """The share of points at which the smoothed classifier is right and certified, for every radius.

    Args:
        evidence: what was counted at each point, of one noise (:func:`nnsym.evidence`).
        labels: the right class of each.
        radii: radii in the norm ``p``.
        alpha: the probability that something said of a point is wrong; with ``joint``, that anything said is.
        p: 1, 2 or inf.
        certificate: ``np``, ``dsrs`` or ``order1``, as the evidence was drawn for.
        classes: ``top`` or ``all`` (:meth:`nnsym.evidence.evidence.Evidence.known`).
        joint: whether alpha is shared between all points, so that with the confidence no row of the table is too high.
    """
    points = tuple(evidence) if isinstance(evidence, Iterable) else (evidence,)
    right, asked = _numbers(labels, int, "labels"), _numbers(radii, float, "radii")
    if not all(isinstance(one, Evidence) for one in points):
        raise InputError("the points are no evidence", remedy="Pass what nn.evidence gives, one for each point")
    if not points or len(points) != len(right):
        raise InputError(f"{len(points)} points and {len(right)} labels", remedy="Give one label for each point")
    if len({(one.noise, one.size) for one in points}) != 1:
        raise InputError("the points were sampled with different noise", remedy="Make a table for each noise")
    if not asked or not all(0 <= radius < np.inf for radius in asked):
        raise InputError("the radii of a table are finite and not negative")
    chosen = find_certificate(certificate)
    noise, size = points[0].noise, points[0].size
    chosen.check(noise, size)
    share = alpha / len(points) if joint else alpha
    known = [one.known(share, chosen, classes) for one in points]
    hits = np.array([one.top == label for one, label in zip(points, right, strict=True)])
    certified = np.zeros((len(points), len(asked)), dtype=bool)
    for column, radius in enumerate(asked):
        open_ = np.flatnonzero(hits)
        kept = chosen.keep_all([known[k] for k in open_], noise.distance_of_ball(radius, p, size))
        certified[open_[kept], column] = True
    return CertifiedAccuracy(
        radii=asked,
        certified=certified,
        p=p,
        noise=noise.text,
        certificate=chosen.text,
        confidence=1.0 - alpha,
        joint=joint,
    )


def _numbers(given: Any, kind: type, what: str) -> tuple[Any, ...]:
    try:
        return tuple(kind(unmasked(value, f"the list of {what}")) for value in given)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"the {what} are no list of numbers", remedy="Give one for each") from None
