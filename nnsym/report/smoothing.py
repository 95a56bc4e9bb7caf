"""The certified accuracy of smoothed classifiers: as a table, and as a picture against the radius."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.report.optima import Listed
from nnsym.report.pictures.style import BLUE, GREEN, ORANGE, PINK, RED, VIOLET, finished, picture, plain_axes

_INKS = (BLUE, ORANGE, GREEN, RED, VIOLET, PINK)


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class CertifiedAccuracy(Listed):
    """Of every point whether its class is certified at every radius; prints as a table.

    ``certified`` has shape ``(points, radii)``: the class that was selected is the point's label, and the smoothed
    classifier keeps it within the radius in the norm ``p``. ``joint`` says whose the ``confidence`` is: of all these
    statements at once, or of those about each point by themselves.
    """

    radii: tuple[float, ...]
    certified: Array
    p: float
    noise: str
    certificate: str
    confidence: float
    joint: bool

    @property
    def shares(self) -> tuple[float, ...]:
        """Certified accuracy at every radius."""
        return tuple(float(v) for v in self.certified.mean(axis=0))

    @property
    def speaks_of(self) -> str:
        """What the confidence is of."""
        whose = "all points at once" if self.joint else "each point by itself"
        return f"confidence {self.confidence:.10g} for {whose}"

    def to_records(self) -> list[dict[str, Any]]:
        """One flat dictionary for each radius."""
        return [
            {"radius": radius, "certified": share, "points": int(column.sum()), "of": len(column)}
            for radius, share, column in zip(self.radii, self.shares, self.certified.T, strict=True)
        ]

    def plot(self, path: str | Path | None = None) -> Any:
        """Certified accuracy against the radius (extra ``report``)."""
        return plot_certified({self.certificate: self}, path)

    @property
    def _title(self) -> str:
        return f"certified accuracy, l{self.p:g} ({self.certificate}, {self.noise}), {self.speaks_of}"


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
