"""Every question that takes a limit, asked of a property about one network over a box, one input and one output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import nnsym as nn
from nnsym.bounds.methods import compute
from nnsym.encode.registry import encodings
from nnsym.encoding import Encoding
from nnsym.relaxation.sources import SOURCES, find_source
from nnsym.solvers.registry import lanes

#: A property, the seconds that a question may take, and what the answer says.
Ask = Callable[[Any, float], str]

#: Sources with parameters, and sums of sources.
_SOURCES = (*SOURCES, "alpha:10000", "lp:triangle+tj", "search:2000", "lipschitz:sdp", "crown+lipschitz:sdp")

#: Searches by every kind of rule, reduction and frontier.
_SEARCHES = (
    "bab",
    "bab:smear:clip",
    "bab:longest:best",
    "bab:finish:float64",
    "bab:mixed:clip",
    "bab:gap",
    "bab:early:refine=40",
    "bab:random:steps=100",
    "bab:workers=2",
)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a row of the table is called, the lane that it names, and how it is asked."""

    name: str
    lane: str = ""
    ask: Ask = field(repr=False)


def questions() -> Iterator[Question]:
    """Methods of ``verify`` by themselves, encodings on every lane, certificates, and the other questions."""
    yield verify("portfolio", None)
    for name in (*_SOURCES, "attack", *_SEARCHES):
        yield verify(name, name)
    for name, encoding in encodings().items():
        for lane in _lanes(encoding):
            yield verify(name, name, lane)
    for name in ("triangle+tj", "triangle+krelu3", "bigm+krelu2"):
        yield verify(name, name, "highs")
    yield verify("bigm on alpha:10000", "bigm", "highs", bounds="alpha:10000")
    for semantics in ("real", "deployed"):
        options: dict[str, Any] = {"certificate": True, "semantics": semantics}
        yield verify(f"crown, {semantics}, with a certificate", "crown", **options)
        yield verify(f"ibp, {semantics}, verified, with a certificate", "ibp", slack=10**9, **options)
    for name, ask in OTHERS.items():
        yield Question(name=name, ask=ask)


def verify(name: str, method: str | None, lane: str | None = None, **options: Any) -> Question:
    """A call of ``verify``."""

    def ask(prop: Any, limit: float) -> str:
        found = nn.verify(prop, method, solver=lane, timeout=limit, **options)
        proof = f", {found.certificate or found.uncertified}"[:60] if "certificate" in options else ""
        return f"{found.status.value} ({found.reason}){proof}"

    return Question(name=name, lane=lane or "", ask=ask)


def _lanes(encoding: Encoding) -> Iterator[str]:
    """The lanes at hand that take an encoding's programs."""
    for name, lane in lanes().items():
        if encoding.emits <= lane.accepts and lane.availability().available:
            yield name


def _network(prop: Any) -> tuple[nn.Network, np.ndarray, np.ndarray]:
    """The network of a property, and its box."""
    query = prop.query
    (box,) = query.boxes.values()
    return query.applications[0].network, *box.outer


def _outputs(prop: Any) -> tuple[Any, Any]:
    """The outputs as terms, and where."""
    return _stated(prop)[1:]


def _stated(prop: Any) -> tuple[Any, Any, Any]:
    """An input, the outputs as terms, and where."""
    f, low, high = _network(prop)
    x = nn.Variable(len(low), name="x")
    return x, f(x.reshape(next(iter(f.inputs.values())).shape)).ravel(), nn.box(x, low, high)


def _refuted(prop: Any, limit: float) -> str:
    x, terms, where = _stated(prop)
    false = nn.forall(x, where=where, then=terms[0] <= terms[1] - 10**6)
    found = nn.verify(false, "attack", timeout=limit, certificate=True)
    return f"{found.status.value}, {found.certificate or found.uncertified}"[:60]


def _lipschitz(method: object, **norms: Any) -> Ask:
    def ask(prop: Any, limit: float) -> str:
        f, low, high = _network(prop)
        return f"{nn.lipschitz(f, low, high, method, timeout=limit, **norms).certified:.3g}"

    return ask


def _sampled(prop: Any, limit: float) -> str:
    f, low, high = _network(prop)
    shape = next(iter(f.inputs.values())).shape
    x, g = nn.Variable(shape, name="x"), nn.smooth(f, nn.gaussian(0.25))
    where = nn.ball(x, ((low + high) / 2).reshape(shape), 0.1, p=2)
    found = nn.verify(nn.forall(x, where=where, then=nn.argmax(g(x)) == 0), nn.sampling(n=10**9), timeout=limit)
    return f"{found.status.value} ({found.reason})"


def _least(prop: Any, limit: float) -> str:
    terms, where = _outputs(prop)
    found = nn.minimize(terms[0], where=where, timeout=limit)
    return f"[{found.lower:.3g}, {found.upper:.3g}]"


def _reached(prop: Any, limit: float) -> str:
    terms, where = _outputs(prop)
    return f"{len(nn.reach(terms, where=where, timeout=limit).lower)} terms"


def _radius(prop: Any, limit: float) -> str:
    f, low, high = _network(prop)
    found = nn.radius(f, (low + high) / 2, 0, high=1, timeout=limit)
    return str(found)[:40]


def _sweep(prop: Any, limit: float) -> str:
    f, low, high = _network(prop)

    def robust(x: Any, label: Any, eps: Any) -> Any:
        return nn.props.robust(f, x, label, eps)

    middle = ((low + high) / 2)[None]
    each = limit / 2  # there are two methods
    found = nn.table(robust, (middle, np.array([0])), ("crown", "portfolio"), eps=[1], timeout=each, clean=False)
    return ", ".join(str(entry.way) for entry in found.entries)


def _batches(prop: Any, limit: float) -> str:
    f, low, high = _network(prop)
    items, rng = 6, np.random.default_rng(0)

    def robust(x: Any, label: Any, eps: Any) -> Any:
        return nn.props.robust(f, x, label, eps)

    data = rng.uniform(low, high, (items, len(low))), np.zeros(items, dtype=np.int64)
    found = nn.table(robust, data, ("crown",), eps=[1], timeout=limit / items, clean=False)
    return f"{len(found.entries)} entries"


def _least_by(method: str) -> Ask:
    def ask(prop: Any, limit: float) -> str:
        terms, where = _outputs(prop)
        found = nn.minimize(terms[0], method, where=where, timeout=limit)
        return f"[{found.lower:.3g}, {found.upper:.3g}]"

    return ask


def _margins(prop: Any, limit: float) -> str:
    f, low, high = _network(prop)
    return f"{len(nn.margin_table(f, (low + high) / 2, 0, 1, timeout=limit).margins)} classes"


def _compared(prop: Any, limit: float) -> str:
    methods = ("crown", "bigm", "bab")
    table = nn.compare(prop, methods, timeout=limit / len(methods))
    return ", ".join(row.error if row.result is None else row.result.status.value for row in table.rows)


def _bounded(source: str) -> Ask:
    def ask(prop: Any, limit: float) -> str:
        return f"ended: {compute(prop.query, find_source(source).within(limit)).ended}"

    return ask


def _vacuous(prop: Any, limit: float) -> str:
    return str(nn.vacuous(prop, timeout=limit))[:40]


#: Questions other than ``verify``.
OTHERS: Mapping[str, Ask] = {
    "falsified, with a certificate": _refuted,
    "smoothed, sampling": _sampled,
    "minimize": _least,
    **{f"minimize, {method}": _least_by(method) for method in ("bab", "bigm", "triangle", "smt", "crown")},
    "reach, 10 terms": _reached,
    "margins of 9 classes": _margins,
    "compare, 3 methods": _compared,
    "choose": lambda prop, limit: nn.choose(prop, timeout=limit).method,
    **{f"bounds, {source}": _bounded(source) for source in ("search:2000", "lipschitz:sdp")},
    "radius": _radius,
    "sweep, crown and portfolio": _sweep,
    "sweep, 6 items": _batches,
    "vacuity": _vacuous,
    "lipschitz, quick methods": _lipschitz(None),
    "lipschitz, sdp": _lipschitz("sdp"),
    "lipschitz, exact, norm 2": _lipschitz("exact"),
    "lipschitz, norms and jacobian": _lipschitz(["norms", "jacobian"], p="inf", q="inf"),
    "lipschitz, exact": _lipschitz("exact", p="inf", q="inf"),
    "lipschitz, alpha:100": _lipschitz("alpha:100", p="inf", q="inf"),
    "lipschitz, bigm": _lipschitz("bigm", p="inf", q="inf"),
}
