"""Sets of the plane in one picture: filled, told apart, and named with their areas."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from nnsym.ir.array import Array
from nnsym.report.pictures.region import area, polygon
from nnsym.report.pictures.style import dashes, finished, ink, plain_axes

#: Labels, and limits ``b_k`` of ``d_k . p >= b_k`` (:func:`nnsym.report.pictures.region.support`).
Regions = list[tuple[str, Array]]

#: Width and height of a picture of sets, inches.
SIZE = (6.4, 5.0)


def window_round(points: list[Any], *, margin: float) -> tuple[float, float, float, float]:
    """The smallest window round the points, and a margin of its size."""
    (left, bottom), (right, top) = np.min(points, axis=0), np.max(points, axis=0)
    wide, high = max(right - left, 1e-9) * margin, max(top - bottom, 1e-9) * margin
    return left - wide, right + wide, bottom - high, top + high


#: Regions whose limits differ by less than this part of the picture's numbers are the same set.
_SAME = 1e-6
_SHARED = "border of several sets"


def fill(axes: Any, regions: Regions, d: Array, window: tuple[float, float, float, float]) -> None:
    """The regions, the largest first, so that none hides another; their lines do not step outside of them.

    Regions that are the same set share its border: their dashes take turns, and the legend says that they are equal.
    """
    scale = max(map(abs, window))
    corners = [polygon(d, b, window) for _, b in regions]
    size = [area(some) if len(some) else 0.0 for some in corners]
    size = [some if some > _SAME * scale**2 else 0.0 for some in size]
    groups = _coincident(regions, _SAME * scale)
    apart = dashes([name for name, _ in regions])
    for k in sorted(range(len(regions)), key=lambda k: -size[k]):
        name, colour = regions[k][0], ink(regions[k][0])
        same = next(g for g in groups if k in g)
        border = corners[k] if size[k] else _flat(d, regions[k][1], window, scale)
        if not len(border):
            axes.plot([], [], color=colour, label=f"{name}  (no point)")
            continue
        (patch,) = axes.fill(*border.T, facecolor=colour, alpha=0.16 / len(same), edgecolor="none")
        closed = np.concatenate((border, border[:1]))
        dash = (6 * same.index(k), (6, 6 * (len(same) - 1))) if len(same) > 1 else apart[k]
        (line,) = axes.plot(
            *closed.T, color=colour, linestyle=dash, linewidth=3.6, label=f"{name}  (area {size[k]:.3g})"
        )
        line.set_dash_capstyle("butt")
        line.set_gid(_SHARED if len(same) > 1 else None)
        if size[k]:  # a set without inside has its line only
            line.set_clip_path(patch)
    for group in groups:
        if len(group) > 1:
            axes.plot([], [], linestyle="none", label=f"the same set: {', '.join(regions[k][0] for k in group)}")


def _flat(d: Array, b: Array, window: tuple[float, float, float, float], scale: float) -> Array:
    """The corners of a region without inside (a stable neuron's), which is found within a solver's tolerance."""
    return polygon(d, b - _SAME * scale, window)


def _coincident(regions: Regions, apart: float) -> list[list[int]]:
    """Places of the regions that are the same set."""
    groups: list[list[int]] = []
    for k, (_, b) in enumerate(regions):
        home = next((g for g in groups if np.allclose(regions[g[0]][1], b, rtol=0, atol=apart)), None)
        if home is None:
            groups.append([k])
        else:
            home.append(k)
    return groups


def mark_cut_off(axes: Any, regions: Regions, d: Array, points: Array) -> None:
    """A cross at the point that is farthest outside of each region that does not contain all of them."""
    scale = np.abs(points).max()
    for name, limit in regions:
        outside = (limit - points @ d.T).max(axis=1)
        worst = int(np.argmax(outside))
        if _SEEN * scale < outside[worst] < np.inf:
            x, y = points[worst] + 0.0  # no -0
            look = {"color": ink(name), "markeredgecolor": "black", "markersize": 11, "linestyle": "none"}
            axes.plot(x, y, marker="X", zorder=5, label=f"{name} cuts off ({x:.3g}, {y:.3g})", **look)


#: Outside by less than this part of the picture's numbers is a solver's tolerance.
_SEEN = 1e-6


def finish(figure: Any, axes: Any, title: str, path: str | Path | None) -> Any:
    """The picture with its title and legend, written to ``path`` if there is one."""
    plain_axes(axes)
    axes.set_title(title, fontsize=11, parse_math=False)
    lines, names = axes.get_legend_handles_labels()
    keys = [copy(line) for line in lines]
    for key in keys:
        if key.get_gid() == _SHARED:
            key.set_linestyle("solid")  # its dashes may begin with a gap
        key.set_linewidth(min(2.2, key.get_linewidth()))
    figure.legend(keys, names, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return finished(figure, path)
