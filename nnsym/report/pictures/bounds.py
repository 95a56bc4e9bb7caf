"""Bounds as pictures: widths and open neurons per layer, methods side by side, and an optimisation's way up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnsym.errors import InputError
from nnsym.report.bounds import SourceBounds
from nnsym.report.pictures.style import finished, hatches, ink, picture, plain_axes, titled

#: Points of methods that share a colour, by what fills their bars.
_MARKERS = {"": "o", "//": "D", "..": "s", "xx": "^"}


def plot_bounds(shown: Sequence[SourceBounds], path: str | Path | None = None) -> Any:
    """Two panels per layer: the mean width as points (logarithmic), and bars of how many neurons stay open.

    The specification's rows are the last group of the left panel; the right one shows layers with open neurons only.
    """
    layers = [*(layer.name for layer in shown[0].layers), "spec"]
    opened = [k for k in range(len(layers) - 1) if any(one.layers[k].unstable for one in shown)]
    figure = picture(min(14.0, 3.5 + 1.0 * len(layers) + 0.2 * (len(layers) + len(opened)) * len(shown)), 3.8)
    left, right = figure.subplots(1, 2, width_ratios=(len(layers), max(2, len(opened))))
    thick = 0.8 / len(shown)
    fillings = hatches([one.source for one in shown])
    for k, one in enumerate(shown):
        look = {"width": thick, "color": ink(one.source), "edgecolor": "white", "linewidth": 0.5}
        look["hatch"] = fillings[k]
        dot = {"marker": _MARKERS[fillings[k]], "color": look["color"], "markersize": 7, "linestyle": "none"}
        shift, spec = (k - (len(shown) - 1) / 2) * thick, one.found.rows
        widths = [*(layer.mean_width for layer in one.layers), float(np.mean(spec.upper - spec.lower))]
        left.plot(np.arange(len(layers)) + shift, widths, label=f"{one.source}: margin ≥ {one.lower:.3g}", **dot)
        bars = right.bar(np.arange(len(opened)) + shift, [one.layers[i].unstable for i in opened], **look)
        right.bar_label(bars, fontsize=7, padding=1)
    left.set_yscale("log")  # without a zero that bars could stand on
    left.set_xlim(-0.5, len(layers) - 0.5)
    left.vlines(
        np.arange(1, len(layers)) - 0.5, 0, 1, transform=left.get_xaxis_transform(), color="#e5e5e5", linewidth=0.6
    )
    left.set_title("mean width of the bounds", fontsize=10)
    left.set_xticks(range(len(layers)), layers)
    right.set_title("open neurons" if opened else "no neuron is open", fontsize=10)
    right.set_xticks(range(len(opened)), [f"{layers[i]}\nof {shown[0].layers[i].size}" for i in opened])
    if opened:
        middle, half = (len(opened) - 1) / 2, max(1.0, len(opened) / 2 + 0.25)
        right.set_xlim(middle - half, middle + half)
    for axes in (left, right):
        plain_axes(axes, grid="y")
    titled(figure, shown[0].query.name or "bounds", shown[0].query.text)
    figure.legend(loc="outside lower center", ncols=min(3, len(shown)), fontsize=8, frameon=False)
    return finished(figure, path)


def plot_trace(one: SourceBounds, path: str | Path | None = None) -> Any:
    """The margin's lower bound against the steps of the optimisation, with 0 where it starts to verify."""
    if not one.trace:
        raise InputError(f"'{one.source}' optimises nothing that can be drawn", remedy="Use bounds such as alpha:50")
    figure = picture(5, 3.2)
    axes = figure.subplots()
    axes.plot(range(len(one.trace)), one.trace, marker=".", color=ink(one.source))
    low, high = min(one.trace), max(one.trace)
    if abs(high) <= 2 * (high - low):  # near enough not to flatten the curve
        axes.axhline(0.0, color="black", linewidth=0.8)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("steps")
    axes.set_ylabel("lower bound of the margin")
    axes.set_title(f"{one.query.name}: {one.source}", fontsize=10, parse_math=False)
    plain_axes(axes)
    return finished(figure, path)
