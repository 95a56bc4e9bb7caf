"""Evidence at a point: a class is selected, then judged by fresh samples, a number of them or until enough is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from nnsym.errors import InputError
from nnsym.evidence import confidence
from nnsym.evidence.certificate import Certificate, Second
from nnsym.evidence.evidence import Evidence
from nnsym.evidence.noise import Noise
from nnsym.evidence.sampling import Classify, Draws, Purpose, counted, digest_of
from nnsym.ir.array import Array
from nnsym.ir.evaluate import evaluate
from nnsym.ir.network import Network

#: Hears of the counts so far, and of the class that is judged; true if time is over.
Over = Callable[[Array, int], bool]


def never_over(counts: Array, top: int) -> bool:
    """Time is not limited."""
    return False


#: The most samples of a kind.
_MOST = 10**9


def classifier(network: Network) -> Classify:
    """The classes of many points: the first largest output of the graph's float64 values."""
    x, y = (next(iter(side.values())).node for side in (network.inputs, network.outputs))

    def classes(points: Array) -> Array:
        return np.asarray(evaluate([y], {x: points})[y].argmax(axis=1))

    return classes


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Sampler:
    """A smoothed classifier that is ready to be sampled: ``run`` gives classes, ``network`` is the hash of what ran."""

    run: Classify
    classes: int
    noise: Noise
    network: str = ""
    batch: int = 0

    def draws(self, point: Array, seed: int, purpose: Purpose, noise: Noise | None = None) -> Draws:
        """The samples of a purpose."""
        return Draws(noise=noise or self.noise, point=point, seed=seed, purpose=purpose)

    def select(self, point: Array, n0: int, seed: int) -> Array:
        """Counts of the samples that select a class."""
        return counted(self.draws(point, seed, Purpose.SELECT), self.run, self.classes, n0, self.batch)

    def evidence(
        self,
        point: Array,
        *,
        n: int,
        n0: int,
        seed: int,
        certificate: Certificate,
        over: Over = never_over,
    ) -> Evidence:
        """``n`` fresh samples of the class that ``n0`` others select; fewer where time is over, which the record says.

        A certificate that samples a second noise has the half of n for each.
        """
        check_counts(n, n0)
        certificate.check(self.noise, point.size)
        selected = self.select(point, n0, seed)
        second = certificate.second(self.noise)
        own = n if second is None else n - n // 2
        top = int(selected.argmax())
        total = np.zeros(self.classes, dtype=np.int64)
        halves = np.zeros((2, point.size)) if certificate.gradient else None
        draws = self.draws(point, seed, Purpose.JUDGE)
        for noise, labels in draws.classes(self.run, 0, own, self.batch):
            if halves is not None:
                first = int(np.clip(own // 2 - total.sum(), 0, len(labels)))
                for half, part in enumerate((slice(0, first), slice(first, None))):
                    halves[half] += noise[part][labels[part] == top].sum(axis=0)
            total += np.bincount(labels, minlength=self.classes)
            if over(total, top) and total.sum() < own:
                return self._told(point, total, selected, seed, stop="sequential")
        other = None
        if second is not None:
            drawn = self.draws(point, seed, Purpose.SECOND, second)
            hits = int(counted(drawn, self.run, self.classes, n // 2, self.batch)[top])
            other = Second(noise=second, hits=hits, n=n // 2)
        slope = None if halves is None else _inner(halves / self.noise.unit, own)
        return self._told(point, total, selected, seed, second=other, gradient=slope)

    def until(self, point: Array, selected: Array, p: float, *, n: int, alpha: float, seed: int, over: Over) -> Reached:
        """Samples until they show, at the level ``alpha``, that the selected class has more than ``p``.

        They end too at n, where time is over, and where it looks as if it had less.
        """
        check_counts(n, int(selected.sum()))
        top, wanted = int(selected.argmax()), -np.log(alpha)
        total = np.zeros(self.classes, dtype=np.int64)
        for _, labels in self.draws(point, seed, Purpose.JUDGE).classes(self.run, 0, n, self.batch):
            hits = total[top] + np.cumsum(labels == top)
            drawn = total.sum() + np.arange(1, len(labels) + 1)
            shown = confidence.above(hits, drawn, p) >= wanted
            hopeless = confidence.below(hits, drawn, p) >= _GIVEN_UP
            ends = np.flatnonzero(shown | hopeless)
            taken = labels[: ends[0] + 1] if len(ends) else labels
            total += np.bincount(taken, minlength=self.classes)
            if len(ends) or over(total, top):
                told = self._told(point, total, selected, seed, stop="sequential")
                return Reached(evidence=told, shown=bool(len(ends) and shown[ends[0]]))
        return Reached(evidence=self._told(point, total, selected, seed, stop="sequential"), shown=False)

    def _told(self, point: Array, total: Array, selected: Array, seed: int, **rest: Any) -> Evidence:
        return Evidence(
            noise=self.noise,
            size=point.size,
            counts=tuple(total.tolist()),
            selected=tuple(selected.tolist()),
            seed=seed,
            network=self.network,
            point=digest_of(point),
            versions=_versions(),
            **rest,
        )


#: Evidence of less than p, as a logarithm, after which no more is drawn; giving up is always sound.
_GIVEN_UP = float(np.log(20.0))


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Reached:
    """What sampling up to a decision ended with; ``shown`` is true if it was for the class."""

    evidence: Evidence
    shown: bool


def check_counts(n: int, n0: int) -> None:
    """Raise unless both are numbers of samples."""
    for name, value, least in (("n", n, 2), ("n0", n0, 1)):
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not least <= value <= _MOST:
            raise InputError(f"{name} is {value!r}", remedy=f"Give a whole number of samples from {least} to {_MOST}")


def _inner(sums: Array, n: int) -> tuple[float, float]:
    """The inner product of the means of two halves, and the norm of the first, of hits times standard noise."""
    first, second = sums[0] / (n // 2), sums[1] / (n - n // 2)
    return float(first @ second), float(np.linalg.norm(first))


def _versions() -> Mapping[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    try:
        own = version("nnsym")
    except PackageNotFoundError:
        own = "unknown"
    return {"nnsym": own, "numpy": np.__version__, "stream": "Philox"}
