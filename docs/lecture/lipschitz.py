"""The example of docs/lecture/lipschitz.md, and its picture: python docs/lecture/lipschitz.py

nnsym verify docs/lecture/lipschitz.py:inside --method lipschitz
nnsym compare docs/lecture/lipschitz.py:digit --methods ibp,bcp,lipschitz,crown,lipschitz:sdp,crown+lipschitz:sdp,bigm
"""

from pathlib import Path

import numpy as np

import nnsym as nn
from nnsym import demo

# A tent of three ReLUs on a line: slopes 1, -2, 1/2.
tent = nn.sequential([([[1], [1], [1]], [1, 0, -1]), ([[1, -3, 2.5]], [-0.25])], name="tent")

x = nn.Variable(1, name="x")
inside = nn.forall(x, where=nn.ball(x, [-0.25], 0.125, p=2), then=tent(x)[0] >= 0, name="inside")

# A digit that the network keeps within 0.4 in the Euclidean norm, whatever is done to its pixels.
digits = demo.network()
image, label = demo.digit(0)
digit = nn.props.robust(digits, image, label, eps=0.4, p=2, name="digit")

METHODS = ("ibp", "lipschitz:outputs", "lipschitz", "bcp", "crown", "lipschitz:sdp", "crown+lipschitz:sdp")


def radii(count: int = 6) -> dict[str, list[float]]:
    """Certified radii in the norm 2 of test images, by method; of the attack the radii that it falsifies."""
    found: dict[str, list[float]] = {method: [] for method in (*METHODS, "attack")}
    for k in range(count):
        point, right = demo.digit(k)
        for method, row in found.items():
            r = nn.radius(digits, point, right, method, high=1, p=2)
            row.append(r.falsified if method == "attack" else r.certified)
    return found


def draw(path: Path) -> None:
    """Two cones under the tent, and the radii."""
    from nnsym.report.pictures.style import BLUE, GREY, ORANGE, VIOLET, finished, picture, plain_axes

    figure = picture(9.2, 3.6)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
    at, line = -0.25, np.linspace(-1.5, 1.75, 400)
    value = tent.evaluate(np.array([at]))[0]
    everywhere = nn.lipschitz(tent).certified
    near = nn.lipschitz(tent, where=([at - 0.2], [at + 0.2])).certified
    left.plot(line, tent.evaluate(line[:, None])[:, 0], color="black", linewidth=1.6, label="f")
    for constant, reach, colour, words in (
        (everywhere, 1.2, GREY, "f(c) - L |x - c|, L everywhere"),
        (near, 0.2, ORANGE, "the same, L on [-0.45, -0.05]"),
    ):
        cone = np.linspace(at - reach, at + reach, 201)
        left.fill_between(
            cone, value - constant * abs(cone - at), value + constant * abs(cone - at), color=colour, alpha=0.25
        )
        left.plot(cone, value - constant * abs(cone - at), color=colour, label=f"{words}: {constant:.3g}")
    left.axhline(0.0, color="#444444", linewidth=0.8)
    left.plot([at], [value], "o", color="black", markersize=4)
    left.set_ylim(-2.2, 2.6)
    left.set_xlabel("x")
    left.legend(fontsize=7.5, frameon=False, loc="upper right")
    found = radii()
    names = [*METHODS, "attack"]
    means = [float(np.mean(found[name])) for name in names]
    shades = {"crown": BLUE, "attack": VIOLET, "ibp": GREY, "crown+lipschitz:sdp": "#009e73"}
    right.barh(range(len(names)), means, color=[shades.get(name, ORANGE) for name in names], height=0.6)
    for k, name in enumerate(names):
        right.plot(found[name], [k] * len(found[name]), "|", color="black", markersize=7, alpha=0.6)
        right.text(max(found[name]) + 0.015, k, f"mean {means[k]:.3f}", fontsize=8, va="center")
    right.set_yticks(range(len(names)), [*METHODS, "attack (from above)"])
    right.invert_yaxis()
    right.set_xlim(0, 0.82)
    right.set_xlabel("radius in the norm 2, six digits")
    for axes in (left, right):
        plain_axes(axes, grid="both" if axes is left else "x")
    finished(figure, path)


if __name__ == "__main__":
    draw(Path(__file__).with_suffix(".svg"))
