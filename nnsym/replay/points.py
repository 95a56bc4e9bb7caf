"""From a candidate to points of the domain: numbers of the models' dtype where there are any, else exact ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.domain import Ball, Box, pull_inside
from nnsym.ir.exact import nearest, nearest_float, to_fractions
from nnsym.ir.node import Input, Point
from nnsym.ir.query import Query


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class DomainPoint:
    """A point of the domain's boxes and balls.

    ``stored`` is true if every number is one of the models' dtype, so that a model can be run on it as it stands;
    ``note`` says why it is not.
    """

    values: dict[Input, Array]
    stored: bool = False
    note: str = ""


def places(query: Query, candidate: Point, *, real: bool = True) -> Iterator[DomainPoint]:
    """Points at a candidate, the one to prefer first.

    In the models' dtype; where some element's box holds no such number, with an exact number there, which a run rounds;
    then, for the ``real`` function alone, the candidate itself, moved inside exactly: a run that rounds it would read
    another point, outside of the domain perhaps.
    """
    dtype, candidate = stored_dtype(query), {x: _numbers(values) for x, values in candidate.items()}
    cast = {x: _cast(query, x, values, dtype) for x, values in candidate.items()}
    if dtype == "exact":
        if (values := _complete(cast)) is not None:
            yield DomainPoint(values=values)
        return
    if (values := _complete(cast)) is not None:
        yield DomainPoint(values=values, stored=True)
        note = f"no point of {dtype} numbers was found to do: decided at exact numbers, in rationals"
    else:
        gaps = {x: gaps_in(box, dtype) for x, box in query.boxes.items()}
        note = _gap_note(query, gaps, dtype)
        mixed = {x: v if v is not None else _mixed(query, x, candidate[x], gaps[x], dtype) for x, v in cast.items()}
        if (values := _complete(mixed)) is not None:
            yield DomainPoint(values=values, note=note)
    exact = {x: _cast(query, x, values, "exact") for x, values in candidate.items()} if real else {}
    if real and (values := _complete(exact)) is not None:
        yield DomainPoint(values=values, note=note)


def _numbers(values: Array) -> Array:
    """A candidate whose floats overflowed, or are NaN, as some numbers: it proposes a point, and replay decides."""
    return values if values.dtype == object else np.nan_to_num(values)


def _complete(values: Mapping[Input, Array | None]) -> dict[Input, Array] | None:
    found = {x: v for x, v in values.items() if v is not None}
    return found if len(found) == len(values) else None


def _cast(query: Query, x: Input, values: Array, dtype: str) -> Array | None:
    return cast_inward(values, query.boxes[x], dtype, x.integer, query.balls.get(x, ()))


def gaps_in(box: Box, dtype: str) -> Array:
    """Which elements of a box hold no number of the dtype, ``(n,)`` of bool."""
    low, high = _stored(box, np.dtype(dtype))
    return np.asarray(low > high)


def _gap_note(query: Query, gaps: Mapping[Input, Array], dtype: str) -> str:
    count = sum(int(gap.sum()) for gap in gaps.values())
    x, k = next(((x, int(np.flatnonzero(gap)[0])) for x, gap in gaps.items() if gap.any()), (None, 0))
    if x is None:
        return f"no point of {dtype} numbers lies in the domain: decided at exact numbers, in rationals"
    box = query.boxes[x]
    where = f"element {k} of '{x.name}' in [{nearest_float(box.lower[k])!r}, {nearest_float(box.upper[k])!r}]"
    more = f" and {count - 1} more" if count > 1 else ""
    return f"no {dtype} number lies in the bounds of {where}{more}: decided at exact numbers, in rationals"


def _mixed(query: Query, x: Input, values: Array, gap: Array, dtype: str) -> Array | None:
    """Numbers of the dtype, and exact ones where the box holds none of it."""
    box = query.boxes[x]
    exact = _into_box(values, box, "exact", x.integer)
    if exact is None or not gap.any():
        return None
    rest = ~gap
    stored = _into_box(values[rest], Box(box.lower[rest], box.upper[rest]), dtype, x.integer[rest])
    if stored is None:
        return None
    exact[rest] = to_fractions(stored.astype(np.float64))
    return exact if all(ball.contains(exact) for ball in query.balls.get(x, ())) else None


#: So many points beside a candidate are looked at, up to ``2^-8`` of a value away, down to a float32's last place.
_BESIDE, _NEAR, _FAR = 64, 24, 8


def beside(query: Query, candidate: Point) -> Iterator[Point]:
    """Of random points just beside a candidate the one whose margin in float64 is least.

    A solver's point often lies on the edge of the region, where rounding to the models' dtype leads out of it.
    """
    rng = np.random.default_rng(0)
    scale = 2.0 ** -rng.integers(_FAR, _NEAR, (_BESIDE, 1)).astype(np.float64)
    points: dict[Input, Array] = {}
    for x, values in candidate.items():
        near = np.nan_to_num(nearest(values))
        steps = rng.integers(-1, 2, (_BESIDE, x.size)) * ~x.integer
        with np.errstate(over="ignore"):  # it is moved inside
            points[x] = near + steps * scale * np.maximum(np.abs(near), scale)
    inside = query.move_inside(points)
    with np.errstate(over="ignore", invalid="ignore"):
        values_of = query.values(inside)
    read = (*query.inputs, *query.rows.parts)
    margins = [query.margin({node: values_of[node][k] for node in read}) for k in range(_BESIDE)]
    best = int(np.nanargmin([*margins, np.inf]))
    if best < _BESIDE and margins[best] < np.inf:
        yield {x: v[best] for x, v in inside.items()}


def stored_dtype(query: Query) -> str:
    """``exact`` if no network is stored as a model, else the narrowest dtype of the stored ones."""
    stored = {a.network.dtype for a in query.applications if a.network.model is not None}
    if not stored:
        return "exact"
    return min(stored, key=lambda dtype: np.dtype(dtype).itemsize)


#: Shares of a ball's radius, larger than what rounding in float64, in float32 and in half precision moves a point by.
_SHARES = tuple(1.0 - 2.0**-k for k in (40, 22, 20, 17, 9))


def cast_inward(values: Array, box: Box, dtype: str, integer: Array, balls: tuple[Ball, ...] = ()) -> Array | None:
    """The candidate in the model's dtype, moved into the box and the balls, exactly; None if that is not found.

    In balls it goes by the least share of their radii that rounding to the dtype does not undo.
    """
    cast = _into_box(values, box, dtype, integer)
    for share in _SHARES:
        if cast is None or all(ball.contains(cast) for ball in balls):
            return cast
        near = pull_inside(nearest(values), box.inner, balls, integer, share)
        cast = _into_box(near, box, dtype, integer)
    return None


def _into_box(values: Array, box: Box, dtype: str, integer: Array) -> Array | None:
    if dtype == "exact":
        exact = to_fractions(values)
        exact = np.where(integer, np.array([to_fractions(round(v)) for v in exact], dtype=object), exact)
        low = np.where(exact < box.lower, box.lower, exact)
        return np.asarray(to_fractions(np.where(low > box.upper, box.upper, low)))
    kind = np.dtype(dtype)
    near = nearest(values).astype(np.float64)
    cast = np.where(integer, np.round(near), near)
    with np.errstate(over="ignore"):
        cast = cast.astype(kind)
    low, high = _stored(box, kind)
    return None if (low > high).any() else np.clip(cast, low, high)


def _stored(box: Box, kind: np.dtype[Any]) -> tuple[Array, Array]:
    """The least and the greatest number of the dtype in a box, elementwise; out of order where it holds none."""
    low, high = _inner(box.lower, kind, +1), _inner(box.upper, kind, -1)
    beyond = np.isposinf(low) | np.isneginf(high)  # an infinity is no number of the dtype
    return np.where(beyond, kind.type(1), low), np.where(beyond, kind.type(0), high)


def _inner(limit: Array, kind: np.dtype[Any], sign: int) -> Array:
    """The number of the dtype nearest to the limit on its inner side (``sign`` +1: not below it)."""
    with np.errstate(over="ignore"):
        out = nearest(limit).astype(kind)
    exact = out.astype(np.float64) if limit.dtype != object else out.astype(object)
    if limit.dtype == object:
        exact = np.array([to_fractions(v) if np.isfinite(v) else v for v in out.astype(np.float64)], dtype=object)
    outside = exact < limit if sign > 0 else exact > limit
    return np.where(outside, np.nextafter(out, kind.type(sign * np.inf)), out)
