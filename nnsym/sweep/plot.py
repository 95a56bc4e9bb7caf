"""A table as a picture: accuracy against the radius, or the four ways as bars where there is one radius."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nnsym.ir.words import count_of
from nnsym.report.pictures.style import GREY, dashes, finished, ink, picture, plain_axes, titled
from nnsym.results.html import VERDICTS
from nnsym.sweep.answers import Answers
from nnsym.sweep.tally import Tally


def plot_table(table: Answers, path: str | Path | None = None) -> Any:
    """The picture, written to ``path`` if there is one."""
    curves = len(table.header.eps) > 1
    figure = picture(7.2, 4.4) if curves else picture(7.2, 1.8 + 0.36 * len(table.rows))
    axes = figure.subplots()
    if curves:
        _curves(axes, table)
    else:
        _bars(axes, table)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    unfinished = "" if table.complete else ", not finished"
    titled(figure, f"{', '.join(table.header.families)}, {count_of(table.header.count, 'item')}{unfinished}")
    return finished(figure, path)


def _curves(axes: Any, table: Answers) -> None:
    """Certified accuracy, a line for each stage or method; what nothing speaks against as the upper end of a band."""
    header = table.header
    names = list(header.families)
    for family, dash in zip(names, dashes([""] * len(names)), strict=True):
        for place, method in enumerate(header.methods):
            rows = [t for t in table.tallies if t.family == family and t.method == method]
            word = f"+ {method}" if header.staged and place else method
            label = word if len(names) == 1 else f"{family}: {word}"
            _line(axes, rows, label, method, dash, start=header.clean, width=_width(place, len(header.methods)))
        best = [t for t in table.rows if t.family == family]
        if header.staged:
            _band(axes, best, start=header.clean, labelled=family == names[0])
    axes.set_xlabel("eps", fontsize=9)
    axes.set_ylabel("certified accuracy", fontsize=9)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlim(left=0.0 if header.clean else None)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    plain_axes(axes)


def _width(place: int, count: int) -> float:
    """Earlier lines are wider, so that they can be seen where later ones cover them."""
    return 1.4 + 2.4 * (count - 1 - place) / max(1, count - 1)


def _line(axes: Any, rows: list[Tally], label: str, method: str, dash: Any, *, start: bool, width: float) -> None:
    """One line; it begins with the accuracy at the items themselves where that is known."""
    x = [t.eps or 0.0 for t in rows]
    y = [t.certified for t in rows]
    if start:
        x, y = [0.0, *x], [1 - rows[0].wrong / rows[0].total, *y]
    axes.plot(x, y, color=ink(method), linestyle=dash, linewidth=width, marker="o", markersize=2 + width, label=label)


def _band(axes: Any, rows: list[Tally], *, start: bool, labelled: bool) -> None:
    """What is still unknown, between certified and empirical accuracy."""
    if not any(t.open for t in rows):
        return
    x = [t.eps or 0.0 for t in rows]
    low, high = [t.certified for t in rows], [t.empirical for t in rows]
    if start:
        clean = 1 - rows[0].wrong / rows[0].total
        x, low, high = [0.0, *x], [clean, *low], [clean, *high]
    axes.fill_between(x, low, high, color=GREY, alpha=0.22, linewidth=0, label="unknown" if labelled else None)


def _bars(axes: Any, table: Answers) -> None:
    """The four ways of each row, one behind the other, with their numbers."""
    rows = table.rows
    parts = {
        "verified": [t.held for t in rows],
        "unknown": [t.open for t in rows],
        "falsified": [t.falsified for t in rows],
        "wrong": [t.wrong for t in rows],
    }
    begun = [0.0] * len(rows)
    for way, counts in parts.items():
        shares = [count / t.total for count, t in zip(counts, rows, strict=True)]
        axes.barh(range(len(rows)), shares, left=begun, height=0.66, color=VERDICTS.get(way, GREY), label=way)
        for k, (share, count) in enumerate(zip(shares, counts, strict=True)):
            if share > 0.04:
                axes.text(begun[k] + share / 2, k, str(count), ha="center", va="center", color="white", fontsize=8)
        begun = [a + b for a, b in zip(begun, shares, strict=True)]
    named = len(table.header.families) > 1
    labels = [
        " ".join(filter(None, (t.family if named else "", "" if table.header.staged else t.method))) for t in rows
    ]
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    plain_axes(axes, grid="x")
