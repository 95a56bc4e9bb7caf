"""Smoothed classifiers as pictures: certified accuracy against the radius, and the worst sets of inputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnsym.errors import InputError
from nnsym.report.style import BLUE, GREEN, ORANGE, PINK, RED, VIOLET, finished, picture, plain_axes

if TYPE_CHECKING:
    from nnsym.ask.certified import CertifiedAccuracy

_INKS = (BLUE, ORANGE, GREEN, RED, VIOLET, PINK)


def plot_certified(tables: Mapping[str, CertifiedAccuracy], path: str | Path | None = None) -> Any:
    """Certified accuracy against the radius, one line for each table, named by its key."""
    if not tables:
        raise InputError("no table to draw")
    figure = picture(6.4, 3.8)
    axes = figure.subplots()
    for ink, (name, table) in zip(_INKS * (1 + len(tables)), tables.items(), strict=False):
        axes.plot(
            table.radii,
            [100 * v for v in table.shares],
            marker="o",
            markersize=3.5,
            linewidth=1.6,
            color=ink,
            label=name,
        )
    axes.set_ylim(0, 100)
    axes.set_xlim(left=0)
    first = next(iter(tables.values()))
    axes.set_xlabel(f"radius, l{first.p:g}", fontsize=9)
    axes.set_ylabel("certified accuracy, %", fontsize=9)
    plain_axes(axes)
    axes.legend(frameon=False, fontsize=8)
    return finished(figure, path)
