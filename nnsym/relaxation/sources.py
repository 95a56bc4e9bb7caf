"""All sources of bounds by name: :data:`nnsym.bounds.methods.SOURCES`, ``lp``, ``search``, and installed packages'.

The entry points ``nnsym.bounds`` name a module with ``SOURCES``, a tuple of :class:`nnsym.bounds.sources.Source`. A
package that cannot be used is left out, and said to be wherever a source is not found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import final

from nnsym.bounds import methods
from nnsym.bounds.base import Bounds
from nnsym.bounds.batch import alone, stacked
from nnsym.bounds.sources import Dtype, FloatBoxes, Source, Told
from nnsym.encode.registry import Provider, apart, collect, encodings, find_encoding, listed, providers
from nnsym.encoding import Exactness
from nnsym.errors import InputError, did_you_mean
from nnsym.ir.query import Query
from nnsym.relaxation.searched import Search


@final
@dataclass(frozen=True, kw_only=True)
class Lp(Source):
    """Bounds of every layer by LPs over an outer encoding of the layers before it (:mod:`nnsym.relaxation.tighten`).

    ``lp`` takes the triangle, ``lp:triangle+krelu2`` separates cuts while it bounds.
    """

    name: str = "lp"
    summary: str = "two LPs per open neuron over the layers before it, on crown"
    paper: str = "Salman et al. 2019, LP-ALL"
    encoding: str = "triangle"

    @property
    def text(self) -> str:
        return self.name if self.encoding == "triangle" else f"{self.name}:{self.encoding}"

    def parse(self, parameters: str) -> Lp:
        if any(rule.exactness is Exactness.EXACT for rule in find_encoding(parameters).rules):
            raise InputError(
                f"'{parameters}' is no linear relaxation",
                where=f"bounds 'lp:{parameters}'",
                remedy="Write lp, or lp:triangle with cuts, such as lp:triangle+krelu2",
            )
        return replace(self, encoding=parameters)

    def compute(
        self, query: Query, boxes: FloatBoxes | None = None, *, device: str = "cpu", dtype: Dtype = "float64"
    ) -> Bounds:
        from nnsym.relaxation.tighten import tighten  # start: few ask for bounds by LPs

        encoding = find_encoding(self.encoding)
        if boxes is None:
            return tighten(query, encoding, deadline=self.deadline, device=device, dtype=dtype)
        parts, every = [], list(alone(query, boxes))
        for k, one in enumerate(every):
            end = self.deadline.share(1 / (len(every) - k))
            parts.append(tighten(one, encoding, deadline=end, device=device, dtype=dtype))
        return stacked(parts)


GROUP = "nnsym.bounds"

#: Our own sources by name, the weak ones first.
SOURCES: Mapping[str, Source] = {**methods.SOURCES, "lp": Lp(), "search": Search()}


@cache
def sources() -> Mapping[str, Source]:
    """Every source of bounds at hand by name, our own first.

    Raises:
        InputError: two providers offer the same name, or one has an encoding of that name.
    """
    offered = {p.name: p.items["SOURCES"] for p in source_providers()}
    found = collect({"nnsym": tuple(SOURCES.values()), **offered}, what="bounds")
    if any(offered.values()):
        apart(found, {"an encoding": encodings()}, what="bounds")
    return found


@cache
def source_providers() -> tuple[Provider, ...]:
    """Who offers further sources of bounds; those that cannot be used have an ``error``."""
    return providers(GROUP, {"SOURCES": Source})


def find_source(source: str | Source) -> Source:
    """The source that a text names (``crown``, ``alpha:20``, ``lp:triangle+krelu2``, ``crown+lipschitz``).

    A source is itself.
    """
    if isinstance(source, str) and not isinstance(source, Told):
        for text in methods.summands(source, sources()):
            if text.partition(":")[0] not in sources():
                known = listed(sources(), source_providers())
                meant = did_you_mean(text.partition(":")[0], sources())
                raise InputError(f"there are no bounds '{text}'", remedy=f"{meant}Choose one of: {known}")
    return methods.find_source(source, sources())
