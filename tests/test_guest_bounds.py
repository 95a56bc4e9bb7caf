"""``check_bounds`` refuses sources that claim what a run refutes, and passes ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import nnsym as nn
from nnsym.bounds.base import Bounds, Interval
from nnsym.bounds.methods import find_source
from nnsym.bounds.sources import Dtype, FloatBoxes, Source
from nnsym.ir.node import Input, Max, Pointwise, Product
from nnsym.ir.query import Query
from nnsym.testing.check_bounds import ConformanceError, check_bounds

pytestmark = pytest.mark.slow

Change = Callable[[Interval], Interval]


def each(change: Change) -> Callable[..., Bounds]:
    """Every node and the rows."""
    return lambda b, *_: replace(b, nodes={n: change(i) for n, i in b.nodes.items()}, rows=change(b.rows))


def nodes(kind: type, change: Change) -> Callable[..., Bounds]:
    """The nodes of a kind."""
    return lambda b, *_: replace(b, nodes={n: change(i) if isinstance(n, kind) else i for n, i in b.nodes.items()})


def rows(change: Change) -> Callable[..., Bounds]:
    return lambda b, *_: replace(b, rows=change(b.rows))


def sides(low: Callable[[Any, Any], Any], high: Callable[[Any, Any], Any]) -> Change:
    return lambda i: Interval(low(i.lower, i.upper), high(i.lower, i.upper), i.source)


def one_element(i: Interval) -> Interval:
    upper = i.upper.copy()
    upper[..., -1] -= 1e-3
    return Interval(i.lower, upper, i.source)


def one_box_for_all(b: Bounds, query: Query, boxes: FloatBoxes | None) -> Bounds:
    if boxes is None:
        return b
    return each(lambda i: Interval(0 * i.lower + i.lower[-1:], 0 * i.upper + i.upper[-1:], i.source))(b)


def runs_of_floats(b: Bounds, query: Query, boxes: FloatBoxes | None) -> Bounds:
    """The range that 200 random runs have."""
    if boxes is not None or any(not np.isfinite(v).all() for box in query.boxes.values() for v in box.outer):
        return b
    rng = np.random.default_rng(0)
    seen = [query.values({x: rng.uniform(*box.outer) for x, box in query.boxes.items()}) for _ in range(200)]
    found = {n: Interval(*(f([v[n] for v in seen], axis=0) for f in (np.min, np.max)), "runs") for n in b.nodes}
    return replace(b, nodes=found)


class Remembers:
    """The first answer for every graph, whatever the box."""

    def __init__(self) -> None:
        self.seen: dict[Any, Bounds] = {}

    def __call__(self, b: Bounds, query: Query, boxes: FloatBoxes | None) -> Bounds:
        return b if boxes is not None else self.seen.setdefault(tuple(query.nodes), b)


class Leaks(Remembers):
    """Assumed intervals that stay."""

    def __call__(self, b: Bounds, query: Query, boxes: FloatBoxes | None) -> Bounds:
        key = tuple(query.nodes)
        if query.assumed:
            narrow = {n: Interval(*box.outer, "assumed") for n, box in query.assumed.items()}
            self.seen[key] = replace(b, nodes={**b.nodes, **narrow})
        return self.seen.get(key, b) if boxes is None else b


def closed(b: Bounds, query: Query, boxes: FloatBoxes | None) -> Bounds:
    """Open inputs get a thousand."""
    return nodes(Input, sides(lambda low, high: np.maximum(low, -1e3), lambda low, high: np.minimum(high, 1e3)))(b)


def without_last(b: Bounds, *_: Any) -> Bounds:
    return replace(b, nodes={n: i for n, i in b.nodes.items() if not isinstance(n, Pointwise)})


def whole(b: Bounds, query: Query, boxes: FloatBoxes | None) -> Bounds:
    """Whole inputs lie strictly inside their box."""
    found = dict(b.nodes)
    for x in query.inputs:
        step = np.where(x.integer, 1.0, 0.0)
        found[x] = Interval(b[x].lower + step, b[x].upper - step, "whole")
    return replace(b, nodes=found)


NEAREST = sides(lambda low, high: np.nextafter(low, np.inf), lambda low, high: np.nextafter(high, -np.inf))
FAULTS: Mapping[str, Callable[..., Bounds]] = {
    "tighter by an ulp": each(NEAREST),
    "rows tighter by an ulp": rows(NEAREST),
    "rounded to 15 digits": each(sides(lambda low, high: np.round(low, 13), lambda low, high: np.round(high, 13))),
    "in float32, to nearest": each(
        sides(lambda low, high: low.astype("f4").astype(float), lambda low, high: high.astype("f4").astype(float))
    ),
    "wider boxes make up for nothing": nodes(Input, NEAREST),
    "turned": each(sides(lambda low, high: high, lambda low, high: low)),
    "mirrored": rows(sides(lambda low, high: -high, lambda low, high: -low)),
    "rows in another order": rows(
        sides(lambda low, high: low[..., ::-1].copy(), lambda low, high: high[..., ::-1].copy())
    ),
    "one element": nodes(Pointwise, one_element),
    "one element of the rows": rows(one_element),
    "activations as if open ones were off": nodes(
        Pointwise, sides(lambda low, high: low, lambda low, high: np.where(low <= 0, low, high))
    ),
    "maxima of lower ends": nodes(Max, sides(lambda low, high: low, lambda low, high: low)),
    "centres": each(sides(lambda low, high: (low + high) / 2, lambda low, high: (low + high) / 2)),
    "what random runs have": runs_of_floats,
    "one box of a batch for all": one_box_for_all,
    "the first answer for ever": Remembers(),
    "assumed intervals that stay": Leaks(),
    "open inputs closed": closed,
    "whole inputs cut": whole,
    "one box of a batch of one": lambda b, query, boxes: (
        b if boxes is None or len(b.rows.lower) > 1 else each(NEAREST)(b)
    ),
    "two inputs": lambda b, query, boxes: each(NEAREST)(b) if len(query.inputs) > 1 else b,
    "products": nodes(Product, one_element),
    "nan": rows(sides(lambda low, high: low * np.nan, lambda low, high: high)),
    "infinite below and above nothing": each(sides(lambda low, high: low + np.inf, lambda low, high: high)),
    "a node left out": without_last,
    "rows of the wrong shape": rows(sides(lambda low, high: low[..., :0], lambda low, high: high[..., :0])),
    "numbers in float32": rows(sides(lambda low, high: low.astype("f4"), lambda low, high: high.astype("f4"))),
}


@dataclass(frozen=True, kw_only=True)
class Guest(Source):
    """Interval bounds with a fault."""

    name: str = "guest"
    summary: str = "ibp, and a fault"
    paper: str = "nobody"
    fault: str = ""

    def compute(
        self, query: Query, boxes: FloatBoxes | None = None, *, device: str = "cpu", dtype: Dtype = "float64"
    ) -> Bounds:
        found = find_source("ibp").compute(query, boxes, device=device, dtype=dtype)
        return FAULTS.get(self.fault, lambda b, *_: b)(found, query, boxes)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_source_with_a_fault_is_refused(fault: str) -> None:
    with pytest.raises(ConformanceError, match="guest"):
        check_bounds(Guest(fault=fault), kinds=("dense", "maxpool"), seeds=range(2), dtypes=("float64",))


def size(query: Query, what: Callable[[Any, Any], Any]) -> Any:
    """Of all boxes together: what is made of their ends."""
    low, high = (np.concatenate(side) for side in zip(*(box.outer for box in query.boxes.values()), strict=True))
    return what(low, high)


def b_of(boxes: Any) -> Any:
    """The lower ends of the first input of every box."""
    return next(iter(boxes.values()))[0]


def magnitude(b: Bounds) -> float:
    return max(float(np.abs(i.upper).max(initial=0.0)) for i in b.nodes.values())


#: What a source is right about everywhere but where this is so: a query, its boxes, the format, the bounds.
WHERE: Mapping[str, Callable[[Query, Any, str, Bounds], bool]] = {
    "wide boxes": lambda q, *_: 50 < size(q, lambda low, high: (high - low).max()) < np.inf,
    "narrow boxes": lambda q, *_: 1e-5 < size(q, lambda low, high: (high - low).max()) < 1e-2,
    "negative inputs": lambda q, *_: size(q, lambda low, high: (high < 0).all()),
    "inputs far above zero": lambda q, *_: size(q, lambda low, high: (low > 2).all()),
    "many neurons": lambda q, *_: max(n.size for n in q.nodes if not isinstance(n, Input)) > 60,
    "many inputs": lambda q, *_: sum(x.size for x in q.inputs) > 8,
    "many rows": lambda q, *_: len(q.rows) > 8,
    "many layers": lambda q, *_: len(q.nodes) > 20,
    "large numbers": lambda q, boxes, dtype, b: 1e12 < magnitude(b) < 1e40,
    "small numbers": lambda q, boxes, dtype, b: magnitude(b) < 1e-6,
    "batches in float32": lambda q, boxes, dtype, b: boxes is not None and dtype == "float32",
    "large batches": lambda q, boxes, dtype, b: boxes is not None and len(b.rows.lower) > 8,
    "batches of several inputs": lambda q, boxes, *_: boxes is not None and len(q.inputs) > 1,
    "batches of two": lambda q, boxes, *_: boxes is not None and len(b_of(boxes)) == 2,
    "batches of some dozens": lambda q, boxes, *_: boxes is not None and 20 < len(b_of(boxes)) < 40,
    "a dozen inputs": lambda q, *_: 8 < sum(x.size for x in q.inputs) < 30,
    "hundreds of neurons": lambda q, *_: max(n.size for n in q.nodes) > 150,
    "three layers": lambda q, *_: sum(isinstance(n, Pointwise) for n in q.nodes) == 3,
    "boxes with one point": lambda q, boxes, *_: boxes is None and size(q, lambda low, high: len(set(low < high)) == 2),
    "uneven boxes": lambda q, boxes, *_: boxes is None and size(q, lambda low, high: np.ptp(high - low) > 0.7),
    "two runs": lambda q, *_: any(len(n.parents) == 2 for n in q.nodes) and len(q.nodes) > 12,
    "batches of whole inputs": lambda q, boxes, *_: boxes is not None and any(x.integer.any() for x in q.inputs),
}


@pytest.mark.parametrize("where", WHERE)
def test_a_source_that_is_wrong_in_one_kind_of_place_is_refused(where: str) -> None:
    class Careless(Guest):
        def compute(self, query: Query, boxes: Any = None, *, device: str = "cpu", dtype: Dtype = "float64") -> Bounds:
            found = super().compute(query, boxes, dtype=dtype)
            return FAULTS["centres"](found) if WHERE[where](query, boxes, dtype, found) else found

    with pytest.raises(ConformanceError, match="guest"):
        check_bounds(Careless(), kinds=())


def test_a_source_that_is_careless_in_float32_alone_is_refused() -> None:
    class Careless(Guest):
        def compute(self, query: Query, boxes: Any = None, *, device: str = "cpu", dtype: Dtype = "float64") -> Bounds:
            found = super().compute(query, boxes)
            return FAULTS["in float32, to nearest"](found) if dtype == "float32" else found

    assert check_bounds(Careless(), kinds=("dense",), dtypes=("float64",)).bounds > 20
    with pytest.raises(ConformanceError, match="in float32"):
        check_bounds(Careless(), kinds=("dense",))


ENDS: Mapping[str, Callable[[Any, Any], Any]] = {
    "from zero": lambda low, high: low == 0,
    "up to zero": lambda low, high: high == 0,
    "about zero": lambda low, high: low == -high,
    "large": lambda low, high: high > 1e17,
}


#: Kinds of node that have such ends in interval bounds; None for the rows.
SPECIAL = (
    *(("from zero", Pointwise), ("from zero", Max), ("up to zero", Max)),
    *(("about zero", None), ("large", Pointwise), ("large", None)),
)


@pytest.mark.parametrize(("where", "kind"), SPECIAL)
def test_a_source_that_is_wrong_where_an_end_is_special_is_refused(where: str, kind: type | None) -> None:
    def narrowed(i: Interval) -> Interval:
        with np.errstate(invalid="ignore", over="ignore"):
            by = np.where(ENDS[where](i.lower, i.upper) & (i.lower < i.upper), 1e-6 * (i.upper - i.lower), 0.0)
        by = np.where(np.isfinite(by), by, 0.0)
        return Interval(i.lower + by, i.upper - by, i.source)

    class Careless(Guest):
        def compute(self, query: Query, boxes: Any = None, *, device: str = "cpu", dtype: Dtype = "float64") -> Bounds:
            found = super().compute(query, boxes, dtype=dtype)
            return rows(narrowed)(found) if kind is None else nodes(kind, narrowed)(found)

    with pytest.raises(ConformanceError, match="guest"):
        check_bounds(Careless(), kinds=(), dtypes=("float64",))


@pytest.mark.parametrize("fault", ["claims of a deadline that is over", "a clock of its own", "writes into its boxes"])
def test_a_source_that_is_careless_about_what_it_is_given_is_refused(fault: str) -> None:
    class Careless(Guest):
        def compute(self, query: Query, boxes: Any = None, *, device: str = "cpu", dtype: Dtype = "float64") -> Bounds:
            found = super().compute(query, boxes, dtype=dtype)
            while (
                fault == "a clock of its own" and self.deadline.end < np.inf and max(n.size for n in query.nodes) > 60
            ):
                pass
            if fault == "writes into its boxes" and boxes is not None:
                next(iter(boxes.values()))[1][...] = 0.0
            over = fault == "claims of a deadline that is over" and self.deadline.passed
            return FAULTS["centres"](found) if over else found

    with pytest.raises(ConformanceError, match="guest"):
        check_bounds(Careless(), kinds=(), dtypes=("float64",), sizes=(), grace=1.0)


def test_a_source_without_a_registered_text_is_taken_where_the_precondition_is_asked_alone() -> None:
    x = nn.Variable(2)
    where = nn.box(x, -3, 3) & (x[0] - x[1] >= 1) & (x[0] <= x[1])
    found = nn.verify(nn.forall(x, where=where, then=x[0] + x[1] >= -1000), "bigm", bounds=Guest())
    assert (found.verified, found.vacuous) == (True, True)


@pytest.mark.parametrize("source", ["ibp", "crown", "alpha:2", "zonotope", "forward"])
def test_ours_pass(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    done = check_bounds(source, kinds=("leaky", "tanh"), seeds=(0,))
    assert done.runs > 300
    assert not done.skipped
    assert capsys.readouterr().err == ""
