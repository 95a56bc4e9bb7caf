"""``nn.sampling``: a property of a smoothed classifier, judged by samples at the centre of its domain.

Confidence bounds of the probabilities there bound them wherever the domain reaches, and with them every row of the
property: for ``argmax g(x) == c`` on a ball with Gaussian noise and one lower bound p the margin is
``2 Phi(Phi^-1(p) - r / sigma) - 1``, positive exactly where r is below the radius of Cohen et al. 2019. One event, of
confidence ``1 - alpha``, carries both sides: that the property holds, and that it fails at the centre.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from nnsym.errors import InputError, UnsupportedError
from nnsym.evidence import confidence
from nnsym.evidence.certificate import Certificate, Known
from nnsym.evidence.certificates import find_certificate
from nnsym.evidence.draw import Heard, Sampler, check_counts
from nnsym.evidence.evidence import Evidence
from nnsym.ir.array import Array
from nnsym.ir.functions.smoothed import smoothed_nodes
from nnsym.ir.query import Query
from nnsym.judge.conclude import Established
from nnsym.judge.least import Least
from nnsym.judge.method import Establisher, Settings
from nnsym.judge.smoothed import SmoothedQuery
from nnsym.judge.verdict import Sampled, facts_about
from nnsym.results import ranges as options
from nnsym.results.clock import Clock
from nnsym.solvers.base import Progress


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class SamplingMethod(Establisher):
    """Judge a property of a smoothed classifier by ``n`` samples of the class that ``n0`` others select.

    ``alpha`` is the probability that the verdict is wrong. ``stop`` is ``fixed``, or ``sequential``: samples end as
    soon as they decide, n at most. ``certificate`` is ``np``, ``dsrs`` or ``order1``, ``classes`` is ``top`` or
    ``all`` (:meth:`nnsym.evidence.evidence.Evidence.known`). ``batch`` samples are run at a time, which changes no
    count. ``seed`` overrides the seed of the run.
    """

    n: int = 100_000
    n0: int = 100
    alpha: float = 1e-3
    stop: str = "fixed"
    certificate: Certificate
    classes: str = "top"
    seed: int | None = None
    batch: int = 0
    name = "sampling"
    goal = "sample"

    def __post_init__(self) -> None:
        check_counts(self.n, self.n0)
        confidence.check_alpha(self.alpha)
        if self.stop not in ("fixed", "sequential"):
            raise InputError(f"stop is {self.stop!r}", remedy="Use fixed or sequential")
        if self.classes not in ("top", "all"):
            raise InputError(f"classes is {self.classes!r}", remedy="Use top or all")
        if self.stop == "sequential" and (self.certificate.text != "np" or self.classes == "all"):
            raise InputError("sequential sampling tests one probability", remedy="Use certificate np, classes top")
        if self.seed is not None:
            options.seed(self.seed)

    def accept(self, query: Query) -> None:
        if not smoothed_nodes(query):
            raise UnsupportedError(
                "'sampling' speaks of smoothed classifiers, and the property is about a function itself",
                where=query.name,
                remedy="State it of g = nn.smooth(f, nn.gaussian(sigma)), or use another method",
            )

    def optimum(self, query: Query, clock: Clock, settings: Settings, precision: float) -> Least:
        raise UnsupportedError("'sampling' judges properties and minimises no terms", where=query.name)

    def establish(self, query: Query, clock: Clock, settings: Settings) -> Established:
        self.accept(query)
        asked = SmoothedQuery.of(query)
        evidence, known = self.sample(asked, clock, settings)
        told = self.told(asked, evidence, known)
        return replace(told, ended="timeout" if evidence.n < self.n and self.stop == "fixed" else "")

    def sample(self, asked: SmoothedQuery, clock: Clock, settings: Settings) -> tuple[Evidence, Known]:
        """Count, and say what is known of the probabilities at the point with all of alpha."""
        self.certificate.check(asked.noise, asked.size)
        seed = settings.seed if self.seed is None else self.seed
        sampler = Sampler.of(asked.node.network, asked.noise, asked.node.size, self.batch)
        heard = Listener(asked=asked, alpha=self.alpha, clock=clock, progress=settings.progress)
        with clock.step("sampling") as notes:
            draw = self._fixed if self.stop == "fixed" else self._sequential
            evidence, known = draw(asked, sampler, seed, heard)
            notes.append(f"{evidence!r}, {asked.noise.text} at distance {asked.distance:.6g}")
        return evidence, known

    def told(self, asked: SmoothedQuery, evidence: Evidence, known: Known) -> Established:
        """What that says of a property."""
        lower, upper = asked.lower(self.certificate, known), asked.upper(self.certificate, known)
        sampled = Sampled(confidence=1.0 - self.alpha, lower=lower, upper=upper)
        return Established(facts=replace(facts_about(asked.query), sampled=sampled), evidence=evidence)

    def _fixed(self, asked: SmoothedQuery, sampler: Sampler, seed: int, heard: Listener) -> tuple[Evidence, Known]:
        evidence = sampler.evidence(
            asked.point,
            n=self.n,
            n0=self.n0,
            seed=seed,
            certificate=self.certificate,
            heard=heard,
        )
        if evidence.stop == "sequential":  # time was over: what else a certificate asks for was not sampled
            return evidence, evidence.known(self.alpha, find_certificate("np"), self.classes)
        return evidence, evidence.known(self.alpha, self.certificate, self.classes)

    def _sequential(self, asked: SmoothedQuery, sampler: Sampler, seed: int, heard: Listener) -> tuple[Evidence, Known]:
        selected = sampler.select(asked.point, self.n0, seed, heard)
        plain = Known(
            noise=asked.noise,
            size=asked.size,
            top=int(selected.argmax()),
            lower=0.0,
            uppers=(1.0,) * len(selected),
        )
        p = asked.decisive(self.certificate, plain)
        most = self.n if p < 1 else min(self.n, self.n0)  # nothing that it could have would decide
        found = sampler.until(
            asked.point,
            selected,
            min(p, 1 - 2.0**-50),
            n=most,
            alpha=self.alpha,
            seed=seed,
            heard=heard,
        )
        return found.evidence, replace(plain, lower=p) if found.shown and p < 1 else plain


@final
@dataclass(eq=False, kw_only=True)
class Listener(Heard):
    """Hears of the counts so far: tells whoever waits the margin that they would give, and whether time is over."""

    asked: SmoothedQuery
    alpha: float
    clock: Clock
    progress: Progress | None
    told: float = 0.0

    def tell(self, counts: Array, top: int) -> None:
        now = self.clock.elapsed
        if self.progress is not None and now - self.told > _TELL:
            self.told = now
            lower = confidence.anytime_lower(int(counts[top]), int(counts.sum()), self.alpha)
            asked, plain = self.asked, find_certificate("np")
            known = Known(noise=asked.noise, size=asked.size, top=top, lower=lower, uppers=(1.0,) * len(counts))
            self.progress(asked.lower(plain, known), asked.upper(plain, known))

    def late(self) -> bool:
        return self.clock.left <= 0


#: Seconds between two lines of progress.
_TELL = 0.5


def sampling(
    *,
    n: int = 100_000,
    n0: int = 100,
    alpha: float = 1e-3,
    stop: str = "fixed",
    certificate: str | Certificate = "np",
    classes: str = "top",
    seed: int | None = None,
    batch: int = 0,
) -> SamplingMethod:
    """Judge properties of smoothed classifiers by samples (:class:`SamplingMethod`).

    Args:
        n: samples that judge; the most of them where ``stop`` is ``sequential``.
        n0: samples before them that select the class.
        alpha: the probability of a wrong verdict, over the samples.
        stop: ``fixed``, or ``sequential``: as soon as the samples decide, by a test that may stop at any time.
        certificate: ``np`` (Neyman and Pearson), ``dsrs`` (a second noise; Li et al. 2022), ``order1`` (a gradient;
            Mohapatra et al. 2020, Levine et al. 2020).
        classes: ``top``: all of alpha for the selected class; ``all``: bounds of every class, jointly.
        seed: of the samples, instead of the run's.
        batch: samples that are run at a time; the counts do not depend on it.
    """
    return SamplingMethod(
        n=n,
        n0=n0,
        alpha=alpha,
        stop=stop,
        certificate=find_certificate(certificate),
        classes=classes,
        seed=seed,
        batch=batch,
    )
