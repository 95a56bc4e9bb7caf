"""Pictures of what is reached: over a box, a where-set, for terms; the set of an exact encoding holds all samples."""

from __future__ import annotations

import re

import numpy as np
import pytest

import nnsym as nn
from nnsym.errors import InputError
from nnsym.results import clock as clocks

pytest.importorskip("matplotlib", reason="pictures need the extra 'report'")

F = nn.zoo.random_mlp(1, widths=(2, 6, 6, 2))
X = nn.Variable(2, name="x")
ABOVE = nn.box(X, -1, 1) & (X[0] + X[1] <= "0.2")


def areas(figure) -> dict[str, float]:
    texts = [t.get_text() for t in figure.legends[0].get_texts()]
    return {found[1]: float(found[2]) for t in texts if (found := re.match(r"(\S+) +\(area (.*)\)", t))}


def outline(figure, k: int):
    return np.stack(figure.axes[0].lines[k].get_data(), axis=1)


def samples(figure):
    (found,) = (line for line in figure.axes[0].lines if line.get_label() == "samples")
    return np.stack(found.get_data(), axis=1)


def holds(border, points) -> bool:
    """True where the points lie inside of a convex outline."""
    edges, turn = np.diff(border, axis=0), points[:, None] - border[:-1]
    side = edges[:, 0] * turn[..., 1] - edges[:, 1] * turn[..., 0]
    return bool((side >= -1e-6).all() or (side <= 1e-6).all())


@pytest.mark.slow
@pytest.mark.parametrize("where", [ABOVE, nn.box(X, -1, 1) & ((X[0] <= -0.5) | (nn.box(X, 0.25, 1)))])
def test_the_exact_set_of_a_where_is_smaller_than_that_of_its_box_and_holds_its_samples(where):
    whole, cut = (nn.draw_reach(F, d, methods=["crown", "bigm"], samples=400) for d in ((-1, 1), where))
    assert areas(cut)["crown"] == areas(whole)["crown"]
    assert areas(cut)["bigm"] < 0.98 * areas(whole)["bigm"]
    points = samples(cut)
    assert 20 < len(points) < 399 <= len(samples(whole))
    assert holds(outline(cut, 1), points)


def test_samples_are_values_of_points_that_satisfy_the_region():
    x = nn.Variable(2, name="x", integer=True)
    where = nn.box(x, 0, 3) & (x[0] + x[1] <= 3)
    figure = nn.draw_reach(nn.concat(x[0] + x[1], 2 * x[1]), where, methods=["bigm"], samples=300)
    reached = {(i + j, 2.0 * j) for i in range(4) for j in range(4 - i)}
    assert set(map(tuple, samples(figure).tolist())) == reached


def test_terms_are_drawn_with_their_names():
    figure = nn.draw_reach(X + 0.5 * F(X), nn.box(X, 0, 1), methods=["ibp"], samples=5)
    assert figure.axes[0].get_xlabel() == "x + 0.5 * random_mlp_1(x)[0]"
    named = nn.draw_reach(X + 0.5 * F(X), nn.box(X, 0, 1), methods=["ibp"], samples=5, names=("pos", "vel")).axes[0]
    assert (named.get_xlabel(), named.get_ylabel(), named.get_title()) == ("pos", "vel", "what pos and vel reach")
    assert nn.draw_reach(F, (0, 1), methods=["ibp"], samples=5).axes[0].get_ylabel() == "y[1]"


@pytest.mark.parametrize(
    ("f", "domain", "said"),
    [
        (F, nn.box(X, 0, None), "'x' has no bounds"),
        (F, nn.box(X, 0, 1) & (X[0] >= 2), "domain is empty"),
        (F, nn.box(X, 0, 1) & nn.box(nn.Variable(1, name="v"), 0, 1), "about 2 variables"),
        (F, (1, 0), "leave nothing"),
    ],
)
def test_what_cannot_be_drawn_is_refused(f, domain, said):
    with pytest.raises(InputError, match=said):
        nn.draw_reach(f, domain, methods=["ibp"])


@pytest.mark.slow
def test_what_is_out_of_time_says_so_and_holds_all_samples(monkeypatch) -> None:
    monkeypatch.setattr(clocks, "_LITTLE", 1e-9)
    figure = nn.draw_reach(nn.zoo.random_mlp(4, widths=(8, 20, 20, 2)), (-1, 1), methods=["bigm"], timeout=1e-9)
    assert figure.legends[0].get_texts()[0].get_text().startswith("bigm: out of time  (area")
    assert holds(outline(figure, 0), samples(figure))
