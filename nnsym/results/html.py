"""Answers in a notebook: small tables, and what an image's pixels are as an image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.exact import nearest

if TYPE_CHECKING:
    from nnsym.results.result import Result, Witness

#: The colours of verdicts, dark enough for text.
VERDICTS = {
    "verified": "#1a7f37",
    "falsified": "#cf222e",
    "unknown": "#9a6700",
    "unsupported": "#6e7781",
    "error": "#8250df",
}
_LEAST, _MOST = 6, 64  # sides of what is drawn as an image
_SIZE = 140  # about so many pixels wide


def html_table(
    headings: Sequence[str],
    rows: Iterable[Iterable[str]],
    *,
    meanings: Sequence[str] = (),
    look: Callable[[int, int], str] | None = None,
) -> str:
    """A table; ``meanings`` say what headings stand for, ``look`` gives the attributes of a row's cell by numbers."""
    notes = [f' title="{escape(text)}"' if text else "" for text in meanings or [""] * len(headings)]
    head = "".join(f"<th{note}>{escape(name)}</th>" for name, note in zip(headings, notes, strict=True))
    body = []
    for i, row in enumerate(rows):
        looks = (f"<td{'' if look is None else look(i, j)}>{escape(cell)}</td>" for j, cell in enumerate(row))
        body.append(f"<tr>{''.join(looks)}</tr>")
    return f"<table>{f'<tr>{head}</tr>' if head else ''}{''.join(body)}</table>"


def facts_html(rows: Iterable[tuple[str, str]]) -> str:
    """Two columns: what, and its value."""
    return html_table((), rows, look=lambda row, column: " style='text-align:left'" if column else "")


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
    boxes = {} if result.query is None else {x.name: box.outer for x, box in result.query.boxes.items()}
    middles = {name: middle_of(*box) for name, box in boxes.items()}
    return head + facts_html(rows) + ("" if found is None else witness_html(found, middles))


def witness_html(found: Witness, middles: Mapping[str, Array | None] | None = None) -> str:
    """Inputs and outputs; a square input of many elements as the image that it probably is."""
    word = "counterexample" if found.margin < 0 else "witness"
    said = f"{word}: margin {found.margin:.6g}, replayed by {found.replayed_by}"
    lines = escape("\n".join(found.lines()))
    return f"<div>{escape(said)}</div>{images_html(found, middles or {})}<pre>{lines}</pre>"


def middle_of(lower: Iterable[float | None], upper: Iterable[float | None]) -> Array | None:
    """The middle of a box; None where a side is open."""
    low, high = (np.array([np.nan if v is None else v for v in side], dtype=np.float64) for side in (lower, upper))
    middle = (low + high) / 2
    return middle if np.isfinite(middle).all() else None


def images_html(found: Witness, middles: Mapping[str, Array | None]) -> str:
    """Inputs that are images; where their boxes have middles, between the middle and the difference from it."""
    shown = []
    for name, array in found.inputs.items():
        image = None if name in found.labels else image_of(array)
        if image is None:
            continue
        shown.append((image_svg(image, name), f"{name}, the point"))
        if (middle := middles.get(name)) is not None:
            centre = middle.reshape(image.shape)
            shown.insert(-1, (image_svg(centre, name), "the middle of its box"))
            difference = image - centre
            said = f"difference, at most {np.abs(difference).max():.3g}"
            shown.append((image_svg(difference, name, signed=True), said))
    return "".join(
        f"<figure style='display:inline-block;margin:4px'>{svg}<figcaption>{escape(text)}</figcaption></figure>"
        for svg, text in shown
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
