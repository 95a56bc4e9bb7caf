"""Which methods judge a case: over consecutive seeds every encoding on every lane that takes it, with every source."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from nnsym.encode.registry import encodings, find_encoding
from nnsym.encoding import Encoding
from nnsym.errors import NnsymError
from nnsym.judge.programs.methods import program
from nnsym.relaxation.sources import SOURCES
from nnsym.solvers.registry import available, find

_CUT = ("triangle+tj", "triangle+krelu2", "triangle+krelu3", "triangle+krelu4", "triangle+tangents", "bigm+anderson")
_SOURCES = (*(s for s in SOURCES if s not in ("alpha", "search")), "alpha:3", "search:3")
_SEARCHES = ("bab", "bab:gap:clip", "bab:mixed", "bab:smear:float64", "bab:early:steps=4", "bab:finish:best")


@dataclass(frozen=True)
class Run:
    """One call of ``verify``: the name of what is covered, and its arguments.

    ``proved`` is true where no float solver's own bound is part of the answer.
    """

    name: str
    method: Any
    options: tuple[tuple[str, Any], ...] = ()
    proved: bool = False

    @property
    def text(self) -> str:
        """As it is written in Python."""
        return ", ".join([repr(self.method), *(f"{k}={v!r}" for k, v in self.options)])


@cache
def triples() -> tuple[tuple[str, str, str], ...]:
    """Every (encoding, lane, source) that fits here, in a fixed random order."""
    found = []
    for encoding in (*encodings(), *_CUT):
        for lane in available():
            try:
                program(encoding, solver=lane)
            except NnsymError:
                continue
            found += [(encoding, lane, source) for source in _SOURCES]
    order = np.random.default_rng(1).permutation(len(found))
    return tuple(found[int(k)] for k in order)


def plan(seed: int, count: int = 4) -> list[Run]:
    """The runs of a seed: the portfolio or the attack, a search, a source by itself, and ``count`` triples in turn."""
    rng = np.random.default_rng([seed, 3])
    first = "portfolio" if seed % 4 else "attack"
    runs = [Run(first, None if first == "portfolio" else first)]
    source = _SOURCES[seed % len(_SOURCES)] if seed % len(_SOURCES) else "ibp"
    if source != "lp":
        runs.append(Run(source, source, proved=True))
    runs.append(Run("search", _SEARCHES[seed % len(_SEARCHES)], proved=True))
    every = triples()
    for k in range(count):
        encoding, lane, bounds = every[(seed * count + k) % len(every)]
        options: dict[str, Any] = {"solver": lane, "bounds": bounds}
        if rng.random() < 0.6:
            options["shortcut"] = False
        if rng.random() < 0.3:
            options["optimise"] = True
        name = "/".join((encoding, lane, bounds))
        runs.append(Run(name, encoding, tuple(options.items()), proved=find(lane).exact))
    return runs


def deployed_plan(seed: int) -> list[Run]:
    """Two runs that speak of the stored dtype: one of four methods in turn, and a triple."""
    method = (None, "crown", "bigm", "smt")[seed % 4]
    encoding, lane, bounds = triples()[(7 * seed) % len(triples())]
    options = (("semantics", "deployed"),)
    return [
        Run(f"deployed {method or 'portfolio'}", method, options),
        Run(f"deployed {encoding}", encoding, (("solver", lane), ("bounds", bounds), *options)),
    ]


def mutated(name: str, change: Any) -> Encoding:
    """An encoding whose rules are changed by ``change(rule)``."""
    from dataclasses import replace

    found = find_encoding(name)
    return replace(found, name=f"{name}-mutated", rules=tuple(change(r) for r in found.rules))
