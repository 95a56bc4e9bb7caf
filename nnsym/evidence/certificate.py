"""What bounds of probabilities at a point say of all points at a distance: certificates, one per way to argue.

``np`` is the lemma of Neyman and Pearson for each class by itself. Others know more of the classifier than its
probabilities, and certify more for it: :mod:`nnsym.evidence.dsrs`, :mod:`nnsym.evidence.order1`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, final

import numpy as np

from nnsym.errors import InputError
from nnsym.evidence.noise import Noise, translation
from nnsym.ir.array import Array


@final
@dataclass(frozen=True, kw_only=True)
class Second:
    """Samples of another noise round the same point, for the class that was selected: ``hits`` of ``n``."""

    noise: Noise
    hits: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.n:
            raise InputError(f"a second noise with {self.hits} hits in {self.n} samples")


class Samples(Protocol):
    """What a certificate asks of the samples at a point: :class:`nnsym.evidence.evidence.Evidence` answers."""

    @property
    def noise(self) -> Noise: ...
    @property
    def size(self) -> int: ...
    @property
    def counts(self) -> tuple[int, ...]: ...
    @property
    def n(self) -> int: ...
    @property
    def top(self) -> int: ...
    @property
    def second(self) -> Second | None: ...
    @property
    def gradient(self) -> tuple[float, float] | None: ...
    def lower(self, alpha: float) -> float: ...
    def upper(self, label: int, alpha: float) -> float: ...


@final
@dataclass(frozen=True, kw_only=True)
class Known:
    """Bounds that hold together at a point: of the probability of ``top``, from ``lower`` to ``upper``.

    ``uppers`` are upper bounds of every class (that of ``top`` is not used), or 1. ``second`` are both bounds of the
    probability of ``top`` under another noise, ``slope`` bounds the norm of its gradient.
    """

    noise: Noise
    size: int
    top: int
    lower: float
    upper: float = 1.0
    uppers: tuple[float, ...] = ()
    second: tuple[Noise, float, float] | None = None
    slope: float | None = None


class Certificate(ABC):
    """How a distance is certified. ``text`` is its name with its parameters."""

    text: str
    #: Whether it asks for an estimate of the gradient.
    gradient: bool = False

    def check(self, noise: Noise, size: int) -> None:
        """Raise :class:`InputError` where it does not apply to the noise."""
        noise.check(size)

    def second(self, noise: Noise) -> Noise | None:
        """The other noise that has to be sampled too, if any."""
        return None

    def known(self, evidence: Samples, alpha: float, *, uppers: bool) -> Known:
        """Bounds of which each class takes at most ``alpha`` of the probability of error."""
        top = evidence.top
        most = [evidence.upper(k, alpha) if uppers and k != top else 1.0 for k in range(len(evidence.counts))]
        return Known(noise=evidence.noise, size=evidence.size, top=top, lower=evidence.lower(alpha), uppers=tuple(most))

    @abstractmethod
    def least(self, known: Known, t: float) -> float:
        """A lower bound of the probability of ``top`` anywhere up to distance ``t``."""

    def probabilities(self, known: Known, t: float) -> tuple[Array, Array]:
        """Lower and upper bounds of the probabilities of all classes anywhere up to distance ``t``."""
        lower = np.zeros(len(known.uppers))
        lower[known.top] = self.least(known, t)
        rest = min(1.0, float(np.nextafter(1.0 - lower[known.top], 2.0)))
        noise, size = known.noise, known.size
        most = [rest if u >= 1 else min(rest, noise.most(u, t, size)) for u in known.uppers]
        most[known.top] = 1.0
        return lower, np.array(most)

    def keeps(self, known: Known, t: float) -> bool:
        """True if ``top`` is the most probable class everywhere up to distance ``t``."""
        lower, upper = self.probabilities(known, t)
        return bool(lower[known.top] > np.delete(upper, known.top).max())

    def keep_all(self, known: Sequence[Known], t: float) -> Array:
        """:meth:`keeps` of many points, whose common work is done once."""
        return np.array([self.keeps(one, t) for one in known], dtype=bool)

    def distance(self, known: Known) -> float:
        """The greatest distance, as bisection finds it, at which :meth:`keeps` is true; 0 where it is nowhere."""
        if not self.keeps(known, 0.0):
            return 0.0
        low, high = 0.0, 1.0
        while self.keeps(known, high):
            low, high = high, 2 * high
            if high > 2.0**40:
                return low
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.keeps(known, middle) else (low, middle)
        return low

    def radius(self, known: Known, p: float) -> float:
        """The distance as a radius in the norm ``p``, rounded down."""
        noise = known.noise
        away = self.distance(known) * noise.unit / translation(p, noise.norm, known.size)
        return float(np.nextafter(away * (1 - 1e-12), 0.0))


@final
class NeymanPearson(Certificate):
    """The worst classifier of the same probability: :meth:`nnsym.evidence.noise.Noise.least`."""

    text = "np"

    def least(self, known: Known, t: float) -> float:
        return known.noise.least(known.lower, t, known.size)

    def keep_all(self, known: Sequence[Known], t: float) -> Array:
        """One threshold for all that know nothing of other classes."""
        kept = [_above_needed(one, t) if min(one.uppers) == 1 else self.keeps(one, t) for one in known]
        return np.array(kept, dtype=bool)


def _above_needed(known: Known, t: float) -> bool:
    return known.lower > (0.5 if t <= 0 else _needed(known.noise, t, known.size))


@lru_cache(maxsize=256)
def _needed(noise: Noise, t: float, size: int) -> float:
    return noise.needed(t, size)
