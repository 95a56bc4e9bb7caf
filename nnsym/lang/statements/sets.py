"""Boxes and balls: leaves that hold arrays, with exact bounds."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.exact import add, nearest, nearest_float, simplify
from nnsym.ir.max_ball import MaxBall
from nnsym.ir.node import Input
from nnsym.ir.rows import Rows
from nnsym.lang.algebra.linear import difference, is_plain
from nnsym.lang.algebra.norms import ball_tree
from nnsym.lang.algebra.terms import Term, as_term
from nnsym.lang.guard import bad_input, exact, fractions, misread, shown, user_line
from nnsym.lang.statements import logic
from nnsym.lang.statements.formulas import Formula
from nnsym.lang.writing.text import Text, call, number_text, pair


def box(x: Term, lower: object, upper: object) -> Formula:
    """``lower <= x <= upper`` elementwise, exactly as written; scalars broadcast, infinite or None is open.

    Raises :class:`InputError` naming the element where lower > upper or a bound is NaN.
    """
    term = _term(x, "nn.box")
    (low, below), (high, above) = _bound(term, lower, "lower", -np.inf), _bound(term, upper, "upper", np.inf)
    _refuse_empty(term, low, high, "lower", "upper")
    text = call("box", term.text, below, above)
    return Formula(_box_tree(term, Box(low, high), text.string), text, (), term.applications)


def ball(x: Term, x0: object, eps: object, p: object = np.inf, within: tuple[object, object] | None = None) -> Formula:
    """All x with ``norm(x - x0, p) <= eps`` and, if given, ``within[0] <= x <= within[1]``; p is inf, 2 or 1.

    For p = inf a box with the exact bounds ``x0 - eps`` and ``x0 + eps``; ``eps`` may have one number per element. For
    p = 1 and 2, about all of one variable at the top level of ``where``, an exact ball of the input region; elsewhere a
    row over absolute values (p = 1) or squares (p = 2).
    """
    term = _term(x, "nn.ball")
    (centre, about), (radii, size) = _bound(term, x0, "centre"), _numbers(eps, "eps")
    if (radii < 0).any():
        raise bad_input("eps is negative", remedy="A radius is 0 or more")
    if not isinstance(p, (int, float, str)):
        raise misread(f"{shown(p)} is no norm", "Use p=1, p=2 or p=inf")
    options = {} if p == np.inf else {"p": number_text(p, exact(p, infinite=True))}
    limits = Box(np.full(term.size, -np.inf), np.full(term.size, np.inf))
    if within is not None:
        sides = zip(_two(within), (-np.inf, np.inf), strict=True)
        (least, below), (most, above) = (_bound(term, side, "within", default) for side, default in sides)
        limits, options["within"] = Box(least, most), pair(below, above)
    if p not in (1, 2, np.inf):
        raise UnsupportedError(
            f"a ball of the norm p = {shown(p)}", where=user_line(), remedy="Norms are p=1, p=2 and p=inf"
        )
    radius = Fraction(radii.flat[0]) if len(set(radii.ravel().tolist())) == 1 else None
    reach = _reach(centre, _spread(term, radii, "eps"), radius, limits)
    if reach.empty:
        _refuse_empty(term, reach.lower, reach.upper, "the ball", "'within'")
    text = call("ball", term.text, about, size, **options)
    if p == np.inf:
        return Formula(_box_tree(term, reach, text.string), text, (), term.applications)
    if radius is None:
        raise bad_input(f"a ball of the norm p = {p} has one eps", remedy="Give one number, or scale the variable")
    if not (np.isfinite(nearest(centre)).all() and np.isfinite(nearest_float(radius))):
        raise bad_input("a number of the ball is beyond 1.8e308", remedy="Leave the ball out, or rescale the variable")
    ball_ = ball_tree(difference(term.rows, Rows.constants(centre)), radius, int(p), text.string)
    if isinstance(ball_, logic.InBall):  # which brings its own box
        reach = Box(_tidy(limits.lower), _tidy(limits.upper))
    tree = logic.conjunction((_box_tree(term, reach, text.string), ball_))
    return Formula(tree, text, (), term.applications)


def _two(within: Any) -> tuple[Any, Any]:
    try:
        low, high = within
    except (TypeError, ValueError):
        raise misread(f"within is {shown(within)}, not two limits", "Pass (lower, upper)") from None
    return low, high


def _reach(centre: Array, radii: Array, radius: Fraction | None, limits: Box) -> Box:
    """The box round a centre, cut to limits; its numbers are made late where floats tell enough of them.

    ``radius`` is the one that all ``radii`` are, if there is one.
    """
    plain = all(side.dtype != object for side in (limits.lower, limits.upper))
    if plain and radius is not None and MaxBall.fits(centre, radius):
        return MaxBall(centre, radius, (limits.lower, limits.upper))
    found = Box(add(centre, -radii), add(centre, radii)).intersect(limits)
    return Box(_tidy(found.lower), _tidy(found.upper))


def _term(x: object, what: str) -> Term:
    if not isinstance(x, Term):
        raise misread(f"{what} is about {type(x).__name__}, not a term", "The first argument is a variable or term")
    return as_term(x)


def _numbers(value: object, what: str, *, infinite: bool = False) -> tuple[Array, Text]:
    """The numbers that a user wrote, and how they read."""
    numbers = exact(value, what, infinite=infinite)
    return numbers, number_text(value, numbers)


def _bound(term: Term, value: object, what: str, default: float | None = None) -> tuple[Array, Text]:
    """The numbers of a bound, one per element of the term, flat, and how it reads; None stands for a ``default``."""
    if value is None and default is not None:
        return np.full(term.size, default), number_text(None)
    numbers, text = _numbers(value, what, infinite=default is not None)
    if default is not None and (numbers == -default).any():
        raise bad_input(
            f"{what} holds {-default:+g}, which leaves no number", remedy=f"{default:+g} leaves a side open"
        )
    return _spread(term, numbers, what), text


def _spread(term: Term, numbers: Array, what: str) -> Array:
    """One number for each element of a term, flat."""
    if numbers.ndim and numbers.shape != term.shape and numbers.size == term.size:
        numbers = numbers.reshape(term.shape)
    try:
        return (numbers if numbers.shape == term.shape else np.broadcast_to(numbers, term.shape)).ravel()
    except ValueError:
        raise bad_input(
            f"{what} has shape {numbers.shape}, '{term}' has shape {term.shape}",
            remedy="Give one number for all elements, or one for each",
        ) from None


def _tidy(bound: Array) -> Array:
    """float64 where that is exact, else Fractions throughout."""
    if bound.dtype != object:
        return bound
    return simplify(fractions(bound))


def _refuse_empty(term: Term, low: Array, high: Array, first: str, second: str) -> None:
    wrong = np.flatnonzero(low > high)
    if not len(wrong):
        return
    place = tuple(int(i) for i in np.unravel_index(wrong[0], term.shape)) if term.shape else ()
    element = f"{term}[{', '.join(map(str, place))}]" if place else str(term)
    raise bad_input(
        f"{first} and {second} leave nothing for {element}: {_show(low[wrong[0]])} > {_show(high[wrong[0]])}"
        f"{f' (and {len(wrong) - 1} more)' if len(wrong) > 1 else ''}",
        "Exchange or correct them",
    )


def _show(value: Any) -> str:
    return str(nearest_float(value))


def _box_tree(term: Term, box: Box, label: str) -> logic.Tree:
    """An ``Inside`` leaf for distinct elements of one input, else one row for every finite bound."""
    if not box.bounded and not (_finite(box.lower).any() or _finite(box.upper).any()):
        return logic.TRUE
    whole = term.rows.whole
    if isinstance(whole, Input):
        return logic.Inside(whole, box, label)
    if len(term.rows.parts) == 1 and is_plain(term.rows):
        node, part = next(iter(term.rows.parts.items()))
        if isinstance(node, Input) and len(part.row) == term.size and len(set(part.column.tolist())) == term.size:
            lower, upper = _open(node.size, box.lower, -np.inf), _open(node.size, box.upper, np.inf)
            lower[part.column], upper[part.column] = box.lower, box.upper
            return logic.Inside(node, Box(lower, upper), label)
    parts = [_side(term.rows, box.lower, label, below=True), _side(term.rows, box.upper, label, below=False)]
    return logic.conjunction(p for p in parts if p is not None)


def _open(size: int, like: Array, value: float) -> Array:
    return np.full(size, value, dtype=like.dtype)


def _side(rows: Rows, bound: Array, label: str, *, below: bool) -> logic.Tree | None:
    finite = _finite(bound)
    if not finite.any():
        return None
    index = np.flatnonzero(finite)
    limit, value = Rows.constants(bound[index]), rows.take(index)
    over = difference(limit, value) if below else difference(value, limit)
    return logic.Block(logic.Each(over, False, label, index), True)


def _finite(bound: Array) -> Array:
    return np.array([not (isinstance(v, float) and np.isinf(v)) for v in bound.tolist()], dtype=bool)
