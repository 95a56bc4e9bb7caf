"""Draw the pictures of docs/encodings that compare encodings: ``python scripts/draw_gallery.py [FOLDER]`` (a minute).

Regions of one neuron are drawn by ``nn.draw``; what is made of several neurons together needs a network, the random
2-6-6-2 over the box [-1, 1], drawn by ``nn.draw_reach``. The files are the same on every run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib

import nnsym as nn
from nnsym.encode.registry import find_encoding


def figures() -> Iterator[tuple[str, Any]]:
    """Every picture by the name of its file."""
    yield "bigm-relu", nn.draw(["triangle", "bigm", "indicator", "sos1"], op="relu", l=-1, u=2)
    yield "tangents-sigmoid", nn.draw(["triangle", "triangle+tangents"], op="sigmoid", l=-3, u=4)
    root = {name: find_encoding(name).relax() for name in ("bigm", "partition2", "balas")}
    f = nn.zoo.random_mlp(2, widths=(2, 6, 6, 2))
    for name, methods in {
        "partition-reach": [*root.values(), "bigm"],
        "tj-reach": ["triangle", "triangle+tj", "bigm"],
        "krelu-reach": ["triangle", "triangle+krelu2", "triangle+krelu2+krelu3+tj", "bigm"],
    }.items():
        yield name, nn.draw_reach(f, (-1, 1), methods=methods, samples=200)


def main() -> None:
    """Write them as SVG."""
    default = Path(__file__).resolve().parents[1] / "docs" / "encodings"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    with matplotlib.rc_context({"svg.hashsalt": "nnsym"}):
        for name, figure in figures():
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
