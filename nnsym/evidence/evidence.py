"""What was counted at a point: kept, saved, and asked as often as one likes.

One draw answers every radius and every norm at its confidence: the confidence is that of the bounds of the
probabilities at the point, and what follows from them at a distance is mathematics. Two draws, or two confidences of
one, are two statements, and what may fail adds up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any, final

import numpy as np

from nnsym.errors import InputError
from nnsym.evidence import confidence
from nnsym.evidence.certificate import Certificate, Known, Second
from nnsym.evidence.certificates import find_certificate
from nnsym.evidence.families import parse_noise
from nnsym.evidence.noise import Noise
from nnsym.results.fields import count, each, named, real, text, undamaged
from nnsym.results.saved import read_saved_as, write_file

FORMAT, NUMBER = "nnsym evidence", 1
_MOST = 2**53  # samples that floats count


@final
@dataclass(frozen=True, kw_only=True)
class Evidence:
    """``counts`` of every class in ``n`` samples of a smoothed classifier at a point of ``size`` elements.

    ``selected`` are the counts of other samples, which chose the class that is judged. ``stop`` says whether n was
    ``fixed`` or the sampling ended when it had seen enough (``sequential``), which other bounds are valid for.
    ``gradient`` is an estimate's pair (inner product of the means of two halves, norm of the first mean), for
    first-order certificates. ``network`` and ``point`` are hashes; ``versions`` name what drew and ran.
    """

    noise: Noise
    size: int
    counts: tuple[int, ...]
    selected: tuple[int, ...]
    stop: str = "fixed"
    seed: int = 0
    second: Second | None = None
    gradient: tuple[float, float] | None = None
    network: str = ""
    point: str = ""
    versions: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        whole = all(isinstance(k, Integral) and k >= 0 for k in (*self.counts, *self.selected))
        if len(self.counts) < 2 or len(self.counts) != len(self.selected) or not whole or not sum(self.counts):
            raise InputError("evidence holds counts of two classes or more, and of as many that were selected")
        if self.stop not in ("fixed", "sequential"):
            raise InputError(f"stop is {self.stop!r}", remedy="Use fixed or sequential")
        if self.size < 1 or max(self.n, self.n0) > _MOST:
            raise InputError(f"evidence of {self.n} and {self.n0} samples of {self.size} elements")
        if self.stop == "sequential" and (self.second or self.gradient):  # their bounds are for a number fixed before
            raise InputError("sequential evidence holds no second noise and no gradient")
        if self.gradient is not None and not (
            self.n > 1 and np.isfinite(self.gradient).all() and self.gradient[1] >= 0
        ):
            raise InputError(f"the gradient of {self.n} samples is {self.gradient}, an inner product and a norm")
        for name in ("counts", "selected"):  # plain numbers, whatever counted them
            object.__setattr__(self, name, tuple(int(k) for k in getattr(self, name)))

    @property
    def n(self) -> int:
        """Samples that judge."""
        return sum(self.counts)

    @property
    def n0(self) -> int:
        """Samples that selected the class."""
        return sum(self.selected)

    @property
    def top(self) -> int:
        """The class that is judged: the most frequent one among the samples that select, the first of equals."""
        return int(np.argmax(self.selected))

    def known(self, alpha: float, certificate: Certificate, classes: str = "top") -> Known:
        """Bounds of the probabilities at the point, which all hold with confidence ``1 - alpha``.

        ``classes`` is ``top`` (a lower bound of the selected class, with all of alpha) or ``all`` (that, and an upper
        bound of every other, each with an equal part of alpha).
        """
        confidence.check_alpha(alpha)
        if classes not in ("top", "all"):
            raise InputError(f"classes is {classes!r}", remedy="Use top or all")
        many = len(self.counts) if classes == "all" else 1
        return certificate.known(self, alpha / many, uppers=classes == "all")

    def lower(self, alpha: float) -> float:
        """The selected class has at least this probability at the point, with confidence ``1 - alpha``."""
        bound = confidence.lower if self.stop == "fixed" else confidence.anytime_lower
        return bound(self.counts[self.top], self.n, alpha)

    def upper(self, label: int, alpha: float) -> float:
        """The class ``label`` has at most this probability at the point, with confidence ``1 - alpha``."""
        bound = confidence.lower if self.stop == "fixed" else confidence.anytime_lower
        return min(1.0, 1.0 - bound(self.n - self.counts[label], self.n, alpha) + 2.0**-53)

    def radius(
        self,
        *,
        alpha: float = 1e-3,
        p: float = 2,
        certificate: str | Certificate = "np",
        classes: str = "top",
    ) -> float:
        """The radius in the norm ``p`` within which the smoothed classifier keeps its class; 0 where it abstains.

        It holds with confidence ``1 - alpha``. The class is :attr:`top`. Cohen et al. 2019, algorithm 1, for Gaussian
        noise and the defaults; with ``classes="all"`` the form ``sigma / 2 (Phi^-1(pA) - Phi^-1(pB))``.
        """
        chosen = find_certificate(certificate)
        chosen.check(self.noise, self.size)
        _check_norm(p)
        known = self.known(alpha, chosen, classes)
        return chosen.radius(known, p)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        second = self.second
        return {
            FORMAT: NUMBER,
            "noise": self.noise.text,
            "size": self.size,
            "counts": list(self.counts),
            "selected": list(self.selected),
            "stop": self.stop,
            "seed": self.seed,
            "second": None if second is None else {"noise": second.noise.text, "hits": second.hits, "n": second.n},
            "gradient": None if self.gradient is None else list(self.gradient),
            "network": self.network,
            "point": self.point,
            "versions": dict(self.versions or {}),
        }

    def save(self, path: str | Path) -> Path:
        """Write :meth:`to_json` to a file that :func:`nnsym.load_evidence` reads."""
        return write_file(path, json.dumps(self.to_json(), indent=1) + "\n")

    def __repr__(self) -> str:
        share = self.counts[self.top] / self.n
        return f"<Evidence of {self.noise.text}: class {self.top} in {share:.4%} of {self.n} samples ({self.stop})>"


def load_evidence(path: str | Path) -> Evidence:
    """What :meth:`Evidence.save` wrote. Raises :class:`InputError` for any other file."""
    remedy = 'Write it by evidence.save("evidence.json")'
    data = read_saved_as(path, (FORMAT, NUMBER), what="saved evidence", remedy=remedy)
    return evidence_from(data, where=str(path))


def evidence_from(data: Mapping[str, Any], *, where: str = "") -> Evidence:
    """Evidence from its plain data."""
    with undamaged(where):
        second, gradient = data["second"], data["gradient"]
        if second is not None:
            noise = parse_noise(second["noise"])
            second = Second(noise=noise, hits=count(second["hits"]), n=count(second["n"]))
        return Evidence(
            noise=parse_noise(data["noise"]),
            size=count(data["size"]),
            counts=tuple(each(count, data["counts"])),
            selected=tuple(each(count, data["selected"])),
            stop=text(data["stop"]),
            seed=count(data["seed"]),
            second=second,
            gradient=None if gradient is None else (real(gradient[0]), real(gradient[1])),
            network=text(data["network"]),
            point=text(data["point"]),
            versions=named(text, data["versions"]),
        )


def _check_norm(p: float) -> None:
    if p not in (1, 2, float("inf")):
        raise InputError(f"a radius of the norm p = {p}", remedy="Norms are 1, 2 and inf")
