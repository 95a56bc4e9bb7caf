"""Answers in a notebook: small tables, and what an image's pixels are as an image."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.digits import shown
from nnsym.ir.exact import nearest
from nnsym.ir.words import how_replayed

if TYPE_CHECKING:
    from nnsym.ir.query import Query
    from nnsym.results.optimum import Optimum
    from nnsym.results.result import Result, Witness

#: The colours of verdicts, dark enough for text.
VERDICTS = {
    "verified": "#1a7f37",
    "falsified": "#cf222e",
    "unknown": "#9a6700",
    "unsupported": "#6e7781",
    "error": "#8250df",
}
#: A number, an interval of two, or a share; with a unit of one word it is text.
_NUMBER = re.compile(r"[\[(]?[-+]?(\d[\d.]*|inf|nan|∞)(e[-+]?\d+)?((-|, )[-+]?(\d[\d.]*|inf|∞)(e[-+]?\d+)?)?[\])]?%?")
_LEAST, _MOST = 6, 64  # sides of what is drawn as an image
_SIZE = 140  # about so many pixels wide


def html_table(
    headings: Sequence[str],
    rows: Iterable[Iterable[str]],
    *,
    meanings: Sequence[str] = (),
    look: Callable[[int, int], str] | None = None,
) -> str:
    """A table; ``meanings`` say what headings stand for, ``look`` gives the style of a row's cell by numbers.

    Columns of numbers stand on the right, others on the left; notebooks would put all of them on the right.
    """
    cells = [tuple(row) for row in rows]
    sides = [_side(column) for column in zip(*cells, strict=True)] or ["left"] * len(headings)
    notes = [f' title="{escape(text)}"' if text else "" for text in meanings or [""] * len(headings)]
    heads = zip(headings, notes, sides, strict=True) if headings else ()
    head = "".join(f"<th style='text-align:{side}'{note}>{escape(name)}</th>" for name, note, side in heads)
    body = []
    for i, row in enumerate(cells):
        styles = (f"text-align:{side}{'' if look is None else look(i, j)}" for j, side in enumerate(sides))
        body.append(f"<tr>{''.join(map(_cell, row, styles))}</tr>")
    return f"<table>{f'<tr>{head}</tr>' if head else ''}{''.join(body)}</table>"


def _side(column: Iterable[str]) -> str:
    filled = [cell for cell in column if cell]
    return "right" if filled and all(map(_NUMBER.fullmatch, filled)) else "left"


def _cell(text: str, style: str) -> str:
    return f"<td style='{style}'>{escape(text)}</td>"


def facts_html(rows: Iterable[tuple[str, str]]) -> str:
    """Two columns: what, and its value."""
    return html_table((), rows, look=lambda row, column: ";text-align:left")


def result_html(result: Result) -> str:
    """The verdict, what it rests on, the margin, the method, the point."""
    rows = [("reason", result.reason)]
    if result.trust is not None:
        rows.append(("trust", f"{result.trust.value}: {result.rests_on}"))
    if result.slack:
        rows.append(("slack", f"{result.slack:g}: the conclusion is relaxed by this much"))
    rows += [
        ("margin", f"[{result.lower:.6g}, {result.upper:.6g}]"),
        ("method", result.method),
        ("seconds", f"{result.seconds.get('total', 0.0):.3g}"),
    ]
    vacuous = " (vacuous: no input satisfies the precondition)" if result.vacuous else ""
    head = f"<b style='color:{VERDICTS[result.status.value]}'>{result.status.value}{vacuous}</b>"
    found = result.counterexample or result.witness
    return head + facts_html(rows) + ("" if found is None else witness_html(found, result.query))


def optimum_html(found: Optimum) -> str:
    """The interval, what its sides rest on, the method, the point that attains a side."""
    where = "of nothing" if found.empty else f"in [{shown(found.lower)}, {shown(found.upper)}]"
    rows = [
        ("rests on", found.rests_on),
        ("method", found.method),
        ("seconds", f"{found.seconds.get('total', 0.0):.3g}"),
    ]
    point = "" if found.point is None else witness_html(found.point, found.query, "point: value")
    return f"<b>{escape(f'{found.goal} {where}')}</b>{facts_html(rows)}{point}"


def witness_html(found: Witness, query: Query | None = None, what: str = "") -> str:
    """Inputs and outputs; a square input of many elements as the image that it probably is."""
    what = what or ("counterexample: margin" if found.margin < 0 else "witness: margin")
    said = f"{what} {found.margin:.6g}, {how_replayed(found.replayed_by)}"
    middles = {} if query is None else {x.name: middle_of(*box.outer) for x, box in query.boxes.items()}
    lines = escape("\n".join(found.lines()))
    shown = f"<pre style='font-family:monospace;white-space:pre-wrap'>{lines}</pre>"
    return f"<div>{escape(said)}</div>{images_html(found, middles)}{shown}"


def middle_of(lower: Iterable[float | None], upper: Iterable[float | None]) -> Array | None:
    """The middle of a box; None where a side is open."""
    low, high = (np.array([np.nan if v is None else v for v in side], dtype=np.float64) for side in (lower, upper))
    middle = (low + high) / 2
    return middle if np.isfinite(middle).all() else None


def images_html(found: Witness, middles: Mapping[str, Array | None]) -> str:
    """Inputs that are images; where their boxes have middles, between the middle and the difference from it."""
    figures = []
    for name, array in found.inputs.items():
        image = None if name in found.labels else image_of(array)
        if image is None:
            continue
        figures.append((image_svg(image, name), f"{name}, the point"))
        if (middle := middles.get(name)) is not None:
            centre = middle.reshape(image.shape)
            figures.insert(-1, (image_svg(centre, name), "the middle of its box"))
            difference = image - centre
            said = f"difference, at most {np.abs(difference).max():.3g}"
            figures.append((image_svg(difference, name, signed=True), said))
    return "".join(
        f"<figure style='display:inline-block;margin:4px'>{svg}<figcaption>{escape(text)}</figcaption></figure>"
        for svg, text in figures
    )


def image_of(array: Array) -> Array | None:
    """A square of numbers in [0, 1], or None."""
    flat = nearest(array).astype(np.float64).ravel()
    side = math.isqrt(flat.size)
    square = side * side == flat.size and _LEAST <= side <= _MOST
    return flat.reshape(side, side) if square and flat.min() >= 0 and flat.max() <= 1 else None


def image_svg(image: Array, title: str, *, signed: bool = False) -> str:
    """A grey image as SVG; with ``signed`` a difference: blue below 0, red above, white at 0."""
    side = len(image)
    wide = side * max(2, _SIZE // side)
    most = max(float(np.abs(image).max()), 1e-12)
    cells = "".join(
        f"<rect x='{k % side}' y='{k // side}' width='1.02' height='1.02' fill='{_fill(value, most, signed)}'/>"
        for k, value in enumerate(image.ravel().tolist())
    )
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{wide}' height='{wide}' "
        f"viewBox='0 0 {side} {side}' style='margin:4px' role='img'><title>{escape(title)}</title>{cells}</svg>"
    )


def _fill(value: float, most: float, signed: bool) -> str:
    if not signed:
        grey = round(255 * min(max(value, 0.0), 1.0))
        return f"rgb({grey},{grey},{grey})"
    pale = round(255 * (1 - min(abs(value) / most, 1.0)))
    return f"rgb(255,{pale},{pale})" if value > 0 else f"rgb({pale},{pale},255)"
