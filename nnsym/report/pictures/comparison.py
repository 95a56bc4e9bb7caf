"""A comparison as a picture: certified margin and time per method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.query import Reading
from nnsym.report.compared import Compared
from nnsym.report.pictures.style import finished, picture, plain_axes, titled
from nnsym.report.records import row_record
from nnsym.results.html import VERDICTS

_CLOSE = 1e-6  # both ends of the margin this near: it is known exactly
_LONGEST = 6.0  # a bar longer than so many typical ones is cut, its number says how long it is


def plot_comparison(table: Compared, path: str | Path | None = None) -> Any:
    """Two panels: the certified bound of the margin (0 is the threshold), and seconds in all, with their numbers.

    A dashed line stands where the margin is known exactly; else a band shows what all rows together leave of it.
    """
    if table.parts:
        raise InputError("several properties have no one margin", remedy="Draw one: table.parts[0].plot()")
    rows = [row for row in table.rows if row.result is not None]
    if not rows:
        raise InputError("no row has a result that could be drawn", where=table.name)
    records = [row_record(row, table.best) for row in rows]
    labels = [" ".join(filter(None, (r["method"], r["solver"], r["bounds"] if r["solver"] else ""))) for r in records]
    colours = [VERDICTS[r["verdict"]] for r in records]
    figure = picture(9, 1.9 + 0.35 * len(rows))
    from matplotlib.patches import Patch

    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    _margins(left, [row.margin for row in rows], colours)
    _known(left, table, records)
    side = "upper" if table.reading is Reading.EXISTS else "lower"
    left.set_yticks(range(len(rows)), labels)
    left.set_ylim(len(rows) - 0.4, -0.6)
    left.set_xlabel(f"certified {side} bound of the margin", fontsize=9)
    _seconds(right, [r["seconds_total"] for r in records], colours)
    shown = dict.fromkeys(r["verdict"] for r in records)
    lines, names = left.get_legend_handles_labels()
    keys = [*(Patch(color=VERDICTS[v]) for v in shown), *lines]
    figure.legend(keys, [*shown, *names], loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    titled(figure, table.name or "comparison", table.text)
    return finished(figure, path)


def _margins(axes: Any, values: list[float | None], colours: list[str]) -> None:
    """Bars from 0, each with its number; what is far longer than the others is cut at the border."""
    sizes = [abs(v) for v in values if v]
    most = _LONGEST * float(np.median(sizes)) if sizes else 1.0
    ends = [0.0 if v is None else float(np.clip(v, -most, most)) for v in values]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.16 * (high - low or 1.0)
    axes.set_xlim(low - (room if low < 0 else 0), high + (room if high > 0 else 0))
    axes.barh(range(len(ends)), ends, height=0.66, color=colours, alpha=0.85)
    axes.axvline(0.0, color="black", linewidth=0.8)
    for k, (value, end) in enumerate(zip(values, ends, strict=True)):
        cut = value is not None and value != end
        text = "no bound" if value is None else f"{value:.4g}{' (bar cut)' if cut else ''}"
        inside = cut or (end < 0 and value is not None)
        left = end < 0
        axes.annotate(
            text,
            (end, k),
            xytext=(3 if inside is left else -3, 0) if cut else (-3 if left else 3, 0),
            textcoords="offset points",
            ha=("left" if left else "right") if cut else ("right" if left else "left"),
            va="center",
            fontsize=7.5,
            color="white" if cut else "black",
            bbox=None if cut else {"facecolor": "white", "linewidth": 0, "pad": 0.8},
        )
    plain_axes(axes, grid="x")


def _known(axes: Any, table: Compared, records: list[dict[str, Any]]) -> None:
    """Where the margin lies by all rows together: best certified bound, and best point that was evaluated."""
    exists = table.reading is Reading.EXISTS
    points = [r["lower" if exists else "upper"] for r in records]
    reached = [p for p in points if p is not None]
    if table.best is None or not reached:
        return
    low, high = sorted((table.best, max(reached) if exists else min(reached)))
    left, right = axes.get_xlim()
    if not (left <= low and high <= right):
        return
    if high - low <= _CLOSE * max(1.0, abs(high)):
        axes.axvline(high, color="black", linewidth=1.1, linestyle=(0, (4, 3)), label=f"exact margin {high:.5g}")
    else:
        axes.axvspan(low, high, color="black", alpha=0.1, linewidth=0, label=f"margin in [{low:.4g}, {high:.4g}]")


def _seconds(axes: Any, values: list[float], colours: list[str]) -> None:
    """Dots on a logarithmic axis, which has no beginning that a bar could start from."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.scatter(values, range(len(values)), c=colours, s=36, zorder=3)
    for k, value in enumerate(values):
        axes.annotate(f"{value:.3g} s", (value, k), (7, 0), textcoords="offset points", va="center", fontsize=7.5)
    axes.set_xlim(min(values) / 2, max(values) * 4)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if max(values) / min(values) > 20 else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("seconds in all", fontsize=9)
    plain_axes(axes, grid="x")
