"""Evidence at a point: a class is selected, then judged by fresh samples, a number of them or until enough is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from nnsym.errors import InputError
from nnsym.evidence import confidence
from nnsym.evidence.certificate import Certificate, Second
from nnsym.evidence.evidence import Evidence
from nnsym.evidence.noise import Noise
from nnsym.evidence.sampling import Classify, Draws, Purpose, block_of, digest_of
from nnsym.ir.array import Array
from nnsym.ir.evaluate import evaluate
from nnsym.ir.network import Network
from nnsym.ir.node import Affine
from nnsym.ir.walk import topological


class Heard:
    """Who is told of what is counted, and says when time is over: by itself nobody, and time is not limited."""

    def tell(self, counts: Array, top: int) -> None:
        """The counts so far, of the samples that judge, and the class that they judge."""

    def late(self) -> bool:
        """True once time is over."""
        return False


_NOBODY = Heard()

#: Multiplications, and values, that one look at the clock may wait for: a few tenths of a second.
_WORK = 2**28

#: The most samples of a kind.
_MOST = 10**9


def classifier(network: Network) -> Classify:
    """The classes of many points: the first largest output of the graph's float64 values."""
    x, y = (next(iter(side.values())).node for side in (network.inputs, network.outputs))

    def classes(points: Array) -> Array:
        return np.asarray(evaluate([y], {x: points})[y].argmax(axis=1))

    return classes


def samples_at_once(network: Network) -> int:
    """A batch that takes a fraction of a second and some tens of MB, however large the network is."""
    x, y = (next(iter(side.values())).node for side in (network.inputs, network.outputs))
    nodes = topological([y])
    maps = (linear for node in nodes if isinstance(node, Affine) for linear in node.maps)
    work = sum(linear.nnz for linear in maps) + sum(node.size for node in nodes)
    return max(1, min(block_of(x.size), _WORK // work))


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Sampler:
    """A smoothed classifier that is ready to be sampled: ``run`` gives classes, ``network`` is the hash of what ran."""

    run: Classify
    classes: int
    noise: Noise
    network: str = ""
    batch: int = 0

    @staticmethod
    def of(network: Network, noise: Noise, classes: int, batch: int = 0) -> Sampler:
        """Of a network's classes; ``batch`` samples at a time, as many as fit if 0."""
        at_once = batch or samples_at_once(network)
        return Sampler(run=classifier(network), classes=classes, noise=noise, network=network.hash, batch=at_once)

    def draws(self, point: Array, seed: int, purpose: Purpose, noise: Noise | None = None) -> Draws:
        """The samples of a purpose."""
        return Draws(noise=noise or self.noise, point=point, seed=seed, purpose=purpose)

    def select(self, point: Array, n0: int, seed: int, heard: Heard) -> Array:
        """Counts of the samples that select a class; any selection does, so that there are fewer where time is over."""
        return self._counted(self.draws(point, seed, Purpose.SELECT), n0, heard)

    def _counted(self, draws: Draws, count: int, heard: Heard) -> Array:
        """How often each class is taken in the first ``count`` samples, or in those that there was time for."""
        total = np.zeros(self.classes, dtype=np.int64)
        for _, labels in draws.classes(self.run, 0, count, self.batch):
            total += np.bincount(labels, minlength=self.classes)
            if heard.late():
                break
        return total

    def evidence(
        self,
        point: Array,
        *,
        n: int,
        n0: int,
        seed: int,
        certificate: Certificate,
        heard: Heard = _NOBODY,
    ) -> Evidence:
        """``n`` fresh samples of the class that ``n0`` others select; fewer where time is over, which the record says.

        A certificate that samples a second noise has the half of n for each.
        """
        check_counts(n, n0)
        certificate.check(self.noise, point.size)
        selected = self.select(point, n0, seed, heard)
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
            heard.tell(total, top)
            if heard.late() and total.sum() < own:
                return self._told(point, total, selected, seed, stop="sequential")
        other = None
        if second is not None:
            drawn = self.draws(point, seed, Purpose.SECOND, second)
            others = self._counted(drawn, n // 2, heard)
            if others.sum() < n // 2:
                return self._told(point, total, selected, seed, stop="sequential")
            other = Second(noise=second, hits=int(others[top]), n=n // 2)
        slope = None if halves is None else _inner(halves / self.noise.unit, own)
        return self._told(point, total, selected, seed, second=other, gradient=slope)

    def until(
        self, point: Array, selected: Array, p: float, *, n: int, alpha: float, seed: int, heard: Heard
    ) -> Reached:
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
            heard.tell(total, top)
            if len(ends) or heard.late():
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
