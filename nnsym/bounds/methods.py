"""Sources of bounds by name, bounds by a source, and the lower bound of the margin that they give."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnsym.bounds.assumed import meet
from nnsym.bounds.base import Bounds
from nnsym.bounds.builtin import Alpha, ForwardLinear, Ibp, Linear, Zonotope
from nnsym.bounds.lipschitz.sources import BallAndBox, Lipschitz
from nnsym.bounds.pairs.differential import both
from nnsym.bounds.sources import Dtype, FloatBoxes, Met, Source, Told
from nnsym.errors import InputError, did_you_mean
from nnsym.ir.array import Array
from nnsym.ir.formula import Atoms, InBox, margin_lower
from nnsym.ir.query import Query
from nnsym.ir.words import kind_of

_CROWN = "Zhang et al. 2018"

#: Our own sources of bounds, by name, the weak ones first. A new one is one entry here.
SOURCES: Mapping[str, Source] = {
    source.name: source
    for source in (
        Ibp(),
        Lipschitz(),
        BallAndBox(),
        Linear(
            name="ibp-merged",
            summary="ibp with the last affine layer merged into the rows",
            paper="Gowal et al. 2018",
            lower="interval",
            hidden=False,
        ),
        ForwardLinear(),
        Zonotope(),
        Linear(
            name="crown-zero",
            summary="backward linear bounds, open neurons bounded below by the flattest line",
            paper=_CROWN,
            lower="zero",
        ),
        Linear(
            name="fastlin",
            summary="backward linear bounds, open neurons between parallel lines",
            paper="Weng et al. 2018",
            lower="parallel",
        ),
        Linear(
            name="crown-ibp",
            summary="backward linear bounds of the rows, hidden neurons by ibp",
            paper="Zhang et al. 2020",
            hidden=False,
        ),
        Linear(name="crown", summary="backward linear bounds, intersected with ibp", paper=_CROWN),
        Alpha(),
    )
}
METHODS = tuple(SOURCES)


def find_source(source: str | Source, known: Mapping[str, Source] = SOURCES) -> Source:
    """The source that a text names (``crown``, ``alpha:20``), among the known ones; a source is itself.

    ``crown+lipschitz`` is both, met.
    """
    if isinstance(source, Told):
        return source.source
    if isinstance(source, Source):
        return source
    if not isinstance(source, str):
        remedy = "Give a name, or an nnsym.bounds.sources.Source"
        raise InputError(f"no source of bounds but {kind_of(source)}", where=repr(source), remedy=remedy)
    found = []
    for text in summands(source, known):
        name, colon, parameters = text.partition(":")
        if name not in known:
            remedy = f"{did_you_mean(name, known)}Choose one of: {', '.join(known)}"
            raise InputError(f"there are no bounds '{text}'", remedy=remedy)
        found.append(known[name].parse(parameters) if colon else known[name])
    return found[0] if len(found) == 1 else Met.of(tuple(found))


def summands(text: str, known: Mapping[str, Source] = SOURCES) -> list[str]:
    """The texts of the sources in ``crown+lipschitz:sdp``; a ``+`` before no name of a source belongs to a text."""
    found: list[str] = []
    for part in text.split("+"):
        if found and part.partition(":")[0] not in known:
            found[-1] += f"+{part}"
        else:
            found.append(part)
    return found


@np.errstate(over="ignore", invalid="ignore")  # what overflows is open, and says so
def compute(
    query: Query,
    source: str | Source,
    *,
    boxes: FloatBoxes | None = None,
    device: str = "cpu",
    dtype: Dtype = "float64",
) -> Bounds:
    """Bounds of every node and row of a query by a source or its text.

    ``boxes`` are those of :func:`nnsym.bounds.engine.forward.interval.ibp`; without them the query's own are taken.
    ``device`` is a name of torch's or ``auto``; float32 (``dtype``) is faster on large networks and GPUs, as sound, and
    a little looser. Two runs that a query compares are bounded together
    (:mod:`nnsym.bounds.pairs.differential`). Intervals that the query assumes are met with what was computed; they are
    named ``assumed`` where they are tighter.
    """
    found = both(query, find_source(source), boxes, device=device, dtype=dtype)
    if not query.assumed:
        return found
    return meet(query, found, boxes, device=device, deadline=find_source(source).deadline)


def margin(query: Query, bounds: Bounds) -> float:
    """A sound lower bound of the property's margin over the boxes that were bounded.

    +inf where the bounds show that no input is left. Hard atoms and boxes count as possible unless refuted.
    """
    if any((bounds[node].lower > bounds[node].upper).any() for node in query.nodes):
        return np.inf
    rows = bounds.rows.lower

    def atom(leaf: Atoms | InBox) -> Array:
        if isinstance(leaf, InBox):
            box = bounds[leaf.input]
            apart = ((leaf.lower > box.upper) | (leaf.upper < box.lower)).any()
            return np.array([np.inf if apart else -np.inf])
        if leaf.soft:
            return np.asarray(rows[leaf.rows])
        refuted = rows[leaf.rows] >= 0 if leaf.strict else rows[leaf.rows] > 0
        return np.where(refuted, np.inf, -np.inf)

    return margin_lower(query.formula, atom)
