"""How every picture looks: one set of colours, one kind of axes, one way to a file.

Colours belong to what they stand for, never to a place in a list: a method has the same one on every picture.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnsym.errors import InputError
from nnsym.results.extras import require
from nnsym.results.files import path_of

if TYPE_CHECKING:
    from nnsym.report.pictures.picture import Picture

#: Told apart without colour vision (Okabe and Ito, Color Universal Design, 2008).
BLUE, ORANGE, GREEN, PINK, SKY, RED, VIOLET, GREY = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#d55e00",
    "#7a5195",
    "#8c8c8c",
)

#: Our own methods and encodings, relatives in shades of one colour; those of other packages get one by their names.
_METHODS = {
    "ibp": GREY,
    "ibp-merged": "#5c5c5c",
    "crown": BLUE,
    "crown-zero": "#3d5a80",
    "crown-ibp": "#6c9fd2",
    "fastlin": "#00345c",
    "alpha": SKY,
    "zonotope": PINK,
    "forward": "#9b4f78",
    "lipschitz": "#c9a227",
    "bcp": "#8a6d00",
    "triangle": ORANGE,
    "lp": "#a87400",
    "bigm": GREEN,
    "indicator": "#7fbf7b",
    "balas": "#00553f",
    "smt": RED,
    "attack": VIOLET,
    "sampling": "#5b8c5a",
    "bab": "#b22222",
    "portfolio": "#1f2328",
}
_OTHERS = (VIOLET, PINK, SKY, RED, GREEN, ORANGE, BLUE)

#: Lines of methods that share a colour.
_DASHES = ("solid", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 1.5, 1.5, 1.5)))


def ink(name: str) -> str:
    """The colour of a method or encoding; its cuts and parameters do not change it."""
    base = name.partition("+")[0].partition(":")[0].removesuffix(".relax")
    return _METHODS.get(base) or _OTHERS[zlib.crc32(base.encode(errors="replace")) % len(_OTHERS)]


def dashes(names: Sequence[str]) -> list[Any]:
    """Line styles that tell apart those of the names that share a colour."""
    met: Counter[str] = Counter()
    found = []
    for name in names:
        found.append(_DASHES[met[ink(name)] % len(_DASHES)])
        met[ink(name)] += 1
    return found


def hatches(names: Sequence[str]) -> list[str]:
    """Fillings that tell apart those of the names that share a colour."""
    return [("", "//", "..", "xx")[_DASHES.index(dash)] for dash in dashes(names)]


def picture(width: float, height: float) -> Picture:
    """An empty picture; it shows itself in notebooks and needs no backend."""
    require("matplotlib")
    from nnsym.report.pictures.picture import Picture  # heavy: matplotlib

    return Picture(figsize=(width, height), layout="constrained")


def plain_axes(axes: Any, *, grid: str = "both") -> None:
    """Axes without a frame, over a light grid."""
    axes.grid(axis=grid, color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def titled(figure: Picture, title: str, text: str = "") -> None:
    """What the picture is about: a name, and below it the statement in small letters, shortened to one line."""
    line = " ".join(text.split())
    figure.suptitle(title, parse_math=False, fontsize=11)
    if line:
        from textwrap import shorten

        shown = shorten(line, int(13 * figure.get_figwidth()), placeholder=" ...")
        figure.suptitle(f"{title}\n", parse_math=False, fontsize=11)
        below = 1 - 21 / (72 * figure.get_figheight())  # points from the top
        figure.text(0.5, below, shown, ha="center", va="top", fontsize=7.5, color="#57606a", parse_math=False)


def check_format(path: str | Path) -> None:
    """Refuse a picture's file by its suffix; none is taken for ``.png``."""
    require("matplotlib")
    from matplotlib.backend_bases import FigureCanvasBase  # heavy: matplotlib

    suffix = path_of(path).suffix
    if suffix and suffix[1:].lower() not in FigureCanvasBase.get_supported_filetypes():
        raise InputError(f"unknown format '{suffix}'", where=str(path), remedy="Use one of: .svg, .png, .pdf")


def finished(figure: Picture, path: str | Path | None) -> Picture:
    """The picture, written to ``path`` if there is one."""
    if path is not None:
        check_format(path)
        try:
            figure.savefig(path_of(path), dpi=160)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot write the picture: {error}", where=str(path)) from error
    return figure
