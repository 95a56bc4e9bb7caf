"""Draw the pictures of docs/gallery.md that stand on no other page: ``python scripts/draw_pictures.py [FOLDER]``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib
import numpy as np

import nnsym as nn
from nnsym import demo
from nnsym.report.search import draw_search

A, B, K = np.array([[1, 0.5], [0, 1]]), np.array([[0.125], [0.5]]), np.array([[2.0, 2.5]])


def loop(steps: int) -> tuple[nn.Variable, list[Any], list[Any]]:
    """The closed loop of the notebooks: the first state, all states, all commands."""
    pi = nn.sequential([(np.vstack([K, -K]), [0, 0]), ([[-1, 1]], [0])], activation="relu", name="pi")
    x = nn.Variable(2, name="x", names=["position", "speed"], units=["m", "m/s"])
    states: list[Any] = [x]
    commands: list[Any] = []
    for _ in range(steps):
        commands.append(pi(states[-1]))
        states.append(A @ states[-1] + B @ commands[-1])
    return x, states, commands


def figures() -> Iterator[tuple[str, Any]]:
    """Every picture by the name of its file."""
    image, label = demo.digit(4)
    digits = nn.load(demo.NETWORK, name="digits")
    p = nn.props.robust(digits, image, label, eps=4 / 64, within=(0, 1))
    yield "compare", nn.compare(p, ["ibp", "crown", "triangle", "bigm"], timeout=30).plot()
    alpha, crown, ibp = (nn.bounds(p, method=method) for method in ("alpha:20", "crown", "ibp"))
    yield "bounds", alpha.plot(None, crown, ibp)
    x, states, commands = loop(4)
    settles = nn.forall(x, where=nn.box(x, -2, 2), then=nn.all(nn.abs(states[4]) <= "0.2"), name="settles")
    point = nn.verify(settles).counterexample
    yield "run", nn.trajectory({"x": states, "u": commands}, point).plot(title="a run that does not settle")
    f, z = nn.zoo.random_mlp(1, widths=(2, 6, 6, 2)), nn.Variable(2, name="z")
    where = nn.box(z, -1, 1) & (z[0] + z[1] <= 0)
    yield "where", nn.draw_reach(f, where, methods=["crown", "triangle", "bigm"], samples=300)
    v, g = nn.Variable(4, name="v"), nn.zoo.random_mlp(1, widths=(4, 16, 16, 2))
    least = nn.minimize(g(v)[0], "bab", where=nn.box(v, -1, 1)).lower
    close = nn.forall(v, where=nn.box(v, -1, 1), then=g(v)[0] >= least - 0.01, name="close")
    with TemporaryDirectory() as folder:
        record = Path(folder) / "search.jsonl"
        nn.verify(close, nn.bab("longest", batch=8, log=record))
        yield "search", draw_search(record)


def main() -> None:
    """Write them as SVG."""
    default = Path(__file__).resolve().parents[1] / "docs" / "pictures"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": "nnsym", "svg.fonttype": "none"}):
        for name, figure in figures():
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
