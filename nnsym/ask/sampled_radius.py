"""The radius of a smoothed classifier: read off one draw of samples, which serve every radius."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnsym.ask.options import require_options
from nnsym.errors import InputError
from nnsym.judge.conclude import conclude
from nnsym.judge.method import Settings
from nnsym.judge.registry import resolve
from nnsym.judge.sampling import SamplingMethod, sampling
from nnsym.judge.smoothed import SmoothedQuery
from nnsym.lang.algebra.smooth import SmoothedClassifier
from nnsym.lang.props import robust
from nnsym.results.clock import Clock
from nnsym.results.ranges import seconds
from nnsym.results.result import Result, Verdict

#: Shares by which a radius is moved in until the verdict itself confirms it: rounding, or another end of an ascent.
_SPARE = (1e-9, 1e-6, 1e-3)


def sampled_radius(
    g: SmoothedClassifier, x0: Any, label: Any, method: Any, *, high: float, p: Any, options: dict[str, Any]
) -> tuple[float, Result]:
    """The greatest radius, ``high`` at most, that the method's samples certify, and the verdict there."""
    if x0 is None or label is None:
        raise InputError("the radius of a classifier needs a point and its label")
    chosen = sampling() if method is None else resolve(method)
    if not isinstance(chosen, SamplingMethod) or chosen.stop != "fixed":
        raise InputError(
            f"'{chosen.name}' gives no radius of {g.name}",
            remedy='Use nn.sampling(): the radius is read off a number of samples fixed beforehand (stop="fixed")',
        )
    if not 0 < high < np.inf:
        raise InputError("the search needs a positive finite number high")
    clock = options.pop("clock", None) or Clock(seconds(options.pop("timeout", 60.0)))
    require_options("radius", options, Settings)
    settings = Settings(**options)
    at = SmoothedQuery.of(robust(g, x0, label, 0, p=p).query)
    evidence, known = chosen.sample(at, clock, settings)
    certificate = chosen.certificate if evidence.stop == "fixed" else sampling().certificate
    reached = certificate.radius(known, float(p))
    for spare in _SPARE:
        radius = min(reached * (1 - spare), float(high))
        query = robust(g, x0, label, radius, p=p).query
        told = chosen.told(SmoothedQuery.of(query), evidence, known)
        if told.ruling.verdict is Verdict.VERIFIED:
            break
    return radius, conclude(query, chosen, told, clock)
