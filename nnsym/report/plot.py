"""A comparison as a picture: certified margin and time per method."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnsym.errors import UnsupportedError
from nnsym.report.records import row_record

if TYPE_CHECKING:
    from nnsym.ask.compare import Comparison

_INK = {"verified": "#2da44e", "falsified": "#cf222e", "unknown": "#bf8700"}


def plot_comparison(table: Comparison, path: str | Path | None = None) -> Any:
    """Two panels of bars: the certified lower bound of the margin (0 is the threshold), and seconds in all."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch
    except ImportError as error:
        raise UnsupportedError("matplotlib is not installed", remedy="pip install 'nnsym[report]'") from error
    rows = [row for row in table.rows if row.result is not None]
    records = [row_record(row, table.best) for row in rows]
    labels = [" ".join(filter(None, (r["method"], r["solver"], r["bounds"] if r["solver"] else ""))) for r in records]
    colours = [_INK[r["verdict"]] for r in records]
    figure = Figure(figsize=(9, 1.6 + 0.35 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    places = range(len(rows))
    left.barh(places, [r["lower"] if r["lower"] is not None else 0.0 for r in records], color=colours)
    left.axvline(0.0, color="black", linewidth=0.8)
    left.set_yticks(list(places), labels)
    left.invert_yaxis()
    left.set_xscale("symlog", linthresh=0.1)
    left.set_xlabel("certified lower bound of the margin")
    right.barh(places, [r["seconds_total"] for r in records], color=colours)
    right.set_xscale("log")
    right.set_xlabel("seconds in all")
    shown = dict.fromkeys(r["verdict"] for r in records)
    figure.legend(handles=[Patch(color=_INK[v], label=v) for v in shown], loc="outside lower center", ncols=3)
    figure.suptitle(table.name or "comparison", parse_math=False)
    if path is not None:
        figure.savefig(path)
    return figure
