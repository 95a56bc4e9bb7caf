"""Pictures as objects: matplotlib figures that show themselves in a notebook, whatever was imported or set before."""

from __future__ import annotations

import io
from typing import Any, final

from matplotlib.figure import Figure

from nnsym.errors import InputError

_SHARP = 2  # dots of the image for one of the page


@final
class Picture(Figure):
    """A matplotlib figure that a notebook shows as the value of a cell, with or without ``%matplotlib``.

    In the middle of a cell or in a loop, :meth:`show` does the same. ``savefig`` writes files; :meth:`svg` is the text
    of a drawing for a page of one's own.
    """

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=100 * _SHARP)
        width, height = (round(100 * inches) for inches in self.get_size_inches())
        return buffer.getvalue(), {"width": width, "height": height}

    def svg(self, *, tight: bool = False) -> str:
        """The picture as an ``<svg>`` element that can stand in a page; with ``tight`` as large as what is drawn."""
        buffer = io.StringIO()
        self.savefig(buffer, format="svg", metadata={"Date": None}, bbox_inches="tight" if tight else None)
        text = buffer.getvalue()
        return text[text.index("<svg") :]

    def show(self, *_: Any, **__: Any) -> None:
        """Show the picture at this place of a notebook's output."""
        try:
            from IPython import get_ipython
            from IPython.display import display
        except ImportError:
            get_ipython = None
        if get_ipython is None or get_ipython() is None:
            raise InputError("there is no notebook to show the picture in", remedy='Write it: .savefig("picture.png")')
        display(self)
